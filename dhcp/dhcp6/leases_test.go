package dhcp6

import (
	"errors"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv6"
	"github.com/insomniacslk/dhcp/iana"

	"landbridge/dhcp"
	"landbridge/internal/ula"
)

// What becomes of leases: given back, declined, of another network, renewed by DHCPv4 alone.

// What a host gives back it has no more, and what it has found in use nobody is given for a while.
func TestReleaseAndDecline(t *testing.T) {
	t.Parallel()
	now := begun
	l := newLeases()
	s := newServer(t, l, func(c *Config) { c.Now = func() time.Time { return now } })
	advertise, _ := says(t, s, raw(t, dhclientThird))
	request := follow(t, dhcpv6.MessageTypeRequest, advertise, dhclientThird)
	// binding is what the answer says of the identity association.
	answer := func(kind dhcpv6.MessageType) (binding iana.StatusCode) {
		t.Helper()
		m, err := says(t, s, follow(t, kind, advertise, dhclientThird))
		if err != nil || m.Options.Status() == nil || m.Options.Status().StatusCode != iana.StatusSuccess {
			t.Fatalf("%v: %v, %v", kind, m, err)
		}
		if ia := m.Options.OneIANA(); ia != nil {
			if ia.IaId != advertise.Options.OneIANA().IaId || ia.Options.Status() == nil {
				t.Fatalf("%v: %v", kind, ia)
			}
			return ia.Options.Status().StatusCode
		}
		return iana.StatusSuccess
	}
	release, decline := dhcpv6.MessageTypeRelease, dhcpv6.MessageTypeDecline
	if got := answer(release); got != iana.StatusNoBinding {
		t.Errorf("what was never requested is released: %v", got)
	}
	if _, err := says(t, s, request); err != nil || !l.has[l.next] {
		t.Fatalf("%v; taken %t", err, l.has[l.next])
	}
	if got := answer(release); got != iana.StatusSuccess || l.has[l.next] || len(l.ended["released"]) != 1 {
		t.Errorf("release: %v, taken %t, ended %v", got, l.has[l.next], l.ended)
	}
	if got := answer(release); got != iana.StatusNoBinding {
		t.Errorf("released twice: %v", got)
	}
	if _, err := says(t, s, request); err != nil || !l.has[l.next] {
		t.Fatalf("taken again: %v", err)
	}
	if got := answer(decline); got != iana.StatusSuccess || l.has[l.next] || len(l.ended["declined"]) != 1 {
		t.Errorf("decline: %v, taken %t, ended %v", got, l.has[l.next], l.ended)
	}
	for kind, message := range map[dhcpv6.MessageType][]byte{dhcpv6.MessageTypeAdvertise: raw(t, dhclientThird), dhcpv6.MessageTypeReply: request} {
		m, err := says(t, s, message)
		if err != nil || m.MessageType != kind || m.Options.OneIANA().Options.Status().StatusCode != iana.StatusNoAddrsAvail || l.has[l.next] {
			t.Errorf("while it rests: %v, %v", m, err)
		}
	}
	now = now.Add(restTime)
	if m, err := says(t, s, request); err != nil || !l.has[l.next] {
		t.Errorf("after that: %v, %v", m, err)
	}
	if ia := advertise.Options.OneIANA(); ia != nil {
		ia.Options.OneAddress().IPv6Addr = net.ParseIP("2001:db8::5")
	}
	if got := answer(release); got != iana.StatusNoBinding || !l.has[l.next] {
		t.Errorf("release of another network's: %v", got)
	}
}

func TestThatAHostHasDeclinedIsRememberedWithinBounds(t *testing.T) {
	t.Parallel()
	s := newServer(t, newLeases())
	addr := netip.MustParseAddr("10.77.0.1")
	for range 10 * maxResting {
		s.rest(addr, begun)
		addr = addr.Next()
	}
	if len(s.resting) != maxResting {
		t.Errorf("%d are remembered", len(s.resting))
	}
	if s.rest(addr, begun.Add(restTime)); !s.rests(addr, begun.Add(restTime)) || len(s.resting) != 1 {
		t.Errorf("%d are remembered when those are over", len(s.resting))
	}
}

// What concerns another network of the link is that network's: its addresses are neither denied nor ended.
func TestAddressesOfAnotherNetworkAreLeftAlone(t *testing.T) {
	t.Parallel()
	naming := func(t *testing.T, s *Server, kind dhcpv6.MessageType, addrs ...string) []byte {
		t.Helper()
		advertise, err := says(t, s, raw(t, dhclientThird))
		if err != nil {
			t.Fatal(err)
		}
		ia := advertise.Options.OneIANA()
		ia.Options.Del(dhcpv6.OptionIAAddr)
		for _, a := range addrs {
			ia.Options.Add(&dhcpv6.OptIAAddress{IPv6Addr: net.ParseIP(a), PreferredLifetime: time.Hour, ValidLifetime: time.Hour})
		}
		return follow(t, kind, advertise, dhclientThird, dhcpv6.OptionServerID)
	}
	const ours, before, other = "fd12:3456:789a::a4d:5", "fd98::a4d:5", "2001:db8::5"
	confirm, rebind := dhcpv6.MessageTypeConfirm, dhcpv6.MessageTypeRebind
	for name, c := range map[string]struct {
		kind   dhcpv6.MessageType
		named  []string
		lease  bool
		status iana.StatusCode
		ended  []string
		silent bool
	}{
		"confirm, ours":                      {kind: confirm, named: []string{ours}, status: iana.StatusSuccess},
		"confirm, of a former prefix":        {kind: confirm, named: []string{before}, status: iana.StatusNotOnLink},
		"confirm, both":                      {kind: confirm, named: []string{ours, before}, status: iana.StatusNotOnLink},
		"confirm, another network's":         {kind: confirm, named: []string{other}, silent: true},
		"confirm, ours and another's":        {kind: confirm, named: []string{ours, other}, silent: true},
		"rebind, another network's":          {kind: rebind, named: []string{other}, silent: true},
		"rebind, of a former prefix":         {kind: rebind, named: []string{before, other}, ended: []string{before}},
		"rebind, another network's, a lease": {kind: rebind, named: []string{other}, lease: true},
		"rebind, all, a lease":               {kind: rebind, named: []string{other, ours, before}, lease: true, ended: []string{before}},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLeases()
			s := newServer(t, l)
			now := *s.given.Load()
			former := now
			former.Net, _ = ula.Parse(netip.MustParsePrefix("fd98::/64"))
			s.SetGiven(former)
			s.SetGiven(now)
			if c.lease {
				l.held[l.next] = Holding{Client: dhcp.Client{ID: []byte("x"), MAC: net.HardwareAddr(station[:])}, Addr: l.next, End: begun.Add(time.Hour)}
			}
			m, err := says(t, s, naming(t, s, c.kind, c.named...))
			switch {
			case c.silent:
				if m != nil || !errors.Is(err, ErrOtherNetwork) || !errors.Is(err, dhcp.ErrNotServed) {
					t.Errorf("%v, %v", m, err)
				}
				return
			case err != nil:
				t.Fatal(err)
			case c.kind == confirm:
				if got := m.Options.Status(); got == nil || got.StatusCode != c.status {
					t.Errorf("%v, want %v", got, c.status)
				}
				return
			}
			var live, ended []string
			for _, a := range m.Options.OneIANA().Options.Addresses() {
				if a.ValidLifetime != 0 {
					live = append(live, a.IPv6Addr.String())
					continue
				}
				ended = append(ended, a.IPv6Addr.String())
			}
			if !slices.Equal(ended, c.ended) || c.lease != slices.Contains(live, ours) {
				t.Errorf("ended %v, live %v", ended, live)
			}
		})
	}
}

// Under a rule of vendor classes DHCPv4 alone renews a lease.
func TestWhatDHCPv4AloneRenewsIsGrantedForWhatIsLeft(t *testing.T) {
	t.Parallel()
	l := newLeases()
	l.held[l.next] = Holding{Client: dhcp.Client{ID: []byte("x"), MAC: net.HardwareAddr(station[:])}, Addr: l.next, End: begun.Add(20 * time.Minute)}
	s := newServer(t, l)
	advertise, err := says(t, s, raw(t, dhclientThird))
	if err != nil {
		t.Fatal(err)
	}
	l.classes = true
	for _, kind := range []dhcpv6.MessageType{dhcpv6.MessageTypeRequest, dhcpv6.MessageTypeRenew} {
		reply, err := says(t, s, follow(t, kind, advertise, dhclientThird))
		if err != nil {
			t.Fatalf("%v: %v", kind, err)
		}
		if got, valid := address(t, reply); got != s.given.Load().Net.Of(l.next) || valid != 20*time.Minute || l.commits != 0 || !l.has[l.next] {
			t.Errorf("%v: %v for %v, %d commits", kind, got, valid, l.commits)
		}
	}
}
