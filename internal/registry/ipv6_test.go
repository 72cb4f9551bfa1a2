package registry

import (
	"errors"
	"net/netip"
	"testing"
	"time"
)

// by6 is a client that asks by DHCPv6.
func by6(c Client) Client {
	c.IPv6 = true
	return c
}

// knowsIPv6 reports whether all these members know that a host has taken its IPv6 address, or none.
func knowsIPv6(t *testing.T, what string, addr netip.Addr, has bool, ns ...*node) {
	t.Helper()
	for _, n := range ns {
		eventually(t, n.name+": "+what, func() bool { return n.reg.HasIPv6(short(t, time.Second), addr) == has })
	}
}

func TestWhoHasTakenItsIPv6AddressIsKnownToAll(t *testing.T) {
	t.Parallel()
	l := newLab(t, "10.9.0.0/20", 6)
	ns := l.members(3)
	c := client(1)
	lease := get(t, ns[0].reg, c)
	commit := func(c Client) {
		t.Helper()
		if _, err := ns[0].reg.Commit(short(t, 5*time.Second), c, lease.Addr); err != nil {
			t.Fatal(err)
		}
	}
	knowsIPv6(t, "by IPv4", lease.Addr, false, ns...)
	commit(by6(c))
	knowsIPv6(t, "by both", lease.Addr, true, ns...)
	commit(c)
	knowsIPv6(t, "renewed by IPv4", lease.Addr, true, ns...)
	if got, ok := ns[0].reg.Served(lease.Addr); !ok || !got.IPv6 {
		t.Errorf("%+v, %t", got, ok)
	}
	ns[0].stop()
	ns[0].start()
	knowsIPv6(t, "after a restart", lease.Addr, true, ns...)
	commit(c)
	if err := ns[0].reg.ReleaseIPv6(short(t, 5*time.Second), c, lease.Addr); err != nil {
		t.Fatal(err)
	}
	knowsIPv6(t, "given back", lease.Addr, false, ns...)
	if got, ok := ns[0].reg.Served(lease.Addr); !ok || got.IPv6 {
		t.Errorf("what is given back by DHCPv6 has ended the lease: %+v, %t", got, ok)
	}
	if err := ns[0].reg.ReleaseIPv6(short(t, 5*time.Second), c, lease.Addr); !errors.Is(err, ErrNotOurs) {
		t.Errorf("given back twice: %v", err)
	}
	before, _ := ns[0].reg.Served(lease.Addr)
	if err := ns[0].reg.MarkIPv6(short(t, 5*time.Second), c, lease.Addr, true); err != nil {
		t.Fatal(err)
	}
	knowsIPv6(t, "marked", lease.Addr, true, ns...)
	if after, _ := ns[0].reg.Served(lease.Addr); after.End != before.End {
		t.Errorf("a mark has made the lease last until %v, not %v", after.End, before.End)
	}
	if err := ns[0].reg.MarkIPv6(short(t, 5*time.Second), client(2), lease.Addr, true); !errors.Is(err, ErrNotOurs) {
		t.Errorf("marked by another client: %v", err)
	}
	ns[0].clock.pass(l.lease * 9 / 10)
	commit(c)
	knowsIPv6(t, "a lease time later", lease.Addr, true, ns[0])
	ns[0].clock.pass(l.lease * 9 / 10)
	commit(c)
	knowsIPv6(t, "long after the last DHCPv6", lease.Addr, false, ns...)
}

// A lease that DHCPv4 has never asked for ends by DHCPv6.
func TestALeaseByIPv6AloneEndsByIPv6(t *testing.T) {
	t.Parallel()
	l := newLab(t, "10.9.0.0/20", 6)
	ns := l.members(2)
	released, declined, both := get(t, ns[0].reg, by6(client(1))), get(t, ns[0].reg, by6(client(2))), get(t, ns[0].reg, by6(client(3)))
	knowsIPv6(t, "by IPv6", released.Addr, true, ns...)
	ns[0].stop()
	ns[0].start()
	r := ns[0].reg
	for _, c := range []Client{client(3), by6(client(3))} { // by DHCPv4, too
		if _, err := r.Commit(short(t, 5*time.Second), c, both.Addr); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(
		r.ReleaseIPv6(short(t, 5*time.Second), client(1), released.Addr), r.DeclineIPv6(short(t, 5*time.Second), client(2), declined.Addr),
		r.DeclineIPv6(short(t, 5*time.Second), client(3), both.Addr),
	); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		addr netip.Addr
		live bool
	}{"released": {released.Addr, false}, "declined": {declined.Addr, false}, "by both": {both.Addr, true}} {
		if got, live := r.Served(c.addr); live != c.live || got.IPv6 {
			t.Errorf("%s: %+v, %t", name, got, live)
		}
	}
	if again := get(t, r, by6(client(2))); again.Addr == declined.Addr {
		t.Error("a declined address is leased again at once")
	}
	if again := get(t, r, client(1)); again.Addr != released.Addr || again.IPv6 {
		t.Errorf("it comes back as %+v", again)
	}
}

// A host that moves to another site keeps its IPv6 address, too, and is known by it.
func TestTheIPv6AddressMovesWithItsHost(t *testing.T) {
	t.Parallel()
	l := newLab(t, "10.9.0.0/20", 6)
	ns := l.members(3)
	lease := get(t, ns[0].reg, client(1))
	if _, err := ns[0].reg.Commit(short(t, 5*time.Second), by6(client(1)), lease.Addr); err != nil {
		t.Fatal(err)
	}
	knowsIPv6(t, "at home", lease.Addr, true, ns...)
	if _, err := ns[1].reg.Commit(short(t, 5*time.Second), client(1), lease.Addr); err != nil {
		t.Fatal(err)
	}
	knowsIPv6(t, "away", lease.Addr, true, ns...)
	if err := ns[1].reg.ReleaseIPv6(short(t, 5*time.Second), client(1), lease.Addr); err != nil {
		t.Fatal(err)
	}
	knowsIPv6(t, "given back away", lease.Addr, false, ns...)
	if err := ns[1].reg.MarkIPv6(short(t, 5*time.Second), client(1), lease.Addr, true); err != nil {
		t.Fatal(err)
	}
	knowsIPv6(t, "taken away", lease.Addr, true, ns...)
}

func TestARecordsBitmapOfIPv6IsChecked(t *testing.T) {
	t.Parallel()
	l := newLab(t, "10.9.0.0/20", 6)
	n := l.members(1)[0]
	get(t, n.reg, by6(client(1)))
	for _, blk := range n.reg.book.held {
		rec := n.reg.recordOf(blk)
		if err := rec.check(rec.Group, n.reg.geo); err != nil {
			t.Error(err)
		}
		for _, bitmap := range [][]byte{{1}, make([]byte, 9)} {
			rec.Six = bitmap
			if err := rec.check(rec.Group, n.reg.geo); !errors.Is(err, ErrBadRecord) {
				t.Errorf("%d bytes: %v", len(bitmap), err)
			}
		}
	}
}
