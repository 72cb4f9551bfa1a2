package appliance

import (
	"strings"
	"testing"

	"landbridge/internal/group"
)

func TestAnInvitationNamesPlacesThatCanBeFound(t *testing.T) {
	var self group.MemberID
	for place, good := range map[string]bool{
		"vpn.example.net": true, "vpn.example.net:4861": true, "203.0.113.5": true, "[2001:db8::5]:4860": true, "/dns/vpn/udp/4860/quic-v1": true,
		"address": false, "address:4860": false, "an address": false,
	} {
		addrs, err := invitationAddrs(self, []string{place}, []string{"/known"})
		if (err == nil) != good || good && !strings.HasSuffix(addrs[0], "/p2p/"+self.String()) {
			t.Errorf("%q: %q, %v", place, addrs, err)
		}
	}
	if addrs, err := invitationAddrs(self, nil, []string{"/known"}); err != nil || len(addrs) != 1 || addrs[0] != "/known" {
		t.Errorf("none is named: %q, %v", addrs, err)
	}
}
