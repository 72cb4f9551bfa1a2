package e2e

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"testing"

	"landbridge/console/api"
	"landbridge/internal/netlab"
)

// A host with a DHCP client that knows nothing of any of this is moved to another group while the appliance runs,
// and its neighbours notice nothing.
func TestAHostIsMovedToAnotherGroupWhileItRuns(t *testing.T) {
	t.Parallel()
	s := twoGroupsIn(t, newScene(t, "--lease-time", "10s"), "--default-group", "e2e")
	s.a.start()
	s.h1.lease(netlab.Dhclient)
	s.h3.lease(netlab.Dhclient)
	oAddr := s.o.address()
	mac, had := macOf(t, s.h1.Host), s.h1.addr

	said := s.a.must("hosts", "add", mac, "--group", "other", "--note", "the oscilloscope")
	for _, want := range []string{"is registered in the group other", had.String(), "in the group e2e has ended"} {
		if !strings.Contains(said, want) {
			t.Errorf("moved, and %q isn't said: %s", want, said)
		}
	}
	refused := func() (bool, error) {
		return strings.Contains(s.h1.dhcp.Log(), "DHCPNAK"), fmt.Errorf("it said:\n%s", s.h1.dhcp.Log())
	}
	waitFor(t, "it is refused what it had", refused)
	moved := func() (bool, error) {
		p, err := s.h1.Addr("eth0")
		return err == nil && netip.MustParsePrefix(otherPrefix).Contains(p.Addr()), fmt.Errorf("it has %v (%w)", p, err)
	}
	waitFor(t, "it has an address of its new group", moved)
	s.a.end(syscall.SIGKILL) // it is remembered
	s.a.start()
	reaches(t, s.h1.Host, oAddr)
	s.h3.has(s.h3.addr.String())
	if log := s.h3.dhcp.Log(); strings.Contains(log, "DHCPNAK") || strings.Count(log, "DHCPDISCOVER") > 1 {
		t.Errorf("a neighbour was disturbed:\n%s", log)
	}

	if r := s.a.cli(nil, "hosts", "add", macOf(t, s.h2.Host), "--group", "e2e"); r.code == 0 || !strings.Contains(r.stderr, "is of the group other by the configuration (group-host)") {
		t.Errorf("one that the configuration names is moved: %d %s", r.code, r.stderr)
	}
	var hosts api.RegisteredHostList
	if err := s.a.get(&hosts, "hosts"); err != nil {
		t.Fatal(err)
	}
	at := slices.IndexFunc(hosts.Items, func(h api.RegisteredHost) bool { return h.MAC == mac })
	if at < 0 || hosts.Items[at].GroupName != "other" || hosts.Items[at].Note != "the oscilloscope" || hosts.Items[at].GroupConfigured || len(hosts.Items) != 2 {
		t.Errorf("registered are %+v", hosts.Items)
	}
	var forgotten api.RegisteredHostList
	if err := s.a.get(&forgotten, "hosts", "remove", mac); err != nil || len(forgotten.Items) != 1 || len(forgotten.Items[0].Ended) != 1 || forgotten.Items[0].Ended[0].GroupName != "other" {
		t.Errorf("forgotten, it is %+v, %v", forgotten.Items, err)
	}
}

// A host that has come from another site keeps its address there, which is of that site's block. It is moved to another
// group all the same: by hand, and by a configuration that says so when the appliance starts again.
func TestAHostWithAnAddressOfAnotherSitesBlockIsMovedToAnotherGroup(t *testing.T) {
	t.Parallel()
	scene := newScene(t, "--lease-time", "10s")
	b := scene.site("b")
	s := twoGroupsIn(t, scene, "--default-group", "e2e")
	s.a.start()
	oAddr := s.o.address()
	var came []*client
	for _, name := range []string{"x", "y"} {
		came = append(came, newClient(t, b.wire, name).lease(netlab.Dhclient))
	}
	for _, h := range came {
		if err := h.Port("eth0").MoveTo(s.a.wire); err != nil {
			t.Fatal(err)
		}
	}
	for _, h := range came {
		waitFor(t, h.Name+" is served at its new site", func() (bool, error) { return s.a.serves(h.addr), nil })
	}
	moved := func(h *client) {
		t.Helper()
		waitFor(t, h.Name+" is refused what it had", func() (bool, error) {
			return strings.Contains(h.dhcp.Log(), "DHCPNAK"), fmt.Errorf("it said:\n%s", h.dhcp.Log())
		})
		waitFor(t, h.Name+" has an address of its new group", func() (bool, error) {
			p, err := h.Addr("eth0")
			return err == nil && netip.MustParsePrefix(otherPrefix).Contains(p.Addr()), fmt.Errorf("it has %v (%w)", p, err)
		})
		reaches(t, h.Host, oAddr)
	}
	b.end(syscall.SIGKILL) // who holds the block can't be asked
	if said := s.a.must("hosts", "add", macOf(t, came[0].Host), "--group", "other"); !strings.Contains(said, came[0].addr.String()) {
		t.Errorf("moved, and it isn't said what has ended: %s", said)
	}
	moved(came[0])

	s.a.end(syscall.SIGKILL)
	s.a.flags = append(s.a.flags, "--group-host", "other="+macOf(t, came[1].Host))
	s.a.start()
	moved(came[1])
}
