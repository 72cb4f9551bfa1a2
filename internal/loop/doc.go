// Package loop is the thread of the data plane: it waits for the descriptors of
// the TAPs and of the UDP socket, and runs their handlers to completion.
//
// It is for descriptors whose handler never waits. It is not for connections,
// files, or anything that the Go runtime's poller serves as well.
//
// # Why not the runtime's poller
//
// With a goroutine for each descriptor a lone packet is handed from thread to
// thread: the runtime's poller wakes a thread, that wakes another in case there is
// more work, and a reply that a handler has caused itself is seen by yet another.
// On a machine whose cores are halted each of these wake-ups costs some 50 µs
// (docs/performance.md). Here one thread takes a packet
// from one descriptor to the other without handing anything over. The descriptors
// must therefore be unknown to the runtime's poller: it would be woken all the same.
//
// # Lingering
//
// Before the thread sleeps it looks at its descriptors a little longer, lingerTime,
// because the answer to what it has just sent may be as near as the next rack; each
// look gives the core to any other thread that wants it (sched_yield). What is spent
// so in vain is bounded to lingerShare of the time, and nothing is after single packets:
// only in a stream, of streamBursts within streamWithin, is the next one near.
//
// # Dozing
//
// A blocking system call costs the Go scheduler a wake-up of its monitor thread, which
// then runs for a millisecond beside us, and looks after us for ten. So in a stream, and for
// awakeTime after it, the thread sleeps with the scheduler left in the belief that it runs,
// dozeTime at once. The scheduler can still stop us: its signal ends
// the wait (EINTR), and like any Go code we see its wish before we wait again. Only a
// loop that was opened so dozes: the daemon has a processor more than there are cores
// (GOMAXPROCS), so that the other goroutines aren't held up.
// Its wish comes after 10 ms and costs wake-ups of other threads; so before a sleep it
// gets its turn unasked (giveTurn), when nothing is expected.
//
// After single packets, as keep connections alive, the thread parks as any goroutine does,
// with its epoll descriptor in the runtime's poller for so long: that wakes it later by some 150 µs, and
// uses half of the processor time that a member needs to be idle. The goroutine isn't locked to
// its thread, or the poller's thread would have to wake it, which is as long again.
//
// # How it goes
//
//	          +--------------------------------------------+
//	          v                                            |
//	what others want done between two rounds, if anything  |
//	          v                                            |
//	those who wait until they can write, and can           |
//	          v                                            |
//	handlers in turn, each a batch -- something came ------+
//	          | nothing came                               |
//	          v                                            |
//	linger: yield, look again ----- something came --------+
//	          | budget or time is used up                  |
//	          v                                            |
//	doze in a stream and after it, else park --------------+
//
// A round runs every handler, or, where there are many sources, those that epoll says have
// something.
//
// Changes of the set (Add, Source.Remove, Close) are made by the thread itself,
// between two rounds, so that no handler runs once Remove has returned and the
// frame path needs no lock.
//
// # Writing
//
// A handler whose descriptor takes no more data doesn't wait for it. It keeps what is left,
// within bounds, and asks to be called when there is room again (Source.WhenWritable). Only
// while somebody asks does each round begin with a look at epoll.
package loop
