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
//     are its again on return.
//  2. The destination must be an address leased here, else the packet is not ours: a router that
//     passed it on could make a loop with another that knows no better.
//  3. The source must be leased to that member. If memory doesn't say so the packet is
//     copied into the waitlist and the registry asked, once an address: the lease
//     may be younger than our memory. A refusal is remembered.
//  4. MTU of the segment and MSS as on the way out. The TTL was taken down by the sender.
//  5. The host's MAC comes from the host table; where it isn't there the packet waits
//     for ARP.
//  6. Header and packet are put together in the slab (the one copy) and written with the
//     batch's other frames.

// Deliver takes IP packets that arrived from a member, and writes those that may pass to
// the segment. Their bytes are the caller's again on return. It doesn't block.
func (r *Router) Deliver(from group.MemberID, pkts [][]byte) {
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

func (r *Router) deliver(b *batch, from group.MemberID, pkt []byte) {
	ip, err := frame.ParseIPv4(pkt)
	if err != nil {
		if _, err := frame.ParseIPv6(pkt); err == nil {
			r.counters.add(ignoredIPv6, 1)
			return
		}
		r.counters.add(dropMalformed, 1)
		return
	}
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
	if route, status := r.directory.Lookup(dst); status != Known || !route.Local {
		r.counters.add(dropNotHere, 1)
		return
	}
	src := r.claimedSource(ip)
	if !src.IsValid() || from == (group.MemberID{}) {
		r.counters.add(dropMemberSource, 1)
		return
	}
	if route, status := r.directory.Lookup(src); status == Known && route.Member == from {
		r.toSegment(b, from, ip)
		return
	}
	key := waitKey{question: whoseIsIt, addr: src, member: from}
	if r.refused.holds(key, b.now) {
		r.counters.add(dropMemberSource, 1)
		return
	}
	r.park(key, parked{packet: ip, from: from}, r.askSource)
}

// askSource is the job behind whoseIsIt.
func (r *Router) askSource(ctx context.Context, key waitKey) {
	ctx, cancel := context.WithTimeout(ctx, resolveTimeout)
	defer cancel()
	route, err := r.directory.Resolve(ctx, key.addr)
	b := r.borrow()
	defer r.giveBack(b)
	allowed := err == nil && route.Member == key.member
	if !allowed {
		r.refused.remember(key, b.now, refuseFailed)
	}
	for _, p := range r.waiting.take(key) {
		if !allowed {
			r.counters.add(dropMemberSource, 1)
			continue
		}
		r.toSegment(b, p.from, p.packet)
	}
}

// toSegment writes a packet whose source and destination are in order.
func (r *Router) toSegment(b *batch, from group.MemberID, ip frame.IPv4) {
	if len(ip) <= r.linkMTU {
		r.toHost(b, parked{packet: ip, from: from})
		return
	}
	if ip.DontFragment() {
		r.counters.add(dropTooBig, 1)
		r.tellMember(b, from, ip, fragNeeded, r.linkMTU)
		return
	}
	err := frame.Fragment(ip, r.linkMTU, b.scratch, func(p []byte) { r.toHost(b, parked{packet: p, from: from}) })
	if err != nil {
		r.counters.add(dropTooBig, 1)
		return
	}
	r.counters.add(inFragmented, 1)
}

// toHost writes a packet to the host of this segment that has its destination, or makes it
// wait for ARP.
func (r *Router) toHost(b *batch, p parked) {
	dst := p.packet.Dst()
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
	r.requestNeighbour(ctx, key)
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

// write puts a packet on the segment.
func (r *Router) write(b *batch, mac frame.MAC, p parked) {
	if p.from == (group.MemberID{}) {
		r.counters.add(outHairpin, 1)
	} else {
		b.deliveredPackets++
		b.deliveredBytes += len(p.packet)
	}
	r.clampMSS(b.writePacket(mac, p.packet))
}

func (r *Router) requestNeighbour(ctx context.Context, key waitKey) {
	request := frame.AppendARP(nil, frame.Broadcast(), r.gateway, frame.ARPFields{
		Op: frame.ARPRequest, SenderMAC: r.gateway, SenderIP: r.service, TargetIP: key.addr,
	})
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
