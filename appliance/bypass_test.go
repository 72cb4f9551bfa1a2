package appliance

import (
	"errors"
	"net/netip"
	"testing"
	"time"
)

// fakeTable is a routing table; refuse makes it fail.
type fakeTable struct {
	routes map[netip.Addr]bool
	refuse error
}

func (f *fakeTable) AddRoute(a netip.Addr) error {
	if f.refuse == nil {
		f.routes[a] = true
	}
	return f.refuse
}

func (f *fakeTable) RemoveRoute(a netip.Addr) error {
	if f.refuse == nil {
		delete(f.routes, a)
	}
	return f.refuse
}

// bypassRig is a bypass over a fake table; on says who is on the wire.
type bypassRig struct {
	*bypass
	table *fakeTable
	on    map[netip.Addr]bool
	t     *testing.T
}

func newBypassRig(t *testing.T) *bypassRig {
	r := &bypassRig{table: &fakeTable{routes: make(map[netip.Addr]bool)}, on: make(map[netip.Addr]bool), t: t}
	r.bypass = newBypass(func(a netip.Addr) bool { return r.on[a] })
	r.use(r.table)
	return r
}

// expect compares the table and a counter.
func (r *bypassRig) expect(routes int, counter string, value uint64) {
	r.t.Helper()
	if len(r.table.routes) != routes {
		r.t.Errorf("%d routes, want %d", len(r.table.routes), routes)
	}
	r.counters(func(c count, v uint64) {
		if c.name == counter && v != value {
			r.t.Errorf("%s is %d, want %d", counter, v, value)
		}
	})
}

func TestARouteStandsAsLongAsItsHostIsOnTheWire(t *testing.T) {
	r := newBypassRig(t)
	a, b := netip.MustParseAddr("10.9.1.1"), netip.MustParseAddr("10.9.1.2")
	r.on[a], r.on[b] = true, true
	for _, addr := range []netip.Addr{a, a, b, netip.MustParseAddr("10.9.1.3")} {
		if err := r.open(addr); err != nil {
			t.Error(err)
		}
	}
	r.expect(2, "added", 2)
	r.on[a] = false
	if err := r.review(); err != nil || !r.table.routes[b] {
		t.Errorf("%v, routes %v", err, r.table.routes)
	}
	r.expect(1, "withdrawn", 1)
	r.on[a] = true // it is back
	if err := r.open(a); err != nil {
		t.Error(err)
	}
	r.expect(2, "routes", 2)
}

func TestARouteThatCannotBeWithdrawnIsTriedAgain(t *testing.T) {
	r := newBypassRig(t)
	a := netip.MustParseAddr("10.9.1.1")
	r.on[a] = true
	if err := r.open(a); err != nil {
		t.Fatal(err)
	}
	r.on[a], r.table.refuse = false, errors.New("busy")
	if err := r.review(); !errors.Is(err, r.table.refuse) {
		t.Errorf("the kernel's error is lost: %v", err)
	}
	r.expect(1, "failed", 1)
	r.table.refuse = nil
	if err := r.review(); err != nil {
		t.Error(err)
	}
	r.expect(0, "withdrawn", 1)
}

func TestRoutesAreBounded(t *testing.T) {
	r := newBypassRig(t)
	addr := netip.MustParseAddr("10.9.0.1")
	for range maxBypassed + 10 {
		r.on[addr] = true
		if err := r.open(addr); err != nil {
			t.Fatal(err)
		}
		addr = addr.Next()
	}
	r.expect(maxBypassed, "routes", maxBypassed)
	r.Want(addr)
	r.expect(maxBypassed, "turned_away", 1)
	if len(r.wanted) != 0 {
		t.Error("what finds no room is looked at all the same")
	}
	r.on = nil
	if err := r.review(); err != nil {
		t.Error(err)
	}
	r.Want(addr)
	if len(r.wanted) != 1 {
		t.Error("there is room, and nobody is let in")
	}
}

func TestWishesDoNotWaitForWhoDealsWithThem(t *testing.T) {
	r := newBypassRig(t)
	addr := netip.MustParseAddr("10.9.0.1")
	if n := testing.AllocsPerRun(2*wantedAtOnce, func() { r.Want(addr) }); n > 0 {
		t.Errorf("a wish allocates %v times", n)
	}
	r.expect(0, "turned_away", wantedAtOnce+1)
}

func TestAWireThatGoesTakesItsRoutesAlong(t *testing.T) {
	r := newBypassRig(t)
	a := netip.MustParseAddr("10.9.1.1")
	r.on[a] = true
	if err := r.open(a); err != nil {
		t.Fatal(err)
	}
	r.use(nil)
	if err := r.open(a); err != nil {
		t.Error(err)
	}
	r.expect(1, "routes", 0) // those on the device that has gone are nobody's business
	next := &fakeTable{routes: make(map[netip.Addr]bool)}
	r.use(next)
	if err := r.open(a); err != nil || !next.routes[a] {
		t.Errorf("the new wire has %v (%v)", next.routes, err)
	}
}

func TestRoutesThatSomethingRemovedAreMadeAgain(t *testing.T) {
	r := newBypassRig(t)
	a := netip.MustParseAddr("10.9.1.1")
	r.on[a] = true
	if err := r.open(a); err != nil {
		t.Fatal(err)
	}
	clear(r.table.routes)
	if err := r.restore(); err != nil {
		t.Error(err)
	}
	r.expect(1, "added", 1)
}

func TestAHostThatDoesNotAnswerOnTheWireIsLeftToTheTunnelForAWhile(t *testing.T) {
	r := newBypassRig(t)
	a, b := netip.MustParseAddr("10.9.1.1"), netip.MustParseAddr("10.9.1.2")
	r.on[a], r.on[b] = true, true
	for _, addr := range []netip.Addr{a, b} {
		if err := r.open(addr); err != nil {
			t.Fatal(err)
		}
	}
	now := time.Now()
	for range 2 {
		if err := r.silent(a, now); err != nil {
			t.Error(err)
		}
	}
	r.expect(1, "unanswered", 1)
	r.Want(a)
	r.Want(b)
	if err := r.open(a); err != nil || len(r.wanted) != 1 {
		t.Errorf("%d wishes are looked at, want that for the other host (%v)", len(r.wanted), err)
	}
	r.expect(1, "routes", 1)
	r.forgive(now.Add(shunTime - 1))
	if err := r.open(a); err != nil {
		t.Error(err)
	}
	r.expect(1, "routes", 1)
	r.forgive(now.Add(shunTime))
	if err := r.open(a); err != nil {
		t.Error(err)
	}
	r.expect(2, "routes", 2)
}
