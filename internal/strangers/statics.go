package strangers

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"landbridge/internal/frame"
	"landbridge/internal/health"
	"landbridge/internal/registry"
)

// adopter is the registry, as far as hosts with addresses of their own go.
type adopter interface {
	Memory
	Adopt(ctx context.Context, mac [6]byte, addr netip.Addr) (registry.Lease, error)
	Release(ctx context.Context, c registry.Client, addr netip.Addr) error
}

// statics gives hosts that have an address of the group by themselves, and ask nobody, a lease of
// it, for as long as they answer; and tells of those that can't have it. They show themselves by
// ARP or by traffic, or are found by a sweep (sweep.go).
type statics struct {
	registry adopter
	lan      LAN
	settle   func(l registry.Lease) // it is served here now
	lease    func() time.Duration   // the group's lease time
	log      *slog.Logger

	mu     sync.Mutex
	census *census

	adopted, renewed, refused atomic.Uint64
}

func newStatics(c Config) *statics {
	return &statics{registry: c.Registry, lan: c.LAN, settle: c.Found, lease: c.Lease, log: c.Log, census: newCensus()}
}

// attendTimeout bounds the look into one host.
const attendTimeout = 5 * time.Second

// begin reports whether to look into a sighting now; then attend must follow.
func (s *statics) begin(x sighting, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.census.sees(x, now)
}

// recountAfter is how long after takeUp it is called again.
func (s *statics) recountAfter() time.Duration { return min(time.Minute, s.lease()/8) }

// takeUp looks after the leases that are here already: from before a restart, or of hosts
// that have moved here.
func (s *statics) takeUp(now time.Time) {
	for l := range s.registry.Leases() {
		if l.Found() {
			s.settle(l)
			s.mu.Lock()
			s.census.keeps(sighting{l.Addr, l.MAC}, now)
			s.mu.Unlock()
		}
	}
}

// due yields those whose time has come; for each attend must follow.
func (s *statics) due(now time.Time) iter.Seq[sighting] {
	return func(yield func(sighting) bool) {
		for {
			s.mu.Lock()
			x, due := s.census.due(now)
			s.mu.Unlock()
			if !due || !yield(x) {
				return
			}
		}
	}
}

// attend looks into one host.
func (s *statics) attend(ctx context.Context, x sighting) {
	ctx, cancel := context.WithTimeout(ctx, attendTimeout)
	defer cancel()
	f := s.look(ctx, x)
	free := s.registry.Outlook()
	s.mu.Lock()
	s.census.leaves(free.Free + free.Unheld)
	without, full := s.census.ends(x, f, time.Now())
	s.mu.Unlock()
	if held, here := s.registry.Served(without.addr); full && here && held.Found() && frame.MAC(held.MAC) == without.mac {
		s.release(ctx, held)
	}
}

// release ends the lease of a host that was found.
func (s *statics) release(ctx context.Context, held registry.Lease) {
	if err := s.registry.Release(ctx, registry.Client{ID: held.Client, MAC: held.MAC[:]}, held.Addr); err != nil {
		s.log.Debug("lease of a static host not ended", "addr", held.Addr, "err", err)
	}
}

// look finds out whether the host is there, and gives it its address if it can have it.
func (s *statics) look(ctx context.Context, x sighting) finding {
	at, status := s.registry.Lookup(x.addr)
	if status == registry.Known && !at.Local {
		return finding{} // it has moved here with its lease, or uses another's address: the arrivals' business
	}
	if s.lan.Denied(x.mac) {
		return finding{} // what it was leased ends
	}
	held, here := s.registry.Served(x.addr)
	mine := here && frame.MAC(held.MAC) == x.mac
	if mine && !held.Found() {
		return finding{} // it has asked by DHCP
	}
	macs, err := s.lan.Who(ctx, x.addr)
	if err != nil {
		s.log.Debug("can't ask who has an address", "addr", x.addr, "err", err)
		return finding{kind: foundMissing, again: troubledAgain}
	}
	if !slices.Contains(macs, x.mac) {
		if mine {
			return finding{kind: foundMissing, again: max(time.Second, s.lease()/16)}
		}
		return finding{}
	}
	for _, other := range macs {
		if other != x.mac && !s.lan.Ours(other) {
			s.refused.Add(1)
			return finding{kind: foundTrouble, trouble: health.Finding{
				Text:   fmt.Sprintf("Two hosts of this LAN use the address %v: %v and %v.", x.addr, minMAC(x.mac, other), maxMAC(x.mac, other)),
				Remedy: "Give one of them another.",
			}}
		}
	}
	if !mine && (s.lan.Ours(x.mac) || s.lan.Proxies(ctx, x.mac)) {
		return finding{}
	}
	if here && !mine && held.Found() { // whoever had it answers no more: another machine, or another card in it
		s.release(ctx, held)
	}
	return s.adopt(ctx, x, mine)
}

// adopt leases the address to the host, or renews that lease.
func (s *statics) adopt(ctx context.Context, x sighting, renewal bool) finding {
	l, err := s.registry.Adopt(ctx, x.mac, x.addr)
	if err == nil {
		if renewal {
			s.renewed.Add(1)
		} else {
			s.adopted.Add(1)
			s.log.Debug("a host with an address of its own was leased it", "addr", x.addr, "mac", x.mac)
		}
		s.settle(l)
		return finding{kind: foundKept, again: max(time.Second, s.lease()/4)}
	}
	at, status := s.registry.Lookup(x.addr)
	if status == registry.Known && !at.Local {
		return finding{} // meanwhile; see look
	}
	if held, ok := s.registry.Served(x.addr); ok && frame.MAC(held.MAC) == x.mac {
		return finding{} // it has asked meanwhile, or has moved here
	}
	s.refused.Add(1)
	trouble := health.Finding{
		Text:   fmt.Sprintf("The host %v on this LAN uses the address %v, which can't be leased to it now, so other sites don't reach it: %v. It goes on trying.", x.mac, x.addr, err),
		Remedy: "If it stays so, see whether the other members can be reached (landbridge peers).",
	}
	if errors.Is(err, registry.ErrTaken) || errors.Is(err, registry.ErrNotOurs) {
		trouble = health.Finding{
			Text:   fmt.Sprintf("The host %v on this LAN uses the address %v, which is %s: it gets nothing from other sites.", x.mac, x.addr, s.owner(x.addr)),
			Remedy: "Have it ask by DHCP, or give it an address that is free.",
		}
	}
	return finding{kind: foundTrouble, trouble: trouble}
}

// owner says who has an address that a host can't be given.
func (s *statics) owner(addr netip.Addr) string {
	held, ok := s.registry.Served(addr)
	if !ok {
		return "promised to another host, or kept for one"
	}
	name := ""
	if held.Name != "" {
		name = fmt.Sprintf(" (%s)", held.Name)
	}
	return fmt.Sprintf("leased to %v%s, which doesn't answer", frame.MAC(held.MAC), name)
}

func minMAC(a, b frame.MAC) frame.MAC {
	if slices.Compare(a[:], b[:]) < 0 {
		return a
	}
	return b
}

func maxMAC(a, b frame.MAC) frame.MAC {
	if a == minMAC(a, b) {
		return b
	}
	return a
}

// troubles says which hosts can't have their addresses.
func (s *statics) troubles(now time.Time) []health.Trouble {
	s.mu.Lock()
	hosts, crowds, full := s.census.troubles(now)
	most := s.census.most
	s.mu.Unlock()
	all := wordTroubles(hosts, crowds)
	if full {
		all = append(all, health.Trouble{Component: "arp", Key: "statics full", Finding: health.Finding{
			Text:   fmt.Sprintf("More hosts on this LAN use addresses of the group that nobody gave them than can have them leased, which is %d now, half of what is free: those that came last get no lease, and other sites don't reach them.", most),
			Remedy: "If they are real, have them ask by DHCP; else find the station that makes them up.",
		}})
	}
	return all
}
