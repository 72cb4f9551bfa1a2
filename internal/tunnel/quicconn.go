package tunnel

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"
)

const (
	quicQueue  = 4096 // datagrams that may wait for QUIC
	quicSpare  = 128  // buffers kept when they don't
	quicBuffer = 1536 // QUIC never sends more than 1452 bytes
)

// quicDatagram is one datagram that waits for QUIC.
type quicDatagram struct {
	buf  [quicBuffer]byte
	n    int
	addr netip.AddrPort
}

// quicConn is the side of the socket that QUIC sees: what arrives with a first
// byte of 0x40 and above.
type quicConn struct {
	socket *Socket
	queue  chan *quicDatagram
	spare  chan *quicDatagram
	once   sync.Once
	closed chan struct{}
	read   *deadline
}

// QUIC returns the socket as QUIC sees it, with net.UDPAddr addresses. Closing it
// leaves the socket open; the next call makes a new one. Deadlines for writing are
// accepted and have no effect, since no write waits.
func (s *Socket) QUIC() net.PacketConn {
	s.mu.Lock()
	defer s.mu.Unlock()
	if q := s.quic.Load(); q != nil && !q.isClosed() {
		return q
	}
	q := &quicConn{
		socket: s,
		queue:  make(chan *quicDatagram, quicQueue),
		spare:  make(chan *quicDatagram, quicSpare),
		closed: make(chan struct{}),
		read:   newDeadline(),
	}
	s.quic.Store(q)
	if s.file.IsClosed() {
		q.Close()
	}
	return q
}

func (q *quicConn) isClosed() bool {
	select {
	case <-q.closed:
		return true
	default:
		return false
	}
}

// put queues a copy of a datagram, or drops it; the reader calls it.
func (q *quicConn) put(dg datagram, counts *counters) {
	if len(dg.data) > quicBuffer {
		counts.add(QUICOversize, 1)
		return
	}
	var d *quicDatagram
	select {
	case d = <-q.spare:
	default:
		d = new(quicDatagram)
	}
	d.n, d.addr = copy(d.buf[:], dg.data), dg.addr
	select {
	case q.queue <- d:
	default:
		counts.add(QUICFull, 1)
		select { // anybody may flood us: it must not become work for the collector
		case q.spare <- d:
		default:
		}
	}
}

// ReadFrom waits for a datagram, the deadline or Close.
func (q *quicConn) ReadFrom(b []byte) (int, net.Addr, error) {
	passed := q.read.wait()
	select { // these two come before a datagram that waits
	case <-q.closed:
		return 0, nil, q.opError("read", net.ErrClosed)
	case <-passed:
		return 0, nil, q.opError("read", os.ErrDeadlineExceeded)
	default:
	}
	select {
	case <-q.closed:
		return 0, nil, q.opError("read", net.ErrClosed)
	case <-passed:
		return 0, nil, q.opError("read", os.ErrDeadlineExceeded)
	case d := <-q.queue:
		n := copy(b, d.buf[:d.n])
		addr := net.UDPAddrFromAddrPort(d.addr)
		select {
		case q.spare <- d:
		default:
		}
		return n, addr, nil
	}
}

// WriteTo sends a datagram, or queues it. One for which there is no room is lost, as it
// might be on the way.
func (q *quicConn) WriteTo(b []byte, addr net.Addr) (int, error) {
	if q.isClosed() {
		return 0, q.opError("write", net.ErrClosed)
	}
	udp, ok := addr.(*net.UDPAddr)
	if !ok {
		return 0, q.opError("write", syscall.EAFNOSUPPORT)
	}
	to := udp.AddrPort()
	err := q.socket.writeTo(b, netip.AddrPortFrom(to.Addr().Unmap(), to.Port()))
	switch {
	case err == nil:
		return len(b), nil
	case errors.Is(err, syscall.ENOBUFS):
		q.socket.dmx.counts.add(SendFull, 1)
		return len(b), nil
	}
	return 0, q.opError("write", os.NewSyscallError("sendto", err))
}

// Close ends reading and writing by QUIC; the socket stays open.
func (q *quicConn) Close() error {
	q.once.Do(func() { close(q.closed) })
	return nil
}

func (q *quicConn) LocalAddr() net.Addr { return net.UDPAddrFromAddrPort(q.socket.local) }

func (q *quicConn) SetReadDeadline(t time.Time) error {
	q.read.set(t)
	return nil
}

func (q *quicConn) SetWriteDeadline(time.Time) error { return nil }

func (q *quicConn) SetDeadline(t time.Time) error { return q.SetReadDeadline(t) }

// SetReadBuffer and SetWriteBuffer do nothing: the socket has sized its buffers.
// quic-go looks for them, and complains on the standard logger where they lack.
func (q *quicConn) SetReadBuffer(int) error { return nil }

// SetWriteBuffer does nothing; see SetReadBuffer.
func (q *quicConn) SetWriteBuffer(int) error { return nil }

func (q *quicConn) opError(op string, err error) error {
	return &net.OpError{Op: op, Net: "udp", Source: q.LocalAddr(), Err: err}
}

// A deadline closes a channel when it passes. (After net.Pipe's.)
type deadline struct {
	mu     sync.Mutex
	timer  *time.Timer
	passed chan struct{}
}

func newDeadline() *deadline { return &deadline{passed: make(chan struct{})} }

func (d *deadline) set(t time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.timer != nil && !d.timer.Stop() {
		<-d.passed // the timer is about to close it, or has
	}
	d.timer = nil
	closed := false
	select {
	case <-d.passed:
		closed = true
	default:
	}
	if closed {
		d.passed = make(chan struct{})
	}
	if t.IsZero() {
		return
	}
	passed := d.passed
	if wait := time.Until(t); wait > 0 {
		d.timer = time.AfterFunc(wait, func() { close(passed) })
		return
	}
	close(passed)
}

// wait returns the channel that will be closed.
func (d *deadline) wait() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.passed
}
