package iface

import (
	"bytes"
	"errors"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"landbridge/internal/frame"
)

func TestBridgeJoinsThePortAndCloseRestoresIt(t *testing.T) {
	for _, wasUp := range []bool{true, false} {
		inNamespace(t)
		addLAN(t, "lan0")
		if !wasUp {
			must(t, netlink.LinkSetDown(linkNamed(t, "lan0")))
		}
		must(t, netlink.LinkSetMTU(linkNamed(t, "lan0"), 1450))
		_ = os.WriteFile(nfCallIPTables, []byte("1"), 0)
		tap := openTAP(t)
		b, err := CreateBridge(bridgeConfig(tap, "lan0"))
		must(t, err)

		bridge, port, dev := linkNamed(t, "lbbr0").Attrs(), linkNamed(t, "lan0").Attrs(), linkNamed(t, "lb0").Attrs()
		if port.MasterIndex != bridge.Index || dev.MasterIndex != bridge.Index {
			t.Error("port or TAP isn't on the bridge")
		}
		if bridge.Flags&net.FlagUp == 0 || port.Flags&net.FlagUp == 0 {
			t.Error("bridge or port is down")
		}
		if bridge.MTU != 1450 || dev.MTU != 1450 || b.MTU() != 1450 {
			t.Errorf("MTU of bridge, TAP, Bridge: %d, %d, %d", bridge.MTU, dev.MTU, b.MTU())
		}
		if got, err := os.ReadFile(nfCallIPTables); err == nil && string(got) != "0\n" {
			t.Errorf("bridged frames still pass iptables: %q", got)
		}

		if snoops := linkNamed(t, "lbbr0").(*netlink.Bridge).MulticastSnooping; snoops == nil || *snoops {
			t.Error("the bridge snoops on multicast")
		}
		if port, err := netlink.LinkGetProtinfo(linkNamed(t, "lb0")); err != nil || port.Learning || port.Flood {
			t.Errorf("the TAP's port: %+v, %v", port, err)
		}
		for _, on := range []bool{true, false} {
			must(t, b.Overhear(on))
			if port, err := netlink.LinkGetProtinfo(linkNamed(t, "lb0")); err != nil || port.Flood != on || port.Learning {
				t.Errorf("the TAP's port after Overhear(%t): %+v, %v", on, port, err)
			}
		}

		for _, on := range []bool{true, false} {
			must(t, b.Multicast(on))
			flag, err := os.ReadFile("/sys/class/net/lb0/brport/multicast_flood")
			if want := map[bool]string{true: "1\n", false: "0\n"}[on]; err == nil && string(flag) != want {
				t.Errorf("the TAP after Multicast(%t): %q", on, flag)
			}
		}

		must(t, b.Close())
		must(t, b.Close())
		assertReleased(t, "lan0", wasUp)
		if got, err := os.ReadFile(nfCallIPTables); err == nil && string(got) != "1\n" {
			t.Errorf("bridge-nf-call-iptables came back as %q", got)
		}
		if !exists("lb0") {
			t.Error("Close of the bridge took the TAP along")
		}
	}
}

// assertReleased checks that the port is as it was, and that the bridge, lbbr0 unless
// another is named, has gone.
func assertReleased(t *testing.T, port string, up bool, bridge ...string) {
	t.Helper()
	if exists(append(bridge, "lbbr0")[0]) {
		t.Error("the bridge is still there")
	}
	a := linkNamed(t, port).Attrs()
	if a.MasterIndex != 0 || a.Promisc != 0 {
		t.Errorf("%s: master %d, promiscuous %d", port, a.MasterIndex, a.Promisc)
	}
	if got := a.Flags&net.FlagUp != 0; got != up {
		t.Errorf("%s is up: %v, want %v", port, got, up)
	}
}

func TestTAPSeesBroadcastAndTheGatewayMACOnly(t *testing.T) {
	inNamespace(t)
	host := addLAN(t, "lan0")
	tap := openTAP(t)
	b, err := CreateBridge(bridgeConfig(tap, "lan0"))
	must(t, err)
	defer b.Close()
	awaitForwarding(t, tap, host)

	fd := rawSocket(t, host.Attrs().Index)
	foreign := net.HardwareAddr{0x02, 0xdd, 0, 0, 0, 9}
	multicast := net.HardwareAddr{0x01, 0, 0x5e, 0, 0, 0x42}
	stp := net.HardwareAddr{0x01, 0x80, 0xc2, 0, 0, 0}
	for i, dst := range []net.HardwareAddr{foreign, multicast, stp, gatewayMAC, {255, 255, 255, 255, 255, 255}} {
		must(t, unix.Send(fd, testFrame(dst, byte(10+i)), 0))
	}
	got := readFrames(t, tap, 2)
	if got[0][20] != 13 || got[1][20] != 14 {
		t.Errorf("the TAP got frames %d and %d, want 13 (gateway MAC) and 14 (broadcast)", got[0][20], got[1][20])
	}
}

// awaitForwarding returns once the bridge passes frames from the host to the TAP.
func awaitForwarding(t *testing.T, tap *TAP, host netlink.Link) {
	t.Helper()
	fd := rawSocket(t, host.Attrs().Index)
	pkts := make([]frame.Packet, 16)
	probe := testFrame(gatewayMAC, 0xee)
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); {
		must(t, unix.Send(fd, probe, 0))
		awaitFrames(t, tap, 20*time.Millisecond)
		n, err := tap.ReadBatch(pkts)
		must(t, err)
		for _, p := range pkts[:n] {
			if bytes.Equal(p.Ethernet(), probe) {
				drain(t, tap)
				return
			}
		}
	}
	t.Fatal("the bridge passes nothing")
}

func drain(t *testing.T, tap *TAP) {
	t.Helper()
	pkts := make([]frame.Packet, 16)
	for awaitFrames(t, tap, 50*time.Millisecond) {
		_, err := tap.ReadBatch(pkts)
		must(t, err)
	}
}

func TestUnfitPortsAreRefusedAndNothingChanges(t *testing.T) {
	inNamespace(t)
	addLAN(t, "lan0")
	addLAN(t, "wan0")
	addAddr(t, "wan0", "192.0.2.2/24")
	must(t, netlink.RouteAdd(&netlink.Route{Gw: net.IPv4(192, 0, 2, 1), LinkIndex: linkNamed(t, "wan0").Attrs().Index}))
	addLAN(t, "mgmt0")
	addAddr(t, "mgmt0", "198.51.100.2/24")
	addLAN(t, "taken0")
	other := netlink.NewLinkAttrs()
	other.Name = "br-other"
	must(t, netlink.LinkAdd(&netlink.Bridge{LinkAttrs: other}))
	must(t, netlink.LinkSetMaster(linkNamed(t, "taken0"), linkNamed(t, "br-other")))
	tap := openTAP(t)

	for _, c := range []struct {
		port string
		want error
		says string
	}{
		{"eth9", ErrNoPort, "lan0"},
		{"lo", ErrLoopback, "loopback"},
		{"lb0", ErrOwnDevice, "Landbridge itself"},
		{"br-other", ErrNotEthernet, "is a bridge"},
		{"taken0", ErrEnslaved, "br-other"},
		{"wan0", ErrDefaultRoute, "default route"},
		{"mgmt0", ErrHasAddress, "198.51.100.2/24"},
	} {
		before := snapshot(t)
		_, err := CreateBridge(bridgeConfig(tap, c.port))
		var refused *PortError
		if !errors.Is(err, c.want) || !errors.As(err, &refused) || refused.Port != c.port || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: got %v", c.port, err)
		}
		if err2 := CheckPort(c.port, "test"); !errors.Is(err2, c.want) {
			t.Errorf("CheckPort(%s): %v", c.port, err2)
		}
		if after := snapshot(t); after != before {
			t.Errorf("%s: the host's network changed from\n%s\nto\n%s", c.port, before, after)
		}
	}
	must(t, CheckPort("lan0", "test"))
}

// snapshot describes all devices.
func snapshot(t *testing.T) string {
	t.Helper()
	links, err := netlink.LinkList()
	must(t, err)
	var b strings.Builder
	for _, l := range links {
		a := l.Attrs()
		b.WriteString(strings.Join([]string{a.Name, l.Type(), a.Alias, (a.Flags &^ net.FlagRunning).String()}, " ")) // "running" follows by itself, later
		b.WriteString(string(rune('0'+a.MasterIndex)) + "\n")
	}
	return b.String()
}

func TestABridgeOfThatNameIsLeftAlone(t *testing.T) {
	inNamespace(t)
	addLAN(t, "lan0")
	foreign := netlink.NewLinkAttrs()
	foreign.Name = "lbbr0"
	must(t, netlink.LinkAdd(&netlink.Bridge{LinkAttrs: foreign}))
	must(t, netlink.LinkSetAlias(linkNamed(t, "lbbr0"), "somebody's"))
	cfg := bridgeConfig(openTAP(t), "lan0")
	cfg.Name = "lbbr0"
	if _, err := CreateBridge(cfg); !errors.Is(err, ErrNameTaken) {
		t.Errorf("got %v", err)
	}
	if !exists("lbbr0") || linkNamed(t, "lan0").Attrs().MasterIndex != 0 {
		t.Error("something was changed")
	}
	cfg.Name = "" // any will do
	b, err := CreateBridge(cfg)
	must(t, err)
	if b.Name() != "lbbr1" || linkNamed(t, "lan0").Attrs().MasterIndex != linkNamed(t, "lbbr1").Attrs().Index {
		t.Errorf("the bridge is %s, want lbbr1 with the port", b.Name())
	}
	must(t, b.Close())
	assertReleased(t, "lan0", true, "lbbr1")
	if !exists("lbbr0") {
		t.Error("the other's bridge was removed")
	}
}
