package tunnel

import (
	"math"
	"time"
)

const (
	codelTarget   = 5 * time.Millisecond   // how long datagrams may wait for good
	codelInterval = 100 * time.Millisecond // and for how long they may wait longer
)

// A dropLaw decides when the oldest of a queue is dropped because its wait stands above the
// target (RFC 8289, section 5). The zero value is ready.
type dropLaw struct {
	above       time.Duration // when the wait will have stood above the target for long; zero while it doesn't
	dropNext    time.Duration
	count, last int // drops since dropping began, and when it began the time before
	dropping    bool
}

// drop reports whether to drop the oldest datagram of a queue, which has waited for sojourn.
// Ask again about the next one. From a short queue nothing is dropped.
func (c *dropLaw) drop(now, sojourn time.Duration, short bool) bool {
	if sojourn < codelTarget || short {
		c.above, c.dropping = 0, false
		return false
	}
	if c.above == 0 {
		c.above = now + codelInterval
	}
	switch {
	case c.dropping:
		if now < c.dropNext {
			return false
		}
		c.count++
		c.dropNext += c.gap()
		return true
	case now < c.above:
		return false
	}
	since := c.count - c.last
	c.count = 1
	if since > 1 && now-c.dropNext < 16*codelInterval {
		c.count = since // it was dropping a moment ago: go on at about that rate
	}
	c.dropping, c.last, c.dropNext = true, c.count, now+c.gap()
	return true
}

// gap is the time to the next drop.
func (c *dropLaw) gap() time.Duration {
	return time.Duration(float64(codelInterval) / math.Sqrt(float64(c.count)))
}
