package tunnel

import (
	"net/netip"

	"landbridge/internal/scratch"
)

const (
	// arenaSize is what one packet may take, in bytes: 64 KiB in the most pieces
	// (frame.Cuts.Len), each with the longest headers, sealed for a relay.
	arenaSize   = 2048*(sealOverhead+relayOverhead+120+trailerSize) + 0xffff
	batchRuns   = 128    // runs in a batch
	maxSegments = 64     // datagrams in a run: UDP_MAX_SEGMENTS of Linux before 6.8
	maxRunBytes = 65_487 // of an IPv6 packet without extension headers (RFC 8200), behind the UDP header
)

// A run is datagrams for one address, of one size, one behind the other in the arena;
// the last may be shorter. The kernel takes it whole where it can (UDP_SEGMENT).
type run struct {
	addr  netip.AddrPort
	first int // where it begins in the arena
	size  int // bytes of each datagram but the last
	last  int // bytes of the last
	n     int // datagrams
}

func (r *run) bytes() int { return (r.n-1)*r.size + r.last }

// takes reports whether a datagram may follow.
func (r *run) takes(addr netip.AddrPort, size int) bool {
	return r.addr == addr && r.last == r.size && size <= r.size && r.n < maxSegments && r.bytes()+size <= maxRunBytes
}

// A batch collects outgoing datagrams. They are sealed straight into its arena,
// one behind the other, and leave with few system calls.
type batch struct {
	runs  [batchRuns]run
	n     int // runs
	arena []byte
	used  int
	class class // of all datagrams in it

	// What write could not reach, for the path machine.
	failed  [4]netip.AddrPort
	nfailed int

	sys *sysBatch // the kernel's form; nil where there is no kernel
}

func newBatch() *batch { return &batch{arena: scratch.Make[byte](arenaSize)} }

// slot returns room for a datagram of at most size bytes, or nil if the batch must
// be written first. An empty batch has room for any datagram.
func (b *batch) slot(size int) []byte { return b.slots(1, size) }

// slots returns room for n datagrams, one behind the other, of size bytes in all; or
// nil if the batch must be written first. An empty batch has room for any packet.
func (b *batch) slots(n, size int) []byte {
	if b.n+n/maxSegments+size/maxRunBytes+2 > batchRuns || len(b.arena)-b.used < size {
		return nil
	}
	return b.arena[b.used : b.used+size : b.used+size]
}

// add takes the datagram that was put into the last slot; of several slots, the first
// that it hasn't taken yet.
func (b *batch) add(addr netip.AddrPort, size int) {
	if b.n > 0 && b.runs[b.n-1].takes(addr, size) {
		r := &b.runs[b.n-1]
		r.n, r.last = r.n+1, size
	} else {
		b.runs[b.n] = run{addr: addr, first: b.used, size: size, last: size, n: 1}
		b.n++
	}
	b.used += size
}

// datagram is one of a run.
func (b *batch) datagram(r *run, i int) []byte {
	size := r.size
	if i == r.n-1 {
		size = r.last
	}
	first := r.first + i*r.size
	return b.arena[first : first+size : first+size]
}

// rest gives back the arena's memory, if there is nothing in it.
func (b *batch) rest() {
	if b.used == 0 {
		scratch.GiveBack(b.arena)
	}
}

func (b *batch) reset() { b.n, b.used, b.class = 0, 0, classData }

func (b *batch) fail(addr netip.AddrPort) {
	if b.nfailed < len(b.failed) {
		b.failed[b.nfailed] = addr
		b.nfailed++
	}
}

// An underlay carries datagrams: the UDP socket, or a network in a test.
type underlay interface {
	// write sends the datagrams of a batch and empties it. It is safe for
	// concurrent use, never waits, and counts what the kernel refuses.
	write(b *batch)
	// newBatch makes a batch that fits write.
	newBatch() *batch
	// demux is where arriving datagrams go.
	demux() *demux
	// links are the streams that write sends by, too.
	links() *links
	// port is the UDP port that the datagrams come from.
	port() uint16
	// pathMTU is what is known of the path to an address, in bytes of IP packet; zero if
	// nothing is.
	pathMTU(to netip.AddrPort) int
	// allowFragments has routers fragment datagrams, if they may at all.
	allowFragments()
}
