package router

import (
	"context"

	"landbridge/internal/frame"
	"landbridge/internal/group"
)

// Packets of IPv6 go the way of those of IPv4, step by step (forward.go, deliver.go), but that
// nobody fragments them on their way.

// tcpOverhead6 is the bytes of IPv6 and TCP header.
const tcpOverhead6 = frame.IPv6HeaderLen + frame.TCPHeaderLen

// forward6 takes a sound packet from a host of the segment, mac.
func (r *Router) forward6(b *batch, p frame.Packet, mac frame.MAC) {
	s := r.six.Load()
	if s == nil {
		r.counters.add(ignoredIPv6, 1)
		return
	}
	ip := header6(p)
	src, ok := r.host(s, ip.Src())
	if !ok {
		r.counters.add(dropSpoofed, 1)
		return
	}
	dst, ok := r.host(s, ip.Dst())
	if !ok {
		r.counters.add(dropOutside, 1)
		return
	}
	if route, status := r.directory.Lookup(src); status != Known || !route.here() {
		if status == Unknown && r.resolveSource(b, p, mac, src) {
			return
		}
		r.counters.add(dropSpoofed, 1)
		r.strangeSender(src, mac, b.now)
		return
	}
	route, status := r.directory.Lookup(dst)
	if relief := r.relief.Load(); relief != nil && !(status == Known && route.here()) {
		r.handOver6(b, p, mac, *relief)
		return
	}
	switch status {
	case Known:
		r.forwardTo6(b, p, mac, route)
	case Absent:
		r.refuse(b, parked{packet: p, mac: mac}, dropAbsent)
	default:
		r.resolve(b, p, mac, dst)
	}
}

// forwardTo6 sends a packet on its way, or answers with the ICMPv6 error that it deserves. One to a host of
// this segment past the device goes to its member, as long as it is sent here.
func (r *Router) forwardTo6(b *batch, p frame.Packet, mac frame.MAC, route Route) {
	ip := header6(p)
	if ip.HopLimit() <= 1 {
		r.counters.add(dropTTL, 1)
		r.tellHost6(b, mac, ip, complaint6{kind: frame.ICMPv6TimeExceeded})
		return
	}
	if route.Local || route.Native && r.bypass == nil {
		ip.DecrementHopLimit()
		r.toHost6(b, parked{packet: p, mac: mac})
		return
	}
	e := extentOf6(p)
	if e.longest > r.mtu {
		r.counters.add(dropTooBig, 1)
		r.tellHost6(b, mac, ip, complaint6{kind: frame.ICMPv6TooBig, value: uint32(r.mtu)})
		return
	}
	r.clampMSS6(p)
	ip.DecrementHopLimit()
	b.sendOf(route.Member, p, e)
}

// handOver6 is handOver for IPv6.
func (r *Router) handOver6(b *batch, p frame.Packet, mac, relief frame.MAC) {
	ip := header6(p)
	if !ip.DecrementHopLimit() {
		r.counters.add(dropTTL, 1)
		r.tellHost6(b, mac, ip, complaint6{kind: frame.ICMPv6TimeExceeded})
		return
	}
	frame.AppendEthernet(p.Buf[:frame.VirtioHeaderLen], relief, r.gateway, frame.EtherTypeIPv6)
	b.write(p)
	r.counters.add(outRelief, 1)
}

// deliver6 takes from a member what isn't IPv4.
func (r *Router) deliver6(b *batch, from group.MemberID, p frame.Packet) {
	ip, err := frame.ParseIPv6(p.IP())
	if err != nil {
		r.counters.add(dropMalformed, 1)
		return
	}
	s := r.six.Load()
	if s == nil {
		r.counters.add(ignoredIPv6, 1)
		return
	}
	p.Buf = p.Buf[:frame.Headroom+len(ip)]
	dst, ok := r.host(s, ip.Dst())
	if !ok {
		r.counters.add(dropMemberMulticast, 1)
		return
	}
	switch ip.HopLimit() {
	case 0:
		r.counters.add(dropTTL, 1)
		return
	case 255: // its router has taken none off: to hosts it would have come from their own link (RFC 4861 section 3.1)
		r.counters.add(dropMemberSource, 1)
		return
	}
	if route, status := r.directory.Lookup(dst); status != Known || !route.Local && (!route.Native || r.bypass != nil) {
		r.counters.add(dropNotHere, 1)
		return
	}
	src, ok := r.claimedSource6(s, ip)
	if !ok || from == (group.MemberID{}) {
		r.counters.add(dropMemberSource, 1)
		return
	}
	if route, status := r.directory.Lookup(src); status == Known && r.sendsFor(from, route.Member) {
		r.toSegment6(b, parked{packet: p, from: from})
		return
	}
	key := waitKey{question: whoseIsIt, addr: src, member: from}
	if r.refused.holds(key, b.now) {
		r.counters.add(dropMemberSource, 1)
		return
	}
	r.park(key, parked{packet: p, from: from}, r.askSource)
}

// toSegment6 writes a packet whose source and destination are in order.
func (r *Router) toSegment6(b *batch, p parked) {
	if extentOf6(p.packet).longest <= r.linkMTU {
		r.toHost6(b, p)
		return
	}
	r.counters.add(dropTooBig, 1)
	r.complain6(b, p, complaint6{kind: frame.ICMPv6TooBig, value: uint32(r.linkMTU)})
}

// toHost6 writes a packet to the host of this segment that has its destination, or makes it wait for
// neighbour discovery.
func (r *Router) toHost6(b *batch, p parked) {
	s := r.six.Load()
	if s == nil {
		r.counters.add(ignoredIPv6, 1)
		return
	}
	dst, ok := r.host(s, header6(p.packet).Dst())
	if !ok { // the group's prefix has changed meanwhile
		r.counters.add(dropOutside, 1)
		return
	}
	if mac, ok := s.hosts.MAC(dst); ok {
		r.write6(b, mac, p)
		return
	}
	key := waitKey{question: whichMAC6, addr: dst}
	if r.refused.holds(key, b.now) {
		r.refuse(b, p, dropNoNeighbour)
		return
	}
	r.park(key, p, r.askNeighbour6)
}

// askNeighbour6 is the job behind whichMAC6: neighbour solicitations, until observe6 sees an answer. A host that
// has no IPv6 gives none, and who sends to it is told so.
func (r *Router) askNeighbour6(ctx context.Context, key waitKey) {
	s := r.six.Load()
	if s != nil {
		r.requestNeighbour(ctx, key, frame.AppendSolicit(nil, r.gateway, frame.LinkLocal(r.gateway), s.Net.Of(key.addr)))
	}
	b := r.borrow()
	defer r.giveBack(b)
	var mac frame.MAC
	found := false
	if s != nil {
		mac, found = s.hosts.MAC(key.addr)
	}
	if !found {
		r.refused.remember(key, b.now, refuseNeighbour)
	}
	for _, p := range r.waiting.take(key) {
		if !found {
			r.refuse(b, p, dropNoNeighbour)
			continue
		}
		r.write6(b, mac, p)
	}
}

// write6 puts a packet on the segment, with the Ethernet header in its headroom.
func (r *Router) write6(b *batch, mac frame.MAC, p parked) {
	if p.from == (group.MemberID{}) {
		r.counters.add(outHairpin, 1)
	} else {
		e := extentOf6(p.packet)
		b.deliveredPackets += e.pieces
		b.deliveredBytes += e.bytes
		r.clampMSS6(p.packet)
	}
	frame.AppendEthernet(p.packet.Buf[:frame.VirtioHeaderLen], mac, r.gateway, frame.EtherTypeIPv6)
	b.write(p.packet)
}

// extentOf6 is extentOf for IPv6.
func extentOf6(p frame.Packet) extent {
	ip := header6(p)
	whole := extent{len(ip), 1, len(ip)}
	if p.GSO == frame.GSONone || p.Size == 0 {
		return whole
	}
	headers, protocol := ip.Upper()
	switch {
	case headers > len(ip):
		return whole
	case protocol == frame.ProtocolTCP:
		t, err := frame.ParseTCP(ip[headers:])
		if err != nil {
			return whole
		}
		headers += t.HeaderLen()
	default:
		headers += frame.UDPHeaderLen
	}
	payload, size := len(ip)-headers, int(p.Size)
	if payload <= size {
		return whole
	}
	pieces := (payload + size - 1) / size
	return extent{headers + size, pieces, payload + pieces*headers}
}

// clampMSS6 lowers the MSS of a SYN to what fits the tunnel and the segment.
func (r *Router) clampMSS6(p frame.Packet) {
	if frame.ClampMSS6(p, uint16(min(r.mtu, r.linkMTU)-tcpOverhead6)) {
		r.counters.add(mssClamped, 1)
	}
}
