package router

import (
	"net/netip"
	"time"

	"landbridge/internal/frame"
)

// Watch hears of what the segment has besides hosts with leases and us. Its methods are
// called on the frame path: they must be quick, and keep nothing of their arguments.
type Watch interface {
	// DHCPReply takes a message that a DHCP server other than this appliance's has sent
	// to a host, as far as such frames reach us: broadcast ones, and those to our gateway MAC.
	DHCPReply(message []byte, from netip.Addr, source frame.MAC)
	// Gateway is told that a station other than this appliance gives itself, or another, out
	// as a gateway of the group: addr is the service address, or an address of the prefix that
	// sign names as a router. Of one station, at most every strangerEvery.
	Gateway(addr netip.Addr, mac frame.MAC, sign GatewaySign)
	// OthersAsk is told that a station that isn't the group's has asked a DHCP server something.
	OthersAsk(mac frame.MAC)
}

// GatewaySign says by what a station was taken for a gateway.
type GatewaySign uint8

const (
	SignService       GatewaySign = iota // it says by ARP that it has the service address
	SignAdvertisement                    // an ICMP router advertisement (RFC 1256)
	SignRedirect                         // an ICMP redirect (RFC 792)
	SignProxy                            // it answers ARP for addresses that nobody has
)

// otherGateway reports a sign of another gateway.
func (r *Router) otherGateway(addr netip.Addr, mac frame.MAC, sign GatewaySign, now time.Time) {
	if r.watch == nil || !mac.IsUnicast() || mac == r.gateway {
		return
	}
	key := waitKey{question: whoIsThat, addr: addr, member: asKey(mac)}
	if r.told.holds(key, now) {
		return
	}
	r.told.remember(key, now, strangerEvery)
	r.watch.Gateway(addr, mac, sign)
}

// overhearICMP looks for routers that give themselves out as such, with an address of the
// group.
func (r *Router) overhearICMP(ip frame.IPv4, mac frame.MAC, now time.Time) {
	m, err := frame.ParseICMPv4(ip.Payload())
	if err != nil || ip.IsFragment() {
		return
	}
	const redirect, advertisement, first = 5, 9, 8 // where the first address stands
	sign, at := SignRedirect, 4
	switch m.Type() {
	case redirect:
	case advertisement:
		sign, at = SignAdvertisement, first
	default:
		return
	}
	if len(m) < at+4 {
		return
	}
	addr := netip.AddrFrom4([4]byte(m[at : at+4]))
	if r.classifier.prefix.Contains(addr) {
		r.otherGateway(addr, mac, sign, now)
	}
}

// overhearDHCP shows a message of another DHCP server to who watches.
func (r *Router) overhearDHCP(ip frame.IPv4, source frame.MAC) {
	u, err := frame.ParseUDP(ip.Payload())
	if err != nil || r.watch == nil {
		r.counters.add(ignoredMulticast, 1)
		return
	}
	if !u.ChecksumOK(ip.Src(), ip.Dst()) {
		r.counters.add(dropChecksum, 1)
		return
	}
	r.counters.add(dhcpOverheard, 1)
	r.watch.DHCPReply(u.Payload(), ip.Src(), source)
}
