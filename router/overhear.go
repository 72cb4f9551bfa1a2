package router

import (
	"net/netip"
	"time"

	"landbridge/arp"
	"landbridge/internal/frame"
	"landbridge/internal/group"
)

// A frame that isn't for us may still tell something: a bridge shows us frames to stations
// that it hasn't seen, and those to all.

// overhear takes a frame from the segment that goes no further, of which reason says why.
func (r *Router) overhear(b *batch, f frame.Ethernet, reason counter) {
	switch {
	case reason == ignoredEtherType && f.EtherType() == frame.EtherTypeRARP:
		a, err := frame.ParseARP(f.Payload())
		if err == nil && a.Op() == frame.RARPRequest && a.SenderMAC() == a.TargetMAC() && a.SenderMAC().IsUnicast() {
			r.stranger(netip.Addr{}, a.SenderMAC(), b.now)
		}
	case (reason == ignoredNative || reason == ignoredMulticast) && f.EtherType() == frame.EtherTypeIPv4:
		ip, err := frame.ParseIPv4(f.Payload())
		if err == nil && ip.Protocol() == frame.ProtocolICMP {
			r.overhearICMP(ip, f.Src(), b.now)
		}
		if err != nil || !r.classifier.isHost(ip.Src()) {
			return
		}
		if route, status := r.directory.Lookup(ip.Src()); status != Known || !route.here() {
			r.stranger(ip.Src(), f.Src(), b.now)
		}
		if reason == ignoredNative && r.classifier.isHost(ip.Dst()) {
			r.setRight(b, f, ip)
		}
	}
}

// stranger reports that mac uses addr, which isn't leased to a host of this segment, as a
// packet of it shows. addr is invalid for a RARP announcement.
func (r *Router) stranger(addr netip.Addr, mac frame.MAC, now time.Time) {
	key := waitKey{question: whoIsThat, addr: netip.IPv4Unspecified(), member: asKey(mac)}
	if addr.IsValid() {
		key.addr = addr
	}
	switch {
	case r.strangers == nil, !mac.IsUnicast(), mac == r.gateway:
		return
	case addr.IsValid() && !r.classifier.isHost(addr):
		return
	}
	if r.told.holds(key, now) {
		return
	}
	r.told.remember(key, now, strangerEvery)
	r.counters.add(strangers, 1)
	r.strangers.Stranger(addr, mac)
}

// asKey puts a MAC in the place that a waitKey has for a member.
func asKey(mac frame.MAC) (m group.MemberID) {
	copy(m[:], mac[:])
	return m
}

// setRight tells a host by ARP where a packet's destination is. It has sent to a station that the
// segment doesn't know: so does one that has moved here, and one whose neighbour has moved
// away. It is answered as if it had asked; and told of a host of this segment too, which may
// not hear it ask.
func (r *Router) setRight(b *batch, f frame.Ethernet, ip frame.IPv4) {
	from, dst := f.Src(), ip.Dst()
	key := waitKey{question: whereTo, addr: dst, member: asKey(from)}
	if r.told.holds(key, b.now) {
		return
	}
	r.told.remember(key, b.now, misledEvery)
	if route, status := r.directory.Lookup(dst); status == Known && route.Local {
		if mac, ok := r.hosts.MAC(dst); ok && mac != f.Dst() && mac != from {
			r.counters.add(arpMisled, 1)
			b.writeBuilt(frame.AppendARP(b.room(frame.ARPLen), from, r.gateway, frame.ARPFields{
				Op: frame.ARPReply, SenderMAC: mac, SenderIP: dst, TargetMAC: from, TargetIP: ip.Src(),
			}))
		}
		return
	}
	asked := frame.ARP(frame.AppendARP(nil, r.gateway, from, frame.ARPFields{
		Op: frame.ARPRequest, SenderMAC: from, SenderIP: ip.Src(), TargetIP: dst,
	})[frame.EthernetHeaderLen:])
	switch d := r.arp.Answer(asked, b.now); d.Action {
	case arp.Reply:
		r.counters.add(arpMisled, 1)
		b.writeBuilt(r.arp.AppendReply(b.room(frame.ARPLen), asked))
	case arp.Resolve:
		r.resolveARP(b, d.Target)
	}
}
