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

	"golang.org/x/sys/unix"

	"landbridge/internal/loop"
)

const (
	receiveBuffer = 4 << 20 // bytes, asked of the kernel

	// behindBytes is how much may be read in one go before what comes counts as having
	// waited for us: 2 ms of 1 Gbit/s.
	behindBytes = 256 << 10
)

// A Socket is the one UDP socket of a node. Its handler, run by a loop, gives tunnel
// datagrams to the tunnels that are open on it and all others to QUIC. It is safe for
// concurrent use.
type Socket struct {
	loop   *loop.Loop
	file   *loop.File
	source *loop.Source
	in     *readBatch // the loop's
	inARow int        // bytes read since there was nothing more to read; the loop's
	is4    bool       // an IPv4 socket: the kernel has no IPv6, or an IPv4 address was asked for
	local  netip.AddrPort
	log    *slog.Logger
	dmx    *demux

	quic atomic.Pointer[quicConn]
	mu   sync.Mutex // guards the replacement of quic

	singly     atomic.Int64 // until when datagrams aren't joined, by the demux's clock; zero: they are
	toldSingly atomic.Bool
	fragments  atomic.Bool // routers may fragment what we send
	out        *sendQueue
	streams    *links
}

// OpenSocket binds the socket and has the loop serve it. A zero address or :: takes both
// IPv4 and IPv6, or only IPv4 where the kernel refuses that, which is logged; port 0 takes any free port.
func OpenSocket(l *loop.Loop, addr netip.AddrPort, log *slog.Logger) (*Socket, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	ip := addr.Addr().Unmap()
	if !ip.IsValid() {
		ip = netip.IPv6Unspecified()
	}
	fd, err := bindUDP(ip, addr.Port())
	without6 := err // why there is no IPv6
	if ip == netip.IPv6Unspecified() && (errors.Is(err, unix.EAFNOSUPPORT) || errors.Is(err, unix.EADDRNOTAVAIL) || errors.Is(err, errNotDual)) {
		ip = netip.IPv4Unspecified()
		fd, err = bindUDP(ip, addr.Port())
	}
	if err != nil {
		return nil, &net.OpError{Op: "listen", Net: "udp", Addr: net.UDPAddrFromAddrPort(addr), Err: err}
	}
	s, err := newSocket(l, fd, ip.Is4(), log)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open UDP %v: %w", addr, err), unix.Close(fd))
	}
	if without6 != nil {
		s.lack(LacksIPv6, "IPv6 isn't used: members that have nothing else aren't reached", without6)
	}
	return s, nil
}

func newSocket(l *loop.Loop, fd int, is4 bool, log *slog.Logger) (*Socket, error) {
	local, err := boundTo(fd)
	if err != nil {
		return nil, err
	}
	s := &Socket{loop: l, file: loop.NewFile(fd), is4: is4, local: local, log: log}
	s.dmx = newDemux(s.newBatch(), s.write)
	s.streams = newLinks(s.arrived, &s.dmx.counts)
	s.in = newReadBatch()
	s.out = newSendQueue(s)
	s.sizeBuffers(fd)
	s.joinDatagrams(fd)
	s.tellCipher()
	s.source, err = l.Add(fd, s.read, func(err error) { log.Error("the UDP socket can't be read any more", "err", err) })
	return s, err
}

// sizeBuffers asks for a large receive buffer: past the system's limit where we may
// (CAP_NET_ADMIN), else as large as it allows. The send buffer follows the link (sendWindow).
func (s *Socket) sizeBuffers(fd int) {
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, receiveBuffer) != nil {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, receiveBuffer)
	}
	setSendBuffer(fd, windowStart)
	in, _ := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF)
	out, _ := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF)
	if in, out = in/2, out/2; in < receiveBuffer || out < windowStart { // the kernel doubles what it grants, for its own use
		s.log.Info("the kernel grants small UDP buffers; bursts may be lost (net.core.rmem_max, wmem_max)",
			"receive_bytes", in, "send_bytes", out)
	}
}

// LocalAddr is the address that the socket is bound to.
func (s *Socket) LocalAddr() netip.AddrPort { return s.local }

// Counters lists what the socket has counted.
func (s *Socket) Counters() map[string]uint64 { return s.dmx.counts.list(0, firstOfTunnel) }

// Close closes the socket; nothing is handed on afterwards. What waits for a slow link gets a
// tenth of a second. Close the tunnels first.
func (s *Socket) Close() error {
	s.source.Remove()
	s.farewell()
	s.out.close()
	s.mu.Lock()
	defer s.mu.Unlock()
	err := s.file.Close()
	if q := s.quic.Load(); q != nil {
		q.Close()
	}
	return err
}

func (s *Socket) demux() *demux { return s.dmx }
func (s *Socket) links() *links { return s.streams }
func (s *Socket) port() uint16  { return s.local.Port() }

func (s *Socket) newBatch() *batch {
	b := newBatch()
	b.sys = newSysBatch(s)
	return b
}

// read is the loop's handler: it takes what the kernel has, tells QUIC from tunnel by
// the first byte, and works through the batch.
func (s *Socket) read() (int, error) {
	n, err := s.in.fetch(s.file.FD())
	switch {
	case errors.Is(err, unix.EBADF), errors.Is(err, unix.ENOTSOCK):
		return 0, err
	case err != nil:
		// An ICMP error of some earlier datagram, told on the socket: it has
		// nothing to do with what we read, and has been cleared by reading it.
		s.dmx.counts.add(SendUnreachable, 1)
		return 0, nil
	}
	arrived, bytes := s.in.arrived[:0], 0
	for i := range n {
		dg, size, truncated := s.in.message(i)
		bytes += len(dg.data)
		switch {
		case truncated:
			s.dmx.counts.add(Truncated, 1)
		case len(dg.data) == 0:
			s.dmx.counts.add(BadHeader, 1)
		}
		for rest := dg.data; len(rest) > 0 && !truncated; { // the kernel has joined datagrams of one size (UDP_GRO)
			one := min(size, len(rest))
			dg.data, rest = rest[:one:one], rest[one:]
			if dg.data[0] >= quicBit {
				s.toQUIC(dg, s.in.scope(i))
			} else {
				arrived = append(arrived, dg)
			}
		}
	}
	s.in.arrived = arrived
	if s.inARow += bytes; n < batchSize {
		s.inARow = 0 // that was all
	}
	if len(arrived) > 0 {
		s.dmx.receive(arrived, s.inARow > behindBytes)
	}
	return n, nil
}

// arrived works through what came by a stream, on the loop's thread as if read by it.
func (s *Socket) arrived(list []datagram) {
	s.loop.Between(func() { s.dmx.receive(list, false) })
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

// write sends a batch with as few system calls as it can, and never waits. What the kernel
// has no room for waits in the backlog, and all that comes after it. A datagram that the
// kernel refuses is counted and skipped; the rest still goes.
func (s *Socket) write(b *batch) {
	defer b.reset()
	s.streams.take(b)
	fd, ok := s.file.Use()
	if !ok {
		return
	}
	defer s.file.Done()
	b.sys.rewind()
	if s.out.waiting.Load() && s.keep(b, false) {
		return
	}
	piece := int(s.out.piece.Load())
	for b.sys.fill(b, piece, s.joins()) {
		switch errno := b.sys.send(b, fd); {
		case errno == 0, errno == unix.EINTR:
		case errno == unix.EAGAIN:
			s.keep(b, true)
			return
		case b.sys.joined() && unjoinable(errno):
			s.unjoin(b.sys, errno)
		default:
			if s.refused(b.sys.counts[0], errno) {
				b.fail(b.runs[b.sys.run].addr)
			}
			b.sys.skip(b)
		}
	}
}

// writeTo sends one datagram for QUIC. It waits in the backlog like any other.
func (s *Socket) writeTo(data []byte, to netip.AddrPort) error {
	fd, ok := s.file.Use()
	if !ok {
		return net.ErrClosed
	}
	defer s.file.Done()
	if s.out.waiting.Load() && s.keepOne(data, to, false) {
		return nil
	}
	addr := s.sockaddr(to)
	for {
		switch err := unix.Sendto(fd, data, unix.MSG_DONTWAIT, addr); err {
		case unix.EINTR:
		case unix.EAGAIN:
			s.keepOne(data, to, true)
			return nil
		default:
			return err
		}
	}
}

// sockaddr is an address in the form of this socket's family.
func (s *Socket) sockaddr(a netip.AddrPort) unix.Sockaddr {
	if s.is4 && a.Addr().Is4() {
		return &unix.SockaddrInet4{Port: int(a.Port()), Addr: a.Addr().As4()}
	}
	return &unix.SockaddrInet6{Port: int(a.Port()), Addr: a.Addr().As16(), ZoneId: scopeOf(a.Addr())}
}

// scopeOf is the interface of a link-local address, as toQUIC has written it, or zero.
func scopeOf(a netip.Addr) uint32 {
	scope, _ := strconv.ParseUint(a.Zone(), 10, 32)
	return uint32(scope)
}

// refused counts what the kernel says of a message of n datagrams (udp_sendmsg and
// ip_route_output_flow in the kernel's source), and reports whether their far end is out of
// reach.
func (s *Socket) refused(n int, errno syscall.Errno) (unreachable bool) {
	switch errno {
	case unix.EMSGSIZE:
		s.dmx.counts.add(SendTooBig, n)
	case unix.ENETUNREACH, unix.EHOSTUNREACH, unix.ENETDOWN, unix.EADDRNOTAVAIL, unix.EAFNOSUPPORT, unix.EDESTADDRREQ, unix.EINVAL:
		s.dmx.counts.add(SendUnreachable, n)
		return true
	case unix.ENOBUFS, unix.ENOMEM:
		s.dmx.counts.add(SendFull, n)
	default: // EPERM by a packet filter, ECONNREFUSED for an earlier datagram, …
		s.dmx.counts.add(SendRefused, n)
	}
	return false
}
