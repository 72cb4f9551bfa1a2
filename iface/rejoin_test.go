package iface

import (
	"errors"
	"testing"

	"github.com/vishvananda/netlink"
)

func TestAPortThatReturnsIsPutOnTheBridgeAgain(t *testing.T) {
	inNamespace(t)
	addLAN(t, "lan0")
	tap := openTAP(t)
	b, err := CreateBridge(bridgeConfig(tap, "lan0"))
	must(t, err)
	if joined, err := b.Rejoin(); joined || err != nil {
		t.Errorf("a port that is there: %t, %v", joined, err)
	}
	must(t, netlink.LinkDel(linkNamed(t, "lan0")))
	if joined, err := b.Rejoin(); joined || !errors.Is(err, ErrNoPort) {
		t.Errorf("a port that has gone: %t, %v", joined, err)
	}
	host := addLAN(t, "lan0")
	addAddr(t, "lan0", "192.0.2.2/24") // somebody uses it otherwise now
	if joined, err := b.Rejoin(); joined || !errors.Is(err, ErrHasAddress) {
		t.Errorf("a port that has got an address: %t, %v", joined, err)
	}
	addrs, err := netlink.AddrList(linkNamed(t, "lan0"), netlink.FAMILY_V4)
	must(t, err)
	must(t, netlink.AddrDel(linkNamed(t, "lan0"), &addrs[0]))
	must(t, netlink.LinkSetDown(linkNamed(t, "lan0")))
	if joined, err := b.Rejoin(); !joined || err != nil {
		t.Errorf("a port that is back: %t, %v", joined, err)
	}
	awaitForwarding(t, tap, host)
	must(t, b.Close())
	assertReleased(t, "lan0", false) // as it was when it came back
}
