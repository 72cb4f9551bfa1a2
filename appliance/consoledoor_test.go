package appliance

import (
	"errors"
	"net/netip"
	"testing"

	"landbridge/internal/config"
)

func TestTheConsoleIsForTheNetworksThatTheOperatorMeans(t *testing.T) {
	network := func(s string, isDefault bool) hostNetwork {
		p := netip.MustParsePrefix(s)
		return newHostNetwork(p, "eth0", isDefault, false)
	}
	look := func() ([]hostNetwork, error) {
		return []hostNetwork{
			network("127.0.0.1/8", false), network("192.168.1.5/24", false), network("fd00::5/64", false),
			network("10.0.0.2/24", true), network("203.0.113.5/24", true), network("198.51.100.5/24", false),
			newHostNetwork(netip.MustParsePrefix("fe80::5/64"), "wan", true, false), newHostNetwork(netip.MustParsePrefix("fe80::5/64"), "lan", false, false),
			newHostNetwork(netip.MustParsePrefix("10.77.0.9/16"), "lb0", false, true),
		}, nil
	}
	everywhere, wan := config.Console{}, config.Console{}
	everywhere.Listen = []netip.AddrPort{netip.MustParseAddrPort("[::]:4861")}
	wan.Listen = []netip.AddrPort{netip.MustParseAddrPort("10.0.0.2:4861"), netip.MustParseAddrPort("203.0.113.5:4861")}
	named := everywhere
	named.Allow = []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24")}
	private := everywhere
	private.AllowPrivate = true
	overlay, throughOverlay := config.Console{}, everywhere
	overlay.Listen = []netip.AddrPort{netip.MustParseAddrPort("10.77.0.9:4861")}
	throughOverlay.Allow = []netip.Prefix{netip.MustParsePrefix("10.77.0.0/16")}
	tests := []struct {
		what          string
		config        config.Console
		local, remote string
		want          bool
	}{
		{"loopback", everywhere, "127.0.0.1", "127.0.0.1", true},
		{"loopback, IPv6", everywhere, "::1", "::1", true},
		{"the LAN", everywhere, "192.168.1.5", "192.168.1.77", true},
		{"the LAN, as a mapped address", everywhere, "::ffff:192.168.1.5", "::ffff:192.168.1.77", true},
		{"the LAN, IPv6", everywhere, "fd00::5", "fd00::77", true},
		{"a network behind a router of the LAN", everywhere, "192.168.1.5", "192.168.2.77", false},
		{"from the Internet to the LAN's address", everywhere, "192.168.1.5", "203.0.113.77", false},
		{"a public network on a LAN port", everywhere, "198.51.100.5", "198.51.100.77", false},
		{"the default route's interface", everywhere, "10.0.0.2", "10.0.0.77", false},
		{"the same, named", wan, "10.0.0.2", "10.0.0.77", true},
		{"a public address, named", wan, "203.0.113.5", "203.0.113.77", false},
		{"this host itself", everywhere, "10.0.0.2", "10.0.0.2", true},
		{"an address that has gone", everywhere, "192.168.9.9", "192.168.9.1", false},
		{"link-local, where another card has the same address", everywhere, "fe80::5%lan", "fe80::77%lan", true},
		{"the same, by the default route's interface", everywhere, "fe80::5%wan", "fe80::77%wan", false},
		{"another site by the overlay", everywhere, "10.77.0.9", "10.77.4.2", false},
		{"another site by the overlay, named", overlay, "10.77.0.9", "10.77.4.2", false},
		{"this host by the overlay", everywhere, "10.77.0.9", "10.77.0.9", true},
		{"another site, allowed", throughOverlay, "10.77.0.9", "10.77.4.2", true},
		{"what console-allow names", named, "203.0.113.5", "203.0.113.77", true},
		{"private networks, by the default route's interface", private, "10.0.0.2", "10.0.0.77", true},
		{"private networks, behind a router", private, "192.168.1.5", "192.168.2.77", true},
		{"private networks, link-local", private, "fe80::5%wan", "fe80::77%wan", true},
		{"private networks: not the Internet", private, "203.0.113.5", "203.0.113.77", false},
		{"private networks: not the overlay", private, "10.77.0.9", "10.77.4.2", false},
		{"private networks: not the overlay, to another address", private, "192.168.1.5", "10.77.4.2", false},
		{"private networks: an address that has gone", private, "192.168.9.9", "192.168.9.1", false},
		{"private networks: this host by the overlay", private, "10.77.0.9", "10.77.0.9", true},
		{"what console-allow doesn't name", named, "192.168.1.5", "192.168.1.77", false},
	}
	for _, tt := range tests {
		k := newDoorkeeper(tt.config, look)
		if got := k.allows(netip.MustParseAddr(tt.local), netip.MustParseAddr(tt.remote)); got != tt.want {
			t.Errorf("%s: %s to %s: %t", tt.what, tt.remote, tt.local, got)
		}
	}
	blind := newDoorkeeper(everywhere, func() ([]hostNetwork, error) { return nil, errors.New("no netlink") })
	if blind.allows(netip.MustParseAddr("192.168.1.5"), netip.MustParseAddr("192.168.1.77")) {
		t.Error("who doesn't know its networks lets everybody in")
	}
}
