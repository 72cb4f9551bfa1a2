package iface

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"landbridge/internal/frame"
)

var (
	virtual  = netip.MustParseAddr("10.9.1.1")
	neighbor = netip.MustParseAddr("10.9.7.7")
)

// addNIC makes a port that the host uses for itself: address, default route, and packets
// filtered by the way back.
func addNIC(t *testing.T, port string) (host netlink.Link) {
	t.Helper()
	must(t, netlink.LinkSetUp(linkNamed(t, "lo")))
	host = addLAN(t, port)
	addAddr(t, port, "192.0.2.2/24")
	must(t, netlink.RouteAdd(&netlink.Route{Gw: net.IPv4(192, 0, 2, 1), LinkIndex: linkNamed(t, port).Attrs().Index}))
	must(t, setFilter(port, filterStrict))
	return host
}

// system returns what a presence could change. Lifetimes aren't shown by iproute2 for what
// has none.
func system(t *testing.T, port string) string {
	t.Helper()
	out, err := exec.Command("sh", "-c", `ip -j addr show dev `+port+`; ip -j route show table all; ip -j rule; ip -j neigh show nud permanent;
		cat /proc/sys/net/ipv4/conf/`+port+`/rp_filter`).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return string(out)
}

func awaitCarrier(t *testing.T, port string) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); linkNamed(t, port).Attrs().OperState != netlink.OperUp; {
		if time.Now().After(end) {
			t.Fatal(port + " has no carrier")
		}
		time.Sleep(time.Millisecond)
	}
}

// withAddress opens a TAP that has addr.
func withAddress(t *testing.T, addr netip.Addr) *TAP {
	t.Helper()
	tap := openTAP(t)
	must(t, AssignAddress(tap, netip.PrefixFrom(addr, 16)))
	return tap
}

func enter(t *testing.T, port string, addr netip.Addr, tap *TAP) *Presence {
	t.Helper()
	p, err := EnterPresence(PresenceConfig{Port: port, Addr: addr, TAP: tap, Log: quiet()})
	must(t, err)
	t.Cleanup(func() { _ = p.Close() })
	return p
}

// wayTo asks the kernel how it would send to addr: the device and the source.
func wayTo(t *testing.T, addr string) string {
	t.Helper()
	out, err := exec.Command("ip", "-o", "route", "get", addr).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	m := regexp.MustCompile(`dev (\S+).* src (\S+)`).FindStringSubmatch(string(out))
	if m == nil {
		t.Fatalf("ip route get: %s", out)
	}
	return m[1] + " from " + m[2]
}

func assertWay(t *testing.T, addr, want string) {
	t.Helper()
	if got := wayTo(t, addr); got != want {
		t.Errorf("the way to %s is %s, want %s", addr, got, want)
	}
}

func TestAPresenceRoutesByThePortAndLeavesItAsItWas(t *testing.T) {
	inNamespace(t)
	addNIC(t, "lan0")
	awaitCarrier(t, "lan0")
	before := system(t, "lan0")
	must(t, CheckPresence("lan0", "test"))

	tap := withAddress(t, virtual)
	p := enter(t, "lan0", virtual, tap)
	assertWay(t, "10.9.7.7", "lb0 from 10.9.1.1")
	must(t, p.AddRoute(neighbor))
	must(t, p.AddRoute(neighbor))
	assertWay(t, "10.9.7.7", "lan0 from 10.9.1.1")
	assertWay(t, "10.9.7.8", "lb0 from 10.9.1.1")
	assertWay(t, "198.51.100.1", "lan0 from 192.0.2.2") // the host's own traffic
	assertWay(t, "192.0.2.77", "lan0 from 192.0.2.2")
	for _, dev := range []string{"lan0", "lb0"} {
		if _, strict, err := strictFilter(dev); err != nil || strict && dev == "lan0" {
			t.Errorf("%s drops what comes the other way (%v)", dev, err)
		}
	}
	must(t, p.RemoveRoute(neighbor))
	must(t, p.RemoveRoute(neighbor))
	assertWay(t, "10.9.7.7", "lb0 from 10.9.1.1")

	must(t, p.AddRoute(neighbor)) // Close finds it by itself
	must(t, p.Close())
	must(t, p.Close())
	assertWay(t, "10.9.7.7", "lb0 from 10.9.1.1")
	must(t, tap.Close())
	if after := system(t, "lan0"); after != before {
		t.Errorf("the port was\n%s\nand is\n%s", before, after)
	}
}

func TestATAPTakesWhatComesFromNativeHostsToo(t *testing.T) {
	inNamespace(t)
	addNIC(t, "lan0")
	must(t, setFilter("all", filterStrict))
	enter(t, "lan0", virtual, withAddress(t, virtual))
	for _, dev := range []string{"lan0", "lb0"} {
		if _, strict, err := strictFilter(dev); err != nil || strict {
			t.Errorf("%s drops what comes the other way (%v)", dev, err)
		}
	}
}

func TestWhatAKilledPresenceLeftIsRecovered(t *testing.T) {
	inNamespace(t)
	addNIC(t, "lan0")
	awaitCarrier(t, "lan0")
	before := system(t, "lan0")
	child := startChild(t, "presence lan0 10.9.1.1")
	living := system(t, "lan0")
	must(t, Recover("somebody-else", quiet()))
	if system(t, "lan0") != living {
		t.Fatal("Recover took from one that lives")
	}
	must(t, child.Process.Kill())
	_ = child.Wait()
	if left := system(t, "lan0"); !strings.Contains(left, "10.9.1.1") || !strings.Contains(left, "10.9.1.2") {
		t.Fatalf("the killed child left nothing to recover from:\n%s", left)
	}

	// What it left says nothing about who owns the prefix, nor where others may reach us.
	if route, dev, err := OverlapsRoute(netip.MustParsePrefix("10.9.0.0/16")); err != nil || route.IsValid() {
		t.Errorf("overlaps %v on %s, %v", route, dev, err)
	}
	if addrs, err := LocalAddrs(); err != nil || len(addrs) != 1 {
		t.Errorf("the addresses of this host are %v, %v", addrs, err)
	}
	must(t, Recover("test", quiet()))
	if after := system(t, "lan0"); after != before {
		t.Errorf("the port was\n%s\nand is\n%s", before, after)
	}
	must(t, Recover("test", quiet()))
}

func TestAnAddressThatSomethingTakesAwayIsGivenAgain(t *testing.T) {
	inNamespace(t)
	addNIC(t, "lan0")
	p := enter(t, "lan0", virtual, withAddress(t, virtual))
	must(t, p.AddRoute(neighbor))
	if out, err := exec.Command("ip", "-4", "addr", "flush", "dev", "lan0").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	missed, err := p.Keep()
	must(t, err)
	if !missed {
		t.Error("the address wasn't missed")
	}
	if missed, err := p.Keep(); missed || err != nil {
		t.Errorf("missed again: %t, %v", missed, err)
	}
	must(t, p.AddRoute(neighbor))      // the kernel has dropped it with the port's last address
	addAddr(t, "lan0", "192.0.2.3/24") // as a DHCP client would
	must(t, netlink.RouteAdd(&netlink.Route{Gw: net.IPv4(192, 0, 2, 1), LinkIndex: linkNamed(t, "lan0").Attrs().Index}))
	assertWay(t, "10.9.7.7", "lan0 from 10.9.1.1")
	assertWay(t, "198.51.100.1", "lan0 from 192.0.2.3")
	must(t, p.Close())
	if left := system(t, "lan0"); strings.Contains(left, ":lb") || !strings.HasSuffix(left, "1\n") {
		t.Errorf("left behind:\n%s", left)
	}
}

func TestTwoGroupsShareAPort(t *testing.T) {
	inNamespace(t)
	addNIC(t, "lan0")
	before := system(t, "lan0")
	first, second := openTAP(t), openTAP(t)
	other := netip.MustParseAddr("10.10.1.1")
	must(t, AssignAddress(first, netip.PrefixFrom(virtual, 16)))
	must(t, AssignAddress(second, netip.PrefixFrom(other, 16)))
	p, q := enter(t, "lan0", virtual, first), enter(t, "lan0", other, second)
	must(t, q.AddRoute(other.Next()))
	must(t, p.Close())
	if _, strict, err := strictFilter("lan0"); strict || err != nil {
		t.Errorf("the second group's port drops what comes the other way (%v)", err)
	}
	assertWay(t, other.Next().String(), "lan0 from 10.10.1.1")
	must(t, q.Close())
	must(t, errors.Join(first.Close(), second.Close()))
	if after := system(t, "lan0"); after != before {
		t.Errorf("the port was\n%s\nand is\n%s", before, after)
	}
}

func TestPortsThatCannotBearAPresenceAreRefused(t *testing.T) {
	inNamespace(t)
	addNIC(t, "lan0")
	addLAN(t, "quiet0")
	must(t, os.WriteFile(ipv4SettingPath("quiet0", "arp_ignore"), []byte("2"), 0))
	addLAN(t, "mute0")
	must(t, netlink.LinkSetARPOff(linkNamed(t, "mute0")))
	addLAN(t, "ours0")
	must(t, netlink.LinkSetAlias(linkNamed(t, "ours0"), marker{owner: "x"}.String()))
	addLAN(t, "taken0")
	attrs := netlink.NewLinkAttrs()
	attrs.Name = "office"
	must(t, netlink.LinkAdd(&netlink.Bridge{LinkAttrs: attrs}))
	must(t, netlink.LinkSetMaster(linkNamed(t, "taken0"), linkNamed(t, "office")))
	for _, c := range []struct {
		port string
		want error
		word string // of the remedy
	}{
		{"nope0", ErrNoPort, "lan0"},
		{"lo", ErrLoopback, "network card"},
		{"ours0", ErrOwnDevice, "network card"},
		{"taken0", ErrEnslaved, "name office instead"},
		{"quiet0", ErrNoARP, "net.ipv4.conf.quiet0.arp_ignore"},
		{"mute0", ErrNoARP, "arp on"},
		{"lan0", nil, ""},
		{"office", nil, ""},
	} {
		err := CheckPresence(c.port, "test")
		if !errors.Is(err, c.want) || c.want == nil && err != nil {
			t.Errorf("%s: %v, want %v", c.port, err, c.want)
		}
		if err != nil && (!strings.Contains(err.Error(), c.port) || !strings.Contains(err.Error(), c.word)) {
			t.Errorf("%s: %q doesn't say what to do", c.port, err)
		}
	}
}

func TestAMarkFitsNamesOfAnyLength(t *testing.T) {
	for _, port := range []string{"eth0", "enp0s31f6", "wlx001122334455"} {
		label := presenceLabel(port, "1")
		a := netlink.Addr{IPNet: hostNet(virtual), Label: label, Scope: unix.RT_SCOPE_LINK, LinkIndex: 7}
		if m, ok := markOf(a); !ok || len(label) > maxLabel || m != (markedAddr{virtual, 7, "1"}) {
			t.Errorf("%s: %q is read as %v, %t", port, label, m, ok)
		}
	}
	for _, a := range []netlink.Addr{
		{IPNet: hostNet(virtual), Label: "eth0", Scope: unix.RT_SCOPE_LINK},
		{IPNet: hostNet(virtual), Label: "eth0:lb"}, // somebody's own, of global scope
		{IPNet: hostNet(virtual), Label: "eth0:lb7", Scope: unix.RT_SCOPE_LINK},
		{IPNet: &net.IPNet{IP: virtual.AsSlice(), Mask: net.CIDRMask(24, 32)}, Label: "eth0:lb", Scope: unix.RT_SCOPE_LINK},
	} {
		if _, ok := markOf(a); ok {
			t.Errorf("%v is taken for a presence's", a)
		}
	}
}

// The kernel answers for the virtual address with the port's own MAC, whatever the source and with
// arp_ignore.
func TestTheKernelAnswersForTheVirtualAddress(t *testing.T) {
	inNamespace(t)
	host := addNIC(t, "lan0")
	awaitCarrier(t, "lan0")
	must(t, os.WriteFile(ipv4SettingPath("lan0", "arp_ignore"), []byte("1"), 0))
	enter(t, "lan0", virtual, withAddress(t, virtual))
	far, err := OpenWire(host.Attrs().Name, frame.EtherTypeARP)
	must(t, err)
	t.Cleanup(func() { _ = far.Close() })
	must(t, far.Write(frame.AppendARP(nil, frame.Broadcast(), far.MAC(), frame.ARPFields{
		Op: frame.ARPRequest, SenderMAC: far.MAC(), SenderIP: neighbor, TargetIP: virtual,
	})))
	own, _ := frame.MACFrom(linkNamed(t, "lan0").Attrs().HardwareAddr)
	for {
		f := readFrameWithin(t, far, 20*time.Second)
		a, err := frame.ParseARP(f[frame.EthernetHeaderLen:])
		must(t, err)
		if a.Op() == frame.ARPReply && a.SenderIP() == virtual {
			if a.SenderMAC() != own {
				t.Errorf("answered with %v, want the port's %v", a.SenderMAC(), own)
			}
			return
		}
	}
}

// A port that a bridge of ours has is judged before it is taken off.
func TestAPortOnOurBridgeIsJudgedForPresence(t *testing.T) {
	inNamespace(t)
	attrs := netlink.NewLinkAttrs()
	attrs.Name = "lbbr0"
	must(t, netlink.LinkAdd(&netlink.Bridge{LinkAttrs: attrs}))
	for _, port := range []string{"lan0", "mute0"} {
		addLAN(t, port)
		must(t, netlink.LinkSetMaster(linkNamed(t, port), linkNamed(t, "lbbr0")))
	}
	must(t, netlink.LinkSetARPOff(linkNamed(t, "mute0")))
	if err := CheckPresenceAfter("lan0"); err != nil {
		t.Error(err)
	}
	for port, want := range map[string]error{"mute0": ErrNoARP, "nope0": ErrNoPort} {
		if err := CheckPresenceAfter(port); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", port, err, want)
		}
	}
}
