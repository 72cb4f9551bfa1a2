package neighbourhood

import (
	"net/netip"
	"slices"
	"testing"

	"landbridge/internal/beacon"
	"landbridge/internal/frame"
	"landbridge/internal/group"
	"landbridge/internal/registry"
)

type observed []frame.ARP

func (o *observed) Observe(a frame.ARP) { *o = append(*o, a) }

func TestHostsHearOfGuestsThatLeaveAndOfNobodyElse(t *testing.T) {
	hybrid, other, routing, self := group.MemberID{1}, group.MemberID{2}, group.MemberID{3}, group.MemberID{4}
	leased := map[netip.Addr]group.MemberID{
		netip.MustParseAddr("10.9.1.1"): hybrid, netip.MustParseAddr("10.9.2.1"): other,
		netip.MustParseAddr("10.9.3.1"): routing, netip.MustParseAddr("10.9.4.1"): self,
	}
	var next observed
	g := NewGuests(&next, func(a netip.Addr) (registry.Location, registry.Status) {
		m, ok := leased[a]
		if !ok {
			return registry.Location{}, registry.Unknown
		}
		return registry.Location{Member: m, Local: m == self}, registry.Known
	})
	asks := func(sender, target string) {
		t.Helper()
		f := frame.AppendARP(nil, frame.Broadcast(), frame.MAC{2}, frame.ARPFields{
			Op: frame.ARPRequest, SenderMAC: frame.MAC{2}, SenderIP: netip.MustParseAddr(sender), TargetIP: netip.MustParseAddr(target),
		})
		a, err := frame.ParseARP(f[frame.EthernetHeaderLen:])
		if err != nil {
			t.Fatal(err)
		}
		g.Observe(a)
	}
	on := func(who ...beacon.Neighbor) []netip.Addr {
		left := g.Review(who)
		slices.SortFunc(left, netip.Addr.Compare)
		return left
	}
	h, o, r := beacon.Neighbor{Member: hybrid}, beacon.Neighbor{Member: other}, beacon.Neighbor{Member: routing, Says: beacon.Says{Router: true}}

	on(h, o, r)
	asks("10.9.4.1", "10.9.1.1") // a host of ours asks for the guest
	asks("10.9.2.1", "10.9.3.1") // the other guest asks for a host of the other router
	asks("10.9.4.1", "10.9.5.1") // of whom nothing is known
	if len(next) != 3 {
		t.Errorf("the prober saw %d of 3 packets", len(next))
	}
	if left := on(h, r); !slices.Equal(left, []netip.Addr{netip.MustParseAddr("10.9.2.1")}) {
		t.Errorf("when the other guest has left: %v", left)
	}
	if left := on(h); len(left) != 0 {
		t.Errorf("when the other router has gone: %v; its hosts are there still", left)
	}
	if left := on(); !slices.Equal(left, []netip.Addr{netip.MustParseAddr("10.9.1.1")}) {
		t.Errorf("when the guest has left: %v", left)
	}
	asks("10.9.4.1", "10.9.1.1") // it isn't here
	on(h)
	if left := on(); len(left) != 0 {
		t.Errorf("told twice: %v", left)
	}
}
