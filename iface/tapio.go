package iface

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// ReadBatch waits for frames from the kernel and reads as many as are there, each
// into its own element of bufs; it never waits for a batch to fill. It returns how
// many, with their lengths in sizes (as long as bufs), no virtio header, checksums
// and segments complete. A frame longer than its buffer is cut: give buffers of
// MTU + 18 bytes at least. Errors: os.ErrClosed after Close, os.ErrDeadlineExceeded.
// It allocates nothing. Concurrent calls take turns.
func (t *TAP) ReadBatch(bufs [][]byte, sizes []int) (int, error) {
	n, err := t.in.read(bufs, sizes)
	return n, t.classify("read", err)
}

// WriteBatch hands frames to the kernel, in order. The frames are the caller's
// again on return. A frame that the kernel refuses doesn't hold up those behind it; the
// first such error is returned at the end, as a *WriteError that says how many failed. It
// allocates nothing while all goes well. Concurrent calls take turns.
func (t *TAP) WriteBatch(frames [][]byte) error {
	failed, err := t.out.write(frames)
	if err = t.classify("write", err); err != nil && failed > 0 {
		return &WriteError{Failed: failed, Err: err}
	}
	return err
}

// WriteError says how many frames of a batch the kernel refused, and why the first.
type WriteError struct {
	Failed int
	Err    error
}

func (e *WriteError) Error() string { return fmt.Sprintf("%d frames refused: %v", e.Failed, e.Err) }
func (e *WriteError) Unwrap() error { return e.Err }

// classify is the one place where errors of the descriptor get their meaning.
func (t *TAP) classify(doing string, err error) error {
	switch {
	case err == nil:
		return nil
	case t.closed.Load():
		return os.ErrClosed
	case errors.Is(err, os.ErrDeadlineExceeded):
		return os.ErrDeadlineExceeded
	case errors.Is(err, unix.EIO): // tun_get_user, drivers/net/tun.c: !(dev->flags & IFF_UP)
		return fmt.Errorf("%s TAP %s: the device is down (ip link set %s up): %w", doing, t.name, t.name, err)
	case errors.Is(err, unix.EBADFD): // tun_chr_read_iter: the device was removed
		return fmt.Errorf("%s TAP %s: somebody removed the device: %w", doing, t.name, err)
	}
	return fmt.Errorf("%s TAP %s: %w", doing, t.name, err)
}

// batchReader and batchWriter keep the arguments of the call in progress in fields
// and one prepared closure, because a closure made for each call would be allocated.
type batchReader struct {
	mu    sync.Mutex
	raw   syscall.RawConn
	drain func(fd uintptr) bool

	bufs  [][]byte
	sizes []int
	n     int
	err   error
}

func (r *batchReader) init(raw syscall.RawConn) {
	r.raw = raw
	r.drain = r.readAll
}

func (r *batchReader) read(bufs [][]byte, sizes []int) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.bufs, r.sizes, r.n, r.err = bufs, sizes, 0, nil
	err := r.raw.Read(r.drain)
	r.bufs, r.sizes = nil, nil
	if err == nil {
		err = r.err
	}
	return r.n, err
}

// readAll reads until EAGAIN; false tells the poller to wait, which we only want
// while there is nothing at all.
func (r *batchReader) readAll(fd uintptr) bool {
	for r.n < len(r.bufs) {
		n, err := unix.Read(int(fd), r.bufs[r.n])
		switch {
		case err == unix.EINTR:
			continue
		case err == unix.EAGAIN:
			return r.n > 0
		case err != nil:
			if r.n == 0 { // else the next call meets it again
				r.err = err
			}
			return true
		}
		r.sizes[r.n] = n
		r.n++
	}
	return true
}

type batchWriter struct {
	mu   sync.Mutex
	raw  syscall.RawConn
	push func(fd uintptr) bool

	frames [][]byte
	failed int
	err    error
}

func (w *batchWriter) init(raw syscall.RawConn) {
	w.raw = raw
	w.push = w.writeAll
}

func (w *batchWriter) write(frames [][]byte) (failed int, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.frames, w.failed, w.err = frames, 0, nil
	err = w.raw.Write(w.push)
	w.frames = nil
	if err == nil {
		err = w.err
	}
	return w.failed, err
}

func (w *batchWriter) writeAll(fd uintptr) bool {
	for len(w.frames) > 0 {
		_, err := unix.Write(int(fd), w.frames[0])
		switch {
		case err == unix.EINTR:
			continue
		case err == unix.EAGAIN:
			return false
		case err != nil:
			w.failed++
			if w.err == nil {
				w.err = err
			}
		}
		w.frames = w.frames[1:]
	}
	return true
}
