package router

import (
	"net/netip"
	"slices"
	"time"

	"landbridge/internal/frame"
	"landbridge/internal/group"
	"landbridge/internal/scratch"
)

// batch collects what leaves the router: packets by member, frames for the segment.
// flush hands them over, with one Send and one WriteBatch. It belongs to one
// goroutine at a time, and keeps its memory.
//
// What is added may lie in the buffers that were read or delivered, or in the slab, where
// room gives space for what the router builds itself. When the slab is full the batch is
// flushed early.
type batch struct {
	r        *Router
	now      time.Time
	parcels  []Parcel // behind those in use are the buffers of earlier ones
	latest   int      // of them the one that got a packet last
	toDevice []frame.Packet
	slab     []byte
	used     int
	fragment []byte // for frame.Fragment
	piece    []byte // for frame.Finish; made when it is first needed

	sentPackets, sentBytes, deliveredPackets, deliveredBytes int

	asked []byte // an ARP request that says what a neighbour solicitation does
}

func (r *Router) newBatch() *batch {
	return &batch{
		r:        r,
		toDevice: make([]frame.Packet, 0, batchFrames),
		slab:     scratch.Make[byte](slabBytes),
		fragment: make([]byte, 0, max(r.mtu, r.linkMTU)),
	}
}

// borrow returns an idle batch, or a new one.
func (r *Router) borrow() *batch {
	select {
	case b := <-r.batches:
		b.now = r.now()
		return b
	default:
		b := r.newBatch()
		b.now = r.now()
		return b
	}
}

// giveBack flushes b and keeps it for the next borrower, unless there are enough.
func (r *Router) giveBack(b *batch) {
	b.flush()
	select {
	case r.batches <- b:
	default:
	}
}

// Rest gives back the memory that packets have passed through; they take it again. Call it while there is little to do,
// and not while Poll runs.
func (r *Router) Rest() {
	r.polled.rest()
	for range len(r.batches) {
		select {
		case b := <-r.batches: // ours alone meanwhile
			b.rest()
			r.giveBack(b)
		default:
		}
	}
}

func (b *batch) rest() {
	b.piece = nil
	if b.used == 0 {
		scratch.GiveBack(b.slab)
	}
}

// room returns the beginning of a packet's buffer in the slab, up to the Ethernet header,
// which is to be appended with up to n bytes behind it. Add the result to the batch before
// the next call of room. n is at most 65,535.
func (b *batch) room(n int) []byte {
	n += frame.Headroom + frame.Tailroom
	if b.used+n > len(b.slab) {
		b.flush()
	}
	s := b.slab[b.used : b.used+frame.VirtioHeaderLen : b.used+n]
	b.used += n
	return s
}

// roomTo is room with an Ethernet header to a host of the segment; an IPv4 packet is to follow.
func (b *batch) roomTo(mac frame.MAC, n int) []byte {
	return frame.AppendEthernet(b.room(n), mac, b.r.gateway, frame.EtherTypeIPv4)
}

// roomFor is roomTo for a packet to the address dst, of either version.
func (b *batch) roomFor(mac frame.MAC, n int, dst netip.Addr) []byte {
	return frame.AppendEthernet(b.room(n), mac, b.r.gateway, frame.IPEtherType(dst))
}

// packetOf returns a copy of an IP packet in the slab; see room.
func (b *batch) packetOf(ip []byte) frame.Packet {
	return frame.Packet{Buf: append(b.room(len(ip))[:frame.Headroom], ip...)}
}

// finish has emit see p with nothing left to be done on it, in as many pieces as
// it takes. Each is good until emit returns.
func (b *batch) finish(p frame.Packet, emit func(frame.Packet)) error {
	if need := len(p.Buf) + frame.Tailroom; p.Partial && cap(b.piece) < need {
		b.piece = make([]byte, need)
	}
	return frame.Finish(p, b.piece, emit)
}

// cut makes of p packets of at most mtu bytes, with nothing left to be done on them, in
// the slab.
func (b *batch) cut(p frame.Packet, mtu int, emit func(frame.Packet)) error {
	var failed error
	err := b.finish(p, func(piece frame.Packet) {
		err := frame.Fragment(header(piece), mtu, b.fragment, func(f []byte) { emit(b.packetOf(f)) })
		if failed == nil {
			failed = err
		}
	})
	if err == nil {
		err = failed
	}
	return err
}

// send adds a packet for a member.
func (b *batch) send(to group.MemberID, p frame.Packet) { b.sendOf(to, p, extentOf(p)) }

// sendOf is send for a packet of which the extent is known.
func (b *batch) sendOf(to group.MemberID, p frame.Packet, e extent) {
	b.sentPackets += e.pieces
	b.sentBytes += e.bytes
	b.sendUncounted(to, p)
}

// sendUncounted is send for the router's own packets.
func (b *batch) sendUncounted(to group.MemberID, pkt frame.Packet) {
	// The one before first, as packets come in runs, and then those behind it: a host that
	// sends to many often does so in turn.
	n := len(b.parcels)
	for tried, i := 0, b.latest; tried < n; tried++ {
		if i >= n {
			i = 0
		}
		if p := &b.parcels[i]; p.To == to {
			p.Packets = append(p.Packets, pkt)
			b.latest = i
			return
		}
		i++
	}
	b.latest = n
	b.parcels = slices.Grow(b.parcels, 1)[:n+1]
	p := &b.parcels[n]
	p.To, p.Packets = to, append(p.Packets[:0], pkt)
}

// write adds a frame for the segment.
func (b *batch) write(p frame.Packet) { b.toDevice = append(b.toDevice, p) }

// writeBuilt adds a frame that was built in a room.
func (b *batch) writeBuilt(buf []byte) { b.write(frame.Packet{Buf: buf}) }

// writeCopy adds a copy of an Ethernet frame.
func (b *batch) writeCopy(f []byte) { b.writeBuilt(append(b.room(len(f)), f...)) }

// flush hands everything over and empties the batch.
func (b *batch) flush() {
	if len(b.parcels) > 0 {
		b.r.sender.Send(b.parcels)
		for _, p := range b.parcels {
			clear(p.Packets) // don't keep the buffers alive
		}
		b.parcels = b.parcels[:0]
	}
	if len(b.toDevice) > 0 {
		if err := b.r.device.WriteBatch(b.toDevice); err != nil {
			b.r.deviceFailed(err, b.now)
		}
		clear(b.toDevice)
		b.toDevice = b.toDevice[:0]
	}
	b.used = 0
	b.count()
}

func (b *batch) count() {
	c := &b.r.counters
	if b.sentPackets > 0 {
		c.add(outPackets, b.sentPackets)
		c.add(outBytes, b.sentBytes)
	}
	if b.deliveredPackets > 0 {
		c.add(inPackets, b.deliveredPackets)
		c.add(inBytes, b.deliveredBytes)
	}
	b.sentPackets, b.sentBytes, b.deliveredPackets, b.deliveredBytes = 0, 0, 0, 0
}

// deviceFailed counts a refused write, and says so once in a while.
func (r *Router) deviceFailed(err error, now time.Time) {
	r.counters.add(deviceErrors, 1)
	last := r.warned.Load()
	if (last == 0 || now.UnixNano()-last > int64(warnEvery)) && r.warned.CompareAndSwap(last, now.UnixNano()) {
		r.log.Warn("the segment refuses frames", "err", err)
	}
}
