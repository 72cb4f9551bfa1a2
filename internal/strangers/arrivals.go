package strangers

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"landbridge/internal/frame"
	"landbridge/internal/health"
	"landbridge/internal/registry"
)

// A host that moves from one site to another with its address, as a virtual machine does,
// shows itself by an announcement or by its traffic, and asks nobody. Its address is asked of
// the member that serves it.
const (
	arrivalRetry    = 250 * time.Millisecond // doubled with each attempt
	arrivalAttempts = 5                      // 3.75 s: longer than a LAN port takes to settle, as who has moved may show itself once
)

// arriver is the registry, as far as hosts arrive.
type arriver interface {
	Arrive(ctx context.Context, addr netip.Addr, mac [6]byte) (registry.Lease, error)
	FindMAC(ctx context.Context, mac [6]byte) []netip.Addr
	Lookup(addr netip.Addr) (registry.Location, registry.Status)
}

// arrivals takes over the addresses of hosts that have moved here.
type arrivals struct {
	registry arriver
	native   func(netip.Addr) bool
	settle   func(l registry.Lease, mac frame.MAC, took time.Duration)

	mu        sync.Mutex
	manners   manners
	conflicts conflicts
}

func newArrivals(c Config) *arrivals {
	return &arrivals{registry: c.Registry, native: c.Native, settle: c.Arrived, manners: newManners(), conflicts: make(conflicts)}
}

// begin reports whether to attend to a sighting now; then attend must follow.
func (a *arrivals) begin(s sighting, now time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.manners.begin(s, now)
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

// conflict notes that two hosts use one address.
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
	defer a.mu.Unlock()
	a.conflicts.note(addr, health.Finding{
		Text:   fmt.Sprintf("The host %v on this LAN uses the address %v, but %s (%v). That host keeps it, and this one gets nothing from other sites.", mac, addr, why, err),
		Remedy: "If this one is a copy of the other, or was given the address by hand, give it another one.",
	}, time.Now())
}

// troubles says which conflicts last.
func (a *arrivals) troubles(now time.Time) []health.Trouble {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.conflicts.troubles(now)
}
