package loop

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// park makes the epoll descriptor, a copy of it, known to the runtime's poller, so that
// the thread can sleep as a goroutine does: nothing of the scheduler watches over it then.
func park(epoll int) (*os.File, syscall.RawConn) {
	fd, err := unix.FcntlInt(uintptr(epoll), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, nil
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		_ = unix.Close(fd)
		return nil, nil
	}
	f := os.NewFile(uintptr(fd), "loop")
	raw, err := f.SyscallConn()
	if err != nil {
		_ = f.Close()
		return nil, nil
	}
	return f, raw
}
