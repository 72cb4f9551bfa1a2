package e2e

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"landbridge/console/api"
	"landbridge/internal/netlab"
)

// shortLease is the lease time of the groups in which a host renews while the test
// looks on.
const shortLease = 12 * time.Second

// ends returns when the lease of an address ends.
func (n *site) ends(addr netip.Addr) time.Time {
	n.t.Helper()
	for _, l := range n.leases() {
		if l.Address == addr {
			return l.End
		}
	}
	return time.Time{}
}

// renews waits until the leases of the site's hosts end later than they do now.
func (n *site) renews(hosts ...*client) {
	n.t.Helper()
	before := make(map[*client]time.Time)
	for _, c := range hosts {
		before[c] = n.ends(c.addr)
	}
	for _, c := range hosts {
		var asked time.Time
		n.wait(c.Name+" renews", func() (bool, error) {
			if c.dhcp.Kind == netlab.Udhcpc && time.Since(asked) > 3*time.Second { // would renew at 15 s at the earliest
				c.sh(`kill -USR1 "$(cat "$1")"`, c.Dir()+"/udhcpc.eth0.pid")
				asked = time.Now()
			}
			end := n.ends(c.addr)
			return end.After(before[c]), fmt.Errorf("the lease ends at %v still", end)
		})
		if addr, err := c.Addr("eth0"); err != nil || addr.Addr() != c.addr {
			n.t.Errorf("%s had %v and has %v (%v)", c.Name, c.addr, addr, err)
		}
	}
}

func TestAnApplianceThatIsCutOffGoesOnLeasing(t *testing.T) {
	t.Parallel()
	s := newScene(t, "--lease-time", shortLease.String())
	a, b := s.site("a"), s.site("b")
	a1, b1 := newClient(t, a.wire, "a1").lease(netlab.Dhclient), newClient(t, b.wire, "b1").lease(netlab.Udhcpc)
	reaches(t, a1.Host, b1.addr)

	uplink := a.Port("eth0")
	if err := uplink.Cut(); err != nil {
		t.Fatal(err)
	}
	cut := time.Now()
	a2, a3 := newClient(t, a.wire, "a2").lease(netlab.Udhcpc), newClient(t, a.wire, "a3").lease(netlab.Dhclient)
	t.Logf("cut off: udhcpc leased in %v, dhclient in %v", a2.dhcp.Took, a3.dhcp.Took)
	reaches(t, a1.Host, a3.addr)
	a.renews(a1, a2)
	t.Logf("renewed %v after the cut", time.Since(cut))
	s.d.wait("d misses a", func() (bool, error) {
		p, err := s.d.peer("a")
		return err == nil && !p.Connected, errors.Join(err, fmt.Errorf("connected is %t", p.Connected))
	})

	t.Logf("missed by d %v after the cut", time.Since(cut))
	if err := uplink.Mend(); err != nil {
		t.Fatal(err)
	}
	mended := time.Now()
	reaches(t, b1.Host, a2.addr)
	t.Logf("after the mend: b1 reaches a host that was leased meanwhile in %v", time.Since(mended))
	reaches(t, a3.Host, b1.addr)
	reaches(t, a1.Host, b1.addr)
}

// Of two members one that is away must stop neither: decided in
// docs/decisions/0004.
func TestAGroupOfTwoGoesOnWithOneAway(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	b := s.site("b")
	b1 := newClient(t, b.wire, "b1").lease(netlab.Udhcpc)
	reaches(t, b1.Host, s.d.address())

	// The founder is away: the other serves.
	s.d.end(syscall.SIGKILL)
	b2 := newClient(t, b.wire, "b2").lease(netlab.Dhclient)
	reaches(t, b1.Host, b2.addr)
	s.d.start()
	reaches(t, b2.Host, s.d.address())

	// The other is away: the founder, started anew as an appliance of a LAN, claims blocks.
	b.end(syscall.SIGKILL)
	s.d.end(syscall.SIGTERM)
	wire := s.lab.LAN("d-cluster")
	wire.Plug(s.d.Host, "lan0")
	s.d.flags = []string{"--mode", "router", "--lan-port", "lan0"}
	s.d.start()
	d1 := newClient(t, wire, "d1").lease(netlab.Udhcpc)
	var blocks api.BlockList
	if err := s.d.get(&blocks, "blocks"); err != nil || len(blocks.Items) == 0 {
		t.Errorf("the founder holds %v (%v)", blocks.Items, err)
	}
	b.start()
	reaches(t, b2.Host, d1.addr)
	reaches(t, d1.Host, b1.addr)
	if text := s.d.must("peers"); !strings.Contains(text, "b") {
		t.Errorf("peers: %s", text)
	}
}
