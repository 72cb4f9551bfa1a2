package tunnel

import "time"

const (
	blockSize = 15_800 // bytes of datagrams in a block: 16 KiB with what else is in it
	blockRuns = 32
	joinTime  = time.Millisecond // datagrams that came further apart don't join a run
)

// A block is a piece of a queue: runs of datagrams, the oldest first.
type block struct {
	next       *block
	head, tail int // runs that are left
	used       int // bytes of data
	runs       [blockRuns]queuedRun
	data       [blockSize]byte
}

// A queuedRun is datagrams of one size, one behind the other; the last may be shorter.
type queuedRun struct {
	since      time.Duration // when the first came
	size       uint16        // bytes of each but the last
	begin, end uint16        // bytes in the block
}

func (r *queuedRun) bytes() int { return int(r.end - r.begin) }
func (r *queuedRun) count() int { return (r.bytes() + int(r.size) - 1) / int(r.size) }

func (b *block) reset() { b.next, b.head, b.tail, b.used = nil, 0, 0, 0 }

func (b *block) isEmpty() bool { return b.head == b.tail }

// first is the oldest run.
func (b *block) first() *queuedRun { return &b.runs[b.head] }

// left is how many bytes wait.
func (b *block) left() int {
	if b.isEmpty() {
		return 0
	}
	return b.used - int(b.first().begin)
}

// datagrams is how many wait.
func (b *block) datagrams() (n int) {
	for i := b.head; i < b.tail; i++ {
		n += b.runs[i].count()
	}
	return n
}

// takes reports whether there is room for a datagram of size bytes.
func (b *block) takes(size int) bool { return b.tail < blockRuns && b.used+size <= blockSize }

// put copies as many as it has room for of datagrams of one size, and returns how many bytes
// that was. There is room for the first.
func (b *block) put(now time.Duration, data []byte, size int) int {
	n := min(len(data), (blockSize-b.used)/size*size)
	if len(data) <= blockSize-b.used {
		n = len(data) // the last one, shorter than the rest, fits too
	}
	n = min(n, maxSegments*size)
	begin := b.used
	b.used += copy(b.data[begin:], data[:n])
	if b.tail > b.head {
		r := &b.runs[b.tail-1]
		if whole := r.bytes()%size == 0; int(r.size) == size && whole && now-r.since <= joinTime && r.count()+(n+size-1)/size <= maxSegments {
			r.end = uint16(b.used)
			return n
		}
	}
	b.runs[b.tail] = queuedRun{since: now, size: uint16(size), begin: uint16(begin), end: uint16(b.used)}
	b.tail++
	return n
}

// bytes are the first n datagrams of the oldest run.
func (b *block) bytes(n int) []byte {
	r := b.first()
	return b.data[r.begin:min(int(r.end), int(r.begin)+n*int(r.size))]
}

// drop takes the first n datagrams of the oldest run away, and returns how many bytes that was.
func (b *block) drop(n int) int {
	r := b.first()
	bytes := min(n*int(r.size), r.bytes())
	r.begin += uint16(bytes)
	if r.begin == r.end {
		b.head++
	}
	return bytes
}
