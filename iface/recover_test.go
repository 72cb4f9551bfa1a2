package iface

import (
	"errors"
	"net/netip"
	"os"
	"testing"

	"github.com/vishvananda/netlink"
)

// killed leaves what a killed run leaves: its bridge, lbbr0 unless another is named,
// around the port.
func killed(t *testing.T, port string, bridge ...string) {
	t.Helper()
	before := links(t)
	child := startChild(t, port)
	must(t, child.Process.Kill())
	_ = child.Wait()
	for name, kind := range links(t) {
		if _, there := before[name]; !there && kind == "tuntap" {
			t.Fatal("the TAP outlived its process")
		}
	}
	name := append(bridge, "lbbr0")[0]
	if linkNamed(t, port).Attrs().MasterIndex != linkNamed(t, name).Attrs().Index {
		t.Fatal("the killed child left no bridge with the port: nothing to recover from")
	}
}

// links lists the devices and their kinds.
func links(t *testing.T) map[string]string {
	t.Helper()
	all, err := netlink.LinkList()
	must(t, err)
	kinds := make(map[string]string)
	for _, l := range all {
		kinds[l.Attrs().Name] = l.Type()
	}
	return kinds
}

func TestRecoverAfterKillRestoresThePort(t *testing.T) {
	for _, wasUp := range []bool{true, false} {
		inNamespace(t)
		addLAN(t, "lan0")
		if !wasUp {
			must(t, netlink.LinkSetDown(linkNamed(t, "lan0")))
		}
		_ = os.WriteFile(nfCallIPTables, []byte("1"), 0)
		killed(t, "lan0")

		must(t, Recover("somebody-else", quiet()))
		must(t, Recover("test", quiet(), "lan0"))
		if !exists("lbbr0") {
			t.Fatal("a bridge that isn't theirs, or is to be kept, was removed")
		}
		must(t, Recover("test", quiet()))
		assertReleased(t, "lan0", wasUp)
		if got, err := os.ReadFile(nfCallIPTables); err == nil && string(got) != "1\n" {
			t.Errorf("bridge-nf-call-iptables came back as %q", got)
		}
		must(t, Recover("test", quiet()))
	}
}

// Killed as it released the port, it leaves a bridge that nobody would take over.
func TestABridgeWithoutItsPortIsNotKept(t *testing.T) {
	inNamespace(t)
	addLAN(t, "lan0")
	killed(t, "lan0")
	must(t, netlink.LinkSetNoMaster(linkNamed(t, "lan0")))
	must(t, Recover("test", quiet(), "lan0"))
	if exists("lbbr0") {
		t.Error("it is still there, beside the one that the next run makes")
	}
}

func TestRestartTakesTheBridgeOver(t *testing.T) {
	inNamespace(t)
	host := addLAN(t, "lan0")
	must(t, netlink.LinkSetDown(linkNamed(t, "lan0")))
	killed(t, "lan0")
	left := linkNamed(t, "lbbr0").Attrs().Index
	if err := CheckPort("lan0", "somebody-else"); !errors.Is(err, ErrEnslaved) {
		t.Errorf("another owner's CheckPort: %v", err)
	}

	tap := openTAP(t)
	b, err := CreateBridge(bridgeConfig(tap, "lan0"))
	must(t, err)
	if linkNamed(t, "lbbr0").Attrs().Index != left {
		t.Error("the bridge was made anew")
	}
	awaitForwarding(t, tap, host)
	must(t, b.Close())
	assertReleased(t, "lan0", false) // as it was before the first run, which was killed
}

func TestRestartUnderAnotherNameRemovesTheFirstBridge(t *testing.T) {
	inNamespace(t)
	addLAN(t, "lan0")
	killed(t, "lan0")
	cfg := bridgeConfig(openTAP(t), "lan0")
	cfg.Name = "lbbr7"
	b, err := CreateBridge(cfg)
	must(t, err)
	if exists("lbbr0") {
		t.Error("the first bridge is still there")
	}
	if linkNamed(t, "lan0").Attrs().MasterIndex != linkNamed(t, "lbbr7").Attrs().Index {
		t.Error("the port isn't on the new bridge")
	}
	must(t, b.Close())
	assertReleased(t, "lan0", true)
}

func TestTwoLiveBridgesLeaveEachOtherAlone(t *testing.T) {
	inNamespace(t)
	addLAN(t, "lan0")
	addLAN(t, "lan1")
	first, err := CreateBridge(bridgeConfig(openTAP(t), "lan0"))
	must(t, err)
	cfg := bridgeConfig(openTAP(t), "lan0")
	cfg.Name = "lbbr1"
	if _, err := CreateBridge(cfg); !errors.Is(err, ErrEnslaved) {
		t.Errorf("the same port twice: %v", err)
	}
	cfg.LANPort, cfg.Name = "lan1", "lbbr0"
	if _, err := CreateBridge(cfg); !errors.Is(err, ErrNameTaken) {
		t.Errorf("the same bridge twice: %v", err)
	}
	cfg.Name = "lbbr1"
	second, err := CreateBridge(cfg)
	must(t, err)
	if linkNamed(t, "lan0").Attrs().MasterIndex != linkNamed(t, "lbbr0").Attrs().Index {
		t.Error("the second took the first's port")
	}
	must(t, second.Close())
	must(t, first.Close())
	assertReleased(t, "lan0", true)
	assertReleased(t, "lan1", true)
}

// Two appliances of their own states on one machine, both in router mode; one is killed
// and finds its own bridge again by the marker, not by the name.
func TestASecondApplianceGetsABridgeOfItsOwn(t *testing.T) {
	inNamespace(t)
	addLAN(t, "lan0")
	addLAN(t, "lan1")
	cfg := bridgeConfig(openTAP(t), "lan0")
	cfg.Owner = "first"
	first, err := CreateBridge(cfg)
	must(t, err)
	killed(t, "lan1", "lbbr1")
	left := linkNamed(t, "lbbr1").Attrs().Index
	must(t, first.Close())
	assertReleased(t, "lan0", true)

	second, err := CreateBridge(bridgeConfig(openTAP(t), "lan1")) // though lbbr0 is free now
	must(t, err)
	if second.Name() != "lbbr1" || linkNamed(t, "lbbr1").Attrs().Index != left {
		t.Errorf("the bridge is %s, want the one that the killed run left", second.Name())
	}
	must(t, second.Close())
	assertReleased(t, "lan1", true, "lbbr1")
}

func TestABridgeKilledBeforeItsMarkerIsTakenOver(t *testing.T) {
	inNamespace(t)
	addLAN(t, "lan0")
	half := netlink.NewLinkAttrs()
	half.Name = "lbbr0"
	must(t, netlink.LinkAdd(&netlink.Bridge{LinkAttrs: half}))
	cfg := bridgeConfig(openTAP(t), "lan0")
	cfg.Name = "lbbr0"
	b, err := CreateBridge(cfg)
	must(t, err)
	must(t, b.Close())
	assertReleased(t, "lan0", true)
}

func TestOverlapsRoute(t *testing.T) {
	inNamespace(t)
	addLAN(t, "lan0")
	addAddr(t, "lan0", "10.9.4.2/24")
	addLAN(t, "wan0")
	addAddr(t, "wan0", "192.0.2.2/24")
	wan := linkNamed(t, "wan0").Attrs().Index
	for _, dst := range []string{"0.0.0.0/0", "0.0.0.0/1", "128.0.0.0/1"} {
		d, err := netlink.ParseIPNet(dst)
		must(t, err)
		must(t, netlink.RouteAdd(&netlink.Route{Dst: d, Gw: []byte{192, 0, 2, 1}, LinkIndex: wan}))
	}
	elsewhere, err := netlink.ParseIPNet("10.77.0.0/16")
	must(t, err)
	must(t, netlink.RouteAdd(&netlink.Route{Dst: elsewhere, Gw: []byte{192, 0, 2, 1}, LinkIndex: wan, Table: 77}))

	for _, c := range []struct{ prefix, route, dev string }{
		{"10.9.0.0/16", "10.9.4.0/24", "lan0"},
		{"10.9.4.128/25", "10.9.4.0/24", "lan0"},
		{"10.77.5.0/24", "10.77.0.0/16", "wan0"},
		{"10.10.0.0/16", "", ""},
	} {
		route, dev, err := OverlapsRoute(netip.MustParsePrefix(c.prefix))
		must(t, err)
		if (c.route == "") != !route.IsValid() || dev != c.dev || (route.IsValid() && route.String() != c.route) {
			t.Errorf("%s: %v over %q, want %s over %q", c.prefix, route, dev, c.route, c.dev)
		}
	}
}

func TestLocalAddrsLeavesOutWhatPeersCannotUse(t *testing.T) {
	inNamespace(t)
	must(t, netlink.LinkSetUp(linkNamed(t, "lo")))
	addLAN(t, "lan0")
	addAddr(t, "lan0", "192.0.2.2/24")
	addLAN(t, "group0")
	addAddr(t, "group0", "10.9.1.1/16")
	addLAN(t, "down0")
	addAddr(t, "down0", "198.51.100.2/24")
	must(t, netlink.LinkSetDown(linkNamed(t, "down0")))
	must(t, AssignAddress(openTAP(t), netip.MustParsePrefix("203.0.113.9/24")))
	got, err := LocalAddrs(netip.MustParsePrefix("10.9.0.0/16"))
	must(t, err)
	if len(got) != 1 || got[0] != netip.MustParseAddr("192.0.2.2") {
		t.Errorf("got %v", got)
	}
}

func FuzzMarkerComesBackAsWritten(f *testing.F) {
	f.Add("landbridge:abc port=eth1 down nf=1")
	f.Add("landbridge:")
	f.Add("landbridge:x port= nf= down down")
	f.Fuzz(func(t *testing.T, alias string) {
		m, ok := parseMarker(alias)
		if !ok {
			return
		}
		again, ok := parseMarker(m.String())
		if !ok || again != m {
			t.Errorf("%q read as %+v, then as %+v", alias, m, again)
		}
	})
}
