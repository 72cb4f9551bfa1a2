package strangers

import "time"

// A host may come so often in a row, and then once a while: a machine and its copy would
// otherwise draw an address to and fro without end.
const (
	movesInARow = 8
	moveEvery   = 5 * time.Second
)

// arrivalLimits bound attempts to take an address over: each costs questions to other members.
func arrivalLimits() limits {
	return limits{
		known: 1024, atOnce: 16, burst: 256, every: 100 * time.Millisecond,
		patience: 250 * time.Millisecond, patienceMost: 30 * time.Second,
	}
}

// manners decides when a sighting is worth an attempt to take its address over. It is pure, and not
// safe for concurrent use.
type manners struct{ limiter[moves] }

// moves are those of one host in a row.
type moves struct {
	count int
	last  time.Time // when count was last counted down, or up
}

func newManners() manners {
	return manners{newLimiter(arrivalLimits(), func(c *conduct[moves], now time.Time) bool {
		return now.After(c.next.Add(c.wait)) && now.Sub(c.more.last) > time.Duration(c.more.count)*moveEvery
	})}
}

// begin reports whether to attend to a sighting now; then end must follow.
func (m *manners) begin(s sighting, now time.Time) bool {
	if c := m.sightings[s]; c != nil && c.more.tooMany(now) {
		return false
	}
	return m.limiter.begin(s, now)
}

// end says what came of the attempt.
func (m *manners) end(s sighting, moved bool, now time.Time) {
	c := m.limiter.end(s)
	if !moved {
		m.vain(c, now)
		return
	}
	if c.more.count == 0 {
		c.more.last = now
	}
	c.more.count++
	c.wait, c.next = 0, now
}

func (m *moves) tooMany(now time.Time) bool {
	if back := int(now.Sub(m.last) / moveEvery); back > 0 && m.count > 0 {
		m.count, m.last = max(0, m.count-back), m.last.Add(time.Duration(back)*moveEvery)
	}
	return m.count >= movesInARow
}
