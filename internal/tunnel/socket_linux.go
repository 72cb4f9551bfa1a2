package tunnel

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"landbridge/internal/scratch"
)

// mmsghdr is struct mmsghdr of recvmmsg(2) and sendmmsg(2).
type mmsghdr struct {
	unix.Msghdr
	n uint32 // bytes received or sent
}

const (
	batchSize  = 16       // messages in one system call
	messageMax = 64 << 10 // bytes of one, joined datagrams included
)

// segmentSize is a control message with the size of joined datagrams: as the kernel
// takes it (UDP_SEGMENT, two bytes) and gives it (UDP_GRO, an int).
type segmentSize struct {
	unix.Cmsghdr
	size [8]byte
}

// messages is the kernel's form of a batch. Its pointers stay as they are made;
// only lengths and addresses change.
type messages struct {
	hdrs     [batchSize]mmsghdr
	iovs     [batchSize]unix.Iovec
	names    [batchSize]unix.RawSockaddrInet6 // or RawSockaddrInet4, in the same place
	segments [batchSize]segmentSize
}

func (m *messages) link() {
	for i := range m.hdrs {
		m.hdrs[i].Name = (*byte)(unsafe.Pointer(&m.names[i]))
		m.hdrs[i].Iov = &m.iovs[i]
		m.hdrs[i].SetIovlen(1)
		m.hdrs[i].Control = (*byte)(unsafe.Pointer(&m.segments[i]))
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
	if a.Addr().Zone() != "" {
		name.Scope_id = scopeOf(a.Addr())
	}
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

// sysBatch sends a batch: a run as one message where the kernel joins, else a
// datagram as one.
type sysBatch struct {
	messages
	is4           bool
	run, datagram int            // the first that hasn't been sent
	counts        [batchSize]int // datagrams in each message
	n             int            // messages that are filled in
	singly        bool           // the run in hand goes as single datagrams
}

func newSysBatch(s *Socket) *sysBatch {
	b := &sysBatch{is4: s.is4}
	b.link()
	return b
}

func (m *sysBatch) rewind() { m.run, m.datagram, m.singly = 0, 0, false }

// fill puts what is left of a batch into messages, as much as one system call takes,
// and reports whether there is anything left. Where the kernel takes datagrams joined, a
// message has up to piece bytes of them.
func (m *sysBatch) fill(b *batch, piece int, joined bool) bool {
	m.n = 0
	for i, first := m.run, m.datagram; i < b.n && m.n < batchSize; i, first = i+1, 0 {
		r, most := &b.runs[i], 1
		if joined && !m.singly {
			most = max(1, piece/r.size)
		}
		for first < r.n && m.n < batchSize {
			n := min(most, r.n-first)
			end := min((first+n)*r.size, r.bytes())
			m.message(r.addr, b.arena[r.first+first*r.size:r.first+end], r.size, n)
			first += n
		}
		if m.singly {
			break
		}
	}
	return m.n > 0
}

// message adds a message of n datagrams of a size.
func (m *sysBatch) message(addr netip.AddrPort, data []byte, size, n int) {
	h := &m.hdrs[m.n]
	m.iovs[m.n].Base = unsafe.SliceData(data)
	m.iovs[m.n].SetLen(len(data))
	h.Namelen = m.setName(m.n, addr, m.is4)
	h.SetControllen(0)
	if n > 1 {
		s := &m.segments[m.n]
		s.Level, s.Type = unix.SOL_UDP, unix.UDP_SEGMENT
		s.SetLen(unix.CmsgLen(2))
		binary.NativeEndian.PutUint16(s.size[:], uint16(size))
		h.SetControllen(unix.CmsgSpace(2))
	}
	m.counts[m.n] = n
	m.n++
}

// send sends what fill has filled in. An error is that of the first message; else some
// have gone.
func (m *sysBatch) send(b *batch, fd int) syscall.Errno {
	n, _, errno := unix.RawSyscall6(unix.SYS_SENDMMSG, uintptr(fd), uintptr(unsafe.Pointer(&m.hdrs[0])),
		uintptr(m.n), unix.MSG_DONTWAIT, 0, 0)
	if errno == 0 {
		for i := range int(n) {
			m.advance(b, m.counts[i])
		}
	}
	return errno
}

// advance notes that n datagrams of one run have been dealt with.
func (m *sysBatch) advance(b *batch, n int) {
	if m.datagram += n; m.datagram == b.runs[m.run].n {
		m.run, m.datagram, m.singly = m.run+1, 0, false
	}
}

// joined reports whether the first message is several datagrams.
func (m *sysBatch) joined() bool { return m.counts[0] > 1 }

// skip gives the first message up.
func (m *sysBatch) skip(b *batch) { m.advance(b, m.counts[0]) }

// sendOne sends a message that isn't of a batch.
func (m *sysBatch) sendOne(one *message, fd int) syscall.Errno {
	m.n = 0
	m.message(one.addr, one.data, one.size, one.n)
	_, _, errno := unix.RawSyscall6(unix.SYS_SENDMMSG, uintptr(fd), uintptr(unsafe.Pointer(&m.hdrs[0])), 1, unix.MSG_DONTWAIT, 0, 0)
	return errno
}

// unsent is how much of what a socket has sent is still in its send buffer, in bytes of the
// kernel's memory.
func unsent(fd int) int {
	n, _ := unix.IoctlGetInt(fd, unix.SIOCOUTQ) // fails for no UDP socket
	return n
}

// readBatch receives datagrams.
type readBatch struct {
	messages
	arena   []byte // the kernel fills in from the front of each buffer: most is never touched
	bufs    [batchSize][]byte
	arrived []datagram // what the messages hold
}

func newReadBatch() *readBatch {
	r := &readBatch{arena: scratch.Make[byte](batchSize * messageMax), arrived: make([]datagram, 0, batchSize*maxSegments)}
	for i := range r.bufs {
		r.bufs[i] = r.arena[i*messageMax : (i+1)*messageMax : (i+1)*messageMax]
		r.iovs[i].Base = unsafe.SliceData(r.bufs[i])
		r.iovs[i].SetLen(messageMax)
	}
	r.link()
	return r
}

// rest gives back the memory of the datagrams of the fetch before.
func (r *readBatch) rest() { scratch.GiveBack(r.arena) }

// fetch takes the datagrams that are there, and returns how many.
func (r *readBatch) fetch(fd int) (int, error) {
	for i := range r.hdrs {
		r.hdrs[i].Namelen = unix.SizeofSockaddrInet6
		r.hdrs[i].SetControllen(int(unsafe.Sizeof(segmentSize{})))
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

// message returns one of what fetch got: datagrams of size bytes from one address, one
// behind the other; the last may be shorter. It is good until the next fetch.
func (r *readBatch) message(i int) (all datagram, size int, truncated bool) {
	all.addr, _ = r.name(i)
	all.data = r.bufs[i][:r.hdrs[i].n]
	size = len(all.data)
	s := &r.segments[i]
	if int(r.hdrs[i].Controllen) >= unix.CmsgLen(4) && s.Level == unix.SOL_UDP && s.Type == unix.UDP_GRO {
		if n := int(binary.NativeEndian.Uint32(s.size[:])); n > 0 {
			size = n
		}
	}
	return all, size, r.hdrs[i].Flags&unix.MSG_TRUNC != 0
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
		if err = unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 0); err != nil {
			err = fmt.Errorf("%w: %w", errNotDual, os.NewSyscallError("setsockopt", err))
		}
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
