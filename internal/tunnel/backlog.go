package tunnel

import (
	"net/netip"
	"time"

	"landbridge/internal/codel"
)

const (
	backlogBlocks = 128              // of 16 KiB, in all: 2 MiB
	backlogIdle   = 10 * time.Second // after so long without a backlog its memory is given back
	backlogStale  = 250 * time.Millisecond
	codelTarget   = 5 * time.Millisecond   // how long datagrams may wait for good
	codelInterval = 100 * time.Millisecond // and for how long they may wait longer
	minQuantum    = 1500
	backlogMost   = 4096     // datagrams of a destination: control messages overtake them, which the replay window must bear
	backlogShort  = 4 * 1500 // bytes, of which nothing is dropped: a few flows can hardly have less on their way
)

// A class tells apart what goes to one address.
type class uint8

const (
	classData   class = iota // tunnel datagrams
	classQUIC                // QUIC's, which has a congestion control of its own
	classUrgent              // the tunnel's control messages
)

// A laneKey names what waits in one queue: a class of datagrams for one address, that is,
// for a peer or a relay. What is inside is sealed, so finer flows can't be told apart.
type laneKey struct {
	addr  netip.AddrPort
	class class
}

// A lane is the queue of one destination.
type lane struct {
	key     laneKey
	active  bool // it is in a list
	next    *lane
	deficit int // bytes that it may still send in this round; negative where it sent more

	head, tail *block
	blocks     int
	bytes, n   int // that wait, and datagrams
	law        codel.Law
}

// A laneList is a list of lanes, from which the first is served.
type laneList struct{ head, tail *lane }

func (l *laneList) push(f *lane) {
	f.next = nil
	if l.tail == nil {
		l.head = f
	} else {
		l.tail.next = f
	}
	l.tail = f
}

func (l *laneList) pop() {
	l.head = l.head.next
	if l.head == nil {
		l.tail = nil
	}
}

// A backlog holds the datagrams that the kernel hasn't taken: a queue for each destination,
// served by deficit round robin in which those without a backlog of their own come first
// (FQ-CoDel, RFC 8290). The oldest of a queue is dropped while its wait stands above a target
// (CoDel, RFC 8289), where it is stale, and where the queue is as long as all the memory that
// is left: what is newer tells the sender sooner. Urgent ones go before all others.
//
// The zero value, with counts, is empty and holds no memory. It is pure, and not safe for
// concurrent use. Times are those of any one clock.
type backlog struct {
	counts  *counters
	quantum int // bytes that a destination may send in its turn, and the most in a message; minQuantum at least

	urgent, fresh, old laneList
	lanes              []*lane // that are known, active or not
	used               int     // blocks in queues
	spare              *block  // those that aren't
}

// A message is datagrams that may leave in one piece, a part of a run.
type message struct {
	addr    netip.AddrPort
	data    []byte
	size, n int // of each datagram but the last, which may be shorter; and how many
}

// put adds datagrams of size bytes, one behind the other, of which the last may be shorter.
// They are copied. No bytes are no datagram.
func (q *backlog) put(now time.Duration, key laneKey, data []byte, size int) {
	if len(data) == 0 {
		return
	}
	f := q.lane(key)
	for f != nil && len(data) > 0 && size <= blockSize {
		if (f.tail == nil || !f.tail.takes(min(size, len(data)))) && !q.grow(f) {
			break
		}
		n := f.tail.put(now, data, size)
		data, f.bytes, f.n = data[n:], f.bytes+n, f.n+(n+size-1)/size
		for f.n > backlogMost {
			q.dropOldest(f)
		}
	}
	q.counts.add(SendFull, (len(data)+size-1)/size)
	if f != nil && f.head != nil && !f.active {
		q.start(f)
	}
}

// lane finds the queue of a destination, or makes one; nil where there are too many.
func (q *backlog) lane(key laneKey) *lane {
	var idle *lane
	for _, f := range q.lanes {
		if f.key == key {
			return f
		}
		if !f.active {
			idle = f
		}
	}
	switch {
	case len(q.lanes) < backlogBlocks:
		idle = &lane{key: key}
		q.lanes = append(q.lanes, idle)
	case idle != nil:
		*idle = lane{key: key}
	}
	return idle
}

// start gives a destination that had no backlog its turn, before those that have.
func (q *backlog) start(f *lane) {
	f.active, f.deficit = true, q.quantum
	if f.key.class == classUrgent {
		q.urgent.push(f)
	} else {
		q.fresh.push(f)
	}
}

// grow gives a queue another block. One that is as long as what is left of all memory loses
// its oldest; if nothing is left, the longest does.
func (q *backlog) grow(f *lane) bool {
	from := f
	if q.used == backlogBlocks {
		for _, other := range q.lanes {
			if other.blocks > from.blocks {
				from = other
			}
		}
		if from.blocks <= 1 {
			return false
		}
	}
	if from.blocks > 0 && from.blocks >= backlogBlocks-q.used {
		q.dropOldest(from)
	}
	b := q.spare
	if b == nil {
		b = new(block)
	} else {
		q.spare = b.next
	}
	b.reset()
	q.used++
	f.blocks++
	if f.tail == nil {
		f.head = b
	} else {
		f.tail.next = b
	}
	f.tail = b
	return true
}

// dropOldest drops the first block of a queue that is too long.
func (q *backlog) dropOldest(f *lane) {
	q.counts.add(SendFull, f.head.datagrams())
	q.dropBlock(f)
}

// dropBlock takes the first block from a queue.
func (q *backlog) dropBlock(f *lane) {
	b := f.head
	f.bytes -= b.left()
	f.n -= b.datagrams()
	f.head = b.next
	if f.head == nil {
		f.tail = nil
	}
	f.blocks--
	q.used--
	b.next, q.spare = q.spare, b
}

// next returns what should leave next; it stays queued until taken. What is to be dropped is
// dropped now. It reports false if there is nothing left.
func (q *backlog) next(now time.Duration) (m message, ok bool) {
	for {
		list := q.turn()
		f := list.head
		switch {
		case f == nil:
			return m, false
		case f.deficit <= 0 && list != &q.urgent:
			f.deficit += q.quantum
			list.pop()
			q.old.push(f)
		case q.thin(f, now):
			r := f.head.first()
			n := min(r.count(), max(1, q.quantum/int(r.size)))
			return message{addr: f.key.addr, data: f.head.bytes(n), size: int(r.size), n: n}, true
		default:
			list.pop()
			if list == &q.fresh && q.old.head != nil {
				q.old.push(f) // or it could come first each time that it sends a little (RFC 8290, section 4.2)
			} else {
				f.active = false
			}
		}
	}
}

// turn is the list whose first lane is to be served.
func (q *backlog) turn() *laneList {
	switch {
	case q.urgent.head != nil:
		return &q.urgent
	case q.fresh.head != nil:
		return &q.fresh
	}
	return &q.old
}

// taken takes away what next has returned.
func (q *backlog) taken(m message) {
	f := q.turn().head
	f.deficit -= len(m.data)
	q.drop(f, m.n)
}

// drop takes the oldest n datagrams, of one run, out of a queue.
func (q *backlog) drop(f *lane, n int) {
	f.bytes -= f.head.drop(n)
	f.n -= n
	if f.head.isEmpty() {
		q.dropBlock(f)
	}
}

// thin drops what a queue has that is too old, and reports whether anything is left.
func (q *backlog) thin(f *lane, now time.Duration) bool {
	for f.head != nil {
		if !q.tooOld(f, now) {
			return true
		}
		q.counts.add(SendOld, 1)
		q.drop(f, 1)
	}
	return false
}

// tooOld reports whether a queue's oldest is to be dropped: by CoDel, or as it is stale.
func (q *backlog) tooOld(f *lane, now time.Duration) bool {
	r := f.head.first()
	sojourn := now - r.since
	if sojourn < codelTarget || f.bytes <= max(q.quantum, backlogShort) || f.key.class == classUrgent {
		f.law.Calm()
		return false
	}
	due := f.law.Due(now, codelInterval)
	if due && min(int(r.size), r.bytes()) >= codel.BulkSize {
		f.law.Told(now, codelInterval)
		return true
	}
	return sojourn >= backlogStale
}

// trim gives all memory back, if nothing waits.
func (q *backlog) trim() bool {
	if q.used > 0 {
		return false
	}
	*q = backlog{counts: q.counts, quantum: q.quantum}
	return true
}
