package iface

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"landbridge/internal/loop"
)

// writePatience bounds the wait for a kernel that takes no frames at the moment.
const writePatience = 20 * time.Millisecond

// ReadBatch reads the frames that the kernel has now, each into its own element of
// bufs; it doesn't wait, and 0 is none. It returns how many, with their lengths in
// sizes (as long as bufs), no virtio header, checksums and segments complete. A frame
// longer than its buffer is cut: give buffers of MTU + 18 bytes at least. Errors:
// os.ErrClosed after Close. It allocates nothing.
func (t *TAP) ReadBatch(bufs [][]byte, sizes []int) (n int, err error) {
	fd, ok := t.file.Use()
	if !ok {
		return 0, os.ErrClosed
	}
	defer t.file.Done()
	for n < len(bufs) {
		size, errno := readFrame(fd, bufs[n])
		switch {
		case errno == unix.EINTR:
			continue
		case errno == unix.EAGAIN, errno != 0 && n > 0: // an error that stays is met again
			return n, nil
		case errno != 0:
			return n, t.explain("read", errno)
		}
		sizes[n] = size
		n++
	}
	return n, nil
}

// WriteBatch hands frames to the kernel, in order. The frames are the caller's
// again on return. A frame that the kernel refuses doesn't hold up those behind it; the
// first such error is returned at the end, as a *WriteError that says how many failed. It
// allocates nothing while all goes well. Safe for concurrent use.
func (t *TAP) WriteBatch(frames [][]byte) error {
	fd, ok := t.file.Use()
	if !ok {
		return os.ErrClosed
	}
	defer t.file.Done()
	var failed int
	var first syscall.Errno
	for _, f := range frames {
		errno := writeFrame(fd, f)
		for errno == unix.EINTR || errno == unix.EAGAIN && loop.AwaitWritable(fd, writePatience) {
			errno = writeFrame(fd, f)
		}
		if errno != 0 {
			if failed++; failed == 1 {
				first = errno
			}
		}
	}
	if failed > 0 {
		return &WriteError{Failed: failed, Err: t.explain("write", first)}
	}
	return nil
}

// WriteError says how many frames of a batch the kernel refused, and why the first.
type WriteError struct {
	Failed int
	Err    error
}

func (e *WriteError) Error() string { return fmt.Sprintf("%d frames refused: %v", e.Failed, e.Err) }
func (e *WriteError) Unwrap() error { return e.Err }

// explain is the one place where errors of the descriptor get their meaning.
func (t *TAP) explain(doing string, errno syscall.Errno) error {
	switch {
	case errors.Is(errno, unix.EIO): // tun_get_user, drivers/net/tun.c: !(dev->flags & IFF_UP)
		return fmt.Errorf("%s TAP %s: the device is down (ip link set %s up): %w", doing, t.name, t.name, errno)
	case errors.Is(errno, unix.EBADFD): // tun_chr_read_iter: the device was removed
		return fmt.Errorf("%s TAP %s: somebody removed the device: %w", doing, t.name, errno)
	}
	return fmt.Errorf("%s TAP %s: %w", doing, t.name, errno)
}

// The descriptor never blocks, so its system calls needn't tell the scheduler.

func readFrame(fd int, b []byte) (int, syscall.Errno) {
	n, _, errno := unix.RawSyscall(unix.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)))
	return int(n), errno
}

func writeFrame(fd int, b []byte) syscall.Errno {
	_, _, errno := unix.RawSyscall(unix.SYS_WRITE, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)))
	return errno
}
