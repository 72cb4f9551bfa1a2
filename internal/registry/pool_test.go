package registry

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"landbridge/internal/group"
)

// without excludes addresses, given as FIRST, LAST, FIRST, LAST …
func without(addrs ...string) (s group.Settings) {
	for ; len(addrs) > 1; addrs = addrs[2:] {
		s.Excluded = append(s.Excluded, group.Range{First: netip.MustParseAddr(addrs[0]), Last: netip.MustParseAddr(addrs[1])})
	}
	return s
}

func TestThePoolIsWhatIsNeitherReservedNorExcluded(t *testing.T) {
	l := newLab(t, "10.9.0.0/22", 4)
	n := l.admit("one")
	configure(without("10.9.0.0", "10.9.0.20", "10.9.0.30", "10.9.0.40", "10.9.3.250", "10.9.3.255"), n)
	terms, err := n.terms()
	if err != nil {
		t.Fatal(err)
	}
	total := 0
	for b := range BlockID(terms.blocks()) {
		free := 0
		for off := range terms.size() {
			if !terms.reserved(b, off) && !terms.excludes(b, off) {
				free++
			}
		}
		if got := terms.leasable(b); got != free {
			t.Errorf("block %d has %d, want %d", b, got, free)
		}
		total += free
	}
	if terms.pool.size != total || total != 1024-21-11-6 {
		t.Errorf("%d in all, want %d", terms.pool.size, total)
	}
}

func TestAnExcludedAddressIsLeasedByReservationAlone(t *testing.T) {
	t.Parallel()
	l := newLab(t, "10.9.0.0/24", 4)
	n := l.members(1)[0]
	configure(without("10.9.0.0", "10.9.0.199"), n)
	outside := netip.MustParseAddr("10.9.0.200")
	for i := range 40 {
		if got := get(t, n.reg, client(i)); got.Addr.Less(outside) {
			t.Fatalf("client %d got %v", i, got.Addr)
		}
	}
	for _, s := range n.reg.Blocks() {
		if s.First.Less(netip.MustParseAddr("10.9.0.192")) {
			t.Errorf("the block from %v was claimed, which has nothing to lease", s.First)
		}
	}
	addr := netip.MustParseAddr("10.9.0.33")
	if _, err := n.reg.Commit(t.Context(), client(1), addr); !errors.Is(err, ErrNotOurs) && !errors.Is(err, ErrUnsure) {
		t.Errorf("asked for by name: %v", err)
	}
	if err := bind(t, n, addr, client(1)); err != nil {
		t.Fatal(err)
	}
	if _, err := n.reg.Commit(t.Context(), client(2), addr); err == nil {
		t.Error("reserved for one, leased to another")
	}
	n.reg.mu.Lock()
	n.reg.book.clients = make(map[string]netip.Addr) // as after a lease that is long over
	n.reg.mu.Unlock()
	if got := get(t, n.reg, client(1)); got.Addr != addr {
		t.Errorf("reserved %v, leased %v", addr, got.Addr)
	}
	hand := netip.MustParseAddr("10.9.0.50")
	if _, err := n.reg.Adopt(short(t, 5*time.Second), [6]byte{2, 9}, hand); err != nil {
		t.Errorf("a host that has one by hand: %v", err)
	}
}

func TestALeaseOfAnAddressThatWasExcludedIsNotRenewedAndItsHostGetsAnother(t *testing.T) {
	t.Parallel()
	l := newLab(t, "10.9.0.0/24", 4)
	ns := l.members(3)
	home, away := ns[0], ns[1]
	lease := get(t, home.reg, client(1))
	moved := get(t, home.reg, client(2))
	if _, err := away.reg.Commit(short(t, 5*time.Second), client(2), moved.Addr); err != nil {
		t.Fatal(err)
	}
	configure(without(lease.Addr.String(), lease.Addr.String(), moved.Addr.String(), moved.Addr.String()), ns...)
	for _, c := range []struct {
		n    *node
		c    Client
		addr netip.Addr
	}{{home, client(1), lease.Addr}, {away, client(2), moved.Addr}} {
		if _, s := c.n.reg.Lookup(c.addr); s != Known {
			t.Errorf("%v isn't resolved any more though its lease runs", c.addr)
		}
		if _, err := c.n.reg.Commit(short(t, 5*time.Second), c.c, c.addr); !errors.Is(err, ErrNotOurs) {
			t.Fatalf("%v renewed: %v", c.addr, err)
		}
		if got := get(t, c.n.reg, c.c); got.Addr == c.addr {
			t.Errorf("%v leased anew", c.addr)
		}
	}
	configure(group.Settings{}, ns...)
	if _, err := home.reg.Commit(short(t, 5*time.Second), client(3), lease.Addr); err != nil {
		t.Errorf("no longer excluded: %v", err)
	}
}

func TestALongerLeaseTimeOutlastsNoHoldByMoreThanTheGroupsOwn(t *testing.T) {
	t.Parallel()
	l := newLab(t, "10.9.0.0/22", 4)
	l.hold, l.lease = time.Hour, 5*time.Minute
	ns := l.members(3)
	n := ns[2]
	get(t, n.reg, client(1))
	configure(group.Settings{LeaseTime: 30 * time.Minute}, ns...)
	lasts := func() time.Duration {
		t.Helper()
		lease := get(t, n.reg, client(1))
		return lease.End.Sub(n.clock.Instant().Wall).Round(time.Minute)
	}
	if got := lasts(); got != 30*time.Minute {
		t.Errorf("with a hold of an hour the lease lasts %v", got)
	}
	l.isolate(n, true)
	n.clock.pass(50 * time.Minute)
	if got := lasts(); got != 15*time.Minute {
		t.Errorf("10 minutes before the hold runs out it lasts %v", got)
	}
	n.clock.pass(12 * time.Minute)
	lease, _ := n.reg.Served(renewed(t, n, client(1)))
	if got := lease.End.Sub(n.clock.Instant().Wall).Round(time.Minute); got != 5*time.Minute {
		t.Errorf("after that it lasts %v", got)
	}
	if at := n.reg.Notice(lease); at.Sub(n.clock.Instant().Wall).Round(30*time.Second) != 150*time.Second {
		t.Errorf("its host asks in %v", at.Sub(n.clock.Instant().Wall))
	}
	terms, err := n.terms()
	if err != nil || terms.lapse() != lapseAfter(time.Hour, 5*time.Minute) {
		t.Errorf("others inherit after %v", terms.lapse())
	}
}

// renewed renews the lease that a client has.
func renewed(t *testing.T, n *node, c Client) netip.Addr {
	t.Helper()
	for l := range n.reg.Leases() {
		if string(l.Client) == string(c.ID) {
			if _, err := n.reg.Commit(t.Context(), c, l.Addr); err != nil {
				t.Fatal(err)
			}
			return l.Addr
		}
	}
	t.Fatal("it has none")
	return netip.Addr{}
}
