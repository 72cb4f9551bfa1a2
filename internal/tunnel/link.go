package tunnel

import (
	"context"
	"encoding/binary"
	"io"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"landbridge/internal/group"
)

// A Stream carries datagrams to one member over TCP, where UDP doesn't pass. Close ends a Read or Write that waits.
type Stream interface {
	io.ReadWriteCloser
	// RemoteAddr is the member's end of the TCP connection.
	RemoteAddr() netip.AddrPort
}

// Streams opens a stream to a member. It fails where there is no TCP connection straight to it.
type Streams interface {
	Open(ctx context.Context, to group.MemberID) (Stream, error)
}

// Limits of streams.
const (
	linkQueue   = 256 << 10        // bytes that wait to be written: what comes after is dropped, and TCP inside slows down
	linkRead    = 32 << 10         // bytes read at a time, at most; more than a datagram with its length
	linkIdle    = time.Minute      // that one is kept after a better path has been found
	linkOpening = 10 * time.Second // to open one
	peerLinks   = 2                // to one member: both ends may open one
	frameLength = 2                // bytes before each datagram: how long it is, big-endian
)

// links are the streams of a socket's tunnels. The rest of this package knows each by an address of its own,
// out of the prefix that goes nowhere (RFC 6666), as if it were another address of the member.
type links struct {
	arrived func([]datagram) // works through what has come, as if by UDP
	counts  *counters
	any     atomic.Bool // there are some

	mu     sync.RWMutex
	byAddr map[netip.AddrPort]*link
	last   uint64
}

func newLinks(arrived func([]datagram), counts *counters) *links {
	return &links{arrived: arrived, counts: counts, byAddr: make(map[netip.AddrPort]*link)}
}

func linkPrefix() netip.Prefix { return netip.PrefixFrom(netip.AddrFrom16([16]byte{0: 1}), 64) } // 100::/64

// isLink reports whether an address is a stream's.
func isLink(a netip.AddrPort) bool { return linkPrefix().Contains(a.Addr()) }

// A link is a stream and what waits to be written to it.
type link struct {
	addr   netip.AddrPort
	stream Stream
	ours   bool          // we have opened it: the member can be reached by TCP
	used   time.Duration // when there was no better path last; the peer's mu guards it

	mu    sync.Mutex
	out   []byte
	wake  chan struct{} // of capacity 1
	ended chan struct{}
	once  sync.Once
}

func (k *links) add(s Stream, ours bool, now time.Duration) *link {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.last++
	id := linkPrefix().Addr().As16()
	binary.BigEndian.PutUint64(id[8:], k.last)
	l := &link{addr: netip.AddrPortFrom(netip.AddrFrom16(id), 1), stream: s, ours: ours, used: now, wake: make(chan struct{}, 1), ended: make(chan struct{})}
	k.byAddr[l.addr] = l
	k.any.Store(true)
	return l
}

func (k *links) remove(l *link) {
	l.close()
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.byAddr, l.addr)
	k.any.Store(len(k.byAddr) > 0)
}

// take takes the runs of a batch that go by streams; the others are left.
func (k *links) take(b *batch) {
	if !k.any.Load() {
		return
	}
	left := 0
	for i := range b.n {
		r := b.runs[i]
		if !isLink(r.addr) {
			b.runs[left] = r
			left++
			continue
		}
		k.mu.RLock()
		l := k.byAddr[r.addr]
		k.mu.RUnlock()
		if l == nil {
			b.fail(r.addr)
			continue
		}
		for d := range r.n {
			if !l.put(b.datagram(&r, d)) {
				k.counts.add(SendFull, 1)
			}
		}
	}
	b.n = left
}

// put queues a datagram; it reports false if there is no room.
func (l *link) put(datagram []byte) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.out)+frameLength+len(datagram) > linkQueue {
		return false
	}
	l.out = append(binary.BigEndian.AppendUint16(l.out, uint16(len(datagram))), datagram...)
	select {
	case l.wake <- struct{}{}:
	default:
	}
	return true
}

// close has the link end. It waits for nothing: the stream itself, whose end may have to be told, is closed by carry.
func (l *link) close() { l.once.Do(func() { close(l.ended) }) }

// write writes what is queued until the link ends.
func (l *link) write() {
	defer l.close()
	var spare []byte
	for {
		select {
		case <-l.ended:
			return
		case <-l.wake:
		}
		l.mu.Lock()
		spare, l.out = l.out, spare[:0]
		l.mu.Unlock()
		if _, err := l.stream.Write(spare); err != nil {
			return
		}
		l.mu.Lock()
		if len(l.out) == 0 && cap(l.out)+cap(spare) > linkRead { // a burst is over
			l.out, spare = nil, nil
		}
		l.mu.Unlock()
	}
}

// read hands on what comes until the link ends, or says something that is no datagram.
func (k *links) read(l *link) {
	buf := make([]byte, linkRead)
	var batch []datagram
	for n := 0; ; {
		got, err := l.stream.Read(buf[n:])
		n += got
		rest := buf[:n]
		batch = batch[:0]
		for {
			body, after, ok := cutFrame(rest)
			if !ok {
				k.counts.add(BadHeader, 1)
				return
			}
			if body == nil {
				break
			}
			batch, rest = append(batch, datagram{data: body, addr: l.addr}), after
		}
		if len(batch) > 0 {
			k.arrived(batch)
		}
		n = copy(buf, rest)
		if err != nil {
			return
		}
	}
}

// cutFrame returns the first datagram of what was read, and what is behind it; nil while it isn't whole. It
// reports false if no datagram is so long, or so short.
func cutFrame(b []byte) (datagram, rest []byte, ok bool) {
	if len(b) < frameLength {
		return nil, b, true
	}
	n := int(binary.BigEndian.Uint16(b))
	if n < sealOverhead || n > maxDatagram {
		return nil, nil, false
	}
	if len(b) < frameLength+n {
		return nil, b, true
	}
	end := frameLength + n
	return b[frameLength:end:end], b[end:], true
}

// openLink asks for a stream to the peer; p.mu is held.
func (p *peer) openLink() {
	t := p.tunnel
	if t.cfg.Streams == nil || t.ctx.Err() != nil || p.opening || len(p.links) > 0 {
		return
	}
	p.opening = true
	t.work.Go(func() {
		ctx, cancel := context.WithTimeout(t.ctx, linkOpening)
		s, err := t.cfg.Streams.Open(ctx, p.id)
		cancel()
		p.mu.Lock()
		p.opening = false
		p.mu.Unlock()
		if err != nil {
			t.log.Debug("no stream to a member that UDP doesn't reach", "member", p.id, "err", err)
			return
		}
		p.carry(s, true)
	})
}

// HandleStream carries datagrams by a stream that a member has opened, until it ends or the tunnel does. The
// caller vouches that it came from the member named, which is one of the group.
func (t *Tunnel) HandleStream(from group.MemberID, s Stream) {
	defer func() { _ = s.Close() }()
	p := t.peer(from)
	if p == nil {
		return
	}
	t.mu.Lock()
	closed := t.closed
	if !closed {
		t.work.Add(1)
	}
	t.mu.Unlock()
	if closed {
		return
	}
	defer t.work.Done()
	p.carry(s, false)
}

// carry makes a stream a path to the peer for as long as it stands. The oldest of too many ends: its connection
// may be dead without our knowledge.
func (p *peer) carry(s Stream, ours bool) {
	t := p.tunnel
	k := t.under.links()
	l := k.add(s, ours, t.now())
	t.work.Go(func() { <-l.ended; _ = s.Close() })
	defer k.remove(l)
	defer context.AfterFunc(t.ctx, l.close)()
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return
	}
	if p.links = append(p.links, l); len(p.links) > peerLinks {
		p.links[0].close()
	}
	p.dispatch(linkUp{l.addr})
	p.mu.Unlock()
	t.work.Go(l.write)
	k.read(l)
	l.close()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.links = slices.DeleteFunc(p.links, func(other *link) bool { return other == l })
	p.dispatch(linkGone{l.addr})
}

// linkOf returns the peer's stream that is known by an address; nil for none. p.mu is held.
func (p *peer) linkOf(a netip.AddrPort) *link {
	for _, l := range p.links {
		if l.addr == a {
			return l
		}
	}
	return nil
}

// farEnd is an address of the peer's as people know it: a stream's is its TCP connection's. p.mu is held.
func (p *peer) farEnd(a netip.AddrPort) netip.AddrPort {
	if l := p.linkOf(a); l != nil {
		return l.stream.RemoteAddr()
	}
	return a
}

// restLinks ends streams that a better path has replaced; p.mu is held.
func (p *peer) restLinks(now time.Duration) {
	for _, l := range p.links {
		if c := p.paths.find(pathID{addr: l.addr}); !p.paths.direct() || c != nil && c.heard > l.used {
			l.used = now // or the member's way to us is it
		} else if now-l.used > linkIdle {
			l.close()
		}
	}
}
