package strangers

import "time"

// limits bound what strangers of one kind can make the appliance do.
type limits struct {
	known  int // sightings that are remembered
	atOnce int // attempts at a time
	// So many that are new are attended to in a row, and then one a while.
	burst int
	every time.Duration
	// So long passes after an attempt in vain: doubled with each, up to patienceMost.
	patience, patienceMost time.Duration
}

// limiter decides when a sighting is worth an attempt to do something about it, so that nothing
// on the LAN, however it behaves, makes the appliance do much. M is what more is to be known of
// one. It is pure, and not safe for concurrent use.
type limiter[M any] struct {
	limits
	sightings map[sighting]*conduct[M]
	running   int
	fresh     bucket
	dropped   uint64 // new ones for which there was no room or no time

	spare  func(c *conduct[M], now time.Time) bool // nothing of it has to be remembered
	forgot func(s sighting)                        // optional
}

// conduct is what became of one sighting so far.
type conduct[M any] struct {
	running bool
	wait    time.Duration // after the last attempt; 0: it wasn't in vain
	next    time.Time     // no attempt before
	more    M
}

func newLimiter[M any](l limits, spare func(c *conduct[M], now time.Time) bool) limiter[M] {
	return limiter[M]{
		limits: l, sightings: make(map[sighting]*conduct[M]), fresh: bucket{burst: l.burst, every: l.every}, spare: spare,
	}
}

// begin reports whether to attempt something for a sighting now; then end or vain must follow. One
// that is new and refused isn't remembered.
func (l *limiter[M]) begin(s sighting, now time.Time) bool {
	c := l.sightings[s]
	if c == nil {
		if l.running >= l.atOnce || len(l.sightings) >= l.known && !l.forget(now) || !l.fresh.take(now) {
			l.dropped++
			return false
		}
		c = &conduct[M]{}
		l.sightings[s] = c
	}
	return l.again(c, now)
}

// again reports whether to make another attempt for a sighting that is known.
func (l *limiter[M]) again(c *conduct[M], now time.Time) bool {
	if c.running || l.running >= l.atOnce || now.Before(c.next) {
		return false
	}
	c.running = true
	l.running++
	return true
}

// end ends an attempt; the caller says when the next may be.
func (l *limiter[M]) end(s sighting) *conduct[M] {
	c := l.sightings[s]
	c.running = false
	l.running--
	return c
}

// vain says that the last attempt came to nothing.
func (l *limiter[M]) vain(c *conduct[M], now time.Time) {
	c.wait = min(max(l.patience, 2*c.wait), l.patienceMost)
	c.next = now.Add(c.wait)
}

// forget makes room, and reports whether there is some.
func (l *limiter[M]) forget(now time.Time) bool {
	for s, c := range l.sightings {
		if c.running || !now.After(c.next) || !l.spare(c, now) {
			continue
		}
		delete(l.sightings, s)
		if l.forgot != nil {
			l.forgot(s)
		}
	}
	return len(l.sightings) < l.known
}

// bucket is a token bucket.
type bucket struct {
	burst    int
	every    time.Duration // one token comes back, up to burst
	left     int
	refilled time.Time
}

// take spends one token.
func (b *bucket) take(now time.Time) bool {
	if back := int(now.Sub(b.refilled) / b.every); b.refilled.IsZero() || back >= b.burst-b.left {
		b.left, b.refilled = b.burst, now
	} else {
		b.left, b.refilled = b.left+back, b.refilled.Add(time.Duration(back)*b.every)
	}
	if b.left <= 0 {
		return false
	}
	b.left--
	return true
}
