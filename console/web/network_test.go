package web

import (
	"strings"
	"testing"
)

func TestTheNetworkPageShowsEachGroupsSegmentAndWhoServesIt(t *testing.T) {
	f := newFake(2, 3)
	server := serve(f)
	body := get(t, server, "/network").body
	for _, want := range []string{
		"VLAN 10 of enp3s0", "all of this LAN", "2 that the configuration names", "lisbon does its work", "reaches no other member", "a host, hybrid mode",
		"50 %", `href="/leases?group=aa01&amp;site=here">42 with addresses`, "A DHCP server, <span class=\"mono\">192.168.1.1", "No other DHCP server and no other gateway",
	} {
		if !strings.Contains(body, want) {
			t.Errorf("the page doesn't say %q", want)
		}
	}
	part := get(t, server, "/network", "HX-Request", "true", "HX-Target", "segments").body
	if !strings.Contains(part, "VLAN 10") || strings.Contains(part, "<html") || strings.Contains(part, "Registered hosts") {
		t.Errorf("the part that is brought up to date is %.200s", part)
	}
}
