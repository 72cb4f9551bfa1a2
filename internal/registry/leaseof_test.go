package registry

import (
	"net"
	"net/netip"
	"testing"
	"time"
)

func TestALeaseIsFoundByItsHost(t *testing.T) {
	t.Parallel()
	l := newLab(t, "10.9.0.0/20", 4)
	n := l.members(1)[0]
	mac := net.HardwareAddr{2, 0, 0, 0, 0, 7}
	byMAC, byID := Client{ID: append([]byte{1}, mac...), MAC: mac}, Client{ID: []byte{255, 1, 2, 3}, MAC: mac}
	if found, ok := n.reg.LeaseOf([6]byte(mac), byMAC.ID, byID.ID); ok {
		t.Fatalf("before any: %+v", found)
	}
	get(t, n.reg, client(1))
	first, second := get(t, n.reg, byMAC), get(t, n.reg, byID)
	for _, c := range []struct {
		name string
		ids  [][]byte
		want netip.Addr
	}{
		{"by the first ID", [][]byte{byMAC.ID, byID.ID}, first.Addr}, {"by another", [][]byte{byID.ID, byMAC.ID}, second.Addr},
		{"by an unknown ID: the latest", [][]byte{{9, 9}}, second.Addr}, {"by another host's: the latest", [][]byte{client(1).ID}, second.Addr},
	} {
		if found, ok := n.reg.LeaseOf([6]byte(mac), c.ids...); !ok || found.Addr != c.want {
			t.Errorf("%s: %v %t, want %v", c.name, found.Addr, ok, c.want)
		}
	}
	if n := len(n.reg.book.hosts); n != 2 {
		t.Errorf("%d hosts are remembered, want 2", n)
	}
	for _, c := range []Client{byID, byMAC} {
		if found, ok := n.reg.LeaseOf([6]byte(mac), client(1).ID); !ok || string(c.ID) != string(byID.ID) && found.Addr != first.Addr {
			t.Errorf("%v %t is left", found.Addr, ok)
		}
		if err := n.reg.Release(short(t, 5*time.Second), c, map[bool]netip.Addr{true: first.Addr, false: second.Addr}[string(c.ID) == string(byMAC.ID)]); err != nil {
			t.Fatal(err)
		}
	}
	if found, ok := n.reg.LeaseOf([6]byte(mac), byMAC.ID, byID.ID); ok {
		t.Errorf("after both are over: %+v", found)
	}
	if n := len(n.reg.book.hosts); n != 1 {
		t.Errorf("%d hosts are remembered, want 1", n)
	}
	n.reg.mu.Lock()
	defer n.reg.mu.Unlock()
	for _, blk := range n.reg.book.held {
		n.reg.drop(blk)
	}
	if n := len(n.reg.book.hosts); n != 0 {
		t.Errorf("%d hosts are remembered though their blocks are lost", n)
	}
}
