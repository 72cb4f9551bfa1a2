package appliance

import "time"

const (
	maxSightings = 1024
	maxConflicts = 8
	// After each attempt in vain, twice as long as before passes until the next.
	patienceFirst = 250 * time.Millisecond
	patienceMost  = 30 * time.Second
	// A host may come so often in a row, and then once a while: a machine and its copy would
	// otherwise draw an address to and fro without end.
	movesInARow = 8
	moveEvery   = 5 * time.Second
	// So many that are new are attended to in a row, and then one a while: each costs questions
	// to other members.
	arrivalsBurst = 256
	arrivalEvery  = 100 * time.Millisecond
)

// manners decides when a sighting is worth an attempt to take its address over, so that
// nothing on the LAN, however it behaves, makes the appliance ask others often. It is pure,
// and not safe for concurrent use.
type manners struct {
	known   map[sighting]*conduct
	running int
	fresh   bucket
	dropped uint64
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

// conduct is what became of one sighting so far.
type conduct struct {
	running bool
	wait    time.Duration // after the last attempt; 0: it wasn't in vain
	next    time.Time     // no attempt before
	moves   int           // of those in a row
	moved   time.Time     // when moves was last counted down, or up
}

func newManners() manners {
	return manners{known: make(map[sighting]*conduct), fresh: bucket{burst: arrivalsBurst, every: arrivalEvery}}
}

// begin reports whether to attend to a sighting now; then end must follow.
func (m *manners) begin(s sighting, now time.Time) bool {
	c := m.known[s]
	if c == nil {
		if m.running >= arrivalsAtOnce || len(m.known) >= maxSightings && !m.forget(now) || !m.fresh.take(now) {
			m.dropped++
			return false
		}
		c = &conduct{}
		m.known[s] = c
	}
	if back := int(now.Sub(c.moved) / moveEvery); back > 0 && c.moves > 0 {
		c.moves, c.moved = max(0, c.moves-back), c.moved.Add(time.Duration(back)*moveEvery)
	}
	if c.running || m.running >= arrivalsAtOnce || now.Before(c.next) || c.moves >= movesInARow {
		return false
	}
	c.running = true
	m.running++
	return true
}

// end says what came of the attempt.
func (m *manners) end(s sighting, moved bool, now time.Time) {
	c := m.known[s]
	c.running = false
	m.running--
	if !moved {
		c.wait = min(max(patienceFirst, 2*c.wait), patienceMost)
		c.next = now.Add(c.wait)
		return
	}
	if c.moves == 0 {
		c.moved = now
	}
	c.moves++
	c.wait, c.next = 0, now
}

// forget makes room: those of whom nothing more has to be known.
func (m *manners) forget(now time.Time) bool {
	for s, c := range m.known {
		if !c.running && now.After(c.next.Add(c.wait)) && now.Sub(c.moved) > time.Duration(c.moves)*moveEvery {
			delete(m.known, s)
		}
	}
	return len(m.known) < maxSightings
}
