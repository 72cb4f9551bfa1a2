package loop

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// parking makes the epoll descriptor, a copy of it, known to the runtime's poller, so that
// the thread can sleep as a goroutine does: nothing of the scheduler watches over it then. In
// a stream it is closed, or each packet would wake the poller too.
type parking struct {
	file *os.File
	raw  syscall.RawConn
}

// open reports whether the thread can park.
func (p *parking) open(epoll int) bool {
	if p.file != nil {
		return true
	}
	fd, err := unix.FcntlInt(uintptr(epoll), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return false
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		_ = unix.Close(fd)
		return false
	}
	p.file = os.NewFile(uintptr(fd), "loop")
	if p.raw, err = p.file.SyscallConn(); err != nil {
		p.close()
		return false
	}
	return true
}

func (p *parking) close() {
	if p.file != nil {
		_ = p.file.Close()
		p.file = nil
	}
}
