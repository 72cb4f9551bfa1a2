package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"landbridge/console/api"
	"landbridge/internal/netlab"
)

// sixOf returns the one global IPv6 address of a host's device that is fit for use.
func sixOf(h *netlab.Host, device string) (netip.Addr, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	out, err := h.Run(ctx, "ip", "-6", "-o", "addr", "show", "dev", device, "scope", "global", "-tentative")
	if err != nil {
		return netip.Addr{}, err
	}
	_, rest, ok := strings.Cut(out, "inet6 ")
	if !ok {
		return netip.Addr{}, errors.New("no IPv6 address")
	}
	text, _, _ := strings.Cut(rest, "/")
	return netip.ParseAddr(text)
}

// lease6 runs ISC's DHCPv6 client on a host and waits for its address.
func (c *client) lease6() netip.Addr {
	c.t.Helper()
	waitFor(c.t, c.Name+"'s link-local address", func() (bool, error) { // dhclient doesn't
		out := c.sh("ip -6 -o addr show dev eth0 scope link -tentative")
		return strings.Contains(out, "fe80:"), errors.New(out)
	})
	ctx, cancel := context.WithCancel(context.Background())
	cmd := c.Command(ctx, "dhclient", "-6", "-d", "-v", "-cf", "/dev/null", "-lf", c.Dir()+"/six.leases", "-pf", c.Dir()+"/six.pid", "eth0")
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		cancel()
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() {
		cancel()
		_ = cmd.Wait()
		if c.t.Failed() {
			c.t.Logf("---- the DHCPv6 client of %s said ----\n%s", c.Name, said.String())
		}
	})
	var addr netip.Addr
	waitFor(c.t, c.Name+"'s IPv6 address", func() (bool, error) {
		var err error
		addr, err = sixOf(c.Host, "eth0")
		return err == nil, err
	})
	return addr
}

// reaches6 is reaches for IPv6.
func reaches6(t *testing.T, from *netlab.Host, addr netip.Addr) {
	t.Helper()
	waitFor(t, from.Name+" reaches "+addr.String(), func() (bool, error) {
		out, err := from.Run(t.Context(), "ping", "-6", "-q", "-c1", "-w2", addr.String())
		return err == nil, fmt.Errorf("%w\n%s", err, out)
	})
}

// A group gets an IPv6 prefix while it runs. Hosts of two sites with nothing but DHCP clients get
// addresses of it beside their IPv4 ones, find each other by neighbour discovery and by name, and move data both ways.
func TestDualStackHostsOfTwoSites(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	a, b := s.site("a"), s.site("b")
	a1, b1 := newClient(t, a.wire, "a1").lease(netlab.Dhclient), newClient(t, b.wire, "b1").lease(netlab.Udhcpc)
	if said := s.d.must("group", "set", "--ipv6", "auto"); !strings.Contains(said, "IPv6") {
		t.Errorf("group set says\n%s", said)
	}
	var set api.GroupSettings
	a.wait("the prefix", func() (bool, error) {
		err := a.get(&set, "group", "set")
		return set.Ipv6Prefix != "", err
	})
	prefix := netip.MustParsePrefix(set.Ipv6Prefix)
	sixA, sixB := a1.lease6(), b1.lease6()
	for six, four := range map[netip.Addr]netip.Addr{sixA: a1.addr, sixB: b1.addr} {
		if low := six.As16(); !prefix.Contains(six) || netip.AddrFrom4([4]byte(low[12:])) != four {
			t.Errorf("the host at %v has %v, in %v", four, six, prefix)
		}
	}
	reaches6(t, a1.Host, sixB)
	exchangeBetween(t, a1.Host, b1.Host, sixA, sixB)
	waitFor(t, "the neighbours of "+sixA.String()+" know it", func() (bool, error) {
		said := b1.sh("ip -6 neigh show dev eth0 " + sixA.String())
		return strings.Contains(said, "lladdr"), errors.New(said)
	})

	namesOverIPv6(t, a1, prefix, sixB)
	probesAreAnswered(t, b1, sixA)
	unreachable(t, newClient(t, b.wire, "b2").lease(netlab.Udhcpc), a1, prefix)
	membersHaveIt(t, s, a1, prefix)

	s.d.must("group", "set", "--ipv6", "")
	waitFor(t, "the appliance's own host loses it", func() (bool, error) {
		_, err := sixOf(s.d.Host, "lb0")
		return err != nil, nil
	})
	waitFor(t, "it crosses no more", func() (bool, error) {
		_, err := a1.Run(t.Context(), "ping", "-6", "-q", "-c1", "-w1", sixB.String())
		return err != nil, errors.New("it is answered")
	})
	reaches(t, a1.Host, b1.addr)
}

// namesOverIPv6 asks the service address, by IPv6, for a host of another site.
func namesOverIPv6(t *testing.T, c *client, prefix netip.Prefix, want netip.Addr) {
	t.Helper()
	service := netip.MustParseAddr(service).As4()
	server := prefix.Addr().As16()
	copy(server[12:], service[:])
	at := "@" + netip.AddrFrom16(server).String() + " "
	for _, way := range []string{"", "+tcp "} {
		waitFor(t, "the name of b1 "+way, func() (bool, error) {
			said := c.dig(at + way + "b1." + zone + " AAAA")
			return strings.Contains(said, want.String()), errors.New(said)
		})
	}
	waitFor(t, "the name of "+want.String(), func() (bool, error) {
		said := c.dig(at + "-x " + want.String())
		return strings.Contains(said, "b1."+zone), errors.New(said)
	})
}

// probesAreAnswered has a host take the address of one at another site: its kernel is told that it is taken.
func probesAreAnswered(t *testing.T, c *client, taken netip.Addr) {
	t.Helper()
	c.sh("ip -6 addr add " + taken.String() + "/64 dev eth0")
	waitFor(t, "the duplicate is found", func() (bool, error) {
		said := c.sh("ip -6 addr show dev eth0 dadfailed")
		return strings.Contains(said, taken.String()), errors.New(c.sh("ip -6 addr show dev eth0"))
	})
	c.sh("ip -6 addr del " + taken.String() + "/64 dev eth0")
}

// unreachable has a host be told that another one, which has no IPv6, can't be reached by it.
func unreachable(t *testing.T, without, from *client, prefix netip.Prefix) {
	t.Helper()
	low, all := without.addr.As4(), prefix.Addr().As16()
	copy(all[12:], low[:])
	out, err := from.Run(t.Context(), "ping", "-6", "-c1", "-w5", netip.AddrFrom16(all).String())
	if err == nil || !strings.Contains(out+err.Error(), "Address unreachable") {
		t.Errorf("a host without IPv6: %v\n%s", err, out)
	}
}

// membersHaveIt has a host reach a member that is attached itself, and the other way round.
func membersHaveIt(t *testing.T, s *scene, c *client, prefix netip.Prefix) {
	t.Helper()
	var own, at netip.Addr
	waitFor(t, "both have their addresses", func() (bool, error) {
		var errOwn, errAt error
		own, errOwn = sixOf(s.d.Host, "lb0")
		at, errAt = sixOf(c.Host, "eth0")
		err := errors.Join(errOwn, errAt)
		return err == nil && prefix.Contains(own), fmt.Errorf("%v, %v: %v", own, at, err)
	})
	reaches6(t, c.Host, own)
	exchangeBetween(t, s.d.Host, c.Host, own, at)
}
