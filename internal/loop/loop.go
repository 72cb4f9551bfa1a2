package loop

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	lingerTime  = 100 * time.Microsecond // a round trip inside a data centre
	lingerShare = 10                     // at most one part in so many of the time is lingered away
	lingerDepth = 10 * time.Millisecond  // what may be saved up
	dozeTime    = 10 * time.Millisecond  // how long the thread sleeps without telling the scheduler
	turnTime    = 2 * time.Millisecond   // how often the scheduler gets its turn, at most
	waitEvents  = 64                     // descriptors that one epoll_wait tells of; the rest is told by the next
	fewSources  = 8                      // with more of them a round asks epoll which have anything: that is cheaper than to look at each
)

// ErrClosed is returned by Add on a closed loop.
var ErrClosed = errors.New("loop: closed")

// A Handler deals with what a descriptor has now, a batch at most, and returns how
// much there was; 0 is nothing. It never waits, and neither adds nor removes sources.
// An error ends the source.
type Handler func() (n int, err error)

// A Loop is one thread and the descriptors that it serves. Its methods are safe for
// concurrent use.
type Loop struct {
	epoll, wake int // descriptors; wake is an eventfd
	doze        bool
	thread      sync.WaitGroup
	closing     sync.Once

	mu      sync.Mutex // guards changes and closed
	changes []func()
	closed  bool
	pending atomic.Bool  // changes isn't empty
	writers atomic.Int64 // sources that wait until they can write

	// The thread's own.
	sources []*Source
	byFD    map[int32]*Source
	ended   bool
	linger  linger
	parking parking
	turn    time.Time // when the scheduler had its turn last
	events  [waitEvents]unix.EpollEvent
}

// A Source is a descriptor that a loop serves.
type Source struct {
	loop    *Loop
	fd      int
	handle  Handler
	failed  func(error)
	writing writing
}

// Open starts a loop without sources. With doze it keeps one of the scheduler's processors
// (GOMAXPROCS) for itself for a while after there was something to do: say so where
// there is one to spare. It doesn't doze on the only one.
func Open(doze bool) (*Loop, error) {
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("loop: %w", os.NewSyscallError("epoll_create1", err))
	}
	wake, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("loop: %w", errors.Join(os.NewSyscallError("eventfd", err), unix.Close(epoll)))
	}
	l := &Loop{epoll: epoll, wake: wake, byFD: make(map[int32]*Source), doze: doze && runtime.GOMAXPROCS(0) > 1, linger: newLinger(time.Now())}
	if err := l.watch(wake); err != nil {
		return nil, errors.Join(err, unix.Close(epoll), unix.Close(wake))
	}
	l.thread.Go(l.run)
	return l, nil
}

// Add has the loop's thread call handle whenever fd can be read, and at other times
// too. The descriptor is non-blocking and stays the caller's, who closes it after
// Remove. If handle fails, the source is removed and failed is called, on the thread:
// it must not wait for the loop.
func (l *Loop) Add(fd int, handle Handler, failed func(error)) (*Source, error) {
	s := &Source{loop: l, fd: fd, handle: handle, failed: failed}
	var err error
	done := l.Between(func() {
		if err = l.watch(fd); err == nil {
			l.sources, l.byFD[int32(fd)] = append(l.sources, s), s
		}
	})
	if !done {
		return nil, ErrClosed
	}
	return s, err
}

// Remove ends the source. Once it has returned, its handler doesn't run any more. It
// may be called more than once, and not by a handler.
func (s *Source) Remove() {
	s.loop.Between(func() { s.loop.drop(s) })
}

// Close ends the loop; sources that are left are removed.
func (l *Loop) Close() (err error) {
	l.closing.Do(func() {
		l.Between(func() { l.ended = true })
		l.thread.Wait()
		err = errors.Join(unix.Close(l.epoll), unix.Close(l.wake))
		l.parking.close()
	})
	return err
}

// Between has the thread do something between two rounds, while no handler runs, and waits until it is done.
// It reports false if the loop is closed. Handlers don't call it.
func (l *Loop) Between(do func()) bool {
	done := make(chan struct{})
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return false
	}
	l.changes = append(l.changes, func() { do(); close(done) })
	l.pending.Store(true)
	_, _ = unix.Write(l.wake, []byte{1, 0, 0, 0, 0, 0, 0, 0}) // EAGAIN: the thread is called already
	l.mu.Unlock()
	<-done
	return true
}

func (l *Loop) watch(fd int) error {
	err := unix.EpollCtl(l.epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)})
	if err != nil {
		return fmt.Errorf("loop: watch descriptor %d: %w", fd, err)
	}
	return nil
}

func (l *Loop) drop(s *Source) {
	if i := slices.Index(l.sources, s); i >= 0 {
		l.sources = slices.Delete(l.sources, i, i+1)
		delete(l.byFD, int32(s.fd))
		s.endWriting()
		_ = unix.EpollCtl(l.epoll, unix.EPOLL_CTL_DEL, s.fd, nil) // fails if the caller has closed it, which removes it too
	}
}

func (l *Loop) run() {
	for !l.ended {
		if l.pending.Load() {
			l.makeChanges() // and a round after it: who comes by streams is always about to have the next
			if l.ended {
				return
			}
		}
		switch {
		case l.round():
			l.linger.worked()
		case l.linger.more(time.Now()):
			_, _, _ = unix.RawSyscall(unix.SYS_SCHED_YIELD, 0, 0, 0) // never fails
		default:
			now := time.Now()
			l.giveTurn(now)
			l.wait(now)
			l.linger.woken(time.Now())
		}
	}
}

// giveTurn lets the scheduler have its way before a sleep, when it hasn't had it for a
// while. Whoever runs for 10 ms is interrupted, and locked to a thread as we are it takes two
// wake-ups of other threads until we go on: better now than when something arrives.
func (l *Loop) giveTurn(now time.Time) {
	if l.doze && now.Before(l.linger.awake) && now.Sub(l.turn) > turnTime { // else it has it as we park
		runtime.Gosched()
		l.turn = now
	}
}

// wait sleeps until there is something to do: in a stream dozing first, else as any
// goroutine does.
func (l *Loop) wait(now time.Time) {
	if now.After(l.linger.awake) && l.parking.open(l.epoll) && l.parking.raw.Read(l.ready) == nil {
		return
	}
	l.parking.close()
	if l.doze {
		_, _, _ = unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(l.epoll), uintptr(unsafe.Pointer(&l.events[0])),
			waitEvents, uintptr(dozeTime.Milliseconds()), 0, 0)
		return
	}
	_, _ = unix.EpollWait(l.epoll, l.events[:], -1) // EINTR: go round
}

// ready reports whether a descriptor is, without waiting.
func (l *Loop) ready(uintptr) bool {
	n, err := unix.EpollWait(l.epoll, l.events[:], 0)
	return n > 0 || err != nil
}

// round calls who can write, then runs each handler once, and reports whether there was
// anything to do.
func (l *Loop) round() (busy bool) {
	busy = l.serveWriters()
	if len(l.sources) > fewSources {
		return l.roundOfReady() || busy
	}
	for i := 0; i < len(l.sources); i++ {
		s := l.sources[i]
		n, gone := l.serve(s)
		if gone {
			i--
		}
		busy = busy || n > 0
	}
	return busy
}

// roundOfReady is round for those that epoll tells of. Who is told of goes behind the others
// in epoll's list, so that all get their turn.
func (l *Loop) roundOfReady() (busy bool) {
	n, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(l.epoll), uintptr(unsafe.Pointer(&l.events[0])), waitEvents, 0, 0, 0)
	if errno != 0 {
		return false
	}
	for _, e := range l.events[:n] {
		if s := l.byFD[e.Fd]; s != nil {
			n, _ := l.serve(s)
			busy = busy || n > 0
		}
	}
	return busy
}

// serve runs a source's handler, and drops the source if that fails.
func (l *Loop) serve(s *Source) (n int, gone bool) {
	n, err := s.handle()
	if err != nil {
		l.drop(s)
		s.failed(err)
	}
	return n, err != nil
}

// makeChanges does what was asked for; the last thing that is asked for is the end.
func (l *Loop) makeChanges() {
	var count [8]byte
	l.mu.Lock()
	_, _ = unix.Read(l.wake, count[:]) // with mu: a call whose change is made must not be left over, or the thread never sleeps again
	changes := l.changes
	l.changes = nil
	l.pending.Store(false)
	l.mu.Unlock()
	for _, do := range changes {
		do()
	}
	if !l.ended {
		return
	}
	for len(l.sources) > 0 {
		l.drop(l.sources[0])
	}
	l.mu.Lock()
	l.closed = true
	changes, l.changes = l.changes, nil
	l.mu.Unlock()
	for _, do := range changes { // they came while we were ending
		do()
	}
}
