package loop

import (
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// A File is a non-blocking descriptor, unknown to the runtime's poller, that several
// goroutines use and any of them may close. It is safe for concurrent use.
type File struct {
	fd    int
	state atomic.Int64 // how many use it; fileClosed once nobody may begin to
}

const fileClosed = 1 << 62

// NewFile takes over a descriptor, which must be non-blocking.
func NewFile(fd int) *File { return &File{fd: fd} }

// FD is the descriptor, for Loop.Add.
func (f *File) FD() int { return f.fd }

// Use returns the descriptor, good until Done; ok is false once the file is closed.
func (f *File) Use() (fd int, ok bool) {
	for {
		n := f.state.Load()
		if n&fileClosed != 0 {
			return -1, false
		}
		if f.state.CompareAndSwap(n, n+1) {
			return f.fd, true
		}
	}
}

// Done ends what Use began.
func (f *File) Done() {
	if f.state.Add(-1) == fileClosed {
		_ = unix.Close(f.fd) // there is nobody to tell
	}
}

// IsClosed reports whether Close has been called.
func (f *File) IsClosed() bool { return f.state.Load()&fileClosed != 0 }

// Close lets nobody use the descriptor any more, and closes it once the last user is
// done. It may be called more than once.
func (f *File) Close() error {
	for {
		n := f.state.Load()
		if n&fileClosed != 0 {
			return nil
		}
		if f.state.CompareAndSwap(n, n|fileClosed) {
			if n == 0 {
				return unix.Close(f.fd)
			}
			return nil
		}
	}
}
