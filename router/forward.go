package router

import (
	"context"
	"errors"
	"time"

	"landbridge/arp"
	"landbridge/internal/frame"
	"landbridge/internal/group"
)

// A frame leaving, step by step
//
//  1. Poll reads a batch of frames from the device into its own buffers. One thread
//     does this; it holds no lock. Whatever is there is taken; it never waits
//     for a batch to fill.
//  2. classify looks at the headers of one frame, without state. Frames between other
//     stations, group frames and other protocols end here, counted.
//  3. ARP is answered from memory, at once; see answerARP. DHCP and DNS are
//     copied out and handled beside the frame path, because they may wait for disk,
//     probes or other members; see local.go. Pings of the service address are answered in place.
//  4. What is to be forwarded must come from an address that is leased to a host
//     of this segment (one Directory.Lookup: memory, no lock).
//  5. The destination is looked up likewise. Known: go on. Absent: ICMP host
//     unreachable. Unknown: the packet is copied into the waitlist (a mutex, only here), and
//     the first one for an address starts a job that asks the registry, then
//     takes up at step 6 for all that wait. A refusal is remembered for a while.
//  6. TTL and MTU are checked, ICMP errors go back to the host; the MSS of a SYN is clamped, the TTL
//     taken down, in place in the read buffer. A packet that must be cut is cut into the
//     batch's slab.
//  7. The packet joins those for the same member. At the end of the batch each member's go
//     to the tunnel with one Send, which copies them by sealing; answers for the segment are
//     written with one WriteBatch. The buffers are free for step 1.
//
// In steady state nothing is allocated; router_alloc_test.go keeps it so.

// forwardBatch takes the frames of one ReadBatch.
func (r *Router) forwardBatch(b *batch, bufs [][]byte, sizes []int) {
	b.now = r.now()
	for i, f := range bufs {
		if sizes[i] < 0 || sizes[i] > len(f) {
			r.counters.add(dropMalformed, 1)
			continue
		}
		r.takeFrame(b, f[:sizes[i]])
	}
	b.flush()
}

func (r *Router) takeFrame(b *batch, f []byte) {
	v := r.classifier.classify(f)
	switch v.kind {
	case toForward:
		r.forward(b, v.ip, frame.Ethernet(f).Src())
	case toARP:
		r.answerARP(b, v.arp)
	case toService:
		r.serve(b, v.ip, frame.Ethernet(f).Src())
	case toDHCP:
		r.takeDHCP(v.ip, frame.Ethernet(f).Src())
	default:
		r.counters.add(v.reason, 1)
	}
}

// forward takes a sound packet from a host of the segment, mac.
func (r *Router) forward(b *batch, ip frame.IPv4, mac frame.MAC) {
	if route, status := r.directory.Lookup(ip.Src()); status != Known || !route.Local {
		r.counters.add(dropSpoofed, 1)
		return
	}
	dst := ip.Dst()
	route, status := r.directory.Lookup(dst)
	switch status {
	case Known:
		r.forwardTo(b, ip, mac, route)
	case Absent:
		r.refuse(b, parked{packet: ip, mac: mac}, dropAbsent)
	default:
		r.resolve(b, ip, mac)
	}
}

// forwardTo sends a packet on its way, or answers with the ICMP error that it deserves.
func (r *Router) forwardTo(b *batch, ip frame.IPv4, mac frame.MAC, route Route) {
	if ip.TTL() <= 1 {
		r.counters.add(dropTTL, 1)
		r.tellHost(b, mac, ip, timeExceeded, 0)
		return
	}
	if route.Local {
		ip.DecrementTTL()
		r.toHost(b, parked{packet: ip, mac: mac})
		return
	}
	if len(ip) <= r.mtu {
		r.clampMSS(ip)
		ip.DecrementTTL()
		b.send(route.Member, ip)
		return
	}
	if ip.DontFragment() {
		r.counters.add(dropTooBig, 1)
		r.tellHost(b, mac, ip, fragNeeded, r.mtu)
		return
	}
	r.clampMSS(ip)
	ip.DecrementTTL()
	err := frame.Fragment(ip, r.mtu, b.scratch, func(p []byte) { b.send(route.Member, b.copyOf(p)) })
	if err != nil {
		r.counters.add(dropTooBig, 1)
		return
	}
	r.counters.add(outFragmented, 1)
}

func (r *Router) clampMSS(ip frame.IPv4) {
	if frame.ClampMSS(ip, uint16(min(r.mtu, r.linkMTU)-tcpOverhead)) {
		r.counters.add(mssClamped, 1)
	}
}

// resolve makes a packet wait for the registry.
func (r *Router) resolve(b *batch, ip frame.IPv4, mac frame.MAC) {
	key := waitKey{question: whoServes, addr: ip.Dst()}
	if r.refused.holds(key, b.now) {
		r.refuse(b, parked{packet: ip, mac: mac}, dropUnresolved)
		return
	}
	r.park(key, parked{packet: ip, mac: mac}, r.askRegistry)
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
	found, reason := arpResult(route, Known), dropUnresolved
	if err != nil {
		found, reason = r.rememberRefusal(key, err, b.now)
	}
	for _, p := range r.waiting.take(key) {
		if err != nil {
			r.refuse(b, p, reason)
		} else {
			r.forwardTo(b, p.packet, p.mac, route)
		}
	}
	r.arp.Resolved(key.addr, found, func(f []byte) {
		r.counters.add(arpReplied, 1)
		b.write(f)
	})
}

// refuse drops a packet and tells its sender that the host can't be reached.
func (r *Router) refuse(b *batch, p parked, reason counter) {
	r.counters.add(reason, 1)
	if p.from != (group.MemberID{}) {
		r.tellMember(b, p.from, p.packet, hostUnreachable, 0)
		return
	}
	r.tellHost(b, p.mac, p.packet, hostUnreachable, 0)
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
