package tunnel

import (
	"errors"
	"net/netip"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// This file is about what a kernel, a device, a processor or a path lacks: each case is
// counted, and said once in the log. Nothing of it stops the tunnel.

// joinAgain is for how long datagrams go singly after a device refused joined ones: routes
// change, and to try again costs one system call.
const joinAgain = time.Minute

// errNotDual says that a socket can't be had for IPv6 and IPv4 together.
var errNotDual = errors.New("the kernel doesn't let an IPv6 socket take IPv4")

// lack counts what the kernel hasn't got, and says what that means.
func (s *Socket) lack(what Counter, means string, err error) {
	s.dmx.counts.add(what, 1)
	s.log.Info("this kernel lacks something: "+means, "err", err)
}

// joinDatagrams asks the kernel to give us datagrams joined, and finds out whether it
// takes them so.
func (s *Socket) joinDatagrams(fd int) {
	if err := unix.SetsockoptInt(fd, unix.SOL_UDP, unix.UDP_GRO, 1); err != nil {
		s.lack(LacksGRO, "datagrams arrive one by one, which costs speed (UDP_GRO, Linux 5.0)", os.NewSyscallError("setsockopt", err))
	}
	if _, err := unix.GetsockoptInt(fd, unix.SOL_UDP, unix.UDP_SEGMENT); err != nil {
		s.singly.Store(int64(never))
		s.lack(LacksSegment, "datagrams are sent one by one, which costs speed (UDP_SEGMENT, Linux 4.18)", os.NewSyscallError("getsockopt", err))
	}
}

// joins reports whether the kernel is to be given joined datagrams.
func (s *Socket) joins() bool {
	until := s.singly.Load()
	return until == 0 || int64(s.dmx.clock()) >= until
}

// unjoin deals with a run that the kernel doesn't take whole: it goes as single datagrams.
// udp_send_skb and udp_gso_segment: EINVAL or EMSGSIZE for datagrams larger than the path
// takes in one piece, EIO from a device that can't compute their checksums.
func (s *Socket) unjoin(sys *sysBatch, errno syscall.Errno) {
	if errno == unix.EIO {
		s.singly.Store(int64(s.dmx.clock() + joinAgain))
		if !s.toldSingly.Swap(true) {
			s.log.Info("the network device takes no joined datagrams (UDP_SEGMENT): they are sent one by one, which costs speed; joined ones are tried again every minute", "err", errno)
		}
	}
	s.dmx.counts.add(SendUnjoined, 1)
	sys.singly = true
}

// tellCipher says once what the processor lacks.
func (s *Socket) tellCipher() {
	if !hardwareAES() {
		s.log.Info("this processor has no AES instructions: sessions are sealed with ChaCha20-Poly1305, which costs speed")
	}
}

// made notes a session that the peer agreed to; theirs says whether it has AES instructions.
func (p *peer) made(s *session, role string, theirs bool) {
	switch {
	case s.cipher == AES256GCM:
		p.info("session made", "cipher", s.cipher.String(), "role", role)
		return
	case theirs:
		p.info("session made", "cipher", s.cipher.String(), "role", role) // of our processor the socket has told
	default:
		p.info("session made", "cipher", s.cipher.String(), "role", role,
			"why", "the member's processor has no AES instructions, which costs speed")
	}
	p.tunnel.counts.add(NoAES, 1)
}

// notePath looks at a path that comes into use: whether full-size datagrams pass, and in one
// piece.
func (p *peer) notePath(a usePath) {
	c := p.paths.find(a.path)
	if c == nil {
		return
	}
	if l := p.linkOf(a.path.addr); l != nil {
		p.info("UDP doesn't pass to this member: packets go over TCP, where what is lost holds up what follows", "addr", l.stream.RemoteAddr())
	}
	if c.width == widthNarrow {
		p.tunnel.counts.add(PathNarrow, 1)
		p.info("full-size datagrams are lost on the path to this member, and with them large packets: a link on the way has a smaller MTU and doesn't tell; a smaller MTU for the group would help",
			"path", a.kind.String(), "mtu", p.tunnel.mtu)
		p.tunnel.under.allowFragments()
		return
	}
	if fits := p.tunnel.fits(a.path); fits != 0 {
		p.tunnel.counts.add(PathFragmented, 1)
		p.info("full-size datagrams to this member are fragmented on their way, which costs speed: the path takes less; a smaller MTU for the group would help",
			"addr", a.path.addr, "mtu", p.tunnel.mtu, "fitting_mtu", fits)
	}
}

// fits is the largest packet that a path carries without fragments, if the group's MTU is
// larger than that; else zero, as where that isn't known.
func (t *Tunnel) fits(path pathID) int {
	if path.relayed() || !path.addr.IsValid() || isLink(path.addr) {
		return 0
	}
	headers := ipv4UDPHeaders
	if path.addr.Addr().Is6() {
		headers = ipv6UDPHeaders
	}
	n := t.under.pathMTU(path.addr) - headers - sealOverhead - trailerSize
	if n <= 0 || n >= t.mtu {
		return 0
	}
	return n
}

// allowFragments has routers fragment datagrams over IPv4 (no DF, RFC 791), as one on the way
// drops large ones without a word. The next full-size probe finds out whether that helps
// (pathState.retry). It holds for all paths and for good: where the kernel knows what a path
// takes, nothing changes. Over IPv6 routers never fragment.
func (s *Socket) allowFragments() {
	fd, ok := s.file.Use()
	if !ok {
		return
	}
	defer s.file.Done()
	if s.fragments.Swap(true) {
		return
	}
	err := unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_DONT)
	if err != nil {
		s.log.Info("the kernel doesn't let routers fragment our datagrams: large ones go on being lost", "err", err)
		return
	}
	s.log.Info("routers may fragment our datagrams from now on, as large ones are lost without a word")
}

// The headers of a datagram, bytes.
const (
	ipv4UDPHeaders = 20 + 8
	ipv6UDPHeaders = 40 + 8
)

// pathMTU returns what the kernel knows of the path to an address (RFC 1191), in bytes
// of IP packet; zero if it says nothing.
func (s *Socket) pathMTU(to netip.AddrPort) int {
	family, level, option := unix.AF_INET6, unix.IPPROTO_IPV6, unix.IPV6_MTU
	var addr unix.Sockaddr = &unix.SockaddrInet6{Port: int(to.Port()), Addr: to.Addr().As16()}
	if to.Addr().Is4() {
		family, level, option = unix.AF_INET, unix.IPPROTO_IP, unix.IP_MTU
		addr = &unix.SockaddrInet4{Port: int(to.Port()), Addr: to.Addr().As4()}
	}
	fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0
	}
	defer unix.Close(fd)
	if unix.Connect(fd, addr) != nil { // that sends nothing
		return 0
	}
	mtu, err := unix.GetsockoptInt(fd, level, option)
	if err != nil {
		return 0
	}
	return mtu
}
