package tunnel

import (
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"landbridge/internal/loop"
)

const (
	drainBytes   = 256 << 10              // that the loop's thread sends from the backlog before it looks at the others
	farewellTime = 100 * time.Millisecond // that a socket with a backlog takes to close, at most
)

// A sendQueue is what a socket has that the kernel didn't take: datagrams wait here for room
// in its send buffer, and the loop sends them when there is some. So nobody waits for a slow
// link, and what waits does so in a queue that is fair.
type sendQueue struct {
	waiting atomic.Bool  // something waits: what comes next goes behind it
	piece   atomic.Int64 // most bytes in one message of several datagrams

	mu     sync.Mutex
	queue  backlog
	window sendWindow
	sys    *sysBatch   // for one message
	lull   *time.Timer // gives memory back; nil while there is none
	used   time.Duration
	closed bool   // what comes now is lost
	drain  func() // the socket's
}

func newSendQueue(s *Socket) *sendQueue {
	o := &sendQueue{sys: newSysBatch(s), drain: s.drain}
	o.queue = backlog{counts: &s.dmx.counts, quantum: blockSize}
	o.window.size = windowStart
	o.piece.Store(maxRunBytes)
	return o
}

// keep takes what write has left of a batch. If the kernel isn't known to be full, it keeps
// only what comes behind something else, and reports false if nothing waits. Once the socket
// is closed it keeps nothing.
func (s *Socket) keep(b *batch, full bool) bool {
	o := s.out
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed || !full && !o.waiting.Load() {
		return o.closed
	}
	now := s.dmx.clock()
	key := laneKey{class: b.class}
	for first := b.sys.datagram; b.sys.run < b.n; b.sys.run, first = b.sys.run+1, 0 {
		r := &b.runs[b.sys.run]
		key.addr = r.addr
		o.queue.put(now, key, b.arena[r.first+first*r.size:r.first+r.bytes()], r.size)
		s.dmx.counts.add(SendWaited, r.n-first)
	}
	s.await(now)
	return true
}

// keepOne is keep for a datagram of QUIC.
func (s *Socket) keepOne(data []byte, to netip.AddrPort, full bool) bool {
	o := s.out
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed || !full && !o.waiting.Load() {
		return o.closed
	}
	now := s.dmx.clock()
	o.queue.put(now, laneKey{to, classQUIC}, data, len(data))
	s.dmx.counts.add(SendWaited, 1)
	s.await(now)
	return true
}

// await has the loop send what waits when it can; out.mu is held.
func (s *Socket) await(now time.Duration) {
	o := s.out
	if !o.waiting.Load() {
		o.waiting.Store(true)
		s.source.WhenWritable(o.drain)
	}
	o.used = now
	if o.lull == nil {
		o.lull = time.AfterFunc(backlogIdle, s.trim)
	}
}

// drain sends what waits. The loop calls it when the kernel has room.
func (s *Socket) drain() {
	fd, ok := s.file.Use()
	if !ok {
		return
	}
	defer s.file.Done()
	o := s.out
	o.mu.Lock()
	defer o.mu.Unlock()
	now, sent := s.dmx.clock(), 0
	if rate, changed := o.window.writable(now, unsent(fd)); changed {
		s.resize(fd, rate)
	}
	o.sys.singly = !s.joins()
	for sent < drainBytes {
		m, more := o.queue.next(now)
		if !more {
			o.waiting.Store(false)
			if rate, changed := o.window.emptied(s.dmx.clock(), unsent(fd)); changed {
				s.resize(fd, rate)
			}
			return
		}
		if o.sys.singly {
			m.n, m.data = 1, m.data[:min(m.size, len(m.data))]
		}
		switch errno := o.sys.sendOne(&m, fd); {
		case errno == unix.EINTR:
			continue
		case errno == unix.EAGAIN:
			s.source.WhenWritable(o.drain)
			return
		case errno == 0:
			o.window.sent(len(m.data))
		case m.n > 1 && unjoinable(errno):
			s.unjoin(o.sys, errno)
			continue
		default:
			s.refused(m.n, errno) // the path machines hear of it when nothing comes back
		}
		o.queue.taken(m)
		sent += len(m.data)
	}
	s.source.WhenWritable(o.drain)
}

// resize sets the size of the kernel's send buffer, and of what goes into it at once, for a
// rate of the link in bits per second; out.mu is held.
func (s *Socket) resize(fd int, rate int64) {
	o := s.out
	setSendBuffer(fd, o.window.size)
	piece := pieceSize(rate)
	o.piece.Store(int64(piece))
	o.queue.quantum = min(piece, blockSize)
}

// setSendBuffer asks for a size past the system's limit where we may (CAP_NET_ADMIN), else
// for as much as it allows.
func setSendBuffer(fd, size int) {
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, size) != nil {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, size)
	}
}

// trim gives the backlog's memory back once it hasn't been used for a while.
func (s *Socket) trim() {
	o := s.out
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.lull == nil {
		return // the socket is closed
	}
	if left := backlogIdle - (s.dmx.clock() - o.used); left > 0 || !o.queue.trim() {
		o.lull.Reset(max(left, time.Second))
		return
	}
	o.lull = nil
}

// farewell sends what waits for a last moment: first what is urgent, which tells peers that
// we leave. The source has been removed.
func (s *Socket) farewell() {
	fd, ok := s.file.Use()
	if !ok {
		return
	}
	defer s.file.Done()
	for until := time.Now().Add(farewellTime); s.out.waiting.Load() && loop.AwaitWritable(fd, time.Until(until)); {
		s.drain()
	}
}

// close ends it.
func (o *sendQueue) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed, o.queue = true, backlog{counts: o.queue.counts, quantum: o.queue.quantum}
	if o.lull != nil {
		o.lull.Stop()
		o.lull = nil
	}
}

// unjoinable reports whether an error may mean that a run isn't taken whole (unjoin).
func unjoinable(errno syscall.Errno) bool {
	return errno == unix.EINVAL || errno == unix.EMSGSIZE || errno == unix.EIO
}
