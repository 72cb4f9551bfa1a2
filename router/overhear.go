package router

import (
	"context"
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

// Overheard returns how many frames between other stations came here so far.
func (r *Router) Overheard() uint64 { return r.counters[ignoredNative].Load() }

// stranger reports that mac uses addr, which isn't leased to a host of this segment, as a
// packet of it shows that the segment's other routers see, too. addr is invalid for a RARP announcement.
func (r *Router) stranger(addr netip.Addr, mac frame.MAC, now time.Time) {
	if r.isNews(addr, mac, now) {
		r.strangers.Stranger(addr, mac)
	}
}

// strangeSender is stranger of a packet that was sent to this router.
func (r *Router) strangeSender(addr netip.Addr, mac frame.MAC, now time.Time) {
	if r.isNews(addr, mac, now) {
		r.strangers.Sender(addr, mac)
	}
}

// isNews reports whether a stranger is to be reported now.
func (r *Router) isNews(addr netip.Addr, mac frame.MAC, now time.Time) bool {
	key := waitKey{question: whoIsThat, addr: netip.IPv4Unspecified(), member: asKey(mac)}
	if addr.IsValid() {
		key.addr = addr
	}
	switch {
	case r.strangers == nil, !mac.IsUnicast(), mac == r.gateway:
		return false
	case addr.IsValid() && !r.classifier.isHost(addr):
		return false
	}
	if r.told.holds(key, now) {
		return false
	}
	r.told.remember(key, now, strangerEvery)
	r.counters.add(strangers, 1)
	return true
}

// asKey puts a MAC in the place that a waitKey has for a member.
func asKey(mac frame.MAC) (m group.MemberID) {
	copy(m[:], mac[:])
	return m
}

// setRight tells a host by ARP where a packet's destination is. It has sent to a station that the
// segment doesn't know: so does one that has moved here, and one whose neighbour has moved
// away. It is told if it would be answered; and of a host of this segment too, which may
// not hear it ask.
//
// It is told by an announcement (RFC 5227 section 3), as Linux takes no unasked-for reply for an
// entry that is less than a second old (net/ipv4/arp.c, locktime).
func (r *Router) setRight(b *batch, f frame.Ethernet, ip frame.IPv4) {
	from, stale, dst := f.Src(), f.Dst(), ip.Dst()
	key := waitKey{question: whereTo, addr: dst, member: asKey(from)}
	if r.told.holds(key, b.now) {
		return
	}
	r.told.remember(key, b.now, misledEvery)
	if route, status := r.directory.Lookup(dst); status == Known && route.here() {
		if mac, known := r.hosts.MAC(dst); known && mac != stale && mac != from {
			r.point(b, from, dst, mac)
		}
		return
	}
	asked := frame.ARP(frame.AppendARP(nil, r.gateway, from, frame.ARPFields{
		Op: frame.ARPRequest, SenderMAC: from, SenderIP: ip.Src(), TargetIP: dst,
	})[frame.EthernetHeaderLen:])
	switch r.arp.Answer(asked, b.now).Action {
	case arp.Reply:
		r.point(b, from, dst, r.gateway)
	case arp.Resolve:
		r.resolveARP(b, dst, func(ctx context.Context, key waitKey) {
			r.askRegistry(ctx, key) // answers all who have asked
			b := r.borrow()
			defer r.giveBack(b)
			if r.isElsewhere(dst) {
				r.point(b, from, dst, r.gateway)
			}
		})
	}
}

// point tells the host at to that addr is at mac.
func (r *Router) point(b *batch, to frame.MAC, addr netip.Addr, mac frame.MAC) {
	r.counters.add(arpMisled, 1)
	b.writeBuilt(frame.AppendARP(b.room(frame.ARPLen), to, r.gateway, frame.ARPFields{
		Op: frame.ARPRequest, SenderMAC: mac, SenderIP: addr, TargetIP: addr,
	}))
}

// isOthers reports whether a frame comes from a station of another group on this wire. Beacons say
// themselves whose they are, and other DHCP servers are everybody's concern. A host that was moved
// from this group to another, and renews an address of this one by DHCP, has to do with it.
func (r *Router) isOthers(v verdict, f frame.Ethernet) bool {
	if r.stations == nil || v.kind == toBeacon || v.kind == toDHCPReply || len(f) < frame.EthernetHeaderLen {
		return false
	}
	return !r.stations.Ours(f.Src()) && !(v.kind == toDHCP && r.classifier.renews(v.ip) && r.stations.Left(f.Src()))
}

// overhearOthers takes what a station of another group has sent: nothing of it is answered or
// forwarded, but that a host that was moved away finds the DHCP server, which tells it so. That it
// uses an address, or says that it has the service address, is a fact of the wire all the same.
func (r *Router) overhearOthers(b *batch, v verdict, from frame.MAC) {
	r.counters.add(ignoredOtherGroup, 1)
	if v.kind == toDHCP && r.watch != nil {
		r.watch.OthersAsk(from)
	}
	if v.kind != toARP {
		return
	}
	if r.probes != nil {
		r.probes.Observe(v.arp)
	}
	switch {
	case v.arp.SenderIP() == r.service:
		r.otherGateway(r.service, v.arp.SenderMAC(), SignService, b.now)
	case v.arp.TargetIP() == r.service && r.stations.Left(from) && r.arp.Answer(v.arp, b.now).Action == arp.Reply:
		r.counters.add(arpReplied, 1)
		b.writeBuilt(r.arp.AppendReply(b.room(frame.ARPLen), v.arp))
	}
}
