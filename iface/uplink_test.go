package iface

import (
	"log/slog"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
)

func TestAnUplinkIsADeviceThatCarriesFramesAndHasAnAddress(t *testing.T) {
	inNamespace(t)
	addLAN(t, "eth0")
	addLAN(t, "lan0")
	for _, c := range []struct{ device, addr string }{{"lan0", "192.0.2.9/24"}} { // the LAN port's don't count
		addr, err := netlink.ParseAddr(c.addr)
		must(t, err)
		must(t, netlink.AddrAdd(linkNamed(t, c.device), addr))
		must(t, netlink.LinkSetUp(linkNamed(t, c.device)))
	}
	said := make(chan bool, 16)
	w, err := WatchUplink(slog.New(slog.DiscardHandler), func(up bool) { said <- up }, "lan0", "lan0-host", "eth0-host")
	must(t, err)
	defer w.Close()
	expect := func(what string, want bool) {
		t.Helper()
		select {
		case up := <-said:
			if up != want {
				t.Fatalf("%s: %v", what, up)
			}
		case <-time.After(30 * time.Second):
			t.Fatalf("%s: nothing was said", what)
		}
	}
	expect("without an address", false)
	addr, err := netlink.ParseAddr("198.51.100.7/24")
	must(t, err)
	must(t, netlink.LinkSetUp(linkNamed(t, "eth0")))
	must(t, netlink.AddrAdd(linkNamed(t, "eth0"), addr))
	expect("with one", true)
	must(t, netlink.LinkSetDown(linkNamed(t, "eth0-host")))
	expect("without a carrier", false)
	must(t, netlink.LinkSetUp(linkNamed(t, "eth0-host")))
	expect("with a carrier", true)
	must(t, netlink.LinkSetDown(linkNamed(t, "eth0")))
	expect("down", false)
}
