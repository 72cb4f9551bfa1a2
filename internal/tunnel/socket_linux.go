package tunnel

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// mmsghdr is struct mmsghdr of recvmmsg(2) and sendmmsg(2).
type mmsghdr struct {
	unix.Msghdr
	n uint32 // bytes received or sent
}

// messages is the kernel's form of a batch. Its pointers stay as they are made;
// only lengths and addresses change.
type messages struct {
	hdrs  [batchSize]mmsghdr
	iovs  [batchSize]unix.Iovec
	names [batchSize]unix.RawSockaddrInet6 // or RawSockaddrInet4, in the same place
}

func (m *messages) link() {
	for i := range m.hdrs {
		m.hdrs[i].Name = (*byte)(unsafe.Pointer(&m.names[i]))
		m.hdrs[i].Iov = &m.iovs[i]
		m.hdrs[i].SetIovlen(1)
	}
}

// setName puts an address in its kernel form and returns the size of that.
func (m *messages) setName(i int, a netip.AddrPort, is4 bool) uint32 {
	port := a.Port()<<8 | a.Port()>>8
	if !littleEndian() {
		port = a.Port()
	}
	if is4 {
		if !a.Addr().Is4() {
			return 0 // the kernel will say EDESTADDRREQ
		}
		name := (*unix.RawSockaddrInet4)(unsafe.Pointer(&m.names[i]))
		name.Family, name.Port, name.Addr = unix.AF_INET, port, a.Addr().As4()
		return unix.SizeofSockaddrInet4
	}
	name := &m.names[i]
	name.Family, name.Port, name.Addr = unix.AF_INET6, port, a.Addr().As16()
	name.Flowinfo, name.Scope_id = 0, 0
	return unix.SizeofSockaddrInet6
}

// name reads an address, unmapped and without a zone; scope is the interface of a
// link-local one.
func (m *messages) name(i int) (a netip.AddrPort, scope uint32) {
	port := func(p uint16) uint16 {
		if littleEndian() {
			return p<<8 | p>>8
		}
		return p
	}
	if m.names[i].Family == unix.AF_INET {
		name := (*unix.RawSockaddrInet4)(unsafe.Pointer(&m.names[i]))
		return netip.AddrPortFrom(netip.AddrFrom4(name.Addr), port(name.Port)), 0
	}
	name := &m.names[i]
	return netip.AddrPortFrom(netip.AddrFrom16(name.Addr).Unmap(), port(name.Port)), name.Scope_id
}

func littleEndian() bool {
	one := uint16(1)
	return *(*byte)(unsafe.Pointer(&one)) == 1
}

// sysBatch sends a batch.
type sysBatch struct {
	messages
	is4  bool
	n    int
	sent int
}

func newSysBatch(s *Socket) *sysBatch {
	b := &sysBatch{is4: s.is4}
	b.link()
	return b
}

func (m *sysBatch) fill(b *batch) {
	m.n, m.sent = b.n, 0
	for i := range b.n {
		m.iovs[i].Base = unsafe.SliceData(b.msgs[i].data)
		m.iovs[i].SetLen(len(b.msgs[i].data))
		m.hdrs[i].Namelen = m.setName(i, b.msgs[i].addr, m.is4)
	}
}

// send sends what is left. An error is that of the first message left; those before
// it have gone.
func (m *sysBatch) send(fd int) syscall.Errno {
	n, _, errno := unix.RawSyscall6(unix.SYS_SENDMMSG, uintptr(fd), uintptr(unsafe.Pointer(&m.hdrs[m.sent])),
		uintptr(m.n-m.sent), unix.MSG_DONTWAIT, 0, 0)
	if errno == 0 {
		m.sent += int(n)
	}
	return errno
}

// readBatch receives datagrams.
type readBatch struct {
	messages
	bufs    [batchSize][]byte
	arrived []datagram
}

func newReadBatch() *readBatch {
	r := &readBatch{arrived: make([]datagram, 0, batchSize)}
	arena := make([]byte, batchSize*maxDatagram)
	for i := range r.bufs {
		r.bufs[i] = arena[i*maxDatagram : (i+1)*maxDatagram : (i+1)*maxDatagram]
		r.iovs[i].Base = unsafe.SliceData(r.bufs[i])
		r.iovs[i].SetLen(maxDatagram)
	}
	r.link()
	return r
}

// fetch takes the datagrams that are there, and returns how many.
func (r *readBatch) fetch(fd int) (int, error) {
	for i := range r.hdrs {
		r.hdrs[i].Namelen = unix.SizeofSockaddrInet6
	}
	for {
		n, _, errno := unix.RawSyscall6(unix.SYS_RECVMMSG, uintptr(fd), uintptr(unsafe.Pointer(&r.hdrs[0])),
			batchSize, unix.MSG_DONTWAIT, 0, 0)
		switch errno {
		case 0:
			return int(n), nil
		case unix.EINTR:
		case unix.EAGAIN:
			return 0, nil
		default:
			return 0, errno
		}
	}
}

// datagram returns one of what fetch got; it is good until the next fetch.
func (r *readBatch) datagram(i int) (dg datagram, truncated bool) {
	dg.addr, _ = r.name(i)
	dg.data = r.bufs[i][:r.hdrs[i].n]
	return dg, r.hdrs[i].Flags&unix.MSG_TRUNC != 0
}

// scope is the interface of a link-local sender, or zero.
func (r *readBatch) scope(i int) uint32 {
	_, scope := r.name(i)
	return scope
}

// bindUDP opens a non-blocking UDP socket; an IPv6 one takes IPv4 too if it is bound to ::.
func bindUDP(ip netip.Addr, port uint16) (fd int, err error) {
	family, addr := unix.AF_INET6, unix.Sockaddr(&unix.SockaddrInet6{Port: int(port), Addr: ip.As16()})
	if ip.Is4() {
		family, addr = unix.AF_INET, &unix.SockaddrInet4{Port: int(port), Addr: ip.As4()}
	}
	fd, err = unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, unix.IPPROTO_UDP)
	if err != nil {
		return -1, os.NewSyscallError("socket", err)
	}
	if ip == netip.IPv6Unspecified() {
		err = os.NewSyscallError("setsockopt", unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 0))
	}
	if err == nil {
		err = os.NewSyscallError("bind", unix.Bind(fd, addr))
	}
	if err != nil {
		return -1, errors.Join(err, unix.Close(fd))
	}
	return fd, nil
}

// boundTo is the address that a socket is bound to, unmapped.
func boundTo(fd int) (netip.AddrPort, error) {
	name, err := unix.Getsockname(fd)
	if err != nil {
		return netip.AddrPort{}, os.NewSyscallError("getsockname", err)
	}
	switch a := name.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(a.Addr), uint16(a.Port)), nil
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(a.Addr).Unmap(), uint16(a.Port)), nil
	}
	return netip.AddrPort{}, fmt.Errorf("a socket of another family: %T", name)
}
