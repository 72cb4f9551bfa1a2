package tunnel

import (
	"slices"
	"sync"
	"time"

	"landbridge/internal/group"
)

// Limits on packets that wait for a session with one member.
const (
	queuePackets = 64
	queueBytes   = 128 << 10
	waitAtMost   = 10 * time.Second
)

// Send seals IP packets to a member and sends them. It copies what it needs before
// it returns, and waits for nothing but, for a moment, the kernel's send buffer.
// Without a session the packets wait, within bounds, while one is made. It is safe
// for concurrent use.
func (t *Tunnel) Send(to group.MemberID, pkts [][]byte) {
	for range 2 { // a peer may be forgotten just as we find it
		p := t.peer(to)
		if p == nil {
			return
		}
		if r := p.route.Load(); r != nil && p.transmit(r, pkts) || p.wait(pkts) {
			return
		}
	}
}

// transmit seals packets and sends them by a route. It reports false, having done
// nothing, if the route's relay is out of reach.
func (p *peer) transmit(r *route, pkts [][]byte) bool {
	t := p.tunnel
	hop, overhead := r, sealOverhead
	if r.via != nil {
		hop, overhead = r.via.route.Load(), sealOverhead+relayOverhead
		if hop == nil || hop.via != nil {
			return false
		}
	}
	counter, ok := r.out.reserve(len(pkts))
	var outer uint64
	if ok && hop != r {
		outer, ok = hop.out.reserve(len(pkts))
	}
	if !ok {
		t.counts.add(KeyWornOut, len(pkts))
		return true
	}
	b := t.batches.Get().(*batch)
	sent, size := 0, 0
	for i, pkt := range pkts {
		if !t.carries(pkt) {
			continue
		}
		slot := b.slot(len(pkt) + overhead)
		if slot == nil {
			t.under.write(b)
			slot = b.slot(len(pkt) + overhead)
		}
		var n int
		if hop == r {
			n = r.out.seal(slot, counter+uint64(i), pkt)
		} else {
			n = sealRelayed(slot, hop.out, outer+uint64(i), r.out, counter+uint64(i), p.hash, pkt)
		}
		b.add(hop.addr, n)
		sent, size = sent+1, size+len(pkt)
	}
	t.flushBatch(b)
	now := t.now()
	r.sent.Store(int64(now))
	if hop != r {
		hop.sent.Store(int64(now))
		r.via.rouse(now)
	}
	p.data.Store(int64(now))
	p.tx.add(sent, size)
	p.rouse(now)
	return true
}

// sealRelayed seals a plaintext for a peer inside an envelope sealed for a relay.
// The inner datagram is sealed at its place in the envelope, and the envelope in
// place around it.
func sealRelayed(dst []byte, relay *outbound, outer uint64, end *outbound, counter uint64, to memberHash, plaintext []byte) int {
	envelope := appendEnvelope(dst[headerSize:headerSize], msgForward, to)
	n := end.seal(dst[headerSize+envelopeSize:], counter, plaintext)
	return relay.seal(dst, outer, envelope[:envelopeSize+n])
}

// carries reports whether a packet may be sent, and counts it if not.
func (t *Tunnel) carries(pkt []byte) bool {
	if len(pkt) == 0 || !isPacket(pkt) {
		t.counts.add(NotIP, 1)
		return false
	}
	if len(pkt) > t.mtu {
		t.counts.add(OverMTU, 1)
		return false
	}
	return true
}

// flushBatch writes a batch and gives it back.
func (t *Tunnel) flushBatch(b *batch) {
	if b.n > 0 {
		t.under.write(b)
	}
	if b.nfailed > 0 {
		t.noteFailed(b)
	}
	t.batches.Put(b)
}

// noteFailed has run tell the path machines what the kernel can't reach.
func (t *Tunnel) noteFailed(b *batch) {
	t.mu.Lock()
	for _, a := range b.failed[:b.nfailed] {
		if len(t.failed) < maxPaths && !slices.Contains(t.failed, a) {
			t.failed = append(t.failed, a)
		}
	}
	b.nfailed = 0
	t.mu.Unlock()
	t.kick(0)
}

// A waitingPacket is a copy of a packet that waits for a session.
type waitingPacket struct {
	data  []byte
	since time.Duration
}

// budget bounds the packets that wait, of all peers together.
type budget struct {
	mu             sync.Mutex
	packets, bytes int // that may still come
}

func (b *budget) take(n int) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.packets < 1 || b.bytes < n {
		return false
	}
	b.packets, b.bytes = b.packets-1, b.bytes-n
	return true
}

func (b *budget) give(n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.packets, b.bytes = b.packets+1, b.bytes+n
}

// wait queues copies of packets and has the machines find a way for them. It
// reports false if the peer has been forgotten.
func (p *peer) wait(pkts [][]byte) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return false
	}
	if r := p.route.Load(); r != nil && len(p.queue) == 0 && p.transmit(r, pkts) {
		return true // it came while we waited for the lock
	}
	now := p.tunnel.now()
	for _, pkt := range pkts {
		if p.tunnel.carries(pkt) {
			p.enqueue(pkt, now)
		}
	}
	p.data.Store(int64(now))
	p.dispatch(wanted{})
	return true
}

// enqueue keeps the newest packets: what waited longest is most likely given up by
// its sender.
func (p *peer) enqueue(pkt []byte, now time.Duration) {
	size := len(pkt)
	for _, w := range p.queue {
		size += len(w.data)
	}
	for len(p.queue) > 0 && (len(p.queue) >= queuePackets || size > queueBytes) {
		size -= len(p.queue[0].data)
		p.unqueue(1)
		p.tunnel.counts.add(QueueFull, 1)
	}
	if !p.tunnel.waiting.take(len(pkt)) {
		p.tunnel.counts.add(QueueFull, 1)
		return
	}
	p.queue = append(p.queue, waitingPacket{data: slices.Clone(pkt), since: now})
}

// unqueue removes the first n packets.
func (p *peer) unqueue(n int) {
	for _, w := range p.queue[:n] {
		p.tunnel.waiting.give(len(w.data))
	}
	p.queue = slices.Delete(p.queue, 0, n)
}

func (p *peer) dropQueue() { p.unqueue(len(p.queue)) }

func (p *peer) expireQueue(now time.Duration) {
	n := 0
	for n < len(p.queue) && now-p.queue[n].since >= waitAtMost {
		n++
	}
	if n > 0 {
		p.unqueue(n)
		p.tunnel.counts.add(QueueOld, n)
	}
}

// flush sends the packets that waited.
func (p *peer) flush(r *route) {
	pkts := make([][]byte, len(p.queue))
	for i, w := range p.queue {
		pkts[i] = w.data
	}
	if p.transmit(r, pkts) {
		p.dropQueue()
	}
}
