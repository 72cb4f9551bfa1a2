package tunnel

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	socketBuffer = 4 << 20 // bytes asked of the kernel for each direction
	sendPatience = 20 * time.Millisecond
)

// A Socket is the one UDP socket of a node. Its reader hands tunnel datagrams to
// the tunnels that are open on it and all others to QUIC. It is safe for
// concurrent use.
type Socket struct {
	conn  *net.UDPConn
	raw   syscall.RawConn
	is4   bool // an IPv4 socket: the kernel has no IPv6, or an IPv4 address was asked for
	local netip.AddrPort
	log   *slog.Logger
	dmx   *demux

	quic   atomic.Pointer[quicConn]
	mu     sync.Mutex // guards the replacement of quic, and full
	closed chan struct{}
	reader sync.WaitGroup

	full sync.Mutex // held by whoever waits for the send buffer
}

// OpenSocket binds the socket. A zero address or :: takes both IPv4 and IPv6, or
// only IPv4 where the kernel has nothing else; port 0 takes any free port.
func OpenSocket(addr netip.AddrPort, log *slog.Logger) (*Socket, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	network := "udp"
	ip := addr.Addr().Unmap()
	switch {
	case !ip.IsValid():
		addr = netip.AddrPortFrom(netip.IPv6Unspecified(), addr.Port())
	case ip.Is4():
		network, addr = "udp4", netip.AddrPortFrom(ip, addr.Port())
	}
	conn, err := net.ListenUDP(network, net.UDPAddrFromAddrPort(addr))
	if errors.Is(err, syscall.EAFNOSUPPORT) || errors.Is(err, syscall.EADDRNOTAVAIL) && addr.Addr().IsUnspecified() {
		network = "udp4"
		conn, err = net.ListenUDP(network, &net.UDPAddr{Port: int(addr.Port())})
	}
	if err != nil {
		return nil, fmt.Errorf("open UDP %v: %w", addr, err)
	}
	return newSocket(conn, network == "udp4", log)
}

func newSocket(conn *net.UDPConn, is4 bool, log *slog.Logger) (*Socket, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		conn.Close()
		return nil, err
	}
	bound := conn.LocalAddr().(*net.UDPAddr).AddrPort()
	s := &Socket{
		conn: conn, raw: raw, is4: is4, log: log, closed: make(chan struct{}),
		local: netip.AddrPortFrom(bound.Addr().Unmap(), bound.Port()),
	}
	s.dmx = newDemux(s.newBatch(), s.write)
	s.sizeBuffers()
	s.reader.Go(s.read)
	return s, nil
}

// sizeBuffers asks for large buffers: past the system's limit where we may
// (CAP_NET_ADMIN), else as large as it allows.
func (s *Socket) sizeBuffers() {
	var in, out int
	err := s.raw.Control(func(fd uintptr) {
		size := func(force, plain int) int {
			if unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, force, socketBuffer) != nil {
				_ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, plain, socketBuffer)
			}
			n, _ := unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, plain)
			return n / 2 // the kernel doubles what it grants, for its own use
		}
		in = size(unix.SO_RCVBUFFORCE, unix.SO_RCVBUF)
		out = size(unix.SO_SNDBUFFORCE, unix.SO_SNDBUF)
	})
	if err == nil && (in < socketBuffer || out < socketBuffer) {
		s.log.Info("the kernel grants small UDP buffers; bursts may be lost (net.core.rmem_max, wmem_max)",
			"receive_bytes", in, "send_bytes", out, "wanted_bytes", socketBuffer)
	}
}

// LocalAddr is the address that the socket is bound to.
func (s *Socket) LocalAddr() netip.AddrPort { return s.local }

// Counters lists what the socket has counted, without zeros.
func (s *Socket) Counters() map[string]uint64 { return s.dmx.counts.snapshot() }

// Close closes the socket and waits for its reader. Close the tunnels first.
func (s *Socket) Close() error {
	s.mu.Lock()
	select {
	case <-s.closed:
		s.mu.Unlock()
		return nil
	default:
	}
	close(s.closed)
	if q := s.quic.Load(); q != nil {
		q.Close()
	}
	s.mu.Unlock()
	err := s.conn.Close()
	s.reader.Wait()
	return err
}

func (s *Socket) demux() *demux { return s.dmx }
func (s *Socket) port() uint16  { return s.local.Port() }

func (s *Socket) newBatch() *batch {
	b := newBatch()
	b.sys = newSysBatch(s)
	return b
}

// read is the one reader: it takes what the kernel has, tells QUIC from tunnel by
// the first byte, and works through the batch.
func (s *Socket) read() {
	in := newReadBatch(s)
	arrived := make([]datagram, 0, batchSize)
	for {
		n, err := in.fetch()
		if err != nil {
			select {
			case <-s.closed:
				return
			default:
			}
			if errors.Is(err, net.ErrClosed) {
				return
			}
			// An ICMP error of some earlier datagram, told on the socket: it has
			// nothing to do with what we read, and has been cleared by reading it.
			s.dmx.counts.add(SendUnreachable, 1)
			if !s.pause(10 * time.Millisecond) {
				return
			}
			continue
		}
		arrived = arrived[:0]
		for i := range n {
			dg, truncated := in.datagram(i)
			switch {
			case truncated:
				s.dmx.counts.add(Truncated, 1)
			case len(dg.data) == 0:
				s.dmx.counts.add(BadHeader, 1)
			case dg.data[0] >= quicBit:
				s.toQUIC(dg, in.scope(i))
			default:
				arrived = append(arrived, dg)
			}
		}
		if len(arrived) > 0 {
			s.dmx.receive(arrived)
		}
	}
}

// pause waits, so that an error that stays doesn't make the reader spin.
func (s *Socket) pause(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-s.closed:
		return false
	}
}

// toQUIC queues a datagram. An answer to a link-local address needs its interface.
func (s *Socket) toQUIC(dg datagram, scope uint32) {
	if ip := dg.addr.Addr(); scope != 0 && ip.IsLinkLocalUnicast() {
		dg.addr = netip.AddrPortFrom(ip.WithZone(strconv.Itoa(int(scope))), dg.addr.Port())
	}
	s.dmx.counts.add(QUICIn, 1)
	if q := s.quic.Load(); q != nil {
		q.put(dg, &s.dmx.counts)
	}
}

// write sends a batch with as few system calls as it can. A datagram that the
// kernel refuses is counted and skipped; the rest still goes.
func (s *Socket) write(b *batch) {
	b.sys.fill(b)
	for b.sys.sent < b.n {
		if s.raw.Control(b.sys.send) != nil { // the socket is closed
			break
		}
		switch errno := b.sys.errno; {
		case errno == 0:
		case errno == unix.EINTR:
		case errno == unix.EAGAIN:
			s.awaitSpace(b)
		default:
			s.refused(b, errno)
			b.sys.sent++
		}
	}
	b.reset()
}

// awaitSpace waits for room in the send buffer: the local link is slower than we
// are. If there is none in time, what is left of the batch is dropped.
func (s *Socket) awaitSpace(b *batch) {
	s.full.Lock()
	defer s.full.Unlock()
	err := s.conn.SetWriteDeadline(time.Now().Add(sendPatience))
	if err == nil {
		err = s.raw.Write(b.sys.sendOrWait)
	}
	if err = errors.Join(err, s.conn.SetWriteDeadline(time.Time{})); err != nil {
		s.dmx.counts.add(SendFull, b.n-b.sys.sent)
		b.sys.sent = b.n
	}
}

// refused classifies what the kernel says of one datagram (udp_sendmsg and
// ip_route_output_flow in the kernel's source).
func (s *Socket) refused(b *batch, errno syscall.Errno) {
	switch errno {
	case unix.EMSGSIZE:
		s.dmx.counts.add(SendTooBig, 1)
	case unix.ENETUNREACH, unix.EHOSTUNREACH, unix.ENETDOWN, unix.EADDRNOTAVAIL, unix.EAFNOSUPPORT, unix.EDESTADDRREQ, unix.EINVAL:
		s.dmx.counts.add(SendUnreachable, 1)
		b.fail(b.msgs[b.sys.sent].addr)
	case unix.ENOBUFS, unix.ENOMEM:
		s.dmx.counts.add(SendFull, 1)
	default: // EPERM by a packet filter, ECONNREFUSED for an earlier datagram, …
		s.dmx.counts.add(SendRefused, 1)
	}
}
