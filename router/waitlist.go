package router

import (
	"sync"
	"sync/atomic"

	"landbridge/internal/frame"
	"landbridge/internal/group"
)

// parked is a packet that waits, with where it came from: a host of the segment
// (mac) or a member (from).
type parked struct {
	packet frame.Packet // its Buf ends where the IP packet does; in the waitlist a copy
	mac    frame.MAC    // of the sending host; zero if it came from a member
	from   group.MemberID
}

func (p parked) ip() frame.IPv4 { return header(p.packet) }

// is6 reports whether the packet is IPv6: then header6 reads it, and ip mustn't.
func (p parked) is6() bool { return p.packet.IP()[0]>>4 == 6 }

// size is the memory that p takes up in the waitlist, in bytes.
func (p parked) size() int { return len(p.packet.Buf) + frame.Tailroom }

// waitlist holds the packets that wait for the answer to a question, and says when
// a question has to be asked. It is bounded by question, by member, and in all.
type waitlist struct {
	mu      sync.Mutex
	queues  map[waitKey]*queue
	packets int
	bytes   int
	sources map[group.MemberID]int // questions of kind whoseIsIt, by who sent the packets
	asked   atomic.Int32           // questions of kinds whichMAC and whichMAC6, so that ARP packets cost nothing while none is open
}

type queue struct {
	packets []parked
	bytes   int
	answer  chan struct{} // closed by signal
}

// admission is what became of a packet or a question.
type admission uint8

const (
	refusedFull admission = iota // no room; nothing was kept
	joined                       // kept; the question was asked already
	first                        // kept; the caller must ask the question and then take
)

func newWaitlist() *waitlist {
	return &waitlist{queues: make(map[waitKey]*queue), sources: make(map[group.MemberID]int)}
}

// add keeps a copy of p until the question is answered.
func (w *waitlist) add(k waitKey, p parked) admission {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.packets >= waitPackets || w.bytes+p.size() > waitTotal {
		return refusedFull
	}
	q, a := w.open(k)
	if q == nil {
		return refusedFull
	}
	if len(q.packets) >= waitPerKey || q.bytes+p.size() > waitBytes {
		return refusedFull // open made no new queue: it would be empty
	}
	p.packet.Buf = append(make([]byte, 0, p.size()), p.packet.Buf...)
	q.packets = append(q.packets, p)
	q.bytes += p.size()
	w.packets++
	w.bytes += p.size()
	return a
}

// ask opens a question without a packet.
func (w *waitlist) ask(k waitKey) admission {
	w.mu.Lock()
	defer w.mu.Unlock()
	_, a := w.open(k)
	return a
}

func (w *waitlist) open(k waitKey) (*queue, admission) {
	if q := w.queues[k]; q != nil {
		return q, joined
	}
	if len(w.queues) >= waitKeys || k.question == whoseIsIt && w.sources[k.member] >= waitSources {
		return nil, refusedFull
	}
	q := &queue{answer: make(chan struct{})}
	w.queues[k] = q
	switch k.question {
	case whichMAC, whichMAC6:
		w.asked.Add(1)
	case whoseIsIt:
		w.sources[k.member]++
	}
	return q, first
}

// signal tells whoever waits for the channel of answered(k) that the answer is there.
func (w *waitlist) signal(k waitKey) {
	if w.asked.Load() == 0 {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if q := w.queues[k]; q != nil && q.answer != nil {
		close(q.answer)
		q.answer = nil
	}
}

// answered returns a channel that signal closes; the caller is the one that asked.
func (w *waitlist) answered(k waitKey) <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	if q := w.queues[k]; q != nil && q.answer != nil {
		return q.answer
	}
	closed := make(chan struct{})
	close(closed)
	return closed
}

// take closes the question and returns what waited for it, in order.
func (w *waitlist) take(k waitKey) []parked {
	w.mu.Lock()
	defer w.mu.Unlock()
	q := w.queues[k]
	if q == nil {
		return nil
	}
	delete(w.queues, k)
	switch k.question {
	case whichMAC, whichMAC6:
		w.asked.Add(-1)
	case whoseIsIt:
		if w.sources[k.member]--; w.sources[k.member] == 0 {
			delete(w.sources, k.member)
		}
	}
	w.packets -= len(q.packets)
	w.bytes -= q.bytes
	return q.packets
}
