package e2e

import (
	"context"
	"net/netip"
	"strings"
	"testing"
	"time"

	"landbridge/internal/netlab"
)

const (
	groupPrefix = "10.77.0.0/16"
	service     = "10.77.0.1"
	zone        = "e2e.internal"
)

// scene is a WAN with a group: the public member d, which created it, and what join
// and site add.
type scene struct {
	t   *testing.T
	lab *netlab.Lab
	wan *netlab.WAN
	d   *machine
}

// site is a site in router mode: an appliance behind a NAT and a wire for hosts.
type site struct {
	*machine
	net  *netlab.Site
	wire *netlab.LAN
}

// newScene makes the group; more are further arguments of group create.
func newScene(t *testing.T, more ...string) *scene {
	t.Helper()
	return newSceneOn(t, "203.0.113.0/24", more...)
}

// newSceneOn makes the group on a WAN of that prefix.
func newSceneOn(t *testing.T, wan string, more ...string) *scene {
	t.Helper()
	s := &scene{t: t, lab: netlab.ForTest(t)}
	s.wan = s.lab.WAN(wan)
	s.d = newMachine(t, s.wan.Host("d"))
	s.d.must(append([]string{"group", "create", "--name", "e2e", "--prefix", groupPrefix, "--zone", zone, "--member-name", "d"}, more...)...)
	s.d.start()
	return s
}

// site adds a site whose appliance is a member and runs.
func (s *scene) site(name string, opts ...netlab.Option) *site {
	s.t.Helper()
	n := &site{net: s.wan.Site("site-"+name, opts...)}
	n.wire = n.net.Wire(name + "-cluster")
	n.machine = newMachine(s.t, n.net.Host(name), "--mode", "router", "--lan-port", "lan0")
	n.wire.Plug(n.Host, "lan0")
	s.join(n.machine)
	return n
}

// join makes a machine a member and starts it.
func (s *scene) join(m *machine) {
	s.t.Helper()
	m.must("join", s.d.invite().Token, "--name", m.Name)
	m.start()
}

// client is a host on a site's wire that has nothing but a DHCP client.
type client struct {
	*netlab.Host
	t    *testing.T
	dhcp *netlab.DHCPClient
	addr netip.Addr
}

func newClient(t *testing.T, wire *netlab.LAN, name string, opts ...netlab.Option) *client {
	t.Helper()
	return &client{Host: wire.Host(name, opts...), t: t}
}

// lease runs a DHCP client and keeps it.
func (c *client) lease(kind netlab.DHCPKind) *client {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), patience)
	defer cancel()
	lease, err := c.StartDHCP(ctx, kind, "eth0")
	if err != nil {
		c.t.Fatal(err)
	}
	c.dhcp, c.addr = lease, lease.Addr.Addr()
	return c
}

// sh runs a shell script on the host, which may not fail.
func (c *client) sh(script string, args ...string) string {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), patience)
	defer cancel()
	out, err := c.Run(ctx, "sh", append([]string{"-c", script, "sh"}, args...)...)
	if err != nil {
		c.t.Fatal(err)
	}
	return strings.TrimSpace(out)
}

// reaches waits until addr answers a ping from the host, and returns how long that
// took.
func reaches(t *testing.T, from *netlab.Host, addr netip.Addr) time.Duration {
	t.Helper()
	began := time.Now()
	waitFor(t, from.Name+" reaches "+addr.String(), func() (bool, error) {
		_, err := from.Run(t.Context(), "ping", "-q", "-c1", "-i0.05", "-w2", addr.String()) // until the first reply
		return err == nil, err
	})
	return time.Since(began)
}

// serves reports whether the site's appliance serves the lease of addr.
func (n *site) serves(addr netip.Addr) bool {
	n.t.Helper()
	for _, l := range n.leases() {
		if l.Address == addr {
			return true
		}
	}
	return false
}
