package netlab

import (
	"container/heap"
	"fmt"
	"math/rand/v2"
	"time"
)

// Link says how a cable treats frames, alike in both directions. The zero value is
// a plain veth pair, as fast as the kernel; anything else is carried by this process.
type Link struct {
	Delay   time.Duration // one way
	Jitter  time.Duration // added or taken, evenly spread; order is kept
	Loss    float64       // share of frames lost, 0 to 1, each for itself
	Reorder float64       // share of frames held back, 0 to 1, each for itself: those behind overtake them
	Hold    time.Duration // for how long they are held back, beyond their delay; goes with Reorder
	Rate    int64         // bits per second, of whole Ethernet frames; 0: unlimited
	Queue   int           // bytes that wait where Rate is exceeded; 0: 100 ms of Rate, 64 KiB at least
	MTU     int           // bytes; 0: 1500. Fixed when the port is made
	Managed bool          // carried by this process though nothing is asked yet, for Port.SetLink
}

// plain reports whether the kernel can carry the link alone.
func (l Link) plain() bool {
	l.MTU = 0
	return l == Link{}
}

func (l Link) mtu() int {
	if l.MTU == 0 {
		return 1500
	}
	return l.MTU
}

func (l Link) queue() int {
	if l.Queue > 0 {
		return l.Queue
	}
	return max(64<<10, int(l.Rate/8/10))
}

func (l Link) validate() error {
	switch {
	case l.Delay < 0 || l.Jitter < 0 || l.Hold < 0 || l.Rate < 0 || l.Queue < 0:
		return fmt.Errorf("link %+v: delay, jitter, hold, rate and queue must not be negative", l)
	case !(l.Loss >= 0 && l.Loss <= 1):
		return fmt.Errorf("link %+v: loss is a share between 0 and 1", l)
	case !(l.Reorder >= 0 && l.Reorder <= 1):
		return fmt.Errorf("link %+v: reorder is a share between 0 and 1", l)
	case (l.Reorder > 0) != (l.Hold > 0):
		return fmt.Errorf("link %+v: reorder says how many frames are held back and hold for how long: it takes both", l)
	case l.MTU != 0 && (l.MTU < 576 || l.MTU > maxMTU):
		return fmt.Errorf("link %+v: MTU must be between 576 and %d", l, maxMTU)
	}
	return nil
}

const (
	maxMTU      = 9000
	etherHeader = 14
	maxInFlight = 32 << 20 // bytes on one direction of a link, whatever its delay
)

// fate is what becomes of a frame that enters a link.
type fate int

const (
	carried fate = iota
	held         // back, by Link.Reorder: carried, but later
	lost         // by Link.Loss
	dropped      // the queue before the rate, or the link itself, was full
)

// shaper decides for one direction of a link. Times count from the link's start. It does no I/O.
type shaper struct {
	rng      *rand.Rand
	free     time.Duration // when the transmitter has sent all that waits
	last     time.Duration // when the frame before that isn't held back is due
	inFlight int           // bytes
	frames   frameHeap
	seq      uint64
}

// admit decides about a frame of size bytes that enters at now, and when a frame
// that is carried leaves. Frames that aren't held back keep their order.
func (s *shaper) admit(now time.Duration, link Link, size int) (due time.Duration, f fate) {
	sent := now
	if link.Rate > 0 {
		s.free = max(s.free, now)
		if waiting := float64(s.free-now) / 1e9 * float64(link.Rate) / 8; int(waiting)+size > link.queue() {
			return 0, dropped
		}
		s.free += time.Duration(float64(size) * 8 / float64(link.Rate) * 1e9)
		sent = s.free
	}
	if s.inFlight+size > maxInFlight {
		return 0, dropped
	}
	// A frame that is lost on its way has taken its time on the wire.
	if link.Loss > 0 && s.rng.Float64() < link.Loss {
		return 0, lost
	}
	delay := link.Delay
	if link.Jitter > 0 {
		delay += time.Duration(s.rng.Int64N(int64(2*link.Jitter)+1)) - link.Jitter
	}
	due = max(s.last, sent+max(delay, 0))
	if link.Reorder > 0 && s.rng.Float64() < link.Reorder {
		return due + link.Hold, held
	}
	s.last = due
	return due, carried
}

// push puts a frame on its way. The shaper owns data until pop returns it.
func (s *shaper) push(due time.Duration, data []byte) {
	s.seq++
	s.inFlight += len(data)
	heap.Push(&s.frames, flying{due, s.seq, data})
}

// next returns when the next frame is due.
func (s *shaper) next() (time.Duration, bool) {
	if len(s.frames) == 0 {
		return 0, false
	}
	return s.frames[0].due, true
}

// pop returns a frame that is due at now.
func (s *shaper) pop(now time.Duration) ([]byte, bool) {
	if due, ok := s.next(); !ok || due > now {
		return nil, false
	}
	data := heap.Pop(&s.frames).(flying).data
	s.inFlight -= len(data)
	return data, true
}

// flying is a frame on its way.
type flying struct {
	due  time.Duration
	seq  uint64
	data []byte
}

// frameHeap has the frame that is due first on top; among equals, the older one.
type frameHeap []flying

func (h frameHeap) Len() int { return len(h) }
func (h frameHeap) Less(i, j int) bool {
	return h[i].due < h[j].due || h[i].due == h[j].due && h[i].seq < h[j].seq
}
func (h frameHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *frameHeap) Push(x any)   { *h = append(*h, x.(flying)) }
func (h *frameHeap) Pop() any {
	old := *h
	x := old[len(old)-1]
	old[len(old)-1] = flying{}
	*h = old[:len(old)-1]
	return x
}
