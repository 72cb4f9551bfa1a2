package neighbourhood

import (
	"net/netip"
	"sync"

	"landbridge/internal/beacon"
	"landbridge/internal/frame"
	"landbridge/internal/group"
	"landbridge/internal/registry"
)

// Observer is shown each ARP packet of the LAN. It must not keep it.
type Observer interface{ Observe(a frame.ARP) }

// maxGuests bounds the addresses that are remembered.
const maxGuests = 1024

// Guests remembers the addresses of hybrid hosts on a router's LAN, as far as hosts have spoken
// with them there: when one leaves the LAN, these hosts must hear that it is reached by the
// router now. It is an Observer itself.
type Guests struct {
	next   Observer // is shown the same
	lookup func(netip.Addr) (registry.Location, registry.Status)

	mu    sync.Mutex
	here  map[group.MemberID]bool // the hybrid hosts on this LAN
	addrs map[netip.Addr]group.MemberID
}

// NewGuests returns guests of whom nothing is known. next is shown what they are.
func NewGuests(next Observer, lookup func(netip.Addr) (registry.Location, registry.Status)) *Guests {
	return &Guests{next: next, lookup: lookup, here: make(map[group.MemberID]bool), addrs: make(map[netip.Addr]group.MemberID)}
}

// Observe is shown each ARP packet of the LAN.
func (g *Guests) Observe(a frame.ARP) {
	g.note(a.SenderIP())
	g.note(a.TargetIP())
	g.next.Observe(a)
}

func (g *Guests) note(addr netip.Addr) {
	at, status := g.lookup(addr)
	if status != registry.Known || at.Local {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.here[at.Member] {
		return
	}
	if _, there := g.addrs[addr]; there || len(g.addrs) < maxGuests {
		g.addrs[addr] = at.Member
	}
}

// Review is told who is on the LAN, and returns the addresses of those that have left it.
func (g *Guests) Review(neighbors []beacon.Neighbor) (left []netip.Addr) {
	here := make(map[group.MemberID]bool)
	for _, n := range neighbors {
		if !n.Says.Router { // a router's hosts stay where they are
			here[n.Member] = true
		}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.here = here
	for addr, m := range g.addrs {
		if !here[m] {
			left = append(left, addr)
			delete(g.addrs, addr)
		}
	}
	return left
}
