package capture

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"
)

const (
	bufferBytes = 2 << 20 // of each of two buffers
	wakeAt      = bufferBytes / 4
	writeEvery  = 50 * time.Millisecond
	patience    = 64 // attempts at the lock, a few microseconds
)

// Place is where packets are seen: an interface of the file.
type Place uint8

// The places.
const (
	Segment Place = iota // Ethernet frames
	Tunnel               // IP packets
	numPlaces
)

// Direction is which way a packet goes, from where this appliance stands.
type Direction uint8

// The directions, as epb_flags has them.
const (
	In  Direction = 1
	Out Direction = 2
)

// Options bounds a capture. All are required.
type Options struct {
	Places   []Place
	Names    [numPlaces]string // of the interfaces
	Duration time.Duration
	Packets  int
	Bytes    int64 // of the file
	Snaplen  int   // bytes of each packet
	Program  string
}

// Tap is a place where a capture can be attached. The zero value is ready.
type Tap struct{ running atomic.Pointer[Capture] }

// Load returns the capture that runs, nil where none does.
func (t *Tap) Load() *Capture { return t.running.Load() }

// Attach has packets go to c. It reports false where another capture runs.
func (t *Tap) Attach(c *Capture) bool { return t.running.CompareAndSwap(nil, c) }

// Detach ends that.
func (t *Tap) Detach(c *Capture) { t.running.CompareAndSwap(c, nil) }

// Capture is one capture. Put may be called by many at once, Write once.
type Capture struct {
	opt   Options
	index [numPlaces]int // of the place's interface in the file; -1: not captured
	seen  [numPlaces]atomic.Uint64
	lost  [numPlaces]atomic.Uint64
	wake  chan struct{}

	mu      sync.Mutex
	filling []byte // blocks, whole ones
	spare   []byte
	packets int   // that may still come
	bytes   int64 // that may still be written
	done    bool  // no more are taken
}

// New returns a capture that takes packets from now on.
func New(o Options) *Capture {
	c := &Capture{opt: o, index: [numPlaces]int{-1, -1}, wake: make(chan struct{}, 1),
		filling: make([]byte, 0, bufferBytes), spare: make([]byte, 0, bufferBytes),
		packets: o.Packets, bytes: o.Bytes}
	for i, p := range o.Places {
		c.index[p] = i
	}
	c.bytes -= int64(len(c.header()) + len(c.statistics(time.Time{}, time.Time{})))
	return c
}

// Put takes a copy of a packet. It allocates nothing and doesn't wait. comment is what the
// file says of the packet; empty for nothing.
func (c *Capture) Put(at Place, dir Direction, now time.Time, packet []byte, comment string) {
	iface := c.index[at]
	if iface < 0 {
		return
	}
	c.seen[at].Add(1)
	if !c.tryLock() {
		c.lost[at].Add(1)
		return
	}
	defer c.mu.Unlock()
	if c.done {
		return
	}
	kept := packet[:min(len(packet), c.opt.Snaplen)]
	size := packetBlockSize(len(kept), len(comment))
	switch {
	case c.packets == 0 || int64(size) > c.bytes:
		c.done = true
		c.rouse()
		return
	case len(c.filling)+size > cap(c.filling):
		c.lost[at].Add(1)
		return
	}
	c.packets--
	c.bytes -= int64(size)
	c.filling = appendPacket(c.filling, iface, dir, now, kept, len(packet), comment)
	if c.packets == 0 {
		c.done = true
	}
	if c.done || len(c.filling) > wakeAt {
		c.rouse()
	}
}

// tryLock takes the lock, which nobody holds for long; it gives up where somebody does.
func (c *Capture) tryLock() bool {
	for range patience {
		if c.mu.TryLock() {
			return true
		}
	}
	return false
}

// rouse has Write look at once.
func (c *Capture) rouse() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// swap returns what has been taken since the last call, and whether that was all.
func (c *Capture) swap() (full []byte, done bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	full, c.filling, c.spare = c.filling, c.spare[:0], c.filling
	return full, c.done
}

// end takes no more.
func (c *Capture) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.done = true
}

// Write writes the file until a bound is reached or ctx is done, which is no error; an
// error is w's.
func (c *Capture) Write(ctx context.Context, w io.Writer) error {
	begun := time.Now()
	ctx, cancel := context.WithTimeout(ctx, c.opt.Duration)
	defer cancel()
	defer c.end()
	_, err := w.Write(c.header())
	tick := time.NewTicker(writeEvery)
	defer tick.Stop()
	for over := false; err == nil && !over; {
		select {
		case <-ctx.Done():
			c.end()
		case <-tick.C:
		case <-c.wake:
		}
		var full []byte
		if full, over = c.swap(); len(full) > 0 {
			_, err = w.Write(full)
		}
	}
	if err == nil {
		_, err = w.Write(c.statistics(begun, time.Now()))
	}
	if err != nil && !errors.Is(err, context.Canceled) {
		return fmt.Errorf("write the capture: %w", err)
	}
	return nil
}
