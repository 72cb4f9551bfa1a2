package doctor

import (
	"fmt"
	"net/netip"
	"slices"

	"landbridge/console/api"
)

// NAT is what stands between this appliance's socket and the others.
type NAT uint8

// The kinds, better ones first.
const (
	NATUnknown   NAT = iota // nobody has told
	NATNone                 // others see an address of this host
	NATCone                 // one mapping for all
	NATSymmetric            // another port for each
)

// NATOf says it from what others see of the socket, and this host's own addresses.
func NATOf(observed []netip.AddrPort, local []netip.Addr) NAT {
	kind := NATUnknown
	ports := make(map[netip.Addr]uint16)
	for _, o := range observed {
		addr := o.Addr().Unmap()
		if !addr.Is4() {
			continue // where there is IPv6 there is seldom a NAT for it
		}
		if slices.Contains(local, addr) {
			return NATNone
		}
		if port, seen := ports[addr]; seen && port != o.Port() {
			return NATSymmetric
		}
		ports[addr] = o.Port()
		kind = NATCone
	}
	return kind
}

// words says what a kind of NAT means.
func (k NAT) words() string {
	switch k {
	case NATNone:
		return "Other members see an address of this host itself: no NAT is before it."
	case NATCone:
		return "A NAT is before this host, which uses one port for all members: direct paths can be made to all but symmetric NATs."
	case NATSymmetric:
		return "A symmetric NAT is before this host: members see another port each. Direct paths can be made only to members without such a NAT, and not all of these."
	}
	return "No other member has told yet what it sees of this host."
}

// adviceFor says what would make the path to a member a better one; nothing where it is good.
func adviceFor(p api.Peer, nat NAT, port uint16) string {
	open := fmt.Sprintf("Have the router before one of the two appliances forward a port to it, UDP and TCP (here %d), and say so there (announce: HOST:PORT).", port)
	switch {
	case p.Native, p.Path == api.PathKindLAN, p.Path == api.PathKindDirect && p.Why == "":
		return ""
	case p.Session == api.SessionStateNone && !p.Connected:
		return "See that the other appliance runs and reaches the network. Where both are behind NATs or firewalls, a third member that both reach has to run, or: " + open
	case p.Session == api.SessionStateNone:
		return "" // made with the first packet
	case p.Path == api.PathKindTCP:
		return "Let UDP pass the firewalls at both sites: over TCP what is lost holds up all that follows."
	case p.Path == api.PathKindDirect:
		return "A smaller MTU for the group would help, or one that fits on the link between."
	case nat == NATSymmetric:
		return "The NAT before this host gives each member another port. Set it to keep the port (static port, full cone, or endpoint-independent mapping), or: " + open
	case p.Path == api.PathKindRelay:
		return open
	}
	return "Let UDP pass the firewalls at both sites; where that can't be, a member that both reach relays."
}
