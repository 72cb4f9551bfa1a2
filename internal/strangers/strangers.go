package strangers

import (
	"context"
	"iter"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"landbridge/internal/frame"
	"landbridge/internal/registry"
)

// Memory is what is known of leases and blocks without asking anybody.
type Memory interface {
	Lookup(addr netip.Addr) (registry.Location, registry.Status)
	Served(addr netip.Addr) (registry.Lease, bool)
	Leases() iter.Seq[registry.Lease]
	Blocks() []registry.BlockStatus
	Outlook() registry.Outlook
}

// Registry gives strangers their addresses; a registry.Registry is one, and says what each
// method does.
type Registry interface {
	Memory
	Arrive(ctx context.Context, addr netip.Addr, mac [6]byte) (registry.Lease, error)
	FindMAC(ctx context.Context, mac [6]byte) []netip.Addr
	Adopt(ctx context.Context, mac [6]byte, addr netip.Addr) (registry.Lease, error)
	Release(ctx context.Context, c registry.Client, addr netip.Addr) error
}

// LAN is the segment.
type LAN interface {
	// Ask asks by ARP for addr, and waits for nothing: who answers is seen as a stranger.
	Ask(addr netip.Addr) error
	// Who asks for addr, and returns the stations that say they have it.
	Who(ctx context.Context, addr netip.Addr) ([]frame.MAC, error)
	// Proxies reports whether a station answers for addresses that nobody has.
	Proxies(ctx context.Context, mac frame.MAC) bool
	// Ours reports whether a station is a router of the group, or none of the group's business.
	Ours(mac frame.MAC) bool
	// Denied reports whether a station is to have no address of the group.
	Denied(mac frame.MAC) bool
}

// Config is what a Strangers needs; all of it must be there. The functions may be called at the
// same time as each other.
type Config struct {
	Registry Registry
	LAN      LAN
	Native   func(addr netip.Addr) bool                                // another member on this segment serves it
	Arrived  func(l registry.Lease, mac frame.MAC, took time.Duration) // the host has moved here: tell it of its neighbours
	Found    func(l registry.Lease)                                    // the static host has its lease
	Lease    func() time.Duration                                      // the group's lease time
	Heard    func() uint64                                             // how many frames between other stations came here so far
	Listen   func(on bool)                                             // whether they are to
	Log      *slog.Logger
}

// Strangers looks after the strangers of one segment. Stranger and Troubles are safe for
// concurrent use.
type Strangers struct {
	arrivals *arrivals
	statics  *statics
	ear      ear
	queue    chan sighting
	working  sync.WaitGroup
}

// sighting is a host that uses an address on the segment which isn't leased there. addr is
// invalid where it has told its MAC alone.
type sighting struct {
	addr netip.Addr
	mac  frame.MAC
}

// queued is how many sightings wait to be looked at.
const queued = 256

// New returns a Strangers that does nothing until Run.
func New(c Config) *Strangers {
	return &Strangers{
		arrivals: newArrivals(c), statics: newStatics(c), ear: ear{heard: c.Heard, listen: c.Listen}, queue: make(chan sighting, queued),
	}
}

// Stranger takes a sighting from the frame path, and never blocks. Of a flood of them some are
// lost; a host that goes on is seen again.
func (s *Strangers) Stranger(addr netip.Addr, mac frame.MAC) {
	select {
	case s.queue <- sighting{addr, mac}:
	default:
	}
}

// Sender is Stranger: what the host has sent makes no difference here.
func (s *Strangers) Sender(addr netip.Addr, mac frame.MAC) { s.Stranger(addr, mac) }

// Run works until ctx ends, and returns when all that it has begun has ended. It is called once.
func (s *Strangers) Run(ctx context.Context) {
	defer s.working.Wait()
	s.working.Go(func() { s.statics.sweep(ctx) })
	tick := time.NewTicker(earInterval)
	defer tick.Stop()
	s.ear.turn(time.Now())
	recount := time.Time{}
	for {
		select {
		case <-ctx.Done():
			return
		case x := <-s.queue:
			s.dispatch(ctx, x, time.Now())
		case now := <-tick.C:
			s.ear.turn(now)
			if now.After(recount) {
				recount = now.Add(s.statics.recountAfter())
				s.statics.takeUp(now)
			}
			for x := range s.statics.due(now) {
				s.working.Go(func() { s.statics.attend(ctx, x) })
			}
		}
	}
}

// dispatch has whoever it concerns look after a sighting, if it is worth it now.
func (s *Strangers) dispatch(ctx context.Context, x sighting, now time.Time) {
	moved, static := s.kinds(x)
	if moved && s.arrivals.begin(x, now) {
		s.working.Go(func() { s.arrivals.attend(ctx, x) })
	}
	if static && s.statics.begin(x, now) {
		s.working.Go(func() { s.statics.attend(ctx, x) })
	}
}

// kinds says what a stranger may be. Where memory doesn't know its address, each finds out by
// asking whether it is its business.
func (s *Strangers) kinds(x sighting) (moved, static bool) {
	if !x.addr.IsValid() {
		return true, false // a MAC that announces itself: it has moved, or is nobody
	}
	at, status := s.statics.registry.Lookup(x.addr)
	elsewhere := status == registry.Known && !at.Local
	return elsewhere || status == registry.Unknown, !elsewhere
}
