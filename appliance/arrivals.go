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
	arrivalAttempts = 4
	conflictMemory  = time.Minute // a conflict that isn't seen for so long is over
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
	conflicts map[netip.Addr]time.Time // reported; when they were last seen
}

func newArrivals(r arriver) *arrivals {
	return &arrivals{
		registry: r, queue: make(chan sighting, sightingsQueued), manners: newManners(),
		conflicts: make(map[netip.Addr]time.Time),
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
	a.mu.Lock()
	_, known := a.conflicts[addr]
	if known || len(a.conflicts) < maxConflicts {
		a.conflicts[addr] = time.Now()
	}
	told := known || len(a.conflicts) < maxConflicts
	a.mu.Unlock()
	if told {
		a.report(addr.String(), fmt.Sprintf("The host %v on this LAN uses the address %v, but %s (%v). That host keeps it, and this one gets nothing from other sites. "+
			"If this one is a copy of the other, or was given the address by hand, give it another one.", mac, addr, why, err))
	}
}

// forgetConflicts takes back the reports of conflicts that have ended.
func (a *arrivals) forgetConflicts(now time.Time) {
	a.mu.Lock()
	var over []netip.Addr
	for addr, seen := range a.conflicts {
		if now.Sub(seen) >= conflictMemory {
			over = append(over, addr)
			delete(a.conflicts, addr)
		}
	}
	a.mu.Unlock()
	for _, addr := range over {
		a.report(addr.String(), "")
	}
}
