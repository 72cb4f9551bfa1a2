package appliance

import (
	"net/netip"
	"testing"
	"time"

	"landbridge/iface"
	"landbridge/internal/beacon"
	"landbridge/internal/frame"
	"landbridge/internal/group"
	"landbridge/internal/neighbourhood"
	"landbridge/internal/share"
	"landbridge/router"
)

func macOf(m group.MemberID) frame.MAC { return frame.MAC(gatewayMAC(group.ID{1}, m)) }

// The gateway MAC of any member is known to whoever knows the member.
func TestOnlyProvenRoutersOfTheGroupAreNoOtherGateways(t *testing.T) {
	here, away := group.MemberID{1}, group.MemberID{2}
	var proven []beacon.Neighbor
	s := &segment{mac: macOf(group.MemberID{3}), siblings: neighbourhood.Siblings{Neighbors: func() []beacon.Neighbor { return proven }, Gateway: macOf}}
	s.rivals.isOurs = s.isOurs
	service := netip.MustParseAddr("10.77.0.1")
	for _, mac := range []frame.MAC{s.mac, macOf(here), macOf(away)} {
		s.Gateway(service, mac, router.SignService)
	}
	later := time.Now().Add(time.Minute)
	if got := s.rivals.list(later); len(got) != 2 {
		t.Errorf("of two routers of which nothing is proven: %+v", got)
	}
	proven = []beacon.Neighbor{
		{Member: here, MAC: macOf(here), Says: beacon.Says{Router: true}},
		{Member: group.MemberID{4}, MAC: macOf(away), Says: beacon.Says{Router: true}}, // covers up for another
		{Member: away, MAC: macOf(away)},                                               // no router
	}
	got := s.rivals.list(later)
	if len(got) != 1 || got[0].mac != macOf(away) {
		t.Errorf("with a proof of one of them: %+v", got)
	}
	if s.isOurs(macOf(away)) || !s.isOurs(macOf(here)) || !s.isOurs(s.mac) {
		t.Error("ours are others than ourselves and who is proven")
	}
}

// A switch to router mode is verified by a question of this machine's to its own router.
func TestARouterAnswersItsOwnMachineAboutTheServiceAddress(t *testing.T) {
	machine, host := frame.MAC{2, 7}, frame.MAC{2, 8}
	s := &neighbours{service: netip.MustParseAddr("10.77.0.1"), wake: make(chan struct{}, 1)}
	s.circle.Store(share.NewCircle(group.MemberID{1}, group.MemberID{2})) // all of it is another's
	if s.answers(machine, netip.IPv4Unspecified(), s.service) {
		t.Error("it answers a machine that it doesn't know")
	}
	s.portChanged(iface.PortState{Index: 1, MAC: machine.HardwareAddr()})
	if !s.answers(machine, netip.IPv4Unspecified(), s.service) {
		t.Error("the other router alone answers this machine")
	}
	if s.answers(host, netip.IPv4Unspecified(), s.service) || s.answers(machine, netip.IPv4Unspecified(), s.service.Next()) {
		t.Error("it answers more than that")
	}
}
