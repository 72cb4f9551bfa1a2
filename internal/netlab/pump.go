package netlab

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// pump carries frames between two TAPs as a Link says. Each direction is one OS
// thread that waits in ppoll for a frame or for the next due time, as Go's timers
// are too coarse (a millisecond when idle) for a link of 0.2 ms.
type pump struct {
	ways    [2]*way
	threads sync.WaitGroup

	mu      sync.Mutex
	stopped bool
}

// way is one direction of a pump.
type way struct {
	in, out int // TAPs
	wake    int // eventfd
	link    atomic.Pointer[Link]
	cut     atomic.Bool // by Port.Cut
	down    atomic.Bool // by Port.SetCarrier
	closing atomic.Bool

	frames, bytes, held, lost, dropped atomic.Uint64
}

// openTAP makes a TAP in the calling thread's network namespace. It lives as long
// as its descriptor.
func openTAP(name string) (fd int, err error) {
	fd, err = unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("open /dev/net/tun: %w", err)
	}
	req, err := unix.NewIfreq(name)
	if err == nil {
		req.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI | unix.IFF_TUN_EXCL)
		err = unix.IoctlIfreq(fd, unix.TUNSETIFF, req)
	}
	if err != nil {
		_ = unix.Close(fd)
		return -1, fmt.Errorf("make TAP %s: %w", name, err)
	}
	return fd, nil
}

// newPump starts to carry frames between the TAPs a and b, which it owns.
func newPump(a, b int, link Link, seed uint64) (*pump, error) {
	p := &pump{}
	for i, fds := range [2][2]int{{a, b}, {b, a}} {
		wake, err := unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
		if err != nil {
			if i == 1 {
				_ = unix.Close(p.ways[0].wake)
			}
			return nil, fmt.Errorf("eventfd: %w", err)
		}
		p.ways[i] = &way{in: fds[0], out: fds[1], wake: wake}
		p.ways[i].link.Store(&link)
	}
	for i, w := range p.ways {
		rng := rand.New(rand.NewPCG(seed, uint64(i)))
		p.threads.Add(1)
		go lockedThread(func() {
			defer p.threads.Done()
			w.run(shaper{rng: rng}, time.Now())
		})
	}
	return p, nil
}

// stop ends both directions and closes the TAPs.
func (p *pump) stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopped {
		return
	}
	p.stopped = true
	for _, w := range p.ways {
		w.closing.Store(true)
		w.poke()
	}
	p.threads.Wait()
	for _, w := range p.ways {
		_ = unix.Close(w.in)
		_ = unix.Close(w.wake)
	}
}

// setCarrier tells both ends' kernels whether the cable is plugged in.
func (p *pump) setCarrier(on bool) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopped {
		return errClosed
	}
	state := 0
	if on {
		state = 1
	}
	for _, w := range p.ways {
		w.down.Store(!on)
		if err := unix.IoctlSetPointerInt(w.in, unix.TUNSETCARRIER, state); err != nil {
			return fmt.Errorf("set the carrier: %w", err)
		}
	}
	return nil
}

// setLinks changes both directions.
func (p *pump) setLinks(links [2]Link) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopped {
		return errClosed
	}
	for i, w := range p.ways {
		w.link.Store(&links[i])
	}
	return nil
}

// poke wakes the thread of a direction.
func (w *way) poke() {
	_, _ = unix.Write(w.wake, binary.NativeEndian.AppendUint64(nil, 1))
}

// run is the thread of one direction.
func (w *way) run(s shaper, start time.Time) {
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, uintptr(time.Microsecond), 0, 0, 0) // else 50 µs
	bufs := &buffers{size: w.link.Load().mtu() + etherHeader + 4}              // 4: a VLAN tag
	source := w.in
	for !w.closing.Load() {
		w.deliver(&s, time.Since(start), bufs)
		if !w.sleep(&s, start, source) {
			source = -1 // ppoll passes over it
		}
		w.accept(&s, start, bufs)
	}
}

// severed reports whether frames vanish. The kernel alone would not see to it: it
// goes on to carry frames over a TAP for a while after its carrier is gone.
func (w *way) severed() bool { return w.cut.Load() || w.down.Load() }

// sleep waits for a frame from source, a poke, or the time when a frame is due. It
// reports false if the source is gone with its namespace.
func (w *way) sleep(s *shaper, start time.Time, source int) bool {
	var timeout *unix.Timespec
	if due, ok := s.next(); ok {
		ts := unix.NsecToTimespec(max(0, (due - time.Since(start)).Nanoseconds()))
		timeout = &ts
	}
	fds := []unix.PollFd{{Fd: int32(source), Events: unix.POLLIN}, {Fd: int32(w.wake), Events: unix.POLLIN}}
	if n, err := unix.Ppoll(fds, timeout, nil); err != nil || n <= 0 {
		return true
	}
	if fds[1].Revents != 0 {
		var count [8]byte
		_, _ = unix.Read(w.wake, count[:])
	}
	return fds[0].Revents&(unix.POLLERR|unix.POLLHUP|unix.POLLNVAL) == 0
}

// accept takes the frames that have come, a few at a time so that others leave in time.
func (w *way) accept(s *shaper, start time.Time, bufs *buffers) {
	for range 32 {
		buf := bufs.get()
		n, err := unix.Read(w.in, buf)
		if err != nil {
			bufs.put(buf)
			if errors.Is(err, unix.EINTR) {
				continue
			}
			return // EAGAIN: none left; EIO, EBADFD: the device is gone with its namespace
		}
		due, f := s.admit(time.Since(start), *w.link.Load(), n)
		if w.severed() {
			f = lost
		}
		switch f {
		case held:
			w.held.Add(1)
			s.push(due, buf[:n])
			continue
		case carried:
			s.push(due, buf[:n])
			continue
		case lost:
			w.lost.Add(1)
		case dropped:
			w.dropped.Add(1)
		}
		bufs.put(buf)
	}
}

// deliver writes the frames that are due.
func (w *way) deliver(s *shaper, now time.Duration, bufs *buffers) {
	for {
		frame, ok := s.pop(now)
		if !ok {
			return
		}
		if w.severed() {
			w.lost.Add(1)
		} else if n, err := unix.Write(w.out, frame); err != nil {
			w.dropped.Add(1) // the other end is down, or its queue is full
		} else {
			w.frames.Add(1)
			w.bytes.Add(uint64(n))
		}
		bufs.put(frame)
	}
}

// buffers is a free list of frame buffers, of one goroutine.
type buffers struct {
	size int
	free [][]byte
}

func (b *buffers) get() []byte {
	if n := len(b.free); n > 0 {
		buf := b.free[n-1]
		b.free = b.free[:n-1]
		return buf[:cap(buf)]
	}
	return make([]byte, b.size)
}

func (b *buffers) put(buf []byte) {
	if len(b.free) < 4096 {
		b.free = append(b.free, buf)
	}
}
