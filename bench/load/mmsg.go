package load

import (
	"encoding/binary"
	"net/netip"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// batchSize is how many datagrams one system call moves.
const batchSize = 64

// batch is a vector of datagrams of one size for sendmmsg(2) and recvmmsg(2).
type batch struct {
	headers []mmsghdr
	data    [][]byte
}

// mmsghdr is struct mmsghdr; the compiler pads it as C does.
type mmsghdr struct {
	header unix.Msghdr
	length uint32
}

// newBatch makes a batch of n datagrams.
func newBatch(n, size int) *batch {
	b := &batch{headers: make([]mmsghdr, n), data: make([][]byte, n)}
	vectors := make([]unix.Iovec, n)
	for i := range b.headers {
		b.data[i] = make([]byte, size)
		vectors[i].Base = &b.data[i][0]
		vectors[i].SetLen(size)
		b.headers[i].header.Iov = &vectors[i]
		b.headers[i].header.SetIovlen(1)
	}
	return b
}

// address gives the datagrams destinations, in turn; the socket must not be connected.
func (b *batch) address(to []netip.AddrPort) {
	names := make([]unix.RawSockaddrInet4, len(to))
	for i, addr := range to {
		names[i] = unix.RawSockaddrInet4{Family: unix.AF_INET, Addr: addr.Addr().As4()}
		binary.BigEndian.PutUint16((*[2]byte)(unsafe.Pointer(&names[i].Port))[:], addr.Port())
	}
	for i := range b.headers {
		b.headers[i].header.Name = (*byte)(unsafe.Pointer(&names[i%len(names)]))
		b.headers[i].header.Namelen = unix.SizeofSockaddrInet4
	}
}

// send sends n datagrams from the one at first on, and returns how many the kernel took.
func (b *batch) send(fd, first, n int) (int, error) {
	return b.call(unix.SYS_SENDMMSG, fd, first, n, 0)
}

// receive waits for one datagram and returns how many have come.
func (b *batch) receive(fd int) (int, error) {
	return b.call(unix.SYS_RECVMMSG, fd, 0, len(b.headers), unix.MSG_WAITFORONE)
}

func (b *batch) call(number uintptr, fd, first, n, flags int) (int, error) {
	done, _, errno := unix.Syscall6(number, uintptr(fd), uintptr(unsafe.Pointer(&b.headers[first])), uintptr(n), uintptr(flags), 0, 0)
	if errno != 0 {
		return 0, os.NewSyscallError("sendmmsg or recvmmsg", errno)
	}
	return int(done), nil
}
