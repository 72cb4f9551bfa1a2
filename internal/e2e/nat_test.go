package e2e

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"landbridge/console/api"
	"landbridge/internal/netlab"
)

// Where two sites can't meet directly, the public member relays what they have sealed.
func TestBehindASymmetricNATThePublicMemberRelays(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	a, b := s.site("a", netlab.Behind(netlab.Symmetric)), s.site("b", netlab.Behind(netlab.PortRestricted))
	a1, b1 := newClient(t, a.wire, "a1").lease(netlab.Udhcpc), newClient(t, b.wire, "b1").lease(netlab.Udhcpc)
	t.Logf("first reply after %v", reaches(t, a1.Host, b1.addr))
	reaches(t, b1.Host, a1.addr)
	for _, side := range []struct {
		of   *site
		name string
	}{{a, "b"}, {b, "a"}} {
		side.of.wait("a relayed path that says why", func() (bool, error) {
			p, err := side.of.peer(side.name)
			return err == nil && p.Path == api.PathKindRelay && p.ViaName == "d" && p.Why != "", fmt.Errorf("%+v (%v)", p, err)
		})
		p, _ := side.of.peer(side.name)
		t.Logf("%s to %s: relay via %s: %s", side.of.Name, side.name, p.ViaName, p.Why)
		if line := side.of.row(side.name); !strings.Contains(line, "relay") || !strings.Contains(line, "via d") || !strings.Contains(line, p.Why[:12]) {
			t.Errorf("landbridge peers says: %s", line)
		}
		if p, err := side.of.peer("d"); err != nil || p.Path != api.PathKindDirect {
			t.Errorf("%s to d is %s (%v)", side.of.Name, p.Path, err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if out, err := a1.Run(ctx, "ping", "-c", "50", "-i", "0.02", "-W", "1", "-q", b1.addr.String()); err != nil || !strings.Contains(out, " 0% packet loss") {
		t.Errorf("by relay: %s", out)
	}
}

// row returns a member's line of landbridge peers.
func (m *machine) row(name string) string {
	m.t.Helper()
	for line := range strings.Lines(m.must("peers")) {
		if strings.HasPrefix(line, name+" ") {
			return line
		}
	}
	return ""
}

// Where a site's router drops UDP, its hosts get addresses and names over TCP, and their packets go by TCP too: straight to
// members whom TCP reaches, and by one of those to the others.
func TestWhereUDPIsBlockedPacketsGoByTCP(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	a, b := s.site("a", netlab.BlockUDP()), s.site("b", netlab.Behind(netlab.PortRestricted))
	a1, b1 := newClient(t, a.wire, "a1").lease(netlab.Udhcpc), newClient(t, b.wire, "b1").lease(netlab.Udhcpc)
	t.Logf("leased in %v", a1.dhcp.Took)
	d := s.d.address()
	waitFor(t, "the name of d at a1", func() (bool, error) {
		out := a1.sh("getent ahostsv4 d || true")
		return strings.Contains(out, d.String()), fmt.Errorf("getent says %q", out)
	})
	t.Logf("first reply of d after %v", reaches(t, a1.Host, d))
	t.Logf("first reply of b1 after %v", reaches(t, a1.Host, b1.addr))
	reaches(t, b1.Host, a1.addr)
	a.wait("a path over TCP that says why", func() (bool, error) {
		p, err := a.peer("d")
		return err == nil && p.Path == api.PathKindTCP && p.Why != "" && p.Address.Addr().Is4(), fmt.Errorf("%+v (%v)", p, err)
	})
	if line := a.row("d"); !strings.Contains(line, "tcp") {
		t.Errorf("landbridge peers says: %s", line)
	}
	a.wait("a relayed path to b", func() (bool, error) {
		p, err := a.peer("b")
		return err == nil && p.Path == api.PathKindRelay && p.ViaName == "d" && p.Address.Addr().Is4(), fmt.Errorf("%+v (%v)", p, err)
	})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for _, to := range []netip.Addr{d, b1.addr} {
		if out, err := a1.Run(ctx, "ping", "-c", "50", "-i", "0.02", "-W", "1", "-s", "1300", "-q", to.String()); err != nil || !strings.Contains(out, " 0% packet loss") {
			t.Errorf("to %v over TCP: %s", to, out)
		}
	}
	exchangeBetween(t, a1.Host, s.d.Host, a1.addr, d)
	exchangeBetween(t, a1.Host, b1.Host, a1.addr, b1.addr)
}
