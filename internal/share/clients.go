package share

import (
	"sync"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"

	"landbridge/internal/frame"
)

const (
	// patience is how long a client asks in vain before a router answers whose client it
	// isn't. Clients ask again after about 4 s (RFC 2131 section 4.1), some after 1 s.
	patience = 5 * time.Second
	// memory is after how long without a question a client counts as new.
	memory = time.Minute
	// maxClients bounds the clients that are watched; the others wait for their own router.
	maxClients = 1024
)

// Clients remembers the DHCP clients of other routers that ask again and again. The zero
// value is ready. It is safe for concurrent use.
type Clients struct {
	mu  sync.Mutex
	all map[frame.MAC]waiting
}

// waiting is a client that asks.
type waiting struct {
	since, last time.Time
	ours        bool // we have answered: what it asks next is ours too
}

// Neglected notes that a client of another router has asked, and reports whether it is to be
// answered here, since its own router hasn't.
func (c *Clients) Neglected(client frame.MAC, kind dhcpv4.MessageType, now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	w, known := c.all[client]
	switch {
	case known && now.Sub(w.last) >= memory:
		known = false
	case known && !w.ours && kind == dhcpv4.MessageTypeRequest: // somebody has offered
		delete(c.all, client)
		return false
	}
	if !known {
		if kind != dhcpv4.MessageTypeDiscover || len(c.all) >= maxClients && !c.forget(now) {
			return false
		}
		if c.all == nil {
			c.all = make(map[frame.MAC]waiting)
		}
		w = waiting{since: now}
	}
	w.last = now
	w.ours = w.ours || now.Sub(w.since) >= patience
	c.all[client] = w
	return w.ours
}

// forget drops those who have stopped asking, and reports whether there were any.
func (c *Clients) forget(now time.Time) bool {
	before := len(c.all)
	for mac, w := range c.all {
		if now.Sub(w.last) >= memory {
			delete(c.all, mac)
		}
	}
	return len(c.all) < before
}
