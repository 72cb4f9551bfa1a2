package loop

import (
	"sync"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// writing is what a source has to do once its descriptor takes data.
type writing struct {
	mu      sync.Mutex
	do      func()
	wanted  bool // do is to be called
	watched bool // epoll tells of it
	over    bool // the source has been removed
}

// WhenWritable has the loop's thread call write once, when the descriptor takes data
// (EPOLLOUT). Call it again, in write too, for the next time; while a call is awaited that
// changes nothing but what is called. It may be called by handlers and by any goroutine, and
// allocates nothing. Nothing is called after Remove.
func (s *Source) WhenWritable(write func()) {
	w := &s.writing
	w.mu.Lock()
	defer w.mu.Unlock()
	w.do, w.wanted = write, true
	if !w.watched && !w.over {
		w.watched = s.loop.modify(s.fd, unix.EPOLLIN|unix.EPOLLOUT) == nil
		if w.watched {
			s.loop.writers.Add(1)
		}
	}
}

// modify has epoll tell of other events.
func (l *Loop) modify(fd int, events uint32) error {
	return unix.EpollCtl(l.epoll, unix.EPOLL_CTL_MOD, fd, &unix.EpollEvent{Events: events, Fd: int32(fd)})
}

// serveWriters calls those who can write, and reports whether there were any. While nobody
// wants to write it costs nothing.
func (l *Loop) serveWriters() (any bool) {
	if l.writers.Load() == 0 {
		return false
	}
	n, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(l.epoll), uintptr(unsafe.Pointer(&l.events[0])), waitEvents, 0, 0, 0)
	if errno != 0 {
		return false
	}
	for _, e := range l.events[:n] {
		if e.Events&(unix.EPOLLOUT|unix.EPOLLERR|unix.EPOLLHUP) == 0 {
			continue
		}
		for _, s := range l.sources {
			if s.fd == int(e.Fd) && s.write() {
				any = true
			}
		}
	}
	return any
}

// write calls what was asked for, and then watches no longer, unless it was asked for again.
func (s *Source) write() bool {
	w := &s.writing
	w.mu.Lock()
	wanted, do := w.wanted, w.do
	w.wanted = false
	w.mu.Unlock()
	if wanted {
		do()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.wanted {
		s.unwatch()
	}
	return wanted
}

// endWriting has nothing called any more.
func (s *Source) endWriting() {
	s.writing.mu.Lock()
	defer s.writing.mu.Unlock()
	s.writing.over, s.writing.wanted = true, false
	s.unwatch()
}

// unwatch has epoll tell of what can be read alone; writing.mu is held.
func (s *Source) unwatch() {
	if s.writing.watched {
		s.writing.watched = false
		s.loop.writers.Add(-1)
		_ = s.loop.modify(s.fd, unix.EPOLLIN) // fails if the caller has closed it: then nothing is told
	}
}

// AwaitWritable waits until fd takes data, a moment at most.
func AwaitWritable(fd int, patience time.Duration) bool {
	until := time.Now().Add(patience)
	for left := patience; left > 0; left = time.Until(until) {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}, int(left.Milliseconds())+1)
		if n > 0 {
			return true
		}
		if err != unix.EINTR {
			return false
		}
	}
	return false
}
