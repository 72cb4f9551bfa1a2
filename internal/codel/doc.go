// Package codel finds out how long datagrams wait in a queue on their way, and says when
// their sender should be told to slow down. It is for the receiving end of a tunnel whose
// bottleneck somebody else owns: a router with a dumb buffer of 100 ms, say.
//
// [Law] alone, without the finding out, is for queues of our own (internal/tunnel's backlog).
//
// It is pure: it reads no clock, does no I/O, and drops nothing. What may be dropped or
// marked is known to others (frame.Bulk, frame.MarkCE).
//
// # How long they wait
//
// A datagram carries a [Stamp], when it was sent by its sender's clock. The receiver's
// clock begins at another time, so the difference of the two, the transit, is off by an
// unknown constant; but what a transit is over the least of the last 20 to 30 s, the base,
// was spent in queues. The base follows clocks that drift apart by 100 ppm, and routes.
//
// A transfer that keeps a short queue for longer than that would hide it in the base, a
// little more each time. So while the base hasn't been seen for 10 s the goal shrinks, to
// a quarter after 20 s, until the queue has run empty for a moment.
//
// # When it is too long
//
// [Queue] has the control law of CoDel ([Law], RFC 8289): when the delay has been over the goal for
// an interval, a signal is due, and others ever faster until the delay is below it.
//
//	goal      three tenths of the round trip, 5 ms at least; and what 16 of our large
//	          datagrams take to arrive, so that little traffic is left alone
//	interval  two round trips, 100 ms at least
//
// The queue is before the place where the loss happens, so each costs what it took to
// carry; one in 32 large datagrams is the most that is asked for.
//
// # When it isn't ours
//
// The delay may stay for other reasons: traffic that isn't ours and doesn't yield, a longer
// route, a clock that was set right. The law gives up and takes the delay as it is for the
// base as soon as we get less than half of what we got when it rose (a queue of our own
// is always emptied at full rate), or if it stays for 5 s. More than 2 s is no
// queue, and the base at once.
//
// Stamps may be anything: a bad peer spoils the state of its own [Queue] alone.
package codel
