package router

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"landbridge/arp"
	"landbridge/internal/frame"
	"landbridge/internal/group"
)

// A frame leaving, step by step
//
//  1. Poll takes a batch of frames from the device, in the device's buffers. One thread
//     does this; it holds no lock. Whatever is there is taken; it never waits
//     for a batch to fill. A frame may be one of 64 KiB that becomes many packets only later
//     (GSO), its checksum not computed yet; both stay so.
//  2. classify looks at the headers of one frame, without state. Frames between other
//     stations, group frames and other protocols end here, counted; and those of hosts of other
//     groups on the wire.
//  3. ARP is answered from memory, at once; see answerARP. DHCP and DNS are
//     copied out and handled beside the frame path, because they may wait for disk,
//     probes or other members; see local.go. Pings of the service address are answered at
//     once. Here alone what the kernel left undone is done first.
//  4. What is to be forwarded must come from an address that is leased to a host
//     of this segment, by us or by another member on it, whose leases we may have to ask about first (one Directory.Lookup: memory, no lock).
//  5. The destination is looked up likewise. Known: go on. Absent: ICMP host
//     unreachable. Unknown: the packet is copied into the waitlist (a mutex, only here), and
//     the first one for an address starts a job that asks the registry, then
//     takes up at step 6 for all that wait. A refusal is remembered for a while.
//  6. TTL and MTU are checked (of a GSO packet, that of its pieces), ICMP errors go back to the host; the
//     MSS of a SYN is clamped, the TTL taken down, in place in the read buffer. A packet that must
//     be fragmented is first finished (segments, checksums), and cut into the batch's slab.
//  7. The packet joins those for the same member. At the end of the batch all go to the
//     tunnel with one Send, which copies them by sealing; answers for the segment are
//     written with one WriteBatch. The buffers are free for step 1.
//
// In steady state nothing is allocated; alloc_test.go keeps it so.

// forwardBatch takes the frames of one ReadBatch.
func (r *Router) forwardBatch(b *batch, pkts []frame.Packet) {
	b.now = r.now()
	for _, p := range pkts {
		if len(p.Buf) < frame.Headroom {
			r.counters.add(dropMalformed, 1)
			continue
		}
		r.takeFrame(b, p)
	}
	b.flush()
}

func (r *Router) takeFrame(b *batch, p frame.Packet) {
	f := frame.Ethernet(p.Ethernet())
	v := r.classifier.classify(f)
	if v.ip != nil {
		p.Buf = p.Buf[:frame.Headroom+len(v.ip)] // without padding
	}
	if r.isOthers(v, f) {
		r.overhearOthers(b, v, f.Src())
		return
	}
	switch v.kind {
	case toForward:
		r.forward(b, p, f.Src())
	case toARP:
		r.answerARP(b, v.arp)
	case toIPv6:
		r.takeIPv6(b, p, f)
	case toBeacon:
		r.takeBeacon(b, f)
	case toService, toDHCP, toDHCPReply:
		mac := f.Src()
		err := b.finish(p, func(q frame.Packet) {
			switch v.kind {
			case toDHCP:
				r.takeDHCP(header(q), mac)
			case toDHCPReply:
				r.overhearDHCP(header(q), mac)
			default:
				r.serve(b, header(q), mac)
			}
		})
		if err != nil {
			r.counters.add(dropMalformed, 1)
		}
	default:
		r.counters.add(v.reason, 1)
		r.overhear(b, f, v.reason)
	}
}

// forward takes a sound packet from a host of the segment, mac.
func (r *Router) forward(b *batch, p frame.Packet, mac frame.MAC) {
	ip := header(p)
	if route, status := r.directory.Lookup(ip.Src()); status != Known || !route.here() {
		if status == Unknown && r.resolveSource(b, p, mac, ip.Src()) {
			return
		}
		r.counters.add(dropSpoofed, 1)
		r.strangeSender(ip.Src(), mac, b.now)
		return
	}
	dst := ip.Dst()
	route, status := r.directory.Lookup(dst)
	if relief := r.relief.Load(); relief != nil && !(status == Known && route.here()) {
		r.handOver(b, p, mac, *relief)
		return
	}
	switch status {
	case Known:
		r.forwardTo(b, p, mac, route)
	case Absent:
		r.refuse(b, parked{packet: p, mac: mac}, dropAbsent)
	default:
		r.resolve(b, p, mac, dst)
	}
}

// forwardTo sends a packet on its way, or answers with the ICMP error that it deserves.
func (r *Router) forwardTo(b *batch, p frame.Packet, mac frame.MAC, route Route) {
	ip := header(p)
	if ip.TTL() <= 1 {
		r.counters.add(dropTTL, 1)
		r.tellHost(b, mac, ip, timeExceeded, 0)
		return
	}
	if route.here() && !r.bypasses(route, ip) {
		ip.DecrementTTL()
		r.toHost(b, parked{packet: p, mac: mac})
		return
	}
	if extentOf(p).longest <= r.mtu {
		r.clampMSS(p)
		ip.DecrementTTL()
		b.send(route.Member, p)
		return
	}
	if ip.DontFragment() {
		r.counters.add(dropTooBig, 1)
		r.tellHost(b, mac, ip, fragNeeded, r.mtu)
		return
	}
	r.clampMSS(p)
	ip.DecrementTTL()
	err := b.cut(p, r.mtu, func(f frame.Packet) { b.send(route.Member, f) })
	if err != nil {
		r.counters.add(dropTooBig, 1)
		return
	}
	r.counters.add(outFragmented, 1)
}

// handOver sends a packet to another router of the segment, which reaches what we don't. Its
// TTL ends what two might hand to each other.
func (r *Router) handOver(b *batch, p frame.Packet, mac, relief frame.MAC) {
	ip := header(p)
	if ip.TTL() <= 1 {
		r.counters.add(dropTTL, 1)
		r.tellHost(b, mac, ip, timeExceeded, 0)
		return
	}
	ip.DecrementTTL()
	frame.AppendEthernet(p.Buf[:frame.VirtioHeaderLen], relief, r.gateway, frame.EtherTypeIPv4)
	b.write(p)
	r.counters.add(outRelief, 1)
}

// bypasses reports whether route is past this router's device, and has it opened.
func (r *Router) bypasses(route Route, ip frame.IPv4) bool {
	if !route.Native || r.bypass == nil {
		return false
	}
	r.counters.add(outBypass, 1)
	r.bypass.Want(ip.Dst())
	return true
}

// resolve makes a packet to the host with the address dst wait for the registry.
func (r *Router) resolve(b *batch, p frame.Packet, mac frame.MAC, dst netip.Addr) {
	key := waitKey{question: whoServes, addr: dst}
	if r.refused.holds(key, b.now) {
		r.refuse(b, parked{packet: p, mac: mac}, dropUnresolved)
		return
	}
	r.park(key, parked{packet: p, mac: mac}, r.askRegistry)
}

// park makes p wait for the answer to key; ask is the job that finds it.
func (r *Router) park(key waitKey, p parked, ask func(context.Context, waitKey)) {
	switch r.waiting.add(key, p) {
	case refusedFull:
		r.counters.add(dropQueueFull, 1)
		return
	case first:
		r.ask(key, ask)
	}
	r.counters.add(waited, 1)
}

func (r *Router) ask(key waitKey, ask func(context.Context, waitKey)) {
	r.counters.add(resolves, 1)
	if !r.jobs.start(func(ctx context.Context) { ask(ctx, key) }) {
		r.counters.add(dropClosed, len(r.waiting.take(key)))
	}
}

// askRegistry is the job behind whoServes: it ends the waiting of packets and of ARP
// requests for one address.
func (r *Router) askRegistry(ctx context.Context, key waitKey) {
	ctx, cancel := context.WithTimeout(ctx, resolveTimeout)
	defer cancel()
	route, err := r.directory.Resolve(ctx, key.addr)
	b := r.borrow()
	defer r.giveBack(b)
	found, reason := arpResult(route, Known, r.bypass != nil), dropUnresolved
	if err != nil {
		found, reason = r.rememberRefusal(key, err, b.now)
	}
	for _, p := range r.waiting.take(key) {
		switch {
		case err != nil:
			r.refuse(b, p, reason)
		case p.is6():
			r.forwardTo6(b, p.packet, p.mac, route)
		default:
			r.forwardTo(b, p.packet, p.mac, route)
		}
	}
	r.arp.Resolved(key.addr, found, func(f []byte) {
		r.counters.add(arpReplied, 1)
		b.writeCopy(f)
	})
}

// refuse drops a packet and tells its sender that the host can't be reached.
func (r *Router) refuse(b *batch, p parked, reason counter) {
	r.counters.add(reason, 1)
	if p.is6() {
		r.complain6(b, p, complaint6{kind: frame.ICMPv6Unreachable, code: frame.CodeAddressUnreachable6})
		return
	}
	if p.from != (group.MemberID{}) {
		r.tellMember(b, p.from, p.ip(), hostUnreachable, 0)
		return
	}
	r.tellHost(b, p.mac, p.ip(), hostUnreachable, 0)
}

// rememberRefusal enters a failed resolution into the negative cache.
func (r *Router) rememberRefusal(key waitKey, err error, now time.Time) (arp.Result, counter) {
	if errors.Is(err, ErrAbsent) {
		r.refused.remember(key, now, refuseAbsent)
		return arp.Absent, dropAbsent
	}
	r.refused.remember(key, now, refuseFailed)
	return arp.Unknown, dropUnresolved
}
