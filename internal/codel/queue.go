package codel

import "time"

// BulkSize is how many bytes a datagram has, at least, that is worth a signal: smaller ones
// make no queue, and their sender may not yield.
const BulkSize = 512

// What the law aims at. For a delay of three tenths of the round trip a lone flow of
// cubic, which gives up three tenths of its window, keeps the link busy.
const (
	leastGoal     = 5 * time.Millisecond   // of delay
	leastInterval = 100 * time.Millisecond // for flows to react
	leastQueue    = 16                     // bulk datagrams: a queue of fewer is none
	leastBetween  = 32                     // bulk datagrams for one signal: what the law may cost at most
)

// After firmFrom without a sight of the base the goal shrinks, to a quarter by firmAt, so
// that the queue runs empty before the base is forgotten and a standing queue taken for it.
const (
	firmFrom = bucketLength
	firmAt   = 2 * bucketLength
)

// When the law gives up.
const (
	patience   = 5 * time.Second
	starved    = 2 // times longer between bulk datagrams than before
	sliceWidth = 500 * time.Millisecond
)

// A Queue is what stands before the narrowest link on the way from one sender, as its
// datagrams show it, and the control law of CoDel (RFC 8289) for it. The zero value is
// ready. It isn't safe for concurrent use.
type Queue struct {
	base base
	seen time.Duration // when the queue was last as good as empty

	lastSent Stamp // of the last datagram, if it
	lastNow  time.Duration
	calm     bool // found the queue as good as empty

	// Bulk while there is a queue.
	busy    time.Duration // since when it is counted; 0: it isn't
	bulk    int
	spacing time.Duration // mean time between bulk datagrams; 0: not known

	law     Law
	at      time.Duration // spacing when the delay rose over the goal
	pace    time.Duration // interval
	between int           // bulk datagrams since the last signal

	// The least transit of the present slice of time, and of the one before.
	slice      time.Duration
	low, lower Stamp
}

// Restart forgets everything: datagrams come another way now.
func (q *Queue) Restart() { *q = Queue{} }

// Arrived notes a datagram of size bytes that was sent and has come now, and reports
// whether its sender should be told to slow down, by this datagram or by one that
// comes soon; then call Signalled. Now never goes back; roundTrip is that of the path
// without a queue, or 0 if it isn't known.
func (q *Queue) Arrived(sent Stamp, now time.Duration, size int, roundTrip time.Duration) bool {
	if q.calm && sent == q.lastSent && now == q.lastNow {
		return false
	}
	transit := (At(now) - sent) & stampMask
	over := time.Duration(q.base.over(transit, now)) * Tick
	goal := max(leastGoal, roundTrip*3/10, leastQueue*q.spacing)
	q.calm, q.lastSent, q.lastNow = over < goal/10, sent, now
	if q.calm {
		q.seen, q.busy = now, 0
		q.law.Calm()
		return false
	}
	bulk := size >= BulkSize
	q.pace = max(leastInterval, 2*roundTrip)
	q.measure(now, bulk)
	if over < q.firm(goal, now) {
		q.law.Calm()
		return false
	}
	return q.judge(transit, now, bulk)
}

// Late notes a datagram that may have waited at our own end, so that its transit says nothing
// of the way there.
func (q *Queue) Late() {
	q.calm, q.busy = false, 0
	q.law.Calm()
}

// firm returns the goal, or less if the base hasn't been seen for long.
func (q *Queue) firm(goal, now time.Duration) time.Duration {
	if age := now - q.seen; age > firmFrom {
		part := float64(min(age, firmAt)-firmFrom) / float64(firmAt-firmFrom)
		goal -= time.Duration(0.75 * part * float64(goal))
	}
	return goal
}

// measure counts bulk datagrams.
func (q *Queue) measure(now time.Duration, bulk bool) {
	if q.busy == 0 {
		q.busy, q.bulk = now, 0
	}
	if bulk {
		q.bulk++
	}
	if now-q.busy >= q.pace {
		q.spacing = (now - q.busy) / time.Duration(max(q.bulk, 1))
		q.busy, q.bulk = now, 0
	}
}

// judge is the control law for a datagram that waited too long.
func (q *Queue) judge(transit Stamp, now time.Duration, bulk bool) bool {
	if q.law.above == 0 {
		q.between, q.at = 0, q.spacing
		q.slice, q.low, q.lower = now, transit, transit
	}
	if bulk {
		q.between++
	}
	if now-q.slice >= sliceWidth {
		q.slice, q.lower, q.low = now, q.low, transit
	} else if transit.less(q.low) < 0 {
		q.low = transit
	}
	if q.vain(now) {
		q.giveUp(now)
		return false
	}
	return q.law.Due(now, q.pace) && q.between >= leastBetween
}

// Signalled notes that the sender has been told, by a loss or by a mark.
func (q *Queue) Signalled(now time.Duration) {
	q.between = 0
	q.law.Told(now, q.pace)
}

// vain reports whether signals only do harm: the delay stays, though what we get has become
// much less, as if others fill the queue or it isn't one; or it stays for long. Less than an
// interval says nothing.
func (q *Queue) vain(now time.Duration) bool {
	if q.law.above == 0 || now-q.law.above < q.pace {
		return false
	}
	return q.at > 0 && q.spacing > starved*q.at || q.law.dropping && now-q.law.began > patience
}

// giveUp takes the delay as it is for the base.
func (q *Queue) giveUp(now time.Duration) {
	if q.lower.less(q.low) < 0 {
		q.low = q.lower
	}
	q.base.restart(q.low, now)
	q.seen, q.busy = now, 0
	q.law.Calm()
}
