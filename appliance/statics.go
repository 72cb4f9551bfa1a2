package appliance

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
	"landbridge/internal/registry"
)

// adopter is the registry, as far as hosts with addresses of their own go.
type adopter interface {
	Lookup(addr netip.Addr) (registry.Location, registry.Status)
	Adopt(ctx context.Context, mac [6]byte, addr netip.Addr) (registry.Lease, error)
	Served(addr netip.Addr) (registry.Lease, bool)
	Release(ctx context.Context, c registry.Client, addr netip.Addr) error
	Leases() iter.Seq[registry.Lease]
	Blocks() []registry.BlockStatus
}

// statics gives hosts of the LAN that have an address of the group by themselves, and ask
// nobody, a lease of it, for as long as they answer; and tells of those that can't have it.
// They show themselves by ARP or by traffic, which the router reports, or are found by a
// sweep through the free addresses of the blocks held here.
type statics struct {
	registry adopter
	who      func(ctx context.Context, addr netip.Addr) ([]frame.MAC, error)
	probe    func(addr netip.Addr) error
	proxies  func(ctx context.Context, mac frame.MAC) bool // the station answers for what nobody has
	isOurs   func(frame.MAC) bool
	settle   func(l registry.Lease) // it is served here now
	lease    func() time.Duration   // the group's lease time
	log      *slog.Logger

	seen    chan sighting
	working sync.WaitGroup

	mu     sync.Mutex
	census *census

	adopted, renewed, refused atomic.Uint64
}

// staticsQueued is how many sightings wait to be looked into.
const staticsQueued = 256

// Stranger takes a sighting from the frame path. Of a flood of them some are lost; a host
// that goes on is seen again.
func (s *statics) Stranger(addr netip.Addr, mac frame.MAC) {
	if !addr.IsValid() {
		return // a MAC that announces itself: it has moved, or is nobody
	}
	select {
	case s.seen <- sighting{addr, mac}:
	default:
	}
}

const (
	attendTimeout = 5 * time.Second
	// sweepAfter is how long the first sweep waits, sweepEvery the others; in a sweep
	// one address is asked for each sweepPace.
	sweepAfter = 2 * time.Second
	sweepEvery = 15 * time.Minute
	sweepPace  = 50 * time.Millisecond
	// maxSwept bounds one sweep: 4,096 addresses take 205 s.
	maxSwept = 4096
)

// run works until ctx ends.
func (s *statics) run(ctx context.Context) {
	defer s.working.Wait()
	s.working.Go(func() { s.sweep(ctx) })
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	recount := time.Time{}
	for {
		select {
		case <-ctx.Done():
			return
		case x := <-s.seen:
			s.mu.Lock()
			begun := s.census.sees(x, time.Now())
			s.mu.Unlock()
			if begun {
				s.working.Go(func() { s.attend(ctx, x) })
			}
		case now := <-tick.C:
			if now.After(recount) {
				recount = now.Add(min(time.Minute, s.lease()/8))
				s.takeUp(now)
			}
			s.attendDue(ctx, now)
		}
	}
}

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

// attendDue looks into those whose time has come.
func (s *statics) attendDue(ctx context.Context, now time.Time) {
	for {
		s.mu.Lock()
		x, due := s.census.due(now)
		s.mu.Unlock()
		if !due {
			return
		}
		s.working.Go(func() { s.attend(ctx, x) })
	}
}

// attend looks into one host.
func (s *statics) attend(ctx context.Context, x sighting) {
	ctx, cancel := context.WithTimeout(ctx, attendTimeout)
	defer cancel()
	f := s.look(ctx, x)
	s.mu.Lock()
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
	held, here := s.registry.Served(x.addr)
	mine := here && frame.MAC(held.MAC) == x.mac
	if mine && !held.Found() {
		return finding{} // it has asked by DHCP
	}
	macs, err := s.who(ctx, x.addr)
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
		if other != x.mac && !s.isOurs(other) {
			s.refused.Add(1)
			return finding{kind: foundTrouble, trouble: fmt.Sprintf("Two hosts of this LAN use the address %v: %v and %v. Give one of them another.", x.addr, minMAC(x.mac, other), maxMAC(x.mac, other))}
		}
	}
	if !mine && (s.isOurs(x.mac) || s.proxies(ctx, x.mac)) {
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
	var text string
	switch {
	case errors.Is(err, registry.ErrTaken), errors.Is(err, registry.ErrNotOurs):
		text = fmt.Sprintf("The host %v on this LAN uses the address %v, which is %s: it gets nothing from other sites. Have it ask by DHCP, or give it an address that is free.", x.mac, x.addr, s.owner(x.addr))
	default:
		text = fmt.Sprintf("The host %v on this LAN uses the address %v, which can't be leased to it now, so other sites don't reach it: %v. It goes on trying.", x.mac, x.addr, err)
	}
	return finding{kind: foundTrouble, trouble: text}
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

// sweep asks now and then for the free addresses of the blocks held here: whoever answers is
// seen by the router.
func (s *statics) sweep(ctx context.Context) {
	wait := time.NewTimer(sweepAfter)
	defer wait.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-wait.C:
		}
		if s.askForFree(ctx) == 0 { // it holds no block yet
			wait.Reset(sweepAfter)
		} else {
			wait.Reset(sweepEvery)
		}
	}
}

// askForFree asks once for each free address of the blocks held here, and returns for how many.
func (s *statics) askForFree(ctx context.Context) (asked int) {
	pace := time.NewTicker(sweepPace)
	defer pace.Stop()
	for _, b := range s.registry.Blocks() {
		addr := b.First
		for range b.Size {
			if _, status := s.registry.Lookup(addr); status != registry.Known && asked < maxSwept {
				if err := s.probe(addr); err != nil {
					s.log.Debug("sweep", "addr", addr, "err", err)
				}
				asked++
				select {
				case <-ctx.Done():
					return asked
				case <-pace.C:
				}
			}
			addr = addr.Next()
		}
	}
	return asked
}

// ailments says in words which hosts can't have their addresses.
func (s *statics) ailments(now time.Time) (all []ailment) {
	s.mu.Lock()
	hosts, crowds := s.census.troubles(now)
	s.mu.Unlock()
	return staticAilments(hosts, crowds)
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

// counters tells what came of the hosts found.
func (s *statics) counters(add func(c count, value uint64)) {
	s.mu.Lock()
	dropped := s.census.dropped
	s.mu.Unlock()
	add(count{"statics", "adopted"}, s.adopted.Load())
	add(count{"statics", "renewed"}, s.renewed.Load())
	add(count{"statics", "refused"}, s.refused.Load())
	add(count{"statics", "not_looked_into"}, dropped)
}
