package router

import (
	"context"
	"time"

	"landbridge/internal/frame"
	"landbridge/internal/group"
)

// A packet arriving, step by step
//
//  1. The tunnel calls Deliver with packets of one member, in buffers of its own that
//     are its again on return. A packet may be many that came (GSO), joined again as the
//     sender's kernel had them, with a checksum that nobody has computed.
//  2. The destination must be an address of a host on this segment, else the packet is not ours: a router that
//     passed it on could make a loop with another that knows no better.
//  3. The source must be leased to that member, or to one for which it may speak. If memory doesn't say so the packet is
//     copied into the waitlist and the registry asked, once an address: the lease
//     may be younger than our memory. Where it is another member's the host may have moved
//     a moment ago: the news of that is awaited briefly. A refusal is remembered.
//  4. MTU of the segment (which the pieces of a GSO packet must fit) and MSS as on the way
//     out. The TTL was taken down by the sender.
//  5. The host's MAC comes from the host table; where it isn't there the packet waits
//     for ARP.
//  6. The Ethernet header is written before the packet, into the room that its buffer has
//     there, and the frame is handed to the device with the batch's others: no copy.

// Deliver takes IP packets that arrived from a member, and writes those that may pass to
// the segment. It writes to their headroom and headers; the buffers are the caller's again on
// return. It doesn't block.
func (r *Router) Deliver(from group.MemberID, pkts []frame.Packet) {
	if r.jobs.isClosed() {
		r.counters.add(dropClosed, len(pkts))
		return
	}
	b := r.borrow()
	for _, p := range pkts {
		r.deliver(b, from, p)
	}
	r.giveBack(b)
}

func (r *Router) deliver(b *batch, from group.MemberID, p frame.Packet) {
	if len(p.Buf) < frame.Headroom {
		r.counters.add(dropMalformed, 1)
		return
	}
	ip, err := frame.ParseIPv4(p.IP())
	if err != nil {
		r.deliver6(b, from, p)
		return
	}
	p.Buf = p.Buf[:frame.Headroom+len(ip)]
	if !ip.ChecksumOK() {
		r.counters.add(dropChecksum, 1)
		return
	}
	dst := ip.Dst()
	if !r.classifier.isHost(dst) {
		r.counters.add(dropMemberMulticast, 1)
		return
	}
	if ip.TTL() == 0 {
		r.counters.add(dropTTL, 1)
		return
	}
	if route, status := r.directory.Lookup(dst); status != Known || !route.Local && (!route.Native || r.bypass != nil) {
		r.counters.add(dropNotHere, 1)
		return
	}
	src := r.claimedSource(ip)
	if !src.IsValid() || from == (group.MemberID{}) {
		r.counters.add(dropMemberSource, 1)
		return
	}
	if route, status := r.directory.Lookup(src); status == Known && r.sendsFor(from, route.Member) {
		r.toSegment(b, parked{packet: p, from: from})
		return
	}
	key := waitKey{question: whoseIsIt, addr: src, member: from}
	if r.refused.holds(key, b.now) {
		r.counters.add(dropMemberSource, 1)
		return
	}
	r.park(key, parked{packet: p, from: from}, r.askSource)
}

// askSource is the job behind whoseIsIt.
func (r *Router) askSource(ctx context.Context, key waitKey) {
	ctx, cancel := context.WithTimeout(ctx, resolveTimeout)
	defer cancel()
	route, err := r.directory.Resolve(ctx, key.addr)
	allowed := err == nil && (r.sendsFor(key.member, route.Member) ||
		r.speakers != nil && r.speakers.Ask(ctx, key.member, route.Member) || r.awaitMove(ctx, key))
	b := r.borrow()
	defer r.giveBack(b)
	if !allowed {
		r.refused.remember(key, b.now, refuseFailed)
	}
	for _, p := range r.waiting.take(key) {
		if !allowed {
			r.counters.add(dropMemberSource, 1)
			continue
		}
		if p.is6() {
			r.toSegment6(b, p)
			continue
		}
		r.toSegment(b, p)
	}
}

// sendsFor says whether from may send for the hosts of owner.
func (r *Router) sendsFor(from, owner group.MemberID) bool {
	return from == owner || r.speakers != nil && r.speakers.Speaks(from, owner)
}

// awaitMove waits a moment for the news that the host at an address has moved to the member that
// has sent for it, and reports whether it came.
func (r *Router) awaitMove(ctx context.Context, key waitKey) bool {
	over := time.NewTimer(moveNews)
	defer over.Stop()
	look := time.NewTicker(moveNews / 16)
	defer look.Stop()
	for {
		if now, status := r.directory.Lookup(key.addr); status == Known && now.Member == key.member {
			return true
		}
		select {
		case <-look.C:
		case <-over.C:
			return false
		case <-ctx.Done():
			return false
		}
	}
}

// toSegment writes a packet whose source and destination are in order.
func (r *Router) toSegment(b *batch, p parked) {
	if extentOf(p.packet).longest <= r.linkMTU {
		r.toHost(b, p)
		return
	}
	if p.ip().DontFragment() {
		r.counters.add(dropTooBig, 1)
		r.tellMember(b, p.from, p.ip(), fragNeeded, r.linkMTU)
		return
	}
	err := b.cut(p.packet, r.linkMTU, func(f frame.Packet) { r.toHost(b, parked{packet: f, from: p.from}) })
	if err != nil {
		r.counters.add(dropTooBig, 1)
		return
	}
	r.counters.add(inFragmented, 1)
}

// toHost writes a packet to the host of this segment that has its destination, or makes it
// wait for ARP.
func (r *Router) toHost(b *batch, p parked) {
	dst := p.ip().Dst()
	if mac, ok := r.hosts.MAC(dst); ok {
		r.write(b, mac, p)
		return
	}
	key := waitKey{question: whichMAC, addr: dst}
	if r.refused.holds(key, b.now) {
		r.refuse(b, p, dropNoNeighbour)
		return
	}
	r.park(key, p, r.askNeighbour)
}

// askNeighbour is the job behind whichMAC: ARP requests, until observe sees an answer.
func (r *Router) askNeighbour(ctx context.Context, key waitKey) {
	r.requestNeighbour(ctx, key, frame.AppendARP(nil, frame.Broadcast(), r.gateway, frame.ARPFields{
		Op: frame.ARPRequest, SenderMAC: r.gateway, SenderIP: r.service, TargetIP: key.addr,
	}))
	b := r.borrow()
	defer r.giveBack(b)
	mac, found := r.hosts.MAC(key.addr)
	if !found {
		r.refused.remember(key, b.now, refuseNeighbour)
	}
	for _, p := range r.waiting.take(key) {
		if !found {
			r.refuse(b, p, dropNoNeighbour)
			continue
		}
		r.write(b, mac, p)
	}
}

// write puts a packet on the segment, with the Ethernet header in its headroom.
func (r *Router) write(b *batch, mac frame.MAC, p parked) {
	if p.from == (group.MemberID{}) {
		r.counters.add(outHairpin, 1)
	} else {
		e := extentOf(p.packet)
		b.deliveredPackets += e.pieces
		b.deliveredBytes += e.bytes
		r.clampMSS(p.packet)
	}
	frame.AppendEthernet(p.packet.Buf[:frame.VirtioHeaderLen], mac, r.gateway, frame.EtherTypeIPv4)
	b.write(p.packet)
}

// requestNeighbour sends a request until it is answered, or was sent often enough.
func (r *Router) requestNeighbour(ctx context.Context, key waitKey, request []byte) {
	answered := r.waiting.answered(key)
	timer := time.NewTicker(neighbourWait)
	defer timer.Stop()
	for range neighbourTries {
		if err := r.WriteFrame(request); err != nil {
			r.deviceFailed(err, r.now())
		}
		select {
		case <-answered:
			return
		case <-ctx.Done():
			return
		case <-timer.C:
		}
	}
}
