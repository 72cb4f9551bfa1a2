package tunnel

import (
	"net/netip"
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

// sysBatch sends a batch. Its functions are made once, so that passing them
// allocates nothing.
type sysBatch struct {
	messages
	is4  bool
	n    int
	sent int

	errno      syscall.Errno
	send       func(fd uintptr)
	sendOrWait func(fd uintptr) bool
}

func newSysBatch(s *Socket) *sysBatch {
	b := &sysBatch{is4: s.is4}
	b.link()
	b.send = b.sendmmsg
	b.sendOrWait = func(fd uintptr) bool {
		b.sendmmsg(fd)
		return b.errno != unix.EAGAIN
	}
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

// sendmmsg sends what is left. An error is that of the first message left; those
// before it have gone.
func (m *sysBatch) sendmmsg(fd uintptr) {
	n, _, errno := unix.Syscall6(unix.SYS_SENDMMSG, fd, uintptr(unsafe.Pointer(&m.hdrs[m.sent])),
		uintptr(m.n-m.sent), unix.MSG_DONTWAIT, 0, 0)
	if m.errno = errno; errno == 0 {
		m.sent += int(n)
	}
}

// readBatch receives datagrams.
type readBatch struct {
	messages
	socket *Socket
	bufs   [batchSize][]byte
	n      int
	errno  syscall.Errno
	recv   func(fd uintptr) bool
}

func newReadBatch(s *Socket) *readBatch {
	r := &readBatch{socket: s}
	arena := make([]byte, batchSize*maxDatagram)
	for i := range r.bufs {
		r.bufs[i] = arena[i*maxDatagram : (i+1)*maxDatagram : (i+1)*maxDatagram]
		r.iovs[i].Base = unsafe.SliceData(r.bufs[i])
		r.iovs[i].SetLen(maxDatagram)
	}
	r.link()
	r.recv = func(fd uintptr) bool {
		r.recvmmsg(fd)
		return r.errno != unix.EAGAIN
	}
	return r
}

func (r *readBatch) recvmmsg(fd uintptr) {
	for i := range r.hdrs {
		r.hdrs[i].Namelen = unix.SizeofSockaddrInet6
	}
	for {
		n, _, errno := unix.Syscall6(unix.SYS_RECVMMSG, fd, uintptr(unsafe.Pointer(&r.hdrs[0])),
			batchSize, unix.MSG_DONTWAIT, 0, 0)
		if errno == unix.EINTR {
			continue
		}
		r.n, r.errno = int(n), errno
		return
	}
}

// fetch waits for datagrams and returns how many there are.
func (r *readBatch) fetch() (int, error) {
	if err := r.socket.raw.Read(r.recv); err != nil {
		return 0, err
	}
	if r.errno != 0 {
		return 0, r.errno
	}
	return r.n, nil
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
