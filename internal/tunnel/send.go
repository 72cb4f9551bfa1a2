package tunnel

import (
	"slices"
	"sync"
	"time"

	"landbridge/internal/frame"
	"landbridge/internal/group"
)

// Limits on packets that wait for a session with one member.
const (
	queuePackets = 64
	queueBytes   = 256 << 10
	waitAtMost   = 10 * time.Second
)

const idleBatches = 4 // that are kept

// Send seals IP packets to a member and sends them. It uses up their bytes and is done
// with them when it returns; it waits for nothing. Without a session copies wait, within
// bounds, while one is made. It is safe for concurrent use.
func (t *Tunnel) Send(to group.MemberID, pkts []frame.Packet) {
	o := t.Outbox()
	o.Add(to, pkts)
	o.Send()
}

// An Outbox takes packets for several members, which leave together, in few system calls.
// It is one goroutine's, and ends with Send.
type Outbox struct {
	tunnel *Tunnel
	batch  *batch
}

// Outbox returns an empty one.
func (t *Tunnel) Outbox() Outbox { return Outbox{t, t.borrowBatch()} }

// Add seals packets to a member, as [Tunnel.Send] does. Some may leave before Send.
func (o Outbox) Add(to group.MemberID, pkts []frame.Packet) {
	for range 2 { // a peer may be forgotten just as we find it
		p := o.tunnel.peer(to)
		if p == nil {
			return
		}
		if r := p.route.Load(); r != nil && p.transmit(o.batch, r, pkts) || p.wait(pkts) {
			return
		}
	}
}

// Send sends what was added.
func (o Outbox) Send() { o.tunnel.flushBatch(o.batch) }

// transmit seals packets into a batch, to leave by a route. It reports false, having done
// nothing, if the route's relay is out of reach.
func (p *peer) transmit(b *batch, r *route, pkts []frame.Packet) bool {
	t := p.tunnel
	hop, overhead := r, sealOverhead
	if r.via != nil {
		hop, overhead = r.via.route.Load(), sealOverhead+relayOverhead
		if hop == nil || hop.via != nil {
			return false
		}
	}
	now := t.now()
	sent, size := 0, 0
	for _, pkt := range pkts {
		cuts, ok := t.cut(pkt)
		if !ok {
			continue
		}
		n := cuts.Len()
		total := (n-1)*(overhead+cuts.Size(0)) + overhead + cuts.Size(n-1)
		slots := b.slots(n, total)
		if slots == nil {
			t.under.write(b)
			slots = b.slots(n, total)
		}
		if !p.sealPieces(b, slots, &cuts, r, hop, overhead, dataAt(now)) {
			t.counts.add(KeyWornOut, n)
			continue
		}
		sent, size = sent+n, size+total-n*(overhead+trailerSize)
	}
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

// sendNow is transmit in a batch of its own.
func (p *peer) sendNow(r *route, pkts []frame.Packet) bool {
	b := p.tunnel.borrowBatch()
	defer p.tunnel.flushBatch(b)
	return p.transmit(b, r, pkts)
}

// cut cuts a packet into bodies, and counts it if it may not be sent.
func (t *Tunnel) cut(pkt frame.Packet) (cuts frame.Cuts, ok bool) {
	cuts, err := frame.Cut(pkt)
	if err != nil {
		t.counts.add(NotIP, 1)
		return cuts, false
	}
	if cuts.Size(0) > t.mtu+trailerSize {
		t.counts.add(OverMTU, cuts.Len())
		return cuts, false
	}
	return cuts, true
}

// sealPieces seals the bodies of a packet into their slots, the last one first, as
// frame.Cuts wants it. It reports false if a key has been used up.
func (p *peer) sealPieces(b *batch, slots []byte, cuts *frame.Cuts, r, hop *route, overhead int, l lead) bool {
	n := cuts.Len()
	counter, ok := r.out.reserve(n)
	if !ok {
		return false
	}
	var outer uint64
	if hop != r {
		if outer, ok = hop.out.reserve(n); !ok {
			return false
		}
	}
	step := overhead + cuts.Size(0)
	for i := n - 1; i >= 0; i-- {
		body := cuts.Body(i)
		slot := slots[i*step : i*step+overhead+len(body)]
		if hop == r {
			r.out.seal(slot, l, counter+uint64(i), body)
		} else {
			sealRelayed(slot, hop.out, outer+uint64(i), r.out, l, counter+uint64(i), p.hash, body)
		}
	}
	for i := range n {
		b.add(hop.addr, overhead+cuts.Size(i))
	}
	return true
}

// sealRelayed seals a plaintext for a peer inside an envelope sealed for a relay.
// The inner datagram is sealed at its place in the envelope, and the envelope in
// place around it.
func sealRelayed(dst []byte, relay *outbound, outer uint64, end *outbound, l lead, counter uint64, to memberHash, plaintext []byte) int {
	envelope := appendEnvelope(dst[headerSize:headerSize], msgForward, to)
	n := end.seal(dst[headerSize+envelopeSize:], l, counter, plaintext)
	return relay.seal(dst, typeControl, outer, envelope[:envelopeSize+n])
}

// borrowBatch returns an idle batch, or a new one. They aren't left to the garbage
// collector (sync.Pool): each is large, and its memory isn't the process's before it is used.
func (t *Tunnel) borrowBatch() *batch {
	select {
	case b := <-t.batches:
		return b
	default:
		return t.under.newBatch()
	}
}

// flushBatch writes a batch and gives it back.
func (t *Tunnel) flushBatch(b *batch) {
	if b.n > 0 {
		t.under.write(b)
	}
	if b.nfailed > 0 {
		t.noteFailed(b)
	}
	select {
	case t.batches <- b:
	default:
	}
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
	frame.Packet
	since time.Duration
}

// copyOf returns a packet with memory of its own.
func copyOf(p frame.Packet) frame.Packet {
	p.Buf = append(make([]byte, 0, len(p.Buf)+frame.Tailroom), p.Buf...)
	return p
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
func (p *peer) wait(pkts []frame.Packet) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return false
	}
	if r := p.route.Load(); r != nil && len(p.queue) == 0 && p.sendNow(r, pkts) {
		return true // it came while we waited for the lock
	}
	now := p.tunnel.now()
	for _, pkt := range pkts {
		if _, ok := p.tunnel.cut(pkt); ok {
			p.enqueue(pkt, now)
		}
	}
	p.data.Store(int64(now))
	p.dispatch(wanted{})
	return true
}

// enqueue keeps the newest packets: what waited longest is most likely given up by
// its sender.
func (p *peer) enqueue(pkt frame.Packet, now time.Duration) {
	size := len(pkt.Buf)
	for _, w := range p.queue {
		size += len(w.Buf)
	}
	for len(p.queue) > 0 && (len(p.queue) >= queuePackets || size > queueBytes) {
		size -= len(p.queue[0].Buf)
		p.unqueue(1)
		p.tunnel.counts.add(QueueFull, 1)
	}
	if !p.tunnel.waiting.take(len(pkt.Buf)) {
		p.tunnel.counts.add(QueueFull, 1)
		return
	}
	p.queue = append(p.queue, waitingPacket{copyOf(pkt), now})
}

// unqueue removes the first n packets.
func (p *peer) unqueue(n int) {
	for _, w := range p.queue[:n] {
		p.tunnel.waiting.give(len(w.Buf))
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
	pkts := make([]frame.Packet, len(p.queue))
	for i, w := range p.queue {
		pkts[i] = w.Packet
	}
	if p.sendNow(r, pkts) {
		p.dropQueue()
	}
}
