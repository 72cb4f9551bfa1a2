package registry

import (
	"net/netip"
	"testing"
	"time"
)

func TestAMembersLeasesAreKnownAfterAVisitAndFollowed(t *testing.T) {
	t.Parallel()
	l := newLab(t, "10.9.0.0/20", 6)
	ns := l.members(7)
	first := get(t, ns[0].reg, client(1))
	knows := func(n *node, addr netip.Addr) bool {
		for w := range n.reg.Rows(true) {
			if w.Addr == addr && w.Member == ns[0].id && w.State == RowLeased {
				return true
			}
		}
		return false
	}
	for _, n := range ns[1:] {
		if err := n.reg.Visit(short(t, 5*time.Second), ns[0].id, []netip.Addr{first.Addr, netip.MustParseAddr("192.0.2.1")}); err != nil {
			t.Fatal(err)
		}
		if !knows(n, first.Addr) {
			t.Errorf("%s doesn't know the lease that it asked for", n.name)
		}
		b, _, _ := n.reg.geo.split(first.Addr)
		if !n.reg.hearsFrom(ns[0].id, b) {
			t.Errorf("%s isn't told of changes", n.name)
		}
	}
	second := get(t, ns[0].reg, client(2))
	for _, n := range ns[1:] {
		eventually(t, n.name+" is told of a lease made later", func() bool { return knows(n, second.Addr) })
	}
	l.isolate(ns[0], true)
	if err := ns[1].reg.Visit(short(t, 5*time.Second), ns[0].id, []netip.Addr{first.Addr}); err != nil {
		t.Errorf("what is watched was asked for: %v", err)
	}
}
