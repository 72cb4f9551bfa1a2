package loop

import "time"

// linger decides how long the thread goes on looking before it sleeps: in a stream of
// packets lingerTime after the last work, as long as what was spent in vain stays under its
// share; after single ones not at all.
type linger struct {
	idle   time.Time     // since when there is nothing to do; zero while there is
	spent  time.Time     // until when the budget has been reckoned
	budget time.Duration // that may be spent in vain
	pace   pace
	busy   bool      // there was work since the thread slept
	stream bool      // there was work again and again of late: the next is near
	awake  time.Time // until when the thread only dozes: there was a stream
}

const (
	streamBursts = 3 // within streamWithin are a stream: a ping each 10 ms makes 5
	streamWithin = 25 * time.Millisecond
	awakeTime    = time.Second // after a stream
)

// pace tells a stream of packets from single ones, such as what keeps connections alive.
type pace struct {
	ends [streamBursts - 1]time.Time // of the last bursts of work
	next int
}

// ended notes the end of a burst, and reports whether it is one of a stream.
func (p *pace) ended(now time.Time) bool {
	first := p.ends[p.next]
	p.ends[p.next] = now
	p.next = (p.next + 1) % len(p.ends)
	return now.Sub(first) < streamWithin
}

func newLinger(now time.Time) linger { return linger{spent: now} }

// worked notes that there was something to do: the wait for it wasn't in vain.
func (l *linger) worked() { l.idle, l.busy = time.Time{}, true }

// more reports whether to look again. Where it reports false, the time since there
// was work is charged.
func (l *linger) more(now time.Time) bool {
	if l.busy && l.idle.IsZero() {
		l.idle = now
		l.earn(now)
		if l.stream = l.pace.ended(now); l.stream {
			l.awake = now.Add(awakeTime)
		}
	}
	if !l.busy || !l.stream {
		return false
	}
	waited := now.Sub(l.idle)
	if waited < min(lingerTime, l.budget) {
		return true
	}
	l.budget -= waited
	return false
}

// woken notes that the thread has slept until now.
func (l *linger) woken(now time.Time) {
	l.idle, l.busy = time.Time{}, false
	l.earn(now)
}

func (l *linger) earn(now time.Time) {
	l.budget = min(lingerDepth, l.budget+now.Sub(l.spent)/lingerShare)
	l.spent = now
}
