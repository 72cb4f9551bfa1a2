package codel

import (
	"math"
	"time"
)

// A Law is CoDel's control law (RFC 8289, section 5): it says when senders should be told
// that their datagrams have waited for too long, ever more often while they do. A word that
// is due stays so until it is given, and those that could not be given aren't made up for.
// What too long is, its user says. The zero value is ready. It isn't safe for concurrent use.
//
// Times are those of any one clock that is never zero.
type Law struct {
	above    time.Duration // since when datagrams have waited for too long; 0: they don't
	dropping bool
	began    time.Duration // dropping
	next     time.Duration // when the next word is due
	count    uint32        // words
	before   uint32        // count as it was when dropping began
}

// Calm notes that a datagram hasn't waited for too long.
func (l *Law) Calm() { l.above, l.dropping = 0, false }

// Due notes that a datagram has waited for too long, and reports whether a sender should be
// told, by a loss or a mark: not before all have for an interval, which is the time that it
// takes senders to react. Call Told when one has been.
func (l *Law) Due(now, interval time.Duration) bool {
	switch {
	case l.above == 0:
		l.above = now
		return false
	case now-l.above < interval:
		return false
	case !l.dropping:
		l.begin(now, interval)
	}
	return now >= l.next
}

// begin starts to drop, as often as last time if that was lately.
func (l *Law) begin(now, interval time.Duration) {
	lately := now-l.next < 16*interval
	since := l.count - l.before
	l.count = 0
	if lately && since > 1 {
		l.count = since - 1
	}
	l.before = l.count
	l.dropping, l.began, l.next = true, now, now
}

// Told notes that a sender has been told.
func (l *Law) Told(now, interval time.Duration) {
	l.count++
	l.next = max(l.next, now-interval) + time.Duration(float64(interval)/math.Sqrt(float64(l.count)))
}
