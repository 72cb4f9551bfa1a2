package neighbourhood

import (
	"sync/atomic"
	"time"
)

// Settles is how long a LAN port must have carried frames without a break until silence
// on it says that a host isn't there: switches take their time to forward, and hosts to come back.
const Settles = 3 * time.Second

// Carrier knows since when a port has carried frames. The zero value: it doesn't. It is safe for
// concurrent use.
type Carrier struct{ since atomic.Pointer[time.Time] }

// Is takes up whether the port carries frames now.
func (c *Carrier) Is(running bool, now time.Time) {
	if !running {
		c.since.Store(nil)
		return
	}
	c.since.CompareAndSwap(nil, &now)
}

// Settled reports whether the port has carried frames for long enough.
func (c *Carrier) Settled(now time.Time) bool {
	since := c.since.Load()
	return since != nil && now.Sub(*since) >= Settles
}
