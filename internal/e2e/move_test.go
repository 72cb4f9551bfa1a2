package e2e

import (
	"testing"

	"landbridge/internal/netlab"
)

// A host that moves to another site takes its address along, and its neighbours find it
// there: those that it left, those that it joins, and third ones.

func TestAHostThatMovesKeepsItsAddress(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	a, b := s.site("a"), s.site("b")
	a1, b1 := newClient(t, a.wire, "a1").lease(netlab.Udhcpc), newClient(t, b.wire, "b1").lease(netlab.Udhcpc)
	d := s.d.address()

	for _, c := range []struct {
		name string
		kind netlab.DHCPKind
		// forgets says that the client keeps no lease: it is known by its MAC alone.
		forgets bool
	}{
		{"remembers", netlab.Dhclient, false}, // INIT-REBOOT (RFC 2131 section 4.3.2)
		{"forgets", netlab.Udhcpc, true},      // DISCOVER
	} {
		vm := newClient(t, a.wire, c.name).lease(c.kind)
		addr := vm.addr
		for _, h := range []*client{a1, b1} {
			reaches(t, h.Host, addr)
		}
		for _, to := range []*site{b, a, b} {
			if err := vm.Port("eth0").MoveTo(to.wire); err != nil {
				t.Fatal(err)
			}
			vm.dhcp.Kill()
			if vm.lease(c.kind); vm.addr != addr {
				t.Fatalf("%s had %v and has %v at %s; its client said:\n%s", c.name, addr, vm.addr, to.Name, vm.dhcp.Log())
			}
			t.Logf("%s at %s: leased in %v, reached from a1 in %v, b1 %v, d %v", c.name, to.Name, vm.dhcp.Took,
				reaches(t, a1.Host, addr), reaches(t, b1.Host, addr), reaches(t, s.d.Host, addr))
			for _, h := range []*client{a1, b1} {
				reaches(t, vm.Host, h.addr)
			}
			reaches(t, vm.Host, d)
			for _, at := range []*site{a, b} {
				if serves := at.serves(vm.addr); serves != (at == to) {
					t.Errorf("%s is at %s; that %s serves it is %t", c.name, to.Name, at.Name, serves)
				}
			}
		}
	}
}
