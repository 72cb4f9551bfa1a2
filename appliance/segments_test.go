package appliance

import (
	"fmt"
	"slices"
	"testing"

	"landbridge/internal/beacon"
	"landbridge/internal/group"
	"landbridge/internal/share"
)

func TestWhoServesASegmentIsToldOfEachRouter(t *testing.T) {
	self, second, ill, silent, gone, host := group.MemberID{1}, group.MemberID{2}, group.MemberID{3}, group.MemberID{4}, group.MemberID{5}, group.MemberID{6}
	well := beacon.Says{Router: true, LANWell: true, WANWell: true, Sharing: true}
	router := func(m group.MemberID, s beacon.Says) beacon.Neighbor {
		return beacon.Neighbor{Member: m, MAC: macOf(m), Says: s}
	}
	quiet := router(silent, well)
	quiet.Silent = true
	name := func(m group.MemberID) string { return fmt.Sprintf("m%d", m[0]) }
	c := company{
		self:     router(self, well),
		others:   []beacon.Neighbor{router(second, well), router(ill, beacon.Says{Router: true, LANWell: true}), quiet, {Member: host, MAC: macOf(host)}},
		standing: []group.MemberID{ill, gone},
		circle:   share.NewCircle(self, self, second),
	}
	var got []string
	for _, n := range c.describe(name) {
		got = append(got, fmt.Sprintf("%s %s %d %s self=%t", n.Name, n.State, n.Percent, n.StandIn, n.Self))
	}
	slices.Sort(got)
	want := []string{
		"m1 serving 50  self=true", "m2 serving 50  self=false", "m3 wanDown 0 m1 self=false",
		"m4 silent 0 " + name(c.circle.Owner(share.MemberKey(silent))) + " self=false", "m5 silent 0 m1 self=false", "m6 host 0  self=false",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}
