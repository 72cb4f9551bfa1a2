package share

import (
	"encoding/binary"
	"net/netip"
	"sync"
	"time"

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
func (c *Clients) Neglected(m Message, now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	w, known := c.all[m.Client]
	switch {
	case known && now.Sub(w.last) >= memory:
		known = false
	case known && !w.ours && m.Type == Request: // somebody has offered
		delete(c.all, m.Client)
		return false
	}
	if !known {
		if m.Type != Discover || len(c.all) >= maxClients && !c.forget(now) {
			return false
		}
		if c.all == nil {
			c.all = make(map[frame.MAC]waiting)
		}
		w = waiting{since: now}
	}
	w.last = now
	w.ours = w.ours || now.Sub(w.since) >= patience
	c.all[m.Client] = w
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

// The types of messages that make a difference (RFC 2132 section 9.6).
const (
	Discover = 1
	Request  = 3
)

// Message is what a DHCP message says about whose it is.
type Message struct {
	Type   byte
	Client frame.MAC
	Addr   netip.Addr // which the client has, or asks for; not valid where it names none
}

// ParseMessage reads a message of a client (RFC 2131 section 2); ok is false where it is none that
// is understood.
func ParseMessage(b []byte) (m Message, ok bool) {
	const options = 240
	if len(b) < options || b[0] != 1 || b[1] != 1 || b[2] != 6 || binary.BigEndian.Uint32(b[236:]) != 0x63825363 {
		return m, false
	}
	copy(m.Client[:], b[28:])
	if ciaddr := netip.AddrFrom4([4]byte(b[12:16])); !ciaddr.IsUnspecified() {
		m.Addr = ciaddr
	}
	for o := b[options:]; len(o) >= 2 && o[0] != 255; {
		if o[0] == 0 {
			o = o[1:]
			continue
		}
		end := 2 + int(o[1])
		if end > len(o) {
			break
		}
		switch value := o[2:end]; {
		case o[0] == 53 && len(value) == 1:
			m.Type = value[0]
		case o[0] == 50 && len(value) == 4 && !m.Addr.IsValid():
			m.Addr = netip.AddrFrom4([4]byte(value))
		}
		o = o[end:]
	}
	return m, m.Type != 0
}
