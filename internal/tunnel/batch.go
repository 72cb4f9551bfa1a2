package tunnel

import "net/netip"

const (
	batchSize = 64 // datagrams in one system call
	arenaSize = 128 << 10
)

// A batch collects outgoing datagrams. They are sealed straight into its arena,
// one behind the other, and leave with one system call.
type batch struct {
	msgs  [batchSize]datagram
	n     int
	arena []byte
	used  int

	// What write could not reach, for the path machine.
	failed  [4]netip.AddrPort
	nfailed int

	sys *sysBatch // the kernel's form; nil where there is no kernel
}

func newBatch() *batch { return &batch{arena: make([]byte, arenaSize)} }

// slot returns room for a datagram of at most size bytes, or nil if the batch must
// be written first. An empty batch has room for any datagram.
func (b *batch) slot(size int) []byte {
	if b.n == batchSize || len(b.arena)-b.used < size {
		return nil
	}
	return b.arena[b.used : b.used+size]
}

// add takes the datagram that was put into the last slot.
func (b *batch) add(addr netip.AddrPort, size int) {
	b.msgs[b.n] = datagram{addr: addr, data: b.arena[b.used : b.used+size : b.used+size]}
	b.n++
	b.used += size
}

func (b *batch) reset() { b.n, b.used = 0, 0 }

func (b *batch) fail(addr netip.AddrPort) {
	if b.nfailed < len(b.failed) {
		b.failed[b.nfailed] = addr
		b.nfailed++
	}
}

// An underlay carries datagrams: the UDP socket, or a network in a test.
type underlay interface {
	// write sends the datagrams of a batch and empties it. It is safe for
	// concurrent use, waits at most a moment for a full send buffer, and
	// counts what the kernel refuses.
	write(b *batch)
	// newBatch makes a batch that fits write.
	newBatch() *batch
	// demux is where arriving datagrams go.
	demux() *demux
	// port is the UDP port that the datagrams come from.
	port() uint16
}
