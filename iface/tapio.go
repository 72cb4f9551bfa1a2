package iface

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"landbridge/internal/frame"
	"landbridge/internal/loop"
	"landbridge/internal/scratch"
)

const (
	// writePatience bounds the wait for a kernel that takes no frames at the moment.
	writePatience = 20 * time.Millisecond
	// arenaBytes holds seven of the longest frames, or a batch of jumbo frames. No more of frames longer than
	// shortFrame is read at a time: runs of them need no more, and the processor's cache holds this much.
	arenaBytes = 512 << 10
	// burstBytes holds maxBatch frames of a usual MTU: of a burst to a hundred members each gets ten at a time.
	burstBytes = 2 << 20
	// maxBatch is how many frames are read at a time, at most.
	maxBatch = 1024
	// shortFrame is the most that maxBatch frames, each with its tailroom, may have on average.
	shortFrame = burstBytes/maxBatch - 2*cacheLine
	// longestFrame is what is kept free for a frame: IP packets have up to 65,535 bytes,
	// and two VLAN tags may stand before them.
	longestFrame = frame.Headroom + 8 + 65535
	// cacheLine is what frames in the arena are aligned to.
	cacheLine = 64
)

// ReadBatch takes the frames that the kernel has now, as many as pkts holds or fewer, and
// returns how many; it doesn't wait, and 0 is none. Each is an Ethernet frame (see
// [frame.Packet.Ethernet]), of which the kernel may have left work undone. They are
// good until the next ReadBatch. A frame whose virtio header lies, or that is to be cut
// and isn't plain IP, is dropped and counted. Errors: os.ErrClosed after Close. It allocates nothing, but for once, in
// the first burst that is too large for the arena. One caller at a time.
//
// The first frame after a lull is returned alone: to ask for a second one first would
// delay it by a system call.
func (t *TAP) ReadBatch(pkts []frame.Packet) (n int, err error) {
	fd, ok := t.file.Use()
	if !ok {
		return 0, os.ErrClosed
	}
	defer t.file.Done()
	most := min(len(pkts), maxBatch)
	if t.drained {
		most = min(most, 1)
	}
	t.drained = false
	free, long := t.arena, 0
	for tries := 0; tries < most && long+longestFrame+frame.Tailroom <= arenaBytes; tries++ {
		if len(free) < longestFrame+frame.Tailroom {
			if len(t.arena) < burstBytes {
				t.arena = scratch.Make[byte](burstBytes) // for the next time
			}
			break
		}
		p, errno := t.readPacket(fd, free)
		switch {
		case errno == unix.EINTR:
			tries--
		case errno == unix.EAGAIN:
			t.drained = true
			return n, nil
		case errno == unix.EINVAL: // it was taken off the queue (tun_do_read)
			t.lies.Add(1)
		case errno == unix.EPROTONOSUPPORT: // readPacket
			t.foreign.Add(1)
		case errno != 0 && n > 0: // an error that stays is met again
			return n, nil
		case errno != 0:
			return n, t.explain("read", errno)
		default:
			pkts[n] = p
			n++
			size := roundUp(cap(p.Buf))
			if size > shortFrame {
				long += size
			}
			free = free[min(len(free), size):]
		}
	}
	return n, nil
}

// Rest gives back the memory that frames were read into; they take it again. Not while ReadBatch runs, nor while
// anybody has its frames.
func (t *TAP) Rest() { scratch.GiveBack(t.arena) }

// readPacket reads one frame to the start of free. EINVAL is a frame to be dropped, and
// EPROTONOSUPPORT one that is to be cut, but not by us.
func (t *TAP) readPacket(fd int, free []byte) (p frame.Packet, errno syscall.Errno) {
	skip := t.skip()
	size, errno := readFrame(fd, free[skip:longestFrame])
	if errno != 0 {
		return p, errno
	}
	size += skip
	if size < frame.Headroom {
		return p, unix.EINVAL
	}
	p.Buf = free[: size : size+frame.Tailroom]
	if t.form.header {
		var err error
		switch p.Offload, err = frame.ParseVirtio(p.Buf); {
		case err == nil:
		case errors.Is(err, frame.ErrForeign):
			return p, unix.EPROTONOSUPPORT
		default:
			return p, unix.EINVAL
		}
	}
	return p, 0
}

// skip is how much of a packet's buffer doesn't cross to the kernel.
func (t *TAP) skip() int {
	if t.form.header {
		return 0
	}
	return frame.VirtioHeaderLen
}

func roundUp(n int) int { return (n + cacheLine - 1) &^ (cacheLine - 1) }

// WriteBatch hands Ethernet frames to the kernel, in order, with what is left to be
// done on them. Their headroom is written to; they are the caller's again on return. A frame that
// the kernel refuses doesn't hold up those behind it; the first such error is returned
// at the end, as a *WriteError that says how many failed. It allocates nothing while all goes
// well. Safe for concurrent use.
func (t *TAP) WriteBatch(pkts []frame.Packet) error {
	fd, ok := t.file.Use()
	if !ok {
		return os.ErrClosed
	}
	defer t.file.Done()
	var failed int
	var first syscall.Errno
	for _, p := range pkts {
		if errno := t.writePacket(fd, p); errno != 0 {
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

func (t *TAP) writePacket(fd int, p frame.Packet) syscall.Errno {
	switch {
	case len(p.Buf) < frame.Headroom:
		return unix.EINVAL
	case !t.takes(p.Offload):
		return t.finish.write(t, fd, p)
	case t.form.header:
		p.PutVirtio()
	}
	return writePatiently(fd, p.Buf[t.skip():])
}

// finisher does what a kernel doesn't. The zero value is ready.
type finisher struct {
	mu      sync.Mutex
	scratch []byte
}

// write cuts p and completes its checksums, and writes what it has become.
func (f *finisher) write(t *TAP, fd int, p frame.Packet) (errno syscall.Errno) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.scratch == nil {
		f.scratch = make([]byte, longestFrame+frame.Tailroom)
	}
	t.finished.Add(1)
	err := frame.Finish(p, f.scratch, func(q frame.Packet) {
		if t.form.header {
			q.PutVirtio()
		}
		if e := writePatiently(fd, q.Buf[t.skip():]); e != 0 && errno == 0 {
			errno = e
		}
	})
	if err != nil {
		return unix.EINVAL
	}
	return errno
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

// writePatiently writes one frame, and waits a moment for a kernel that has no room.
func writePatiently(fd int, b []byte) syscall.Errno {
	errno := writeFrame(fd, b)
	for errno == unix.EINTR || errno == unix.EAGAIN && loop.AwaitWritable(fd, writePatience) {
		errno = writeFrame(fd, b)
	}
	return errno
}

func writeFrame(fd int, b []byte) syscall.Errno {
	_, _, errno := unix.RawSyscall(unix.SYS_WRITE, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)))
	return errno
}
