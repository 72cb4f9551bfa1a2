package router

import (
	"net/netip"

	"landbridge/internal/frame"
)

// Watch hears of what the segment has besides hosts with leases and us. Its methods are
// called on the frame path: they must be quick, and keep nothing of their arguments.
type Watch interface {
	// DHCPReply takes a message that a DHCP server other than this appliance's has sent
	// to a host, as far as such frames reach us: broadcast ones, and those to our gateway MAC.
	DHCPReply(message []byte, from netip.Addr, source frame.MAC)
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
