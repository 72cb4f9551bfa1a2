package appliance

import (
	"sync/atomic"
	"time"
)

// carrierSettles is how long a LAN port must have carried frames without a break until silence
// on it says that a host isn't there: switches take their time to forward, and hosts to come back.
const carrierSettles = 3 * time.Second

// carrier knows since when a port has carried frames. The zero value: it doesn't. It is safe for
// concurrent use.
type carrier struct{ since atomic.Pointer[time.Time] }

// is takes up whether the port carries frames now.
func (c *carrier) is(running bool, now time.Time) {
	if !running {
		c.since.Store(nil)
		return
	}
	c.since.CompareAndSwap(nil, &now)
}

// settled reports whether the port has carried frames for long enough.
func (c *carrier) settled(now time.Time) bool {
	since := c.since.Load()
	return since != nil && now.Sub(*since) >= carrierSettles
}
