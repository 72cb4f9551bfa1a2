package tunnel

import "time"

// RelayConfig says what a member does for others.
type RelayConfig struct {
	// Off makes it forward nothing.
	Off bool
	// Rate bounds what it forwards in all, in bits per second; zero is 1 Gbit/s.
	// One member may use three quarters of it.
	Rate int64
}

const defaultRelayRate = 1e9

// A bucket bounds a rate of bytes. It belongs to the reader of the socket.
type bucket struct {
	rate  float64 // bytes per second
	depth float64 // bytes
	level float64
	last  time.Duration
}

func newBucket(bits int64) bucket {
	rate := float64(bits) / 8
	depth := max(rate/10, 64<<10) // a tenth of a second
	return bucket{rate: rate, depth: depth, level: depth}
}

func (b *bucket) take(n int, now time.Duration) bool {
	b.level = min(b.depth, b.level+b.rate*(now-b.last).Seconds())
	b.last = now
	if b.level < float64(n) {
		return false
	}
	b.level -= float64(n)
	return true
}

// forward passes on an envelope from one member to another. Both have a direct
// path to us: the envelope was not itself relayed, and isn't relayed again, so it
// crosses one relay and no loop can form. What is in it is sealed for the other
// member. Where that one's channel is down a moment, it is kept (shelf.go).
func (t *Tunnel) forward(d *demux, from *peer, envelope []byte, via *peer) {
	to, inner, err := parseEnvelope(envelope)
	if err != nil || via != nil {
		t.counts.add(BadRelayed, 1)
		return
	}
	if t.cfg.Relay.Off {
		t.counts.add(RelayOff, 1)
		from.refuse(to, d.now)
		return
	}
	dst := t.peers.Load().byHash[to]
	if dst == nil || dst == from {
		t.counts.add(RelayNoPath, 1)
		from.refuse(to, d.now)
		return
	}
	if !from.relayed.take(len(inner), d.now) || !t.relayed.take(len(inner), d.now) {
		t.counts.add(RelayOverRate, 1)
		return
	}
	r := dst.route.Load()
	if r != nil && r.via != nil {
		r = nil
	}
	silence := dst.shelf.silence(r, d.now)
	envelope[0] = msgForwarded
	copy(envelope[1:], from.hash[:])
	if r == nil || silence >= shelfAfter+2*r.roundTrip {
		t.keep(d, dst, envelope, silence)
	}
	if r == nil {
		t.counts.add(RelayNoPath, 1)
		from.refuse(to, d.now)
		return
	}
	t.pass(d, r, envelope)
}

// pass sends an envelope on.
func (t *Tunnel) pass(d *demux, r *route, envelope []byte) bool {
	counter, ok := r.out.reserve(1)
	if !ok {
		t.counts.add(KeyWornOut, 1)
		return false
	}
	size := len(envelope) + sealOverhead
	slot := d.out.slot(size)
	if slot == nil {
		d.write(d.out)
		slot = d.out.slot(size)
	}
	d.out.add(r.addr, r.out.seal(slot, typeControl, counter, envelope))
	r.sent.Store(int64(d.now))
	t.counts.add(Forwarded, 1)
	return true
}

// refuse tells a member that we can't reach another, ten times a second at most.
func (p *peer) refuse(to memberHash, now time.Duration) {
	if now-p.refusedAt < 100*time.Millisecond {
		return
	}
	p.refusedAt = now
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sendControl(p.paths.chosen, append([]byte{msgRefused}, to[:]...))
}
