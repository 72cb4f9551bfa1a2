package appliance

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"landbridge/internal/frame"
	"landbridge/internal/registry"
)

// A host that moves from one site to another with its address, as a virtual machine does,
// shows itself by an announcement or by its traffic, and asks nobody. The router reports it
// as a stranger; then its address is asked of the member that serves it.
const (
	arrivalsAtOnce  = 16
	sightingsQueued = 256
	arrivalRetry    = 250 * time.Millisecond // doubled with each attempt
	arrivalAttempts = 5                      // 3.75 s: longer than carrierSettles, as who has moved may show itself once
	conflictMemory  = time.Minute            // a conflict that isn't seen for so long is over
	// conflictTold is how long after it was found first a conflict is told, if it is found again: a
	// hybrid member that comes to the LAN shows its address before it is proven to be there.
	conflictTold = 2 * time.Second
)

// arriver is the registry, as far as hosts arrive.
type arriver interface {
	Arrive(ctx context.Context, addr netip.Addr, mac [6]byte) (registry.Lease, error)
	FindMAC(ctx context.Context, mac [6]byte) []netip.Addr
	Lookup(addr netip.Addr) (registry.Location, registry.Status)
}

// sighting is a host that uses an address on the LAN which isn't leased there. addr is invalid
// where it has told its MAC alone.
type sighting struct {
	addr netip.Addr
	mac  frame.MAC
}

// arrivals takes over the addresses of hosts that have moved to an attachment's LAN. It is the
// router's Strangers.
type arrivals struct {
	registry arriver
	native   func(netip.Addr) bool                                     // another member on this LAN serves it
	settle   func(l registry.Lease, mac frame.MAC, took time.Duration) // it is served here now
	report   func(key, text string)                                    // text is empty where the trouble is over
	ear      *ear
	queue    chan sighting
	working  sync.WaitGroup

	mu        sync.Mutex
	manners   manners
	conflicts map[netip.Addr]*clash
}

// clash is that two hosts were found to use one address.
type clash struct{ first, last time.Time }

func newArrivals(r arriver) *arrivals {
	return &arrivals{
		registry: r, queue: make(chan sighting, sightingsQueued), manners: newManners(),
		conflicts: make(map[netip.Addr]*clash),
	}
}

// Stranger takes a sighting from the frame path. Of a flood of them some are lost; a host that
// goes on is seen again.
func (a *arrivals) Stranger(addr netip.Addr, mac frame.MAC) {
	select {
	case a.queue <- sighting{addr, mac}:
	default:
	}
}

// run works until ctx ends.
func (a *arrivals) run(ctx context.Context) {
	defer a.working.Wait()
	tick := time.NewTicker(earInterval)
	defer tick.Stop()
	a.ear.turn(time.Now())
	for {
		select {
		case <-ctx.Done():
			a.forgetConflicts(time.Now().Add(conflictMemory))
			return
		case <-tick.C:
			a.ear.turn(time.Now())
			a.forgetConflicts(time.Now())
		case s := <-a.queue:
			a.mu.Lock()
			begun := a.manners.begin(s, time.Now())
			a.mu.Unlock()
			if begun {
				a.working.Go(func() { a.attend(ctx, s) })
			}
		}
	}
}

// attend looks after one sighting until the host is served here, or can't be.
func (a *arrivals) attend(ctx context.Context, s sighting) {
	moved := false
	defer func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.manners.end(s, moved, time.Now())
	}()
	addrs := []netip.Addr{s.addr}
	if !s.addr.IsValid() {
		addrs = a.registry.FindMAC(ctx, s.mac)
	}
	for _, addr := range addrs {
		if a.attendAddr(ctx, addr, s.mac, s.addr.IsValid()) {
			moved = true
		}
	}
}

// attendAddr reports whether addr has moved here. sure: the host was seen to use it.
func (a *arrivals) attendAddr(ctx context.Context, addr netip.Addr, mac frame.MAC, sure bool) (moved bool) {
	retry, began := arrivalRetry, time.Now()
	for attempt := 1; ; attempt++ {
		if at, status := a.registry.Lookup(addr); status == registry.Known && (at.Local || a.native(addr)) {
			return false
		}
		l, err := a.registry.Arrive(ctx, addr, mac)
		switch {
		case err == nil:
			a.settle(l, mac, time.Since(began))
			return true
		case errors.Is(err, registry.ErrAbsent), !sure && errors.Is(err, registry.ErrNotOurs):
			return false // a static address, or a MAC that has had another once
		case attempt == arrivalAttempts || errors.Is(err, registry.ErrNotOurs):
			a.conflict(addr, mac, err)
			return false
		}
		select {
		case <-ctx.Done():
			return false
		case <-time.After(retry):
			retry *= 2
		}
	}
}

// conflict reports that two hosts use one address.
func (a *arrivals) conflict(addr netip.Addr, mac frame.MAC, err error) {
	var why string
	switch {
	case errors.Is(err, registry.ErrStays):
		why = "a host at another site, to which it is leased, answers for it there"
	case errors.Is(err, registry.ErrNotOurs):
		why = "it is leased to a host with another hardware address"
	default:
		return // nobody knows
	}
	if a.native(addr) {
		return // another router of this LAN was first
	}
	if a.clashes(addr, time.Now()) {
		a.report(addr.String(), fmt.Sprintf("The host %v on this LAN uses the address %v, but %s (%v). That host keeps it, and this one gets nothing from other sites. "+
			"If this one is a copy of the other, or was given the address by hand, give it another one.", mac, addr, why, err))
	}
}

// clashes remembers a conflict, and reports whether it is to be told.
func (a *arrivals) clashes(addr netip.Addr, now time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	c := a.conflicts[addr]
	if c == nil {
		if len(a.conflicts) < maxConflicts {
			a.conflicts[addr] = &clash{now, now}
		}
		return false
	}
	c.last = now
	return now.Sub(c.first) >= conflictTold
}

// forgetConflicts takes back the reports of conflicts that have ended.
func (a *arrivals) forgetConflicts(now time.Time) {
	a.mu.Lock()
	var over []netip.Addr
	for addr, c := range a.conflicts {
		if now.Sub(c.last) >= conflictMemory {
			over = append(over, addr)
			delete(a.conflicts, addr)
		}
	}
	a.mu.Unlock()
	for _, addr := range over {
		a.report(addr.String(), "")
	}
}
