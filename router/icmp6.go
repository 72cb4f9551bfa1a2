package router

import (
	"net/netip"

	"landbridge/internal/frame"
	"landbridge/internal/group"
)

// complaint6 is an ICMPv6 error that the router sends, always from the service address.
type complaint6 struct {
	kind, code uint8
	value      uint32 // the MTU in bytes, of frame.ICMPv6TooBig
}

// complain6 sends an ICMPv6 error about a packet to whom it came from.
func (r *Router) complain6(b *batch, p parked, c complaint6) {
	about := header6(p.packet)
	if p.from == (group.MemberID{}) {
		r.tellHost6(b, p.mac, about, c)
		return
	}
	if service, ok := r.mayComplain6(b, about); ok {
		buf := b.room(frame.MaxICMPv6Error)[:frame.Headroom]
		b.sendUncounted(p.from, frame.Packet{Buf: frame.AppendICMPv6Error(buf, service, about, c.kind, c.code, c.value)})
	}
}

// tellHost6 sends an ICMPv6 error about a packet to the host of the segment that sent it.
func (r *Router) tellHost6(b *batch, mac frame.MAC, about frame.IPv6, c complaint6) {
	if service, ok := r.mayComplain6(b, about); ok {
		buf := b.roomFor(mac, frame.MaxICMPv6Error, service)
		b.writeBuilt(frame.AppendICMPv6Error(buf, service, about, c.kind, c.code, c.value))
	}
}

// mayComplain6 reports whether an error may be sent about a packet, and from where.
func (r *Router) mayComplain6(b *batch, about frame.IPv6) (service netip.Addr, ok bool) {
	s := r.six.Load()
	if s == nil {
		return service, false
	}
	to, ofGroup := r.host(s, about.Src())
	if !ofGroup || !frame.MayError6(about) || !r.errors.allow(to, b.now) {
		r.counters.add(icmpSuppressed, 1)
		return service, false
	}
	r.counters.add(icmpSent, 1)
	return s.service, true
}

// claimedSource6 returns the IPv4 address whose lease entitles a member to send this packet; see
// claimedSource.
func (r *Router) claimedSource6(s *six, ip frame.IPv6) (addr netip.Addr, ok bool) {
	src := ip.Src()
	if src != s.service {
		return r.host(s, src)
	}
	if ip.NextHeader() != frame.ProtocolICMPv6 {
		return addr, false
	}
	m, err := frame.ParseICMPv6(ip.Payload())
	if err != nil || !m.IsError() {
		return addr, false
	}
	original := m.Payload() // cut short, so that ParseIPv6 would refuse it
	if len(original) < frame.IPv6HeaderLen || original[0]>>4 != 6 {
		return addr, false
	}
	about := frame.IPv6(original)
	if about.Src() != ip.Dst() {
		return addr, false
	}
	return r.host(s, about.Dst())
}
