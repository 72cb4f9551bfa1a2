package iface

import (
	"errors"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"landbridge/internal/frame"
)

func TestAPortThatAKilledRouterLeftIsFitForHybridMode(t *testing.T) {
	inNamespace(t)
	addLAN(t, "lan0")
	killed(t, "lan0")
	must(t, CheckPresence("lan0", "test"))
	if err := CheckPresence("lan0", "somebody-else"); !errors.Is(err, ErrEnslaved) {
		t.Errorf("for another appliance: %v", err)
	}
	live, err := CreateBridge(bridgeConfig(openTAP(t), "lan0"))
	must(t, err)
	defer live.Close()
	if err := CheckPresence("lan0", "test"); !errors.Is(err, ErrEnslaved) {
		t.Errorf("while a run lives: %v", err)
	}
}

func TestABridgeThatSomethingTamperedWithIsNoticed(t *testing.T) {
	inNamespace(t)
	addLAN(t, "lan0")
	tap := openTAP(t)
	b, err := CreateBridge(bridgeConfig(tap, "lan0"))
	must(t, err)
	defer b.Close()
	must(t, b.Check("lan0"))
	must(t, tap.Check())

	must(t, netlink.LinkSetDown(linkNamed(t, "lan0")))
	if b.Check("lan0") == nil {
		t.Error("a port that is down wasn't noticed")
	}
	must(t, netlink.LinkSetUp(linkNamed(t, "lan0")))
	must(t, netlink.LinkSetNoMaster(linkNamed(t, "lan0")))
	if b.Check("lan0") == nil {
		t.Error("a port that was taken off wasn't noticed")
	}
	must(t, netlink.LinkSetDown(linkNamed(t, tap.Name())))
	if tap.Check() == nil {
		t.Error("a TAP that is down wasn't noticed")
	}
}

func TestASegmentIsAskedByARP(t *testing.T) {
	inNamespace(t)
	addLAN(t, "lan0")
	addAddr(t, "lan0-host", "10.9.0.1/16") // the kernel answers there for it
	mac, _ := frame.MACFrom(linkNamed(t, "lan0-host").Attrs().HardwareAddr)
	if err := AskARP("lan0", netip.MustParseAddr("10.9.0.1"), mac, time.Now().Add(30*time.Second)); err != nil {
		t.Errorf("asked for 10.9.0.1: %v", err)
	}
	if err := AskARP("lan0", netip.MustParseAddr("10.9.0.1"), frame.MAC{2, 1}, time.Now().Add(50*time.Millisecond)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("another station has answered than was asked: %v", err)
	}
	if err := AskARP("lan0", netip.MustParseAddr("10.9.0.2"), mac, time.Now().Add(50*time.Millisecond)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("asked for an address that nobody has: %v", err)
	}
}

func TestAnAddressLeadsToItsDevice(t *testing.T) {
	inNamespace(t)
	addLAN(t, "lan0")
	addAddr(t, "lan0", "192.0.2.7/24")
	for addr, want := range map[string]string{"192.0.2.7": "lan0", "::ffff:192.0.2.7": "lan0", "192.0.2.8": "", "fe80::1%eth7": "eth7"} {
		if got, err := DeviceOf(netip.MustParseAddr(addr)); err != nil || got != want {
			t.Errorf("%s is on %q, %v, want %q", addr, got, err, want)
		}
	}
	for addr, want := range map[string]bool{"192.0.2.7": true, "192.0.2.8": false} {
		if got, err := HasAddress("lan0", netip.MustParseAddr(addr)); err != nil || got != want {
			t.Errorf("lan0 has %s: %v, %v", addr, got, err)
		}
	}
}
