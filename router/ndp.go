package router

import (
	"context"
	"net/netip"
	"time"

	"landbridge/arp"
	"landbridge/internal/frame"
	"landbridge/internal/group"
)

// Neighbour discovery is proxied as ARP is, by the same decisions: what a solicitation asks is put to the
// arp.Responder as a request about the IPv4 addresses, and its answer is said by neighbour discovery. So hosts that live elsewhere are
// at the gateway MAC, a probe for an address of theirs is answered (RFC 4862 section 5.4.3), and hosts of the segment are left alone.

// How often hosts are answered that look for routers: one that says who it is, and all that don't, who are answered together
// (RFC 4861 section 6.2.6, and MIN_DELAY_BETWEEN_RAS of section 10).
const (
	solicitedEvery  = 500 * time.Millisecond
	advertisedEvery = 3 * time.Second
)

// takeNDP takes a message of neighbour discovery. Those of other routers to hosts are none of our business.
func (r *Router) takeNDP(b *batch, s *six, ip frame.IPv6, mac frame.MAC) {
	m := ip.Payload()
	switch m[0] {
	case frame.ICMPv6RouterSolicit:
		r.solicited(b, s, ip, mac)
		return
	case frame.ICMPv6Solicit, frame.ICMPv6Advert:
	default:
		r.counters.add(ignoredIPv6, 1)
		return
	}
	n, err := frame.ParseNeighbor(ip)
	if err != nil {
		r.counters.add(dropMalformed, 1)
		return
	}
	if n.MAC.IsZero() {
		n.MAC = mac
	}
	if n.Advert {
		if host, ok := r.host(s, n.Target); ok {
			r.observe6(s, host, n.MAC, b.now)
		}
		r.counters.add(ndpSilent, 1)
		return
	}
	r.answerSolicit(b, s, n, mac)
}

// answerSolicit answers a solicitation from a host of the segment, if that is for us.
func (r *Router) answerSolicit(b *batch, s *six, n frame.Neighbor, mac frame.MAC) {
	sender := netip.IPv4Unspecified() // of a probe; and a link-local address tells nothing of a lease
	if host, ok := r.host(s, n.Src); ok {
		sender = host
		if !r.observe6(s, host, n.MAC, b.now) {
			r.stranger(host, mac, b.now)
		}
	}
	target, ok := s.Net.Host(n.Target)
	switch {
	case n.Target == frame.LinkLocal(r.gateway):
		r.advertNeighbor(b, n, mac)
		return
	case !ok:
		r.counters.add(ndpSilent, 1)
		return
	}
	b.asked = frame.AppendARP(b.asked[:0], r.gateway, mac, frame.ARPFields{Op: frame.ARPRequest, SenderMAC: mac, SenderIP: sender, TargetIP: target})
	switch r.arp.Answer(frame.ARP(b.asked[frame.EthernetHeaderLen:]), b.now).Action {
	case arp.Reply:
		r.advertNeighbor(b, n, mac)
	case arp.Resolve:
		r.resolveSolicit(b, target, n, mac)
	default:
		r.counters.add(ndpSilent, 1)
	}
}

// resolveSolicit asks the registry for a solicitation's target, and answers when it knows. Where the question is open
// already, the host asks again.
func (r *Router) resolveSolicit(b *batch, target netip.Addr, n frame.Neighbor, mac frame.MAC) {
	r.arp.Resolved(target, arp.Unknown, func([]byte) {}) // nobody waits for ARP
	key := waitKey{question: whoServes, addr: target}
	if r.refused.holds(key, b.now) {
		return
	}
	switch r.waiting.ask(key) {
	case refusedFull:
		r.counters.add(dropQueueFull, 1)
	case first:
		r.ask(key, func(ctx context.Context, key waitKey) {
			r.askRegistry(ctx, key) // answers all others who have asked
			b := r.borrow()
			defer r.giveBack(b)
			if r.isElsewhere(target) {
				r.advertNeighbor(b, n, mac)
			}
		})
	}
}

// advertNeighbor tells who has sent a solicitation that its target is at the gateway MAC. It overrides nothing (RFC 4861
// section 7.2.8), but for our own address.
func (r *Router) advertNeighbor(b *batch, n frame.Neighbor, mac frame.MAC) {
	f := frame.AdvertFields{Dst: n.Src, Target: n.Target, MAC: r.gateway}
	if f.Router = n.Target.IsLinkLocalUnicast(); f.Router {
		f.Override = true
	}
	if n.IsProbe() {
		f.Dst = frame.AllNodes()
	}
	r.counters.add(ndpReplied, 1)
	b.writeBuilt(frame.AppendAdvert(b.room(frame.EthernetHeaderLen+frame.NDPLen), mac, r.gateway, f))
}

// observe6 notes where a host of this segment is. It reports false of an address that isn't leased here.
func (r *Router) observe6(s *six, host netip.Addr, mac frame.MAC, now time.Time) bool {
	if route, status := r.directory.Lookup(host); status != Known || !route.here() || mac == r.gateway {
		return status == Unknown || mac == r.gateway
	}
	if known, ok := s.hosts.MAC(host); ok && known != mac { // a host's new card, or a second host
		r.stranger(host, mac, now)
	}
	s.hosts.Observe(host, mac)
	r.waiting.signal(waitKey{question: whichMAC6, addr: host})
	return true
}

// solicited answers a host that looks for routers.
func (r *Router) solicited(b *batch, s *six, ip frame.IPv6, mac frame.MAC) {
	if frame.ParseRouterSolicit(ip) != nil {
		r.counters.add(dropMalformed, 1)
		return
	}
	key, dst, every := waitKey{question: whichRouters, addr: netip.IPv4Unspecified(), member: asKey(mac)}, ip.Src(), solicitedEvery
	if dst.IsUnspecified() {
		key.member, dst, every = group.MemberID{}, frame.AllNodes(), advertisedEvery
	}
	if !s.Routed || r.told.holds(key, b.now) {
		r.counters.add(ndpSilent, 1)
		return
	}
	r.told.remember(key, b.now, every)
	r.counters.add(routerAdverts, 1)
	b.writeCopy(frame.AppendRouterAdvert(nil, mac, dst, r.advertOf(s)))
}

// Advertise tells all hosts of the segment what they are told of IPv6, if there is any.
func (r *Router) Advertise() error {
	if s := r.six.Load(); s != nil {
		return r.advertise(s)
	}
	return nil
}

func (r *Router) advertise(s *six) error {
	if !s.Routed {
		return nil
	}
	r.counters.add(routerAdverts, 1)
	return r.WriteFrame(frame.AppendRouterAdvert(nil, frame.MAC{}, frame.AllNodes(), r.advertOf(s)))
}

func (r *Router) advertOf(s *six) frame.RouterAdvert {
	a := frame.RouterAdvert{MAC: r.gateway, Prefix: s.Net.Prefix(), Valid: s.Valid, MTU: s.MTU, Search: s.Search}
	if r.dns != nil {
		a.DNS = []netip.Addr{s.service}
	}
	return a
}

// announce6 tells the hosts of the segment that the host with an IPv4 address is reached at mac by IPv6, too.
func (r *Router) announce6(addr netip.Addr, mac frame.MAC) error {
	s := r.six.Load()
	if s == nil {
		return nil
	}
	return r.WriteFrame(frame.AppendAdvert(nil, frame.MAC{}, r.gateway, frame.AdvertFields{
		Dst: frame.AllNodes(), Target: s.Net.Of(addr), MAC: mac, Override: true,
	}))
}
