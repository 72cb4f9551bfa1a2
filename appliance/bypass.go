package appliance

import (
	"maps"
	"net/netip"
	"sync/atomic"
	"time"
)

const (
	// maxBypassed bounds the addresses that are reached natively; those beyond it are
	// reached by the tunnel.
	maxBypassed = 4096
	// wantedAtOnce bounds those that wait to be looked at; a packet that finds no room
	// comes again.
	wantedAtOnce = 128
	// shunTime is how long an address isn't tried again whose host didn't answer on the wire.
	shunTime = 30 * time.Second
)

// routeTable is where the host's way to an address is changed; iface.Presence is one.
type routeTable interface {
	AddRoute(addr netip.Addr) error
	RemoveRoute(addr netip.Addr) error
}

// bypass is the routes by which this host, in hybrid mode, reaches addresses natively, past the
// tunnel and every Landbridge process. It is told of addresses that the host speaks with, and
// has routes to those that are proven to be on the wire, as long as they are.
//
// Want and counters are for everybody; the rest is for one goroutine.
type bypass struct {
	wanted chan netip.Addr
	native func(netip.Addr) bool // it is proven now that its host is on this wire

	table  routeTable // nil while there is no wire
	routes map[netip.Addr]struct{}

	shunned                  atomic.Pointer[map[netip.Addr]time.Time] // until when; not changed once it is there
	standing, full           atomic.Int64                             // routes; 1 if they are as many as may be
	added, withdrawn, failed atomic.Uint64
	turnedAway               atomic.Uint64 // wishes that found no room
	unanswered               atomic.Uint64
}

func newBypass(native func(netip.Addr) bool) *bypass {
	b := &bypass{wanted: make(chan netip.Addr, wantedAtOnce), native: native, routes: make(map[netip.Addr]struct{})}
	b.shunned.Store(new(map[netip.Addr]time.Time))
	return b
}

// Want says that the host speaks with an address that is on the wire. It doesn't wait and
// allocates nothing: it is called for each packet until the route stands (router.Bypass).
func (b *bypass) Want(addr netip.Addr) {
	if _, shunned := (*b.shunned.Load())[addr]; shunned {
		return
	}
	if b.full.Load() == 0 {
		select {
		case b.wanted <- addr:
			return
		default:
		}
	}
	b.turnedAway.Add(1)
}

// use changes the wire: nil where there is none any more. The routes on the one before have
// gone, or go with its presence.
func (b *bypass) use(table routeTable) {
	b.withdrawn.Add(uint64(len(b.routes)))
	clear(b.routes)
	b.table = table
	b.shunned.Store(new(map[netip.Addr]time.Time))
	b.count()
}

// open makes the route to an address that is wanted. An error is the kernel's.
func (b *bypass) open(addr netip.Addr) error {
	if _, shunned := (*b.shunned.Load())[addr]; shunned {
		return nil
	}
	if _, there := b.routes[addr]; there || b.table == nil || len(b.routes) >= maxBypassed || !b.native(addr) {
		return nil
	}
	if err := b.table.AddRoute(addr); err != nil {
		b.failed.Add(1)
		return err
	}
	b.routes[addr] = struct{}{}
	b.added.Add(1)
	b.count()
	return nil
}

// silent is told that an address's host doesn't answer on the wire, though its member is there: something between
// them lets beacons pass and not ARP. The host is reached by the tunnel, and tried again after shunTime.
func (b *bypass) silent(addr netip.Addr, now time.Time) error {
	if _, there := b.routes[addr]; !there {
		return nil
	}
	shunned := maps.Clone(*b.shunned.Load())
	if shunned == nil {
		shunned = make(map[netip.Addr]time.Time)
	}
	shunned[addr] = now.Add(shunTime)
	b.shunned.Store(&shunned)
	b.unanswered.Add(1)
	return b.withdraw(addr)
}

// forgive lets those be tried again who have been shunned for long enough.
func (b *bypass) forgive(now time.Time) {
	shunned := maps.Clone(*b.shunned.Load())
	maps.DeleteFunc(shunned, func(_ netip.Addr, until time.Time) bool { return !now.Before(until) })
	b.shunned.Store(&shunned)
}

// withdraw removes a route.
func (b *bypass) withdraw(addr netip.Addr) error {
	if err := b.table.RemoveRoute(addr); err != nil {
		b.failed.Add(1)
		return err
	}
	delete(b.routes, addr)
	b.withdrawn.Add(1)
	b.count()
	return nil
}

// review withdraws the routes to addresses that aren't on the wire any more: from then on
// the host reaches them by the tunnel. The first error of the kernel is returned; such a route is tried again.
func (b *bypass) review() (err error) {
	for addr := range b.routes {
		if b.native(addr) {
			continue
		}
		if e := b.withdraw(addr); e != nil && err == nil {
			err = e
		}
	}
	return err
}

// restore makes all routes again, which something else has removed.
func (b *bypass) restore() (err error) {
	for addr := range b.routes {
		if e := b.table.AddRoute(addr); e != nil && err == nil {
			b.failed.Add(1)
			err = e
		}
	}
	return err
}

func (b *bypass) count() {
	b.standing.Store(int64(len(b.routes)))
	full := int64(0)
	if len(b.routes) >= maxBypassed {
		full = 1
	}
	b.full.Store(full)
}

// counters tells what was counted.
func (b *bypass) counters(add func(c count, value uint64)) {
	for name, value := range map[string]uint64{
		"routes": uint64(b.standing.Load()), "added": b.added.Load(), "withdrawn": b.withdrawn.Load(),
		"failed": b.failed.Load(), "turned_away": b.turnedAway.Load(), "unanswered": b.unanswered.Load(),
	} {
		add(count{"bypass", name}, value)
	}
}
