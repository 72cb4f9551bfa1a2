package e2e

import (
	"context"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"landbridge/internal/netlab"
)

// An appliance in two groups, whose hosts are on one wire.

const (
	otherPrefix  = "10.78.0.0/16"
	otherService = "10.78.0.1"
)

// twoGroups is a scene with a second group, whose first member is o, and a site whose
// appliance is in both.
type twoGroups struct {
	*scene
	o          *machine
	a          *site
	h1, h2, h3 *client // of the first group, of the other, and a third one
}

func newTwoGroups(t *testing.T, flags ...string) *twoGroups {
	t.Helper()
	return twoGroupsIn(t, newScene(t), flags...)
}

// twoGroupsIn is newTwoGroups in a scene that is there already.
func twoGroupsIn(t *testing.T, scene *scene, flags ...string) *twoGroups {
	t.Helper()
	s := &twoGroups{scene: scene}
	s.o = newMachine(t, s.wan.Host("o"))
	s.o.must("group", "create", "--name", "other", "--prefix", otherPrefix, "--zone", "other.internal", "--member-name", "o")
	s.o.start()
	s.a = s.shared("a")
	s.h1, s.h2, s.h3 = newClient(t, s.a.wire, "h1"), newClient(t, s.a.wire, "h2"), newClient(t, s.a.wire, "h3")
	s.a.flags = append(s.a.flags, "--group-host", "other="+macOf(t, s.h2.Host))
	s.a.flags = append(s.a.flags, flags...)
	s.a.must("join", s.d.invite().Token, "--name", "a")
	s.a.must("join", s.o.invite().Token, "--name", "a")
	return s
}

// gateways returns the appliance's gateway MACs in the first group and in the other.
func (s *twoGroups) gateways() (first, other string) {
	s.t.Helper()
	for _, g := range s.a.status().Groups {
		if g.Name == "other" {
			other = g.Attachment.GatewayMAC
		} else {
			first = g.Attachment.GatewayMAC
		}
	}
	if first == "" || other == "" || first == other {
		s.t.Fatalf("gateway MACs %q and %q", first, other)
	}
	return first, other
}

func TestHostsOfTwoGroupsShareAnApplianceAndAWire(t *testing.T) {
	t.Parallel()
	s := newTwoGroups(t, "--default-group", "e2e")
	s.a.start()
	first, other := s.gateways()
	heard1, heard2 := countOffers(t, s.h1.Host, "eth0"), countOffers(t, s.h2.Host, "eth0")
	s.h1.lease(netlab.Udhcpc)
	s.h2.lease(netlab.Dhclient)
	s.h3.lease(netlab.Udhcpc) // nobody has named it: of the default group
	for h, prefix := range map[*client]string{s.h1: groupPrefix, s.h2: otherPrefix, s.h3: groupPrefix} {
		if !netip.MustParsePrefix(prefix).Contains(h.addr) {
			t.Errorf("%s got %v, want one of %s", h.Name, h.addr, prefix)
		}
	}
	for h, offered := range map[*client]*offers{s.h1: heard1, s.h2: heard2} {
		want := map[*client]string{s.h1: first, s.h2: other}[h]
		if by := offered.senders(); !slices.Equal(by, []string{want}) {
			t.Errorf("%s was offered an address by %v, want %s alone", h.Name, by, want)
		}
	}
	dAddr, oAddr := s.d.address(), s.o.address()
	reaches(t, s.h1.Host, dAddr)
	reaches(t, s.h2.Host, oAddr)
	reaches(t, s.h3.Host, s.h1.addr)
	reaches(t, s.o.Host, s.h2.addr)
	if names := s.h2.sh("nslookup o.other.internal " + otherService); !strings.Contains(names, oAddr.String()) {
		t.Errorf("the other group's DNS says %s", names)
	}
	s.a.ails()

	// ARP: h1 asks for what is the other group's, as itself and as h2; then h2 for its own.
	for _, c := range []struct {
		by     *client
		sender netip.Addr
		target netip.Addr
		want   []string
	}{
		{s.h1, s.h1.addr, oAddr, nil}, {s.h1, s.h2.addr, oAddr, nil}, {s.h1, s.h2.addr, netip.MustParseAddr(otherService), nil},
		{s.h2, s.h2.addr, oAddr, []string{other}}, {s.h2, s.h1.addr, dAddr, nil},
	} {
		if got := listen(t, c.by.Host, "eth0").expect(len(c.want), c.sender, c.target)[c.target]; !slices.Equal(got, c.want) {
			t.Errorf("%s asks from %v for %v: answered by %v, want %v", c.by.Name, c.sender, c.target, got, c.want)
		}
	}
	s.forged(other, oAddr)

	// A host that has been told of one group keeps it after a kill.
	s.a.end(syscall.SIGKILL)
	s.a.start()
	reaches(t, s.h1.Host, dAddr)
	reaches(t, s.h2.Host, oAddr)
}

// forged has h1 send by hand to the other group's gateway, by its own address and by h2's.
func (s *twoGroups) forged(gateway string, to netip.Addr) {
	s.t.Helper()
	arrived := func() uint64 { return s.o.counter("router", "in_packets") }
	before, ignored := arrived(), s.a.counter("router", "ignored_other_group")
	s.h1.sh(`ip route add `+otherPrefix+` dev eth0; ip neigh replace $1 lladdr $2 dev eth0; ip addr add $3/32 dev eth0
		ping -c3 -i0.2 -W1 $1; ping -c3 -i0.2 -W1 -I $3 $1; ip addr del $3/32 dev eth0; true`, to.String(), gateway, s.h2.addr.String())
	if n := s.a.counter("router", "ignored_other_group") - ignored; n < 6 {
		s.t.Errorf("%d frames of h1 were counted as another group's, want all 6 that it has sent", n)
	}
	if n := arrived() - before; n != 0 {
		s.t.Errorf("%d packets of h1 have reached the other group's member", n)
	}
	s.h2.sh("ping -c3 -i0.2 -W1 " + to.String()) // who may send is counted there
	if n := arrived() - before; n != 3 {
		s.t.Errorf("3 packets of h2 were counted as %d", n)
	}
}

func TestAnApplianceInTwoGroupsSwitchesItsMode(t *testing.T) {
	t.Parallel()
	s := newTwoGroups(t, "--group-host", "e2e=02:00:00:00:00:01")
	s.a.flags = s.a.flags[4:] // without a mode
	before := s.a.system()
	s.a.start()
	dAddr, oAddr := s.d.address(), s.o.address()
	reaches(t, s.a.Host, dAddr)
	reaches(t, s.a.Host, oAddr)
	plan := s.a.must("mode", "plan", "router", "--lan-port", "lan0")
	for _, part := range []string{"onto that bridge", service, otherService} {
		if strings.Count(plan, part) != 1 {
			t.Errorf("the plan doesn't say %q once:\n%s", part, plan)
		}
	}
	s.a.must("mode", "set", "router", "--lan-port", "lan0", "--yes")
	s.h2.lease(netlab.Udhcpc)
	reaches(t, s.h2.Host, oAddr)
	s.a.must("mode", "set", "interface", "--yes")
	reaches(t, s.a.Host, dAddr)
	s.a.must("group", "leave", "other")
	reaches(t, s.a.Host, dAddr)
	s.a.end(syscall.SIGTERM)
	if after := s.a.system(); devices(after) != devices(before) {
		t.Errorf("the system was\n%s\nand is\n%s", before, after)
	}
}

// devices are the first lines of what system says: those of devices.
func devices(system string) string {
	before, _, _ := strings.Cut(system, " inet ")
	return before
}

func TestAHostOfNoGroupGetsSilence(t *testing.T) {
	t.Parallel()
	s := newTwoGroups(t)
	s.a.flags = append(s.a.flags, "--group-host", "e2e="+macOf(t, s.h1.Host))
	s.a.start()
	s.h1.lease(netlab.Udhcpc)
	s.h2.lease(netlab.Udhcpc)
	heard := countOffers(t, s.h3.Host, "eth0")
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if lease, err := s.h3.StartDHCP(ctx, netlab.Udhcpc, "eth0"); err == nil {
		t.Errorf("h3 got %v", lease.Addr)
	}
	if by := heard.senders(); len(by) != 0 {
		t.Errorf("h3 was offered an address by %v", by)
	}
	s.a.ails()
}

func TestGroupsThatCannotShareAPortAreRefused(t *testing.T) {
	t.Parallel()
	s := newTwoGroups(t)
	s.a.flags = s.a.flags[:4] // nothing of groups any more
	before := s.a.system()
	refused := func(what string, r result, says ...string) {
		t.Helper()
		for _, part := range says {
			if r.code == 0 || !strings.Contains(r.stderr, part) {
				t.Errorf("%s: exit %d, %q isn't in %s", what, r.code, part, r.stderr)
			}
		}
		if after := s.a.system(); after != before {
			t.Errorf("%s: the system was\n%s\nand is\n%s", what, before, after)
		}
	}
	run := func(flags ...string) result {
		return s.a.cli(nil, append(append([]string{"run"}, s.a.flags...), flags...)...)
	}
	refused("nobody's hosts", run(), "nothing says which hosts on the LAN port lan0 are of the group", "group-host", "default-group", "group-port")
	refused("an unknown port", run("--group-port", "other=eth7"), `LAN port "eth7": this host has no such device`)
	refused("a VLAN of nothing", run("--group-port", "other=eth7.10"), "nor eth7, of which it could be VLAN 10")
	if r := run("--group-port", "other=lan0.4095"); !strings.Contains(r.stderr, `LAN port "lan0.4095": this host has no such device`) {
		t.Errorf("no VLAN: %s", r.stderr)
	}
	refused("a prefix that overlaps", s.a.cli(nil, "group", "create", "--name", "third", "--prefix", "10.78.128.0/17"), "the groups other (10.78.0.0/16) and third (10.78.128.0/17) overlap", "leave one of them")
	refused("a name that is taken", s.a.cli(nil, "group", "create", "--name", "other", "--prefix", "10.79.0.0/16"), "this appliance is in a group other")
}

// senders returns the MACs that have offered an address.
func (o *offers) senders() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Sorted(maps.Keys(o.by))
}
