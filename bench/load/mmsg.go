package load

import (
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

func newBatch(size int) *batch {
	b := &batch{headers: make([]mmsghdr, batchSize), data: make([][]byte, batchSize)}
	vectors := make([]unix.Iovec, batchSize)
	for i := range b.headers {
		b.data[i] = make([]byte, size)
		vectors[i].Base = &b.data[i][0]
		vectors[i].SetLen(size)
		b.headers[i].header.Iov = &vectors[i]
		b.headers[i].header.SetIovlen(1)
	}
	return b
}

// send sends the first n datagrams and returns how many the kernel took.
func (b *batch) send(fd, n int) (int, error) {
	return b.call(unix.SYS_SENDMMSG, fd, n, 0)
}

// receive waits for one datagram and returns how many have come.
func (b *batch) receive(fd int) (int, error) {
	return b.call(unix.SYS_RECVMMSG, fd, len(b.headers), unix.MSG_WAITFORONE)
}

func (b *batch) call(number uintptr, fd, n, flags int) (int, error) {
	done, _, errno := unix.Syscall6(number, uintptr(fd), uintptr(unsafe.Pointer(&b.headers[0])), uintptr(n), uintptr(flags), 0, 0)
	if errno != 0 {
		return 0, os.NewSyscallError("sendmmsg or recvmmsg", errno)
	}
	return int(done), nil
}
