package registry

import (
	"errors"
	"net/netip"
	"testing"
	"time"
)

// unheld returns an address of a block that none of the nodes holds.
func unheld(t *testing.T, ns []*node) netip.Addr {
	t.Helper()
	geo := ns[0].reg.geo
	for b := range BlockID(geo.blocks()) {
		held := false
		for _, n := range ns {
			held = held || n.reg.holds(geo.addr(b, 9))
		}
		if !held {
			return geo.addr(b, 9)
		}
	}
	t.Fatal("every block is held")
	return netip.Addr{}
}

// freeOf returns an address that is free in a block of the node's.
func freeOf(t *testing.T, n *node) netip.Addr {
	t.Helper()
	eventually(t, n.name+" holds a block", func() bool { return len(n.reg.Blocks()) > 0 })
	b := n.reg.Blocks()[0]
	for off := range b.Size {
		addr := n.reg.geo.addr(b.Block, off)
		if _, s := n.reg.Lookup(addr); s != Known && !n.reg.geo.reserved(b.Block, off) {
			return addr
		}
	}
	t.Fatal(n.name + " has no free address")
	return netip.Addr{}
}

// located waits until all nodes know who serves the address.
func located(t *testing.T, ns []*node, addr netip.Addr, by *node) {
	t.Helper()
	for _, n := range ns {
		eventually(t, n.name+" knows that "+addr.String()+" is at "+by.name, func() bool {
			at, err := n.reg.Resolve(short(t, time.Second), addr)
			return err == nil && at.Member == by.id && at.Local == (n == by)
		})
	}
}

func TestAFoundHostGetsTheAddressThatItUsesWhereverItLies(t *testing.T) {
	t.Parallel()
	l := newLab(t, "10.9.0.0/20", 6)
	ns := l.members(4)
	get(t, ns[0].reg, client(1))
	get(t, ns[1].reg, client(2))
	for i, addr := range map[int]netip.Addr{1: freeOf(t, ns[0]), 2: freeOf(t, ns[1]), 3: unheld(t, ns)} {
		mac := [6]byte{2, 0, 0, 0, 9, byte(i)}
		for range 3 { // and renewed
			got, err := ns[0].reg.Adopt(short(t, 5*time.Second), mac, addr)
			if err != nil || got.Addr != addr || got.MAC != mac || !got.Found() {
				t.Fatalf("%v: %+v, %v", addr, got, err)
			}
		}
		located(t, ns, addr, ns[0])
		if _, err := ns[2].reg.Commit(short(t, 5*time.Second), client(3), addr); !errors.Is(err, ErrNotOurs) {
			t.Errorf("another client gets %v elsewhere: %v", addr, err)
		}
		if _, err := ns[0].reg.Commit(short(t, 5*time.Second), client(3), addr); err == nil {
			t.Errorf("another client gets %v here", addr)
		}
		if _, err := ns[3].reg.Adopt(short(t, 5*time.Second), mac, addr); !errors.Is(err, ErrNotOurs) {
			t.Errorf("%v is adopted by two members: %v", addr, err)
		}
		if _, err := ns[0].reg.Adopt(short(t, 5*time.Second), [6]byte{2, 7}, addr); !errors.Is(err, ErrTaken) {
			t.Errorf("%v is adopted for two hosts: %v", addr, err)
		}
	}
	found := 0
	for l := range ns[0].reg.Leases() {
		if l.Found() {
			found++
		}
	}
	if found != 3 {
		t.Errorf("%d leases are told as found, want 3", found)
	}
	ns[0].stop()
	ns[0].start()
	for l := range ns[0].reg.Leases() {
		if !l.Found() {
			continue
		}
		if _, err := ns[0].reg.Adopt(short(t, 5*time.Second), l.MAC, l.Addr); err != nil {
			t.Errorf("%v after a restart: %v", l.Addr, err)
		}
	}
}

func TestALeasedAddressIsNotAdopted(t *testing.T) {
	t.Parallel()
	l := newLab(t, "10.9.0.0/20", 6)
	ns := l.members(3)
	here, there := get(t, ns[0].reg, client(1)), get(t, ns[1].reg, client(2))
	mac := [6]byte{2, 0, 0, 0, 9, 9}
	if _, err := ns[0].reg.Adopt(short(t, 5*time.Second), mac, here.Addr); !errors.Is(err, ErrTaken) {
		t.Errorf("leased here: %v", err)
	}
	if _, err := ns[0].reg.Adopt(short(t, 5*time.Second), mac, there.Addr); !errors.Is(err, ErrNotOurs) {
		t.Errorf("leased elsewhere: %v", err)
	}
	for _, a := range []string{"10.9.0.0", "10.9.0.1", "10.9.15.255", "10.9.16.1", "192.0.2.1"} {
		if _, err := ns[0].reg.Adopt(short(t, 5*time.Second), mac, netip.MustParseAddr(a)); !errors.Is(err, ErrNotOurs) {
			t.Errorf("%s: %v", a, err)
		}
	}
	free := freeOf(t, ns[1])
	l.isolate(ns[1], true)
	if _, err := ns[0].reg.Adopt(short(t, 5*time.Second), mac, free); !errors.Is(err, ErrUnsure) {
		t.Errorf("free in the block of a member that is away: %v", err)
	}
}

// A client that was offered an address found a host there: that host is the one to get it.
func TestADeclinedAddressIsAdopted(t *testing.T) {
	t.Parallel()
	l := newLab(t, "10.9.0.0/20", 6)
	ns := l.members(3)
	for _, n := range ns[:2] { // out of one's own block, and out of another's
		get(t, ns[0].reg, client(1))
		get(t, ns[1].reg, client(2))
		addr := freeOf(t, n)
		if err := n.reg.Decline(t.Context(), addr); err != nil {
			t.Fatal(err)
		}
		if _, err := n.reg.Commit(short(t, 5*time.Second), client(5), addr); !errors.Is(err, ErrTaken) {
			t.Fatalf("a declined address is leased: %v", err)
		}
		if _, err := ns[0].reg.Adopt(short(t, 5*time.Second), [6]byte{2, 0, 0, 0, 9, 9}, addr); err != nil {
			t.Errorf("out of the block of %s: %v", n.name, err)
		}
		located(t, ns, addr, ns[0])
	}
}

func TestTheLeaseOfAFoundHostEndsWhenItIsAdoptedNoMore(t *testing.T) {
	t.Parallel()
	l := newLab(t, "10.9.0.0/20", 6)
	l.lease = 2 * time.Second
	ns := l.members(3)
	get(t, ns[1].reg, client(2))
	for _, addr := range []netip.Addr{freeOf(t, ns[1]), unheld(t, ns)} {
		mac := [6]byte{2, 0, 0, 0, 9, 9}
		if _, err := ns[0].reg.Adopt(short(t, 5*time.Second), mac, addr); err != nil {
			t.Fatal(err)
		}
		located(t, ns, addr, ns[0])
		eventually(t, addr.String()+" is nobody's", func() bool {
			_, err := ns[2].reg.Resolve(short(t, time.Second), addr)
			return errors.Is(err, ErrAbsent)
		})
		eventually(t, "another host is found there", func() bool {
			_, err := ns[2].reg.Adopt(short(t, 5*time.Second), [6]byte{2, 7}, addr)
			return err == nil
		})
	}
}

// A member says that it has found hosts all over another's block.
func TestHostsThatAnotherMemberHasFoundLeaveRoomForTheHoldersClients(t *testing.T) {
	t.Parallel()
	l := newLab(t, "10.9.0.0/20", 6)
	l.burst = 8
	ns := l.members(3)
	get(t, ns[0].reg, client(1))
	b := ns[0].reg.Blocks()[0]
	adopted := 0
	for i := range b.Size {
		addr := ns[0].reg.geo.addr(b.Block, i)
		if ns[0].reg.geo.reserved(b.Block, i) {
			continue
		}
		_, err := ns[1].reg.Adopt(short(t, 5*time.Second), [6]byte{2, 0, 0, 0, 9, byte(i)}, addr)
		if err == nil {
			adopted++
		}
	}
	if adopted != b.Size/2 {
		t.Errorf("%d of %d addresses went to one member's hosts", adopted, b.Size)
	}
	for i := range 7 { // its own budget
		get(t, ns[0].reg, client(10+i))
	}
}

// Somebody on a LAN shows up with addresses all over the prefix.
func TestBlocksClaimedForFoundHostsAreBounded(t *testing.T) {
	t.Parallel()
	l := newLab(t, "10.9.0.0/18", 6) // 256 blocks
	ns := l.members(3)
	refused := 0
	for i := range 40 {
		_, err := ns[0].reg.Adopt(short(t, 5*time.Second), [6]byte{2, 0, 0, 0, 9, byte(i)}, ns[0].reg.geo.addr(BlockID(6*i+3), 7))
		if errors.Is(err, ErrTooManyNew) {
			refused++
		} else if err != nil && !errors.Is(err, ErrNotOurs) {
			t.Error(err)
		}
	}
	if held := len(ns[0].reg.Blocks()); held > 12 || refused < 25 {
		t.Errorf("%d blocks are held, %d of 40 hosts refused", held, refused)
	}
}

// A machine that had its address by hand is told to use DHCP.
func TestAFoundHostThatAsksKeepsItsAddress(t *testing.T) {
	t.Parallel()
	l := newLab(t, "10.9.0.0/20", 6)
	ns := l.members(3)
	get(t, ns[0].reg, client(1))
	get(t, ns[1].reg, client(2))
	for i, addr := range []netip.Addr{freeOf(t, ns[0]), freeOf(t, ns[1])} {
		c := client(70 + i)
		if _, err := ns[0].reg.Adopt(short(t, 5*time.Second), [6]byte(c.MAC), addr); err != nil {
			t.Fatal(err)
		}
		if i == 0 { // in a block of its own member
			if got, err := ns[0].reg.Offer(short(t, 5*time.Second), c, netip.Addr{}); err != nil || got.Addr != addr {
				t.Errorf("offered %v, %v", got.Addr, err)
			}
		}
		if _, err := ns[0].reg.Commit(short(t, 5*time.Second), client(80), addr); err == nil {
			t.Error("another host gets it")
		}
		for range 2 {
			got, err := ns[0].reg.Commit(short(t, 5*time.Second), c, addr)
			if err != nil || got.Found() {
				t.Errorf("%v: %+v, %v", addr, got, err)
			}
		}
		located(t, ns, addr, ns[0])
		if _, err := ns[0].reg.Adopt(short(t, 5*time.Second), [6]byte(c.MAC), addr); !errors.Is(err, ErrTaken) {
			t.Errorf("%v is leased by DHCP, and adopted: %v", addr, err)
		}
	}
	if n := len(ns[0].reg.book.clients); n != 3 {
		t.Errorf("%d clients are on the books, want 3", n)
	}
}
