package overlay

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	"landbridge/internal/group"
)

func multiaddrs(list ...string) []ma.Multiaddr {
	var out []ma.Multiaddr
	for _, s := range list {
		out = append(out, ma.StringCast(s))
	}
	return out
}

func texts(addrs []ma.Multiaddr) []string {
	var out []string
	for _, a := range addrs {
		out = append(out, a.String())
	}
	return out
}

func TestAddrPortOfReadsQUICAndTCPOnly(t *testing.T) {
	relay := "/p2p/" + idOf(1).String() + "/p2p-circuit"
	for text, want := range map[string]struct {
		at        string
		transport int
	}{
		"/ip4/192.0.2.7/udp/4242/quic-v1":         {"192.0.2.7:4242", ma.P_QUIC_V1},
		"/ip6/2001:db8::7/udp/4242/quic-v1":       {"[2001:db8::7]:4242", ma.P_QUIC_V1},
		"/ip4/192.0.2.7/tcp/80":                   {"192.0.2.7:80", ma.P_TCP},
		"/ip4/192.0.2.7/udp/4242":                 {},
		"/ip4/192.0.2.7":                          {},
		"/dns4/gate.example/udp/4242/quic-v1":     {},
		"/ip4/192.0.2.7/udp/4242/quic-v1" + relay: {},
		relay: {},
		"/ip6zone/eth0/ip6/fe80::1/udp/4242/quic-v1": {},
	} {
		at, transport := addrPortOf(ma.StringCast(text))
		if transport != want.transport || transport != 0 && at.String() != want.at {
			t.Errorf("%s: %v %d", text, at, transport)
		}
	}
}

func TestDialsGoToQUICFirstThenTCPThenCircuits(t *testing.T) {
	relay := "/ip4/192.0.2.1/udp/1/quic-v1/p2p/" + idOf(1).String() + "/p2p-circuit"
	quic, tcp := "/ip4/192.0.2.7/udp/4242/quic-v1", "/ip4/192.0.2.7/tcp/4242"
	for _, c := range []struct {
		addrs []string
		want  map[string]time.Duration
	}{
		{[]string{relay, tcp, quic}, map[string]time.Duration{quic: 0, tcp: tcpDelay, relay: tcpDelay + circuitDelay}},
		{[]string{relay, quic}, map[string]time.Duration{quic: 0, relay: circuitDelay}},
		{[]string{relay, tcp}, map[string]time.Duration{tcp: 0, relay: circuitDelay}},
		{[]string{relay}, map[string]time.Duration{relay: 0}},
		{nil, nil},
	} {
		ranked := rankDials(multiaddrs(c.addrs...))
		if len(ranked) != len(c.want) {
			t.Errorf("%v: %v", c.addrs, ranked)
		}
		for _, r := range ranked {
			if want, ok := c.want[r.Addr.String()]; !ok || r.Delay != want {
				t.Errorf("%v: %v after %v, want %v", c.addrs, r.Addr, r.Delay, want)
			}
		}
	}
}

func TestAnnouncedAreTheOperatorsThenOursThenObservedThenCircuits(t *testing.T) {
	prefix := netip.MustParsePrefix("10.9.0.0/16")
	s := selfView{gate: gate{prefix.Contains}, announce: multiaddrs("/dns4/gate.example/udp/1/quic-v1")}
	s.observe("peer", ma.StringCast("/ip4/198.51.100.1/udp/31000/quic-v1"))
	s.observe("liar", ma.StringCast("/ip4/10.9.0.1/udp/31000/quic-v1"))
	s.observe("tcp", ma.StringCast("/ip4/198.51.100.1/tcp/31000"))
	relay := idOf(1)
	s.reserved(relay.Peer(), multiaddrs("/ip4/192.0.2.1/udp/1/quic-v1", "/ip4/192.0.2.1/tcp/1", "/ip4/192.0.2.3/tcp/1"))
	got := texts(s.addrs(multiaddrs(
		"/ip4/127.0.0.1/udp/4242/quic-v1", // of no use to others
		"/ip4/10.9.0.1/udp/4242/quic-v1",  // inside the group
		"/ip4/192.168.1.5/tcp/4242",
		"/ip6/fe80::5/udp/4242/quic-v1", // needs a zone
		"/ip4/192.168.1.5/udp/4242/quic-v1",
		"/ip4/0.0.0.0/udp/4242/quic-v1")))
	through := "/p2p/" + relay.String() + "/p2p-circuit"
	want := []string{
		"/dns4/gate.example/udp/1/quic-v1",
		"/ip4/192.168.1.5/udp/4242/quic-v1", "/ip4/192.168.1.5/tcp/4242",
		"/ip4/198.51.100.1/udp/31000/quic-v1",
		"/ip4/192.0.2.1/udp/1/quic-v1" + through, "/ip4/192.0.2.1/tcp/1" + through,
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%v\nwant\n%v", got, want)
	}
	s.forget(relay.Peer())
	s.forget("peer")
	if got := texts(s.addrs(multiaddrs("/ip4/127.0.0.1/tcp/1"))); !slices.Equal(got, []string{want[0], "/ip4/127.0.0.1/tcp/1"}) {
		t.Errorf("alone: %v", got)
	}
}

func TestObservedWithMostWitnessesComesFirst(t *testing.T) {
	var s selfView
	for by, addr := range map[string]string{
		"a": "/ip4/198.51.100.1/udp/2/quic-v1", "b": "/ip4/198.51.100.1/udp/1/quic-v1", "c": "/ip4/198.51.100.1/udp/2/quic-v1",
	} {
		s.observe(peer.ID(by), ma.StringCast(addr))
	}
	want := []netip.AddrPort{netip.MustParseAddrPort("198.51.100.1:2"), netip.MustParseAddrPort("198.51.100.1:1")}
	if got := s.reflexive(); !slices.Equal(got, want) {
		t.Errorf("got %v", got)
	}
}

func TestOnlyNamesFromTheOperatorAreLookedUp(t *testing.T) {
	var n names
	n.allow(multiaddrs("/dns4/localhost/udp/4242/quic-v1")...)
	got, err := n.ResolveDNSComponent(t.Context(), ma.StringCast("/dns4/localhost/udp/4242/quic-v1"), 4)
	if err != nil || len(got) == 0 {
		t.Errorf("the operator's: %v %v", got, err)
	}
	if _, err := n.ResolveDNSComponent(t.Context(), ma.StringCast("/dns4/peers.example/udp/1/quic-v1"), 4); !errors.Is(err, errUnknownName) {
		t.Errorf("a peer's: %v", err)
	}
	if _, err := n.ResolveDNSAddr(t.Context(), "", ma.StringCast("/dnsaddr/localhost"), 4, 4); !errors.Is(err, errUnknownName) {
		t.Errorf("a list of addresses in DNS: %v", err)
	}
}

func TestAddressesOfMembersWantAnAddressAndAnID(t *testing.T) {
	id := idOf(1)
	if got, err := parseAddr("/ip4/192.0.2.7/udp/4242/quic-v1/p2p/" + id.String()); err != nil || got.ID != id.Peer() {
		t.Errorf("got %v, %v", got, err)
	}
	for _, s := range []string{
		"", "nonsense", "192.0.2.7:4242", "/ip4/192.0.2.7/udp/4242/quic-v1", "/p2p/" + id.String(),
		"/ip4/192.0.2.7/tcp/1/p2p/QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N", // not an Ed25519 key
	} {
		if got, err := parseAddr(s); err == nil {
			t.Errorf("%q: %v", s, got)
		}
	}
}

func TestTheRelayOfACircuitIsTheFirstThatItNames(t *testing.T) {
	want := group.MemberOf(ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)).Public().(ed25519.PublicKey))
	relay, far := want.String(), group.MemberOf(ed25519.NewKeyFromSeed(bytes.Repeat([]byte{1}, ed25519.SeedSize)).Public().(ed25519.PublicKey)).String()
	for _, c := range []struct {
		circuit string
		want    group.MemberID
	}{
		{"/ip4/192.0.2.1/udp/4860/quic-v1/p2p/" + relay + "/p2p-circuit", want},
		{"/ip4/192.0.2.1/udp/4860/quic-v1/p2p/" + relay + "/p2p-circuit/p2p/" + far, want},
		{"/ip4/192.0.2.1/udp/4860/quic-v1", group.MemberID{}},
	} {
		a, err := ma.NewMultiaddr(c.circuit)
		if err != nil {
			t.Fatal(err)
		}
		if got := relayOf(a); got != c.want {
			t.Errorf("%s: relayed by %v, want %v", c.circuit, got, c.want)
		}
	}
}
