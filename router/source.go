package router

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"landbridge/internal/frame"
)

// Hosts of another router's on this segment may send by this one, too: when they come to it
// first, their leases may not be known here.

// resolveSource makes a packet wait until it is known whose its source is, the host with the address
// src. It reports false where that was asked in vain a moment ago.
func (r *Router) resolveSource(b *batch, p frame.Packet, mac frame.MAC, src netip.Addr) bool {
	key := waitKey{question: whoSends, addr: src}
	if r.beacons == nil || !r.classifier.isHost(key.addr) || r.refused.holds(key, b.now) {
		return false
	}
	r.park(key, parked{packet: p, mac: mac}, r.askSender)
	return true
}

// learnSource is resolveSource without a packet.
func (r *Router) learnSource(addr netip.Addr, now time.Time) {
	key := waitKey{question: whoSends, addr: addr}
	if r.beacons == nil || !r.classifier.isHost(addr) || r.refused.holds(key, now) {
		return
	}
	if r.waiting.ask(key) == first {
		r.ask(key, r.askSender)
	}
}

// askSender is the job behind whoSends.
func (r *Router) askSender(ctx context.Context, key waitKey) {
	ctx, cancel := context.WithTimeout(ctx, resolveTimeout)
	defer cancel()
	here := false
	if r.sources.spend(r.now()) {
		route, err := r.directory.Resolve(ctx, key.addr)
		here = err == nil && route.here()
	}
	b := r.borrow()
	defer r.giveBack(b)
	if !here {
		r.refused.remember(key, b.now, refuseSource)
	}
	for _, p := range r.waiting.take(key) {
		_, status := r.directory.Lookup(key.addr)
		switch known := here && status == Known; {
		case known && p.is6():
			r.forward6(b, p.packet, p.mac)
		case known:
			r.forward(b, p.packet, p.mac)
		default:
			r.counters.add(dropSpoofed, 1)
			r.strangeSender(key.addr, p.mac, b.now)
		}
	}
}

// rate bounds something to a number in each second.
type rate struct {
	most int

	mu     sync.Mutex
	second int64
	spent  int
}

func (l *rate) spend(now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if s := now.Unix(); s != l.second {
		l.second, l.spent = s, 0
	}
	l.spent++
	return l.spent <= l.most
}
