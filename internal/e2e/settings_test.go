package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"landbridge/console/api"
	"landbridge/internal/netlab"
)

// The authority changes the group's settings, and hosts at another site have them at their next
// renewal, from a DHCP client that knows nothing of any of this.
func TestSettingsChangedAtTheAuthorityReachHostsOfAnotherSiteAtTheirRenewal(t *testing.T) {
	t.Parallel()
	s := newScene(t, "--lease-time", "10s")
	a := s.site("a")
	stays, goes := newClient(t, a.wire, "stays").lease(netlab.Dhclient), newClient(t, a.wire, "goes").lease(netlab.Dhclient)
	had := goes.addr
	if r := a.cli(nil, "group", "set", "--lease-time", "20s"); r.code == 0 || !strings.Contains(r.stderr, "CA key") || !strings.Contains(r.stderr, "can't change the group's settings") {
		t.Errorf("changed at a plain member: %+v", r)
	}
	if said := s.d.must("group", "set", "--lease-time", "20s", "--search", "office.example", "--exclude", had.String()); strings.Contains(said, "Not at") {
		t.Errorf("a member in touch is said not to have them:\n%s", said)
	}
	a.wait("the settings", func() (bool, error) {
		var now api.GroupSettings
		err := a.get(&now, "group", "set")
		return now.Version == 1 && now.InForce.LeaseSeconds == 20, err
	})
	waitFor(t, "the host is told at its renewal", func() (bool, error) {
		resolver := stays.sh("cat /etc/resolv.conf")
		return strings.Contains(resolver, "office.example") && time.Until(a.ends(stays.addr)) > 10*time.Second,
			fmt.Errorf("it has\n%s\nand its lease ends at %v; it said:\n%s", resolver, a.ends(stays.addr), stays.dhcp.Log())
	})
	if p, err := stays.Addr("eth0"); err != nil || p.Addr() != stays.addr {
		t.Errorf("it had %v and has %v (%v)", stays.addr, p, err)
	}
	waitFor(t, "the other host gives the excluded address up", func() (bool, error) {
		p, err := goes.Addr("eth0")
		return err == nil && p.Addr() != had, fmt.Errorf("it has %v (%w); it said:\n%s", p, err, goes.dhcp.Log())
	})
	if a.serves(had) {
		t.Errorf("%v is leased still", had)
	}
	late := newClient(t, a.wire, "late").lease(netlab.Udhcpc)
	if late.addr == had {
		t.Errorf("%v was leased anew", had)
	}
}
