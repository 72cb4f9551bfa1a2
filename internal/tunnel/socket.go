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

	"landbridge/internal/loop"
)

const (
	// Bytes asked of the kernel. What waits to be sent delays what comes after it: a
	// mebibyte is 8 ms of 1 Gbit/s.
	receiveBuffer = 4 << 20
	sendBuffer    = 1 << 20

	// How long a full send buffer is waited for, and how long not again if that was in vain:
	// the loop that waits serves nothing else meanwhile.
	sendPatience   = 5 * time.Millisecond
	sendImpatience = 10 * sendPatience
)

// A Socket is the one UDP socket of a node. Its handler, run by a loop, gives tunnel
// datagrams to the tunnels that are open on it and all others to QUIC. It is safe for
// concurrent use.
type Socket struct {
	file   *loop.File
	source *loop.Source
	in     *readBatch // the loop's
	is4    bool       // an IPv4 socket: the kernel has no IPv6, or an IPv4 address was asked for
	local  netip.AddrPort
	log    *slog.Logger
	dmx    *demux

	quic atomic.Pointer[quicConn]
	mu   sync.Mutex // guards the replacement of quic

	singly     atomic.Int64 // until when datagrams aren't joined, by the demux's clock; zero: they are
	toldSingly atomic.Bool
	fragments  atomic.Bool  // routers may fragment what we send
	impatient  atomic.Int64 // until when a full send buffer isn't waited for, by the demux's clock
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
	s := &Socket{file: loop.NewFile(fd), is4: is4, local: local, log: log}
	s.dmx = newDemux(s.newBatch(), s.write)
	s.in = newReadBatch()
	s.sizeBuffers(fd)
	s.joinDatagrams(fd)
	s.tellCipher()
	s.source, err = l.Add(fd, s.read, func(err error) { log.Error("the UDP socket can't be read any more", "err", err) })
	return s, err
}

// sizeBuffers asks for large buffers: past the system's limit where we may
// (CAP_NET_ADMIN), else as large as it allows.
func (s *Socket) sizeBuffers(fd int) {
	size := func(force, plain, want int) int {
		if unix.SetsockoptInt(fd, unix.SOL_SOCKET, force, want) != nil {
			_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, plain, want)
		}
		n, _ := unix.GetsockoptInt(fd, unix.SOL_SOCKET, plain)
		return n / 2 // the kernel doubles what it grants, for its own use
	}
	in := size(unix.SO_RCVBUFFORCE, unix.SO_RCVBUF, receiveBuffer)
	out := size(unix.SO_SNDBUFFORCE, unix.SO_SNDBUF, sendBuffer)
	if in < receiveBuffer || out < sendBuffer {
		s.log.Info("the kernel grants small UDP buffers; bursts may be lost (net.core.rmem_max, wmem_max)",
			"receive_bytes", in, "send_bytes", out)
	}
}

// LocalAddr is the address that the socket is bound to.
func (s *Socket) LocalAddr() netip.AddrPort { return s.local }

// Counters lists what the socket has counted, without zeros.
func (s *Socket) Counters() map[string]uint64 { return s.dmx.counts.snapshot() }

// Close closes the socket; nothing is handed on afterwards. Close the tunnels first.
func (s *Socket) Close() error {
	s.source.Remove()
	s.mu.Lock()
	defer s.mu.Unlock()
	err := s.file.Close()
	if q := s.quic.Load(); q != nil {
		q.Close()
	}
	return err
}

func (s *Socket) demux() *demux { return s.dmx }
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
	arrived := s.in.arrived[:0]
	for i := range n {
		dg, size, truncated := s.in.message(i)
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
	if len(arrived) > 0 {
		s.dmx.receive(arrived)
	}
	return n, nil
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
	defer b.reset()
	fd, ok := s.file.Use()
	if !ok {
		return
	}
	defer s.file.Done()
	for b.sys.rewind(); b.sys.fill(b, s.joins()); {
		switch errno := b.sys.send(b, fd); {
		case errno == 0, errno == unix.EINTR:
		case errno == unix.EAGAIN:
			if !s.awaitSpace(fd) {
				s.dmx.counts.add(SendFull, b.sys.left(b))
				return
			}
		case b.sys.joined() && (errno == unix.EINVAL || errno == unix.EMSGSIZE || errno == unix.EIO):
			s.unjoin(b.sys, errno)
		default:
			s.refused(b, errno)
			b.sys.skip(b)
		}
	}
}

// awaitSpace waits for room in the send buffer: the local link is slower than we
// are. If there is none in time, what is left of the batch is dropped, and for a while
// nobody waits.
func (s *Socket) awaitSpace(fd int) bool {
	if s.dmx.clock() < time.Duration(s.impatient.Load()) {
		return false
	}
	if loop.AwaitWritable(fd, sendPatience) {
		return true
	}
	s.impatient.Store(int64(s.dmx.clock() + sendImpatience))
	return false
}

// writeTo sends one datagram for QUIC.
func (s *Socket) writeTo(data []byte, to netip.AddrPort) error {
	fd, ok := s.file.Use()
	if !ok {
		return net.ErrClosed
	}
	defer s.file.Done()
	addr := s.sockaddr(to)
	for {
		err := unix.Sendto(fd, data, unix.MSG_DONTWAIT, addr)
		switch {
		case err == unix.EINTR:
		case err == unix.EAGAIN && s.awaitSpace(fd):
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
	zone, _ := strconv.ParseUint(a.Addr().Zone(), 10, 32) // toQUIC has written it
	return &unix.SockaddrInet6{Port: int(a.Port()), Addr: a.Addr().As16(), ZoneId: uint32(zone)}
}

// refused classifies what the kernel says of the first message left (udp_sendmsg and
// ip_route_output_flow in the kernel's source).
func (s *Socket) refused(b *batch, errno syscall.Errno) {
	n := b.sys.counts[0]
	switch errno {
	case unix.EMSGSIZE:
		s.dmx.counts.add(SendTooBig, n)
	case unix.ENETUNREACH, unix.EHOSTUNREACH, unix.ENETDOWN, unix.EADDRNOTAVAIL, unix.EAFNOSUPPORT, unix.EDESTADDRREQ, unix.EINVAL:
		s.dmx.counts.add(SendUnreachable, n)
		b.fail(b.runs[b.sys.run].addr)
	case unix.ENOBUFS, unix.ENOMEM:
		s.dmx.counts.add(SendFull, n)
	default: // EPERM by a packet filter, ECONNREFUSED for an earlier datagram, …
		s.dmx.counts.add(SendRefused, n)
	}
}
