package e2e

import (
	"context"
	"fmt"
	"net/netip"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"landbridge/internal/netlab"
)

// The wires of this file are shared: besides the appliance there is the DHCP server that
// the site had before, a real one.

var officePrefix = netip.MustParsePrefix("192.168.50.0/24")

// office runs dnsmasq on a wire, as the site's own DHCP server, without the pings by which
// it takes 3 s to answer a new host.
func office(t *testing.T, wire *netlab.LAN, more ...string) *netlab.Host {
	t.Helper()
	h := wire.Host("office")
	for _, args := range [][]string{{"addr", "add", "192.168.50.1/24", "dev", "eth0"}} {
		if out, err := h.Run(t.Context(), "ip", args...); err != nil {
			t.Fatal(out, err)
		}
	}
	cmd := h.Command(context.WithoutCancel(t.Context()), "dnsmasq", append([]string{
		"--no-daemon", "--conf-file=/dev/null", "--port=0", "--interface=eth0", "--bind-interfaces", "--no-ping",
		"--dhcp-range=192.168.50.10,192.168.50.200,12h", "--dhcp-authoritative", "--dhcp-leasefile=" + h.Dir() + "/leases", "--log-dhcp",
	}, more...)...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "dnsmasq listens", func() (bool, error) {
		out, err := h.Run(t.Context(), "sh", "-c", "cat /proc/net/udp")
		return strings.Contains(out, ":0043 "), err
	})
	return h
}

// shared is a site on whose wire hosts stand before its appliance starts.
func (s *scene) shared(name string) *site {
	n := &site{net: s.wan.Site("site-" + name)}
	n.wire = n.net.Wire(name + "-cluster")
	n.machine = newMachine(s.t, n.net.Host(name), "--mode", "router", "--lan-port", "lan0")
	n.wire.Plug(n.Host, "lan0")
	return n
}

func macOf(t *testing.T, h *netlab.Host) string {
	t.Helper()
	mac, err := h.MAC("eth0")
	if err != nil {
		t.Fatal(err)
	}
	return mac.String()
}

// unserved fails where the appliance has said anything to a host by DHCP.
func (n *site) unserved() {
	n.t.Helper()
	for _, name := range []string{"offers", "acks", "naks"} {
		if got := n.counter("dhcp", name); got != 0 {
			n.t.Errorf("the appliance of %s has sent %d DHCP %s", n.Name, got, name)
		}
	}
}

func TestTheSitesOwnDHCPServerKeepsItsHosts(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	a := s.shared("a")
	office(t, a.wire)
	before := newClient(t, a.wire, "before").lease(netlab.Dhclient)
	s.join(a.machine)

	a.ails("Another DHCP server is on this LAN (port lan0): 192.168.50.1 at")
	hosts := []*client{before}
	for kind, name := range map[netlab.DHCPKind]string{netlab.Dhclient: "h1", netlab.Udhcpc: "h2", netlab.Dhcpcd: "h3"} {
		hosts = append(hosts, newClient(t, a.wire, name).lease(kind))
	}
	for _, h := range hosts {
		h.dhcp.Kill()
		h.lease(h.dhcp.Kind) // INIT-REBOOT, with an address that isn't of the group
		if !officePrefix.Contains(h.addr) {
			t.Errorf("%s got %v", h.Name, h.addr)
		}
	}
	a.unserved()
	if a.counter("dhcp", "silent_yielded")+a.counter("dhcp", "silent_served_elsewhere") == 0 {
		t.Error("no message of these hosts was counted as left to the other server")
	}
	out := a.must("status")
	for _, want := range []string{"DHCP server 192.168.50.1, ", "offers 192.168.50.0/24", "dhcp: registered"} {
		if !strings.Contains(out, want) {
			t.Errorf("landbridge status doesn't say %q:\n%s", want, out)
		}
	}
}

func TestAHostThatTheOtherServerIgnoresIsServed(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	a := s.shared("a")
	h := newClient(t, a.wire, "h")
	office(t, a.wire, "--dhcp-host="+macOf(t, h.Host)+",ignore")
	s.join(a.machine)
	a.ails("Another DHCP server is on this LAN")
	h.lease(netlab.Udhcpc)
	if !netip.MustParsePrefix(groupPrefix).Contains(h.addr) {
		t.Errorf("h got %v", h.addr)
	}
	t.Logf("offered after %v, the other server going first", h.dhcp.Took)
}

func TestRegisteredHostsShareAWireWithTheSitesOwnDHCPServer(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	a := s.shared("a")
	ours, theirs := newClient(t, a.wire, "ours"), newClient(t, a.wire, "theirs")
	office(t, a.wire, "--dhcp-host="+macOf(t, ours.Host)+",ignore")
	a.flags = append(a.flags, "--dhcp", "registered", "--dhcp-host", macOf(t, ours.Host))
	s.join(a.machine)
	ours.lease(netlab.Dhclient)
	theirs.lease(netlab.Udhcpc)
	if !netip.MustParsePrefix(groupPrefix).Contains(ours.addr) || !officePrefix.Contains(theirs.addr) {
		t.Errorf("ours got %v, theirs %v", ours.addr, theirs.addr)
	}
	reaches(t, ours.Host, s.d.address())
	if a.counter("dhcp", "silent_not_registered") == 0 || a.counter("dhcp", "naks") != 0 {
		t.Error("the other host's messages aren't counted as a host's that isn't registered, or it got a NAK")
	}
	a.ails() // this is as it should be

	// One more, while the appliance runs; it outlives a restart, and ends when it is taken off.
	more := newClient(t, a.wire, "more")
	a.must("hosts", "add", macOf(t, more.Host))
	a.end(syscall.SIGTERM)
	a.start()
	if out := a.must("hosts"); !strings.Contains(out, macOf(t, more.Host)) || !regexp.MustCompile(macOf(t, ours.Host)+" +the configuration").MatchString(out) {
		t.Errorf("landbridge hosts says\n%s", out)
	}
	handled := a.counter("dhcp", "offers")
	more.lease(netlab.Udhcpc) // from either server: the other one doesn't know that it is to ignore it
	others := officePrefix.Contains(more.addr)
	a.wait("an offer to the new host", func() (bool, error) {
		offered := a.counter("dhcp", "offers") > handled
		if !offered { // an appliance that has just started listens at first
			more.dhcp.Kill()
			more.lease(netlab.Udhcpc)
			others = others || officePrefix.Contains(more.addr)
		}
		return offered, nil
	})
	if others {
		a.ails("It also answers hosts that this appliance serves")
	} else {
		a.ails()
	}
	a.must("hosts", "remove", macOf(t, more.Host))
	for want, args := range map[string][]string{
		"isn't registered":       {"hosts", "remove", macOf(t, more.Host)},
		"by the configuration":   {"hosts", "remove", macOf(t, ours.Host)},
		"not a hardware address": {"hosts", "add", "nonsense"},
	} {
		if r := a.cli(nil, args...); r.code != failed || !strings.Contains(r.stderr, want) {
			t.Errorf("%v: exit %d, %s", args, r.code, r.stderr)
		}
	}
}

func TestAVendorClassSharesAWireWithTheSitesOwnDHCPServer(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	a := s.shared("a")
	office(t, a.wire, "--dhcp-vendorclass=set:cluster,udhcp", "--dhcp-ignore=tag:cluster")
	a.flags = append(a.flags, "--dhcp", "vendor-class", "--dhcp-vendor-class", "udhcp")
	s.join(a.machine)
	ours, theirs := newClient(t, a.wire, "ours").lease(netlab.Udhcpc), newClient(t, a.wire, "theirs").lease(netlab.Dhclient)
	if !netip.MustParsePrefix(groupPrefix).Contains(ours.addr) || !officePrefix.Contains(theirs.addr) {
		t.Errorf("ours got %v, theirs %v", ours.addr, theirs.addr)
	}
	a.ails()
}

func TestOtherPortsKeepTwoDHCPServersApart(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	a := s.shared("a")
	office(t, a.wire)
	a.flags = append(a.flags, "--dhcp-ports", "1067/1068")
	s.join(a.machine)
	ours, theirs := newClient(t, a.wire, "ours"), newClient(t, a.wire, "theirs").lease(netlab.Udhcpc)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	lease, err := ours.StartDHCP(ctx, netlab.Dhclient, "eth0", "-p", "1068")
	if err != nil {
		t.Fatal(err)
	}
	if !netip.MustParsePrefix(groupPrefix).Contains(lease.Addr.Addr()) || !officePrefix.Contains(theirs.addr) {
		t.Errorf("ours got %v, theirs %v", lease.Addr, theirs.addr)
	}
	reaches(t, ours.Host, s.d.address())
	a.ails()
	if fmt.Sprint(a.counter("dhcp", "offers"), a.counter("dhcp", "acks")) != "1 1" {
		t.Errorf("%d offers, %d ACKs", a.counter("dhcp", "offers"), a.counter("dhcp", "acks"))
	}
}

// On this wire a machine has the service address, and another answers ARP for everything.
func TestOtherGatewaysOnTheLANAreTold(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	a := s.shared("a")
	thief, proxy := newClient(t, a.wire, "thief"), newClient(t, a.wire, "proxy")
	thief.sh("ip addr add " + service + "/16 dev eth0")
	a.wire.Plug(proxy.Host, "eth1") // proxy ARP is for what is reached by another port
	proxy.sh("ip addr add 192.168.60.1/24 dev eth0; ip addr add 192.168.61.1/24 dev eth1; ip route add " + groupPrefix + " dev eth1; " +
		"sysctl -qw net.ipv4.ip_forward=1 net.ipv4.conf.eth0.proxy_arp=1 net.ipv4.conf.eth0.rp_filter=0 net.ipv4.conf.all.rp_filter=0 net.ipv4.neigh.eth0.proxy_delay=0")
	s.join(a.machine)
	a.ails(
		"Another gateway is on this LAN (port lan0): the station at "+macOf(t, thief.Host)+" says by ARP that it has "+service,
		"the station at "+macOf(t, proxy.Host)+" answers ARP for addresses of the group e2e that nobody has",
	)
	out := a.must("status")
	for _, want := range []string{"gateway " + macOf(t, thief.Host) + ", noticed by service address", "gateway " + macOf(t, proxy.Host) + ", noticed by proxy arp"} {
		if !strings.Contains(out, want) {
			t.Errorf("landbridge status doesn't say %q:\n%s", want, out)
		}
	}
	if n := len(a.leases()); n != 0 {
		t.Errorf("%d leases, where nobody asked", n)
	}
}
