package e2e

import (
	"bytes"
	"context"
	"errors"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"landbridge/console/api"
	"landbridge/internal/netlab"
)

// What hosts run that get both kinds of address by one program, as systems come with it.

const (
	// dualDhcpcd is Debian's configuration of dhcpcd, without link-local addresses of IPv4.
	dualDhcpcd = "hostname\nduid\npersistent\nnoipv4ll\nnoarp\noption domain_name_servers, domain_search, interface_mtu\nrequire dhcp_server_identifier\n"

	networkd     = "/lib/systemd/systemd-networkd"
	dualNetworkd = "[Match]\nName=eth0\n[Network]\nDHCP=yes\nIPv6AcceptRA=yes\n"
)

// runs starts a program on the host, which goes on until the test ends.
func (c *client) runs(program string, args ...string) *client {
	c.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	cmd := c.Command(ctx, program, args...)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	cmd.WaitDelay = time.Second // its children, which end with the host, have them open, too
	if err := cmd.Start(); err != nil {
		cancel()
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() {
		cancel()
		_ = cmd.Wait()
		if c.t.Failed() {
			c.t.Logf("---- %s of %s said ----\n%s", program, c.Name, said.String())
		}
	})
	return c
}

// writes has a file on the host.
func (c *client) writes(path, text string) {
	c.t.Helper()
	if err := c.WriteFile(path, []byte(text), 0o644); err != nil {
		c.t.Fatal(err)
	}
}

// dhcpcd has the host get its addresses by dhcpcd.
func (c *client) dhcpcd() *client {
	c.t.Helper()
	c.writes(c.Dir()+"/dual.conf", dualDhcpcd)
	return c.runs("dhcpcd", "-B", "-d", "-f", c.Dir()+"/dual.conf", "eth0")
}

// networkd has the host get its addresses by systemd-networkd, which doesn't wait for udev where /sys can't be written to, as in a
// container.
func (c *client) networkd() *client {
	c.t.Helper()
	c.sh("mkdir -p /etc/systemd/network /run/systemd && mount -o remount,ro /sys")
	c.writes("/etc/systemd/network/10-lan.network", dualNetworkd)
	return c.runs(networkd)
}

// dual waits until the host has both addresses, of which the one has the other within.
func (c *client) dual(prefix netip.Prefix) (six netip.Addr) {
	c.t.Helper()
	waitFor(c.t, c.Name+" has both addresses", func() (bool, error) {
		four, err := c.Addr("eth0")
		if err != nil {
			return false, err
		}
		if six, err = sixOf(c.Host, "eth0"); err != nil {
			return false, err
		}
		c.addr = four.Addr()
		low := six.As16()
		if !prefix.Contains(six) || netip.AddrFrom4([4]byte(low[12:])) != c.addr {
			c.t.Fatalf("%s has %v and %v, in %v", c.Name, c.addr, six, prefix)
		}
		return true, nil
	})
	return six
}

// has6 waits until the members say that a host has taken its IPv6 address, or hasn't: by DNS, and by the list of its router.
func has6(t *testing.T, asker *client, name string, six netip.Addr, has bool) {
	t.Helper()
	waitFor(t, name+"'s AAAA record", func() (bool, error) {
		said := asker.dig(name + "." + zone + " AAAA")
		return strings.Contains(said, six.String()) == has, errors.New(said)
	})
	if said := asker.dig(name + "." + zone + " A"); !strings.Contains(said, "10.77.") {
		t.Errorf("%s has no A record: %s", name, said)
	}
}

// Two routers of one LAN give hosts addresses of both kinds, whichever program asks; members elsewhere know who has
// taken one of IPv6, and who hasn't.
func TestDualStackClientsOfALANWithTwoRouters(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	a := s.site("a")
	second := s.beside(a, "a2")
	s.d.must("group", "set", "--ipv6", "auto")
	var set api.GroupSettings
	for _, r := range []*site{a, second} {
		r.wait("the prefix", func() (bool, error) {
			err := r.get(&set, "group", "set")
			return set.Ipv6Prefix != "", err
		})
	}
	settle(t, a, second)
	prefix := netip.MustParsePrefix(set.Ipv6Prefix)

	hosts := map[string]*client{"h1": newClient(t, a.wire, "h1").dhcpcd(), "h2": newClient(t, a.wire, "h2").dhcpcd()}
	if _, err := os.Stat(networkd); err == nil {
		hosts["h3"], hosts["h4"] = newClient(t, a.wire, "h3").networkd(), newClient(t, a.wire, "h4").networkd()
	}
	far := newClient(t, s.site("b").wire, "far").lease(netlab.Udhcpc)
	six4 := newClient(t, a.wire, "h5").lease(netlab.Udhcpc)
	had := make(map[string]netip.Addr)
	for name, h := range hosts {
		had[name] = h.dual(prefix)
	}
	own, err := sixOf(s.d.Host, "lb0")
	if err != nil {
		t.Fatal(err)
	}
	for name, h := range hosts {
		reaches6(t, h.Host, own)
		reaches6(t, s.d.Host, had[name])
		reaches6(t, h.Host, had["h1"])
		has6(t, far, name, had[name], true)
	}
	low, all := six4.addr.As4(), prefix.Addr().As16()
	copy(all[12:], low[:])
	has6(t, far, "h5", netip.AddrFrom16(all), false)
	has6(t, far, "d", own, true)
	listed := a.must("leases") + second.must("leases")
	for name, six := range had {
		if !strings.Contains(listed, six.String()) {
			t.Errorf("%s (%v) isn't listed with it:\n%s", name, six, listed)
		}
	}
}
