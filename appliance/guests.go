package appliance

import (
	"net/netip"
	"sync"

	"landbridge/internal/beacon"
	"landbridge/internal/frame"
	"landbridge/internal/group"
	"landbridge/internal/registry"
	"landbridge/router"
)

// maxGuests bounds the addresses that are remembered.
const maxGuests = 1024

// guests remembers the addresses of hybrid hosts on a router's LAN, as far as hosts have spoken
// with them there: when one leaves the LAN, these hosts must hear that it is reached by the
// router now. It is an ARPObserver of the router.
type guests struct {
	next   router.ARPObserver // is shown the same
	lookup func(netip.Addr) (registry.Location, registry.Status)

	mu    sync.Mutex
	here  map[group.MemberID]bool // the hybrid hosts on this LAN
	addrs map[netip.Addr]group.MemberID
}

func newGuests(next router.ARPObserver, lookup func(netip.Addr) (registry.Location, registry.Status)) *guests {
	return &guests{next: next, lookup: lookup, here: make(map[group.MemberID]bool), addrs: make(map[netip.Addr]group.MemberID)}
}

// Observe is shown each ARP packet of the LAN.
func (g *guests) Observe(a frame.ARP) {
	g.note(a.SenderIP())
	g.note(a.TargetIP())
	g.next.Observe(a)
}

func (g *guests) note(addr netip.Addr) {
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

// review is told who is on the LAN, and returns the addresses of those that have left it.
func (g *guests) review(neighbors []beacon.Neighbor) (left []netip.Addr) {
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
