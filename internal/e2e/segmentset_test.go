package e2e

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"syscall"
	"testing"

	"landbridge/console/api"
	"landbridge/internal/netlab"
)

// asks has a host ask for an address until it gets one, which the channel tells.
func (c *client) asks(kind netlab.DHCPKind) <-chan error {
	got := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(c.t.Context(), 2*patience) // it asks while others do some things
		defer cancel()
		lease, err := c.StartDHCP(ctx, kind, "eth0")
		if err == nil {
			c.dhcp, c.addr = lease, lease.Addr.Addr()
		}
		got <- err
	}()
	return got
}

// silent waits until a message of a host that isn't registered has been left unanswered.
func (n *site) silent() {
	n.t.Helper()
	before := n.counter("dhcp", "silent_not_registered")
	n.wait("silence for a host that isn't registered", func() (bool, error) {
		return n.counter("dhcp", "silent_not_registered") > before, nil
	})
}

// Hosts with DHCP clients that know nothing of any of this are served or not as an operator says while the
// appliance runs, also after a power failure.
func TestWhomDHCPServesIsChangedWhileTheApplianceRuns(t *testing.T) {
	t.Parallel()
	s := newScene(t, "--lease-time", "10s")
	a := s.site("a")
	h1, h2 := newClient(t, a.wire, "h1").lease(netlab.Dhclient), newClient(t, a.wire, "h2")

	var plan api.SegmentPlan
	if err := a.get(&plan, "segments", "set", "--dhcp", "registered", "--plan"); err != nil {
		t.Fatal(err)
	}
	if len(plan.Changes) != 1 || plan.Changes[0] != (api.SegmentPlanChange{Field: "serve", From: "open", To: "registered"}) ||
		!strings.Contains(strings.Join(plan.Notices, " "), "One host isn't registered and loses its address when the lease ends") || !strings.Contains(plan.Notices[0], h1.addr.String()) {
		t.Errorf("the plan is %+v", plan)
	}
	if now := a.segments()[0].Dhcp; now.Serve != api.ServeRuleOpen || now.SetBy != "" {
		t.Errorf("planned only, and it is %+v", now)
	}
	said := a.must("segments", "set", "--dhcp", "registered")
	for _, want := range []string{"dhcp: open → registered", h1.addr.String()} {
		if !strings.Contains(said, want) {
			t.Errorf("%q isn't said: %s", want, said)
		}
	}
	got := h2.asks(netlab.Udhcpc)
	a.silent()
	a.wait("the lease of the host that isn't renewed ends", func() (bool, error) { return !a.serves(h1.addr), nil })
	a.end(syscall.SIGKILL)
	a.start()
	a.silent()
	if now := a.segments()[0].Dhcp; now.Serve != api.ServeRuleRegistered || now.SetBy == "" || now.ServeConfigured {
		t.Errorf("after a restart it is %+v", now)
	}
	a.refusesAnOldForm(t)
	select {
	case err := <-got:
		if err != nil {
			t.Fatal(err)
		}
		t.Fatalf("a host that isn't served got %v", h2.addr)
	default:
	}
	a.must("segments", "set", "e2e", "--dhcp", "open")
	if err := <-got; err != nil {
		t.Fatal(err)
	}
	reaches(t, h2.Host, s.d.address())

	for want, args := range map[string][]string{
		"isn't one of open, vendor-class and registered": {"segments", "set", "--dhcp", "all"},
		"say how the vendor classes of the hosts begin":  {"segments", "set", "--dhcp", "vendor-class"},
		"is not two UDP ports":                           {"segments", "set", "--dhcp-ports", "67"},
		"alone on its LAN port":                          {"segments", "set", "--default=false"},
	} {
		if r := a.cli(nil, args...); r.code != failed || !strings.Contains(r.stderr, want) {
			t.Errorf("%v: exit %d, %s", args, r.code, r.stderr)
		}
	}
	// The only group on a LAN port can be said to be its default before another one comes.
	for _, want := range []string{"e2e, as the only group → e2e", "It is so already"} {
		if said := a.must("segments", "set", "e2e", "--default"); !strings.Contains(said, want) {
			t.Errorf("%q isn't said: %s", want, said)
		}
	}
	// What the configuration says goes before, and comes to nothing once it says nothing any more.
	flags := a.flags
	a.end(syscall.SIGTERM)
	a.flags = append(flags[:len(flags):len(flags)], "--dhcp", "registered")
	a.start()
	if r := a.cli(nil, "segments", "set", "--dhcp", "open"); r.code != failed || !strings.Contains(r.stderr, "the configuration says which hosts get addresses (dhcp: registered)") {
		t.Errorf("against the configuration: exit %d, %s", r.code, r.stderr)
	}
	if now := a.segments()[0].Dhcp; now.Serve != api.ServeRuleRegistered || !now.ServeConfigured || now.PortsConfigured {
		t.Errorf("as the configuration says it is %+v", now)
	}
}

func TestDHCPMovesToOtherPortsWhileTheApplianceRuns(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	a := s.site("a")
	h := newClient(t, a.wire, "h")
	a.must("segments", "set", "--dhcp-ports", "1067/1068")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	lease, err := h.StartDHCP(ctx, netlab.Dhclient, "eth0", "-p", "1068")
	if err != nil {
		t.Fatal(err)
	}
	a.must("segments", "set", "--dhcp-ports", "67/68")
	usual := newClient(t, a.wire, "usual").lease(netlab.Udhcpc)
	reaches(t, usual.Host, lease.Addr.Addr())
}

// The hosts that nobody named are one group's, then another's, then nobody's.
func TestTheDefaultGroupIsChangedWhileTheApplianceRuns(t *testing.T) {
	t.Parallel()
	s := twoGroupsIn(t, newScene(t, "--lease-time", "10s"))
	s.a.flags = append(s.a.flags, "--group-host", "e2e="+macOf(t, s.h1.Host))
	s.a.start()
	s.h1.lease(netlab.Dhclient)
	got := s.h3.asks(netlab.Dhclient)
	s.a.wait("a host of no group is seen", func() (bool, error) {
		for _, g := range s.a.segments() {
			for _, h := range g.Unregistered {
				if h.MAC == macOf(t, s.h3.Host) && h.Why == api.SeenHostWhyNoGroup {
					return true, nil
				}
			}
		}
		return false, nil
	})
	s.a.must("segments", "set", "e2e", "--default")
	if err := <-got; err != nil || !netip.MustParsePrefix(groupPrefix).Contains(s.h3.addr) {
		t.Fatalf("it got %v, %v", s.h3.addr, err)
	}
	had := s.h3.addr
	said := s.a.must("segments", "set", "other", "--default")
	for _, want := range []string{"default-group: e2e → other", "One host that nobody named is of another group", had.String(), "Leases that have ended: 1"} {
		if !strings.Contains(said, want) {
			t.Errorf("%q isn't said: %s", want, said)
		}
	}
	s.h3.movesTo(otherPrefix)
	s.a.end(syscall.SIGKILL)
	s.a.start()
	for _, g := range s.a.segments() {
		if g.Remainder != (g.GroupName == "other") || g.RemainderConfigured {
			t.Errorf("after a restart %s is %+v", g.GroupName, g)
		}
	}
	reaches(t, s.h3.Host, s.o.address())
	s.h1.has(s.h1.addr.String())
	s.a.must("segments", "set", "other", "--default=false")
	for _, g := range s.a.segments() {
		if g.Remainder {
			t.Errorf("nobody's, and %s has them", g.GroupName)
		}
	}
}

// movesTo waits until the host has an address of a prefix.
func (c *client) movesTo(prefix string) {
	c.t.Helper()
	waitFor(c.t, c.Name+" has an address of "+prefix, func() (bool, error) {
		p, err := c.Addr("eth0")
		return err == nil && netip.MustParsePrefix(prefix).Contains(p.Addr()), fmt.Errorf("it has %v (%w); it said:\n%s", p, err, c.dhcp.Log())
	})
}

// refusesAnOldForm asks for a change that starts from the rules before the last change.
func (m *machine) refusesAnOldForm(t *testing.T) {
	t.Helper()
	client, err := api.Dial(t.Context(), m.Path(m.state()+"/"+api.SocketName))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	now := m.segments()[0]
	old := now.Dhcp.Version - 1
	res, err := client.SetSegmentWithResponse(t.Context(), now.Group, api.SegmentChange{Version: &old, Serve: "open"})
	if err != nil || res.StatusCode() != http.StatusConflict || !strings.Contains(string(res.Body), "others have changed") || m.segments()[0].Dhcp.Serve != now.Dhcp.Serve {
		t.Errorf("a change that starts from what isn't so any more: %v, %s", err, res.Body)
	}
}
