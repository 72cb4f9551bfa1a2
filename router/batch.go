package router

import (
	"time"

	"landbridge/internal/frame"
	"landbridge/internal/group"
)

// batch collects what leaves the router: packets by member, frames for the segment.
// flush hands them over, with one Send for each member and one WriteBatch. It belongs to one
// goroutine at a time, and keeps its memory.
//
// What is added may point into the frames that were read, or into the slab, where room
// gives space for what the router builds itself. When the slab is full the batch is
// flushed early.
type batch struct {
	r        *Router
	now      time.Time
	groups   []memberGroup // the first active are in use
	active   int
	toDevice [][]byte
	slab     []byte
	used     int
	scratch  []byte // for frame.Fragment

	sentPackets, sentBytes, deliveredPackets, deliveredBytes int
}

type memberGroup struct {
	to      group.MemberID
	packets [][]byte
}

func (r *Router) newBatch() *batch {
	most := max(r.mtu, r.linkMTU) + frame.EthernetHeaderLen
	return &batch{
		r:        r,
		toDevice: make([][]byte, 0, batchFrames),
		slab:     make([]byte, max(slabBytes, 2*most)),
		scratch:  make([]byte, 0, most),
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

// room returns an empty slice with space for n bytes in the slab. Append to it, and
// add the result to the batch before the next call of room. n is at most half the slab.
func (b *batch) room(n int) []byte {
	if b.used+n > len(b.slab) {
		b.flush()
	}
	s := b.slab[b.used : b.used : b.used+n]
	b.used += n
	return s
}

// copyOf returns a copy of p in the slab; see room.
func (b *batch) copyOf(p []byte) []byte { return append(b.room(len(p)), p...) }

// send adds a packet for a member.
func (b *batch) send(to group.MemberID, packet []byte) {
	b.sentPackets++
	b.sentBytes += len(packet)
	b.sendUncounted(to, packet)
}

// sendUncounted is send for the router's own packets.
func (b *batch) sendUncounted(to group.MemberID, packet []byte) {
	for i := b.active - 1; i >= 0; i-- { // the last one first: packets come in runs
		if g := &b.groups[i]; g.to == to {
			g.packets = append(g.packets, packet)
			return
		}
	}
	if b.active == len(b.groups) {
		b.groups = append(b.groups, memberGroup{})
	}
	g := &b.groups[b.active]
	b.active++
	g.to = to
	g.packets = append(g.packets, packet) // flush has emptied it
}

// write adds a frame for the segment.
func (b *batch) write(f []byte) { b.toDevice = append(b.toDevice, f) }

// writePacket adds an Ethernet frame with a copy of this packet, from the gateway MAC. It
// returns the copy.
func (b *batch) writePacket(to frame.MAC, packet frame.IPv4) frame.IPv4 {
	f := frame.AppendEthernet(b.room(frame.EthernetHeaderLen+len(packet)), to, b.r.gateway, frame.EtherTypeIPv4)
	f = append(f, packet...)
	b.write(f)
	return frame.IPv4(f[frame.EthernetHeaderLen:])
}

// flush hands everything over and empties the batch.
func (b *batch) flush() {
	for i := range b.active {
		g := &b.groups[i]
		b.r.sender.Send(g.to, g.packets)
		clear(g.packets) // don't keep the buffers alive
		g.packets = g.packets[:0]
	}
	b.active = 0
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
