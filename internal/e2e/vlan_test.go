package e2e

import (
	"context"
	"net/netip"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"landbridge/internal/netlab"
)

// An appliance with one cable to a switch, on which come two VLANs, each the LAN of a group
// (802.1Q). The switch's other ports are of one VLAN each, and the hosts there know nothing of it.

// trunk is that.
type trunk struct {
	*scene
	o  *machine // of the other group
	a  *site
	sw *netlab.Host
}

// needVLANs, set in the environment, says that the kernel has VLAN devices, or the tests fail (make test-vlan).
const needVLANs = "LANDBRIDGE_NEEDS_VLANS"

func newTrunk(t *testing.T) *trunk {
	t.Helper()
	s := &trunk{scene: newScene(t)}
	s.o = newMachine(t, s.wan.Host("o"))
	s.o.must("group", "create", "--name", "other", "--prefix", otherPrefix, "--zone", "other.internal", "--member-name", "o")
	s.o.start()
	s.a = &site{wire: s.lab.LAN("trunk")}
	s.a.machine = newMachine(t, s.wan.Host("a"), "--mode", "router", "--lan-port", "lan0.10", "--group-port", "other=lan0.20")
	s.a.wire.Plug(s.a.Host, "lan0")
	s.a.must("join", s.d.invite().Token, "--name", "a")
	s.a.must("join", s.o.invite().Token, "--name", "a")
	return s
}

// vlans says whether the kernel has VLAN devices.
func (s *trunk) vlans() bool {
	s.t.Helper()
	r := s.a.exec("ip", "link", "add", "link", "lan0", "name", "try", "type", "vlan", "id", "99")
	if r.code == 0 {
		r = s.a.exec("ip", "link", "del", "try")
	}
	if r.code != 0 && os.Getenv(needVLANs) != "" {
		s.t.Fatalf("a kernel with VLAN devices was promised: %s", r.stderr)
	}
	return r.code == 0
}

// connect puts a switch on the trunk, which carries these VLANs there.
func (s *trunk) connect(ids ...string) {
	s.t.Helper()
	s.sw = s.a.wire.Host("sw")
	s.switches(`ip link add br0 type bridge vlan_filtering 1 vlan_default_pvid 0 mcast_snooping 0; ip link set br0 up; ip link set eth0 master br0`)
	for _, id := range ids {
		s.switches(`bridge vlan add dev eth0 vid $1`, id)
	}
}

// host is a host at a port of the switch that is of one VLAN.
func (s *trunk) host(name, id string) *client {
	s.t.Helper()
	cable := s.lab.LAN("cable-" + name)
	cable.Plug(s.sw, name)
	s.switches(`ip link set $1 master br0; bridge vlan add dev $1 vid $2 pvid untagged`, name, id)
	return newClient(s.t, cable, name)
}

func (s *trunk) switches(script string, args ...string) {
	s.t.Helper()
	if out, err := s.sw.Run(s.t.Context(), "sh", append([]string{"-ec", script, "sh"}, args...)...); err != nil {
		s.t.Fatal(out, err)
	}
}

func TestATrunkHasAGroupForEachVLAN(t *testing.T) {
	t.Parallel()
	s := newTrunk(t)
	before := s.a.system()
	s.refused(before, []string{"--mode", "router", "--lan-port", "lan0", "--group-port", "other=eth7.20"}, "nor eth7, of which it could be VLAN 20")
	if !s.vlans() {
		s.refused(before, s.a.flags, "VLAN 10 of lan0 can't be made, as this kernel has no VLAN devices (802.1Q)", "modprobe 8021q")
		t.Skip("this kernel has no VLAN devices: the refusal was tested alone; make test-vlan tests the rest")
	}
	s.connect("10", "20", "30")
	s.a.start()
	if out := s.a.exec("ip", "-d", "link", "show", "lan0.20").stdout; !strings.Contains(out, "vlan protocol 802.1Q id 20") {
		t.Errorf("lan0.20 is %s", out)
	}
	h1, h2, n1, x := s.host("h1", "10"), s.host("h2", "20"), s.host("n1", "10"), s.host("x", "30")
	heard1, heard2 := countOffers(t, h1.Host, "eth0"), countOffers(t, h2.Host, "eth0")
	h1.lease(netlab.Udhcpc)
	h2.lease(netlab.Udhcpc)
	n1.lease(netlab.Udhcpc)
	gateways := s.gateways()
	for h, want := range map[*client]struct {
		group, prefix string
		offers        *offers
	}{h1: {"e2e", groupPrefix, heard1}, h2: {"other", otherPrefix, heard2}} {
		if !netip.MustParsePrefix(want.prefix).Contains(h.addr) {
			t.Errorf("%s got %v, want one of %s", h.Name, h.addr, want.prefix)
		}
		if by := want.offers.senders(); !slices.Equal(by, []string{gateways[want.group]}) {
			t.Errorf("%s was offered an address by %v, want %s alone", h.Name, by, gateways[want.group])
		}
	}
	s.silence(x)

	d, o := s.d.address(), s.o.address()
	reach := func() {
		t.Helper()
		reaches(t, h1.Host, d)
		reaches(t, h2.Host, o)
		reaches(t, s.o.Host, h2.addr)
		reaches(t, h1.Host, n1.addr) // natively, by the switch
	}
	reach()
	s.apart(h1, h2, o)
	s.apart(h2, h1, d)
	s.a.ails()

	s.a.end(syscall.SIGKILL)
	s.a.start()
	reach()
	s.a.end(syscall.SIGTERM)
	if after := s.a.system(); devices(after) != devices(before) {
		t.Errorf("the system was\n%s\nand is\n%s", before, after)
	}
}

// refused has the appliance start with flags that it is to refuse, touching nothing.
func (s *trunk) refused(before string, flags []string, says ...string) {
	s.t.Helper()
	r := s.a.cli(nil, append([]string{"run"}, flags...)...)
	for _, part := range says {
		if r.code == 0 || !strings.Contains(r.stderr, part) {
			s.t.Errorf("exit %d, %q isn't in %s", r.code, part, r.stderr)
		}
	}
	if after := s.a.system(); after != before {
		s.t.Errorf("the system was\n%s\nand is\n%s", before, after)
	}
}

// gateways returns the appliance's gateway MAC in each group.
func (s *trunk) gateways() map[string]string {
	s.t.Helper()
	all := make(map[string]string)
	for _, g := range s.a.status().Groups {
		all[g.Name] = g.Attachment.GatewayMAC
	}
	return all
}

// silence checks that a host of a VLAN without a group gets no address.
func (s *trunk) silence(h *client) {
	s.t.Helper()
	heard := countOffers(s.t, h.Host, "eth0")
	ctx, cancel := context.WithTimeout(s.t.Context(), 4*time.Second)
	defer cancel()
	if lease, err := h.StartDHCP(ctx, netlab.Udhcpc, "eth0"); err == nil {
		s.t.Errorf("%s, of no group's VLAN, got %v", h.Name, lease.Addr)
	}
	if by := heard.senders(); len(by) != 0 {
		s.t.Errorf("%s, of no group's VLAN, was offered an address by %v", h.Name, by)
	}
}

// apart checks that a host finds neither a host of the other VLAN nor a member of its group.
func (s *trunk) apart(h, other *client, member netip.Addr) {
	s.t.Helper()
	l := listen(s.t, h.Host, "eth0")
	for _, target := range []netip.Addr{other.addr, member} {
		if by := l.ask(h.addr, target)[target]; len(by) != 0 {
			s.t.Errorf("%s asks by ARP for %v, which is of the other group: answered by %v", h.Name, target, by)
		}
	}
	h.sh(`ip route add $1 dev eth0`, netip.PrefixFrom(other.addr, 16).Masked().String())
	for _, target := range []netip.Addr{other.addr, member} {
		if out, err := h.Run(s.t.Context(), "ping", "-q", "-c2", "-i0.2", "-W1", target.String()); err == nil {
			s.t.Errorf("%s reaches %v of the other group: %s", h.Name, target, out)
		}
	}
}
