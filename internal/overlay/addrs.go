package overlay

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/control"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	ma "github.com/multiformats/go-multiaddr"
	madns "github.com/multiformats/go-multiaddr-dns"
	manet "github.com/multiformats/go-multiaddr/net"

	"landbridge/internal/group"
	"landbridge/internal/sorting"
)

const (
	// A member's TCP addresses are tried this much after its QUIC addresses, circuits
	// this much after either.
	tcpDelay     = 150 * time.Millisecond
	circuitDelay = 50 * time.Millisecond

	maxAnnounced = 24 // addresses that we tell others
	maxLearnt    = 16 // addresses of one member that we keep
)

// addrPortOf returns the address and port at the front of a, and what they carry:
// ma.P_TCP, ma.P_QUIC_V1, or 0 for neither (a name, a circuit, another transport).
func addrPortOf(a ma.Multiaddr) (netip.AddrPort, int) {
	if len(a) < 2 || isCircuit(a) {
		return netip.AddrPort{}, 0
	}
	ip, ok := netip.AddrFromSlice(a[0].RawValue())
	if code := a[0].Protocol().Code; !ok || code != ma.P_IP4 && code != ma.P_IP6 {
		return netip.AddrPort{}, 0
	}
	port, err := strconv.ParseUint(a[1].Value(), 10, 16)
	if err != nil {
		return netip.AddrPort{}, 0
	}
	at := netip.AddrPortFrom(ip.Unmap(), uint16(port))
	switch {
	case a[1].Protocol().Code == ma.P_TCP:
		return at, ma.P_TCP
	case len(a) > 2 && a[1].Protocol().Code == ma.P_UDP && a[2].Protocol().Code == ma.P_QUIC_V1:
		return at, ma.P_QUIC_V1
	}
	return netip.AddrPort{}, 0
}

func isCircuit(a ma.Multiaddr) bool {
	return slices.ContainsFunc(a, func(c ma.Component) bool { return c.Protocol().Code == ma.P_CIRCUIT })
}

// distinct leaves out repetitions, in place, and keeps the order.
func distinct(addrs []ma.Multiaddr) []ma.Multiaddr {
	seen := make(map[string]bool, len(addrs))
	return slices.DeleteFunc(addrs, func(a ma.Multiaddr) bool {
		key := string(a.Bytes())
		was := seen[key]
		seen[key] = true
		return was
	})
}

func ipMultiaddr(ip netip.Addr) string {
	if ip.Is4() || ip.Is4In6() {
		return "/ip4/" + ip.Unmap().String()
	}
	return "/ip6/" + ip.WithZone("").String()
}

func tcpMultiaddr(at netip.AddrPort) ma.Multiaddr {
	return ma.StringCast(fmt.Sprintf("%s/tcp/%d", ipMultiaddr(at.Addr()), at.Port()))
}

func quicMultiaddr(at netip.AddrPort) ma.Multiaddr {
	return ma.StringCast(fmt.Sprintf("%s/udp/%d/quic-v1", ipMultiaddr(at.Addr()), at.Port()))
}

// parseAddr reads the address of a member as people and invitations write it: a
// multiaddr that ends in the member's ID.
func parseAddr(s string) (*peer.AddrInfo, error) {
	a, err := ma.NewMultiaddr(s)
	if err != nil {
		return nil, fmt.Errorf("address %q: %w; write it like /ip4/192.0.2.7/udp/4242/quic-v1/p2p/12D3KooW…", s, err)
	}
	info, err := peer.AddrInfoFromP2pAddr(a)
	if err != nil || len(info.Addrs) == 0 {
		return nil, fmt.Errorf("address %q: want an address and the member's ID, as in /ip4/192.0.2.7/udp/4242/quic-v1/p2p/12D3KooW…", s)
	}
	if _, err := group.MemberOfPeer(info.ID); err != nil {
		return nil, fmt.Errorf("address %q: %w", s, err)
	}
	return info, nil
}

// Classes of addresses, the best first.
const (
	classQUIC = iota
	classTCP  // and names
	classCircuit
)

func addrClass(a ma.Multiaddr) int {
	switch _, transport := addrPortOf(a); {
	case isCircuit(a):
		return classCircuit
	case transport == ma.P_QUIC_V1:
		return classQUIC
	}
	return classTCP
}

// rankDials orders a member's addresses: QUIC at once, TCP when QUIC hasn't answered,
// circuits when nothing has.
func rankDials(addrs []ma.Multiaddr) []network.AddrDelay {
	var overQUIC, overTCP, circuits []ma.Multiaddr
	for _, a := range addrs {
		switch addrClass(a) {
		case classQUIC:
			overQUIC = append(overQUIC, a)
		case classTCP:
			overTCP = append(overTCP, a)
		default:
			circuits = append(circuits, a)
		}
	}
	ranked := make([]network.AddrDelay, 0, len(addrs))
	delay := time.Duration(0)
	for _, class := range []struct {
		addrs []ma.Multiaddr
		after time.Duration // what the class waits, where one before it isn't empty
	}{{overQUIC, 0}, {overTCP, tcpDelay}, {circuits, circuitDelay}} {
		if len(ranked) > 0 && len(class.addrs) > 0 {
			delay += class.after
		}
		for _, a := range class.addrs {
			ranked = append(ranked, network.AddrDelay{Addr: a, Delay: delay})
		}
	}
	return ranked
}

// gate keeps the overlay from using addresses inside the groups' own prefixes: a
// connection that ran through the tunnel would end with the tunnel that it is there
// to set up. It implements libp2p's connmgr.ConnectionGater.
type gate struct {
	exclude func(netip.Addr) bool // nil: nothing
}

func (g gate) usable(a ma.Multiaddr) bool {
	if isCircuit(a) {
		return true // its relay is dialled, and judged, by itself
	}
	at, transport := addrPortOf(a)
	ip := at.Addr()
	if transport == 0 || at.Port() == 0 || ip.IsUnspecified() || ip.IsMulticast() || ip.IsLinkLocalUnicast() && ip.Is6() {
		return false
	}
	return g.exclude == nil || !g.exclude(ip)
}

func (g gate) InterceptPeerDial(peer.ID) bool                                  { return true }
func (g gate) InterceptAddrDial(_ peer.ID, a ma.Multiaddr) bool                { return g.usable(a) }
func (g gate) InterceptAccept(c network.ConnMultiaddrs) bool                   { return g.usable(c.RemoteMultiaddr()) }
func (g gate) InterceptUpgraded(network.Conn) (bool, control.DisconnectReason) { return true, 0 }
func (g gate) InterceptSecured(network.Direction, peer.ID, network.ConnMultiaddrs) bool {
	return true
}

// names resolves only the host names that came from the operator or an invitation. A
// name that a peer announces is not looked up: it could make us ask any DNS server.
// It implements libp2p's network.MultiaddrDNSResolver.
type names struct {
	resolver network.MultiaddrDNSResolver // nil: the system's

	mu    sync.Mutex
	known map[string]bool // those allowed; true while they don't resolve
}

var errUnknownName = errors.New("host name from a peer: not looked up")

// allow permits the names in addrs.
func (n *names) allow(addrs ...ma.Multiaddr) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, a := range addrs {
		for _, c := range a {
			switch c.Protocol().Code {
			case ma.P_DNS, ma.P_DNS4, ma.P_DNS6:
				if n.known == nil {
					n.known = make(map[string]bool)
				}
				n.known[c.Value()] = n.known[c.Value()]
			}
		}
	}
}

func (n *names) ResolveDNSAddr(context.Context, peer.ID, ma.Multiaddr, int, int) ([]ma.Multiaddr, error) {
	return nil, errUnknownName
}

func (n *names) ResolveDNSComponent(ctx context.Context, a ma.Multiaddr, limit int) ([]ma.Multiaddr, error) {
	if !n.looksUp(a) {
		return nil, errUnknownName
	}
	var resolver network.MultiaddrDNSResolver = swarm.ResolverFromMaDNS{Resolver: madns.DefaultResolver}
	if n.resolver != nil {
		resolver = n.resolver
	}
	found, err := resolver.ResolveDNSComponent(ctx, a, limit)
	if ctx.Err() == nil || err == nil {
		n.mu.Lock()
		n.known[a[0].Value()] = err != nil || len(found) == 0
		n.mu.Unlock()
	}
	return found, err
}

// looksUp reports whether a begins with a name that may be looked up.
func (n *names) looksUp(a ma.Multiaddr) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(a) == 0 {
		return false
	}
	_, ok := n.known[a[0].Value()]
	return ok
}

// failed reports whether a begins with a name that didn't resolve when it was looked up
// last.
func (n *names) failed(a ma.Multiaddr) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.known[a[0].Value()]
}

// selfView is what we know about our own addresses beside those of the interfaces.
type selfView struct {
	gate     gate
	announce []ma.Multiaddr // by the operator

	mu       sync.Mutex
	mapped   []ma.Multiaddr             // by the router before us
	data     netip.AddrPort             // of these, the data socket's
	observed map[peer.ID]netip.AddrPort // our data socket as each connected peer sees it
	circuits map[peer.ID][]ma.Multiaddr // through relays that hold a reservation for us
}

// addrs is what we tell others: libp2p's addresses factory. Its argument holds the
// interfaces' addresses.
func (s *selfView) addrs(local []ma.Multiaddr) []ma.Multiaddr {
	s.mu.Lock()
	out := slices.Concat(s.announce, s.mapped)
	s.mu.Unlock()
	local = slices.Clone(local)
	sorting.StablyBy(local, func(a, b ma.Multiaddr) int { return addrClass(a) - addrClass(b) })
	elsewhere := slices.ContainsFunc(local, func(a ma.Multiaddr) bool { return s.gate.usable(a) && !manet.IsIPLoopback(a) })
	for _, a := range local {
		if s.gate.usable(a) && !(elsewhere && manet.IsIPLoopback(a)) {
			out = append(out, a)
		}
	}
	for i, at := range s.reflexive() {
		if i < 2 && !(elsewhere && at.Addr().IsLoopback()) {
			out = append(out, quicMultiaddr(at))
		}
	}
	s.mu.Lock()
	for _, relay := range slices.Sorted(maps.Keys(s.circuits)) {
		out = append(out, s.circuits[relay]...)
	}
	s.mu.Unlock()
	out = distinct(out)
	return out[:min(len(out), maxAnnounced)]
}

// setMapped takes where the router before us passes on what comes; what isn't valid it doesn't.
func (s *selfView) setMapped(data, tcp netip.AddrPort) {
	var mapped []ma.Multiaddr
	if data.IsValid() {
		mapped = append(mapped, quicMultiaddr(data))
	}
	if tcp.IsValid() {
		mapped = append(mapped, tcpMultiaddr(tcp))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mapped, s.data = mapped, data
}

// observe records what a peer said of us.
func (s *selfView) observe(by peer.ID, addr ma.Multiaddr) {
	at, transport := addrPortOf(addr)
	if transport != ma.P_QUIC_V1 || !s.gate.usable(addr) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.observed == nil {
		s.observed = make(map[peer.ID]netip.AddrPort)
	}
	if _, known := s.observed[by]; known || len(s.observed) < highWater {
		s.observed[by] = at
	}
}

// forget drops what a peer that has gone said and held for us.
func (s *selfView) forget(p peer.ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.observed, p)
	delete(s.circuits, p)
}

// reflexive lists the observed addresses, those with most observers first.
func (s *selfView) reflexive() []netip.AddrPort {
	s.mu.Lock()
	defer s.mu.Unlock()
	votes := make(map[netip.AddrPort]int)
	for _, at := range s.observed {
		votes[at]++
	}
	list := make([]netip.AddrPort, 0, len(votes))
	for at := range votes {
		list = append(list, at)
	}
	sorting.By(list, func(a, b netip.AddrPort) int {
		if votes[a] != votes[b] {
			return votes[b] - votes[a]
		}
		return a.Compare(b)
	})
	return list
}

// reserved records that relay holds a reservation for us, and where it can be
// reached. Only as many circuits are announced as help.
func (s *selfView) reserved(relay peer.ID, at []ma.Multiaddr) {
	const maxRelays, maxEach = 4, 2
	var through []ma.Multiaddr
	for _, a := range distinct(at) {
		if len(through) < maxEach && s.gate.usable(a) && !isCircuit(a) {
			through = append(through, a.Encapsulate(ma.StringCast("/p2p/"+relay.String()+"/p2p-circuit")))
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.circuits == nil {
		s.circuits = make(map[peer.ID][]ma.Multiaddr)
	}
	if _, known := s.circuits[relay]; len(through) > 0 && (known || len(s.circuits) < maxRelays) {
		s.circuits[relay] = through
	}
}
