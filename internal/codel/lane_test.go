package codel

import (
	"container/heap"
	"math"
	"slices"
	"testing"
	"time"
)

const mss = 1428 // bytes of a full datagram

// A lane is a simulated bottleneck: a rate with a dumb queue before it, flows that share
// it, and a Queue at its far end. All of it is deterministic.
type lane struct {
	rate   float64                           // bits per second
	buffer int                               // bytes
	delay  time.Duration                     // one way; it may change
	clock  func(time.Duration) time.Duration // the sender's
	off    bool                              // nobody signals
	queue  Queue

	now    time.Duration
	free   time.Duration // when all that waits will have been sent
	events events
	seq    uint64

	log []passage // of our datagrams
}

// passage is a datagram that came out of the bottleneck.
type passage struct {
	at, waited time.Duration
	dropped    bool // by the law
}

func newLane(rate float64, delay time.Duration) *lane {
	return &lane{
		rate: rate, buffer: max(64<<10, int(rate/80)), delay: delay,
		clock: func(t time.Duration) time.Duration { return t },
	}
}

func (l *lane) after(d time.Duration, do func()) {
	l.seq++
	heap.Push(&l.events, event{l.now + d, l.seq, do})
}

func (l *lane) run(until time.Duration) {
	for len(l.events) > 0 && l.events[0].at <= until {
		e := heap.Pop(&l.events).(event)
		l.now = e.at
		e.do()
	}
	l.now = until
}

// enqueue puts a datagram into the bottleneck, which calls out when it has sent it.
func (l *lane) enqueue(size int, out func(waited time.Duration)) {
	l.free = max(l.free, l.now)
	waits := l.free - l.now
	if int(waits.Seconds()*l.rate/8)+size > l.buffer {
		return
	}
	l.free += time.Duration(float64(size*8) / l.rate * 1e9)
	l.after(l.free-l.now, func() { out(waits) })
}

// send sends a datagram of ours; arrived is called if it comes and isn't dropped.
func (l *lane) send(arrived func()) {
	sent := At(l.clock(l.now))
	l.enqueue(mss, func(waited time.Duration) {
		l.after(l.delay, func() {
			dropped := l.queue.Arrived(sent, l.now, mss, 2*l.delay) && !l.off
			if dropped {
				l.queue.Signalled(l.now)
			}
			l.log = append(l.log, passage{l.now, waited, dropped})
			if !dropped {
				arrived()
			}
		})
	})
}

// flood sends traffic that isn't ours and doesn't care, at a rate.
func (l *lane) flood(rate float64, from, to time.Duration) {
	l.after(from-l.now, func() {
		l.enqueue(mss, func(time.Duration) {})
		if next := l.now + time.Duration(mss*8/rate*1e9); next < to {
			l.flood(rate, next, to)
		}
	})
}

// share returns what part of the rate arrived and wasn't dropped, and a percentile of what
// was waited.
func (l *lane) share(t *testing.T, from, to time.Duration, percentile int) (carried float64, waited time.Duration) {
	t.Helper()
	var waits []time.Duration
	good, dropped := 0, 0
	for _, p := range l.log {
		if p.at >= from && p.at < to {
			waits = append(waits, p.waited)
			if p.dropped {
				dropped++
			} else {
				good += mss
			}
		}
	}
	if len(waits) == 0 {
		return 0, 0
	}
	slices.Sort(waits)
	carried, waited = float64(good*8)/l.rate/(to-from).Seconds(), waits[len(waits)*percentile/100]
	t.Logf("%v to %v: %.3f of the rate, waited %v (p50) and %v (p%d), %d dropped", from, to, carried, waits[len(waits)/2], waited, percentile, dropped)
	return carried, waited
}

// A flow is TCP as far as windows go: cubic (RFC 9438), which learns of a loss by three later datagrams.
type flow struct {
	l              *lane
	window, thresh float64
	most, k, reno  float64 // of cubic
	cut            time.Duration
	next, recover  int   // numbers of datagrams
	out            []int // on their way
	heard          time.Duration
	trip           time.Duration
}

func (l *lane) start(flows int) {
	for i := range flows {
		f := &flow{l: l, window: 10, thresh: math.Inf(1)}
		l.after(time.Duration(i)*37*time.Millisecond, func() {
			f.heard = l.now
			f.fill()
			f.watch()
		})
	}
}

// watch is the retransmission timer.
func (f *flow) watch() {
	f.l.after(100*time.Millisecond, func() {
		if f.l.now-f.heard > 300*time.Millisecond+2*f.trip {
			f.out = f.out[:0]
			f.thresh, f.window = max(2, f.window/2), 1
			f.recover, f.heard = f.next, f.l.now
			f.fill()
		}
		f.watch()
	})
}

func (f *flow) fill() {
	for float64(len(f.out)) < f.window {
		n, sent := f.next, f.l.now
		f.next++
		f.out = append(f.out, n)
		f.l.send(func() { f.l.after(f.l.delay, func() { f.acknowledged(n, sent) }) })
	}
}

func (f *flow) acknowledged(n int, sent time.Duration) {
	f.heard, f.trip = f.l.now, f.l.now-sent
	lost := false
	for len(f.out) > 0 && f.out[0] <= n-3 {
		lost = lost || f.out[0] >= f.recover
		f.out = f.out[1:]
	}
	if i := slices.Index(f.out[:min(len(f.out), 3)], n); i >= 0 {
		copy(f.out[1:], f.out[:i])
		f.out = f.out[1:]
	}
	switch {
	case lost:
		f.recover, f.cut = f.next, f.l.now
		f.most = f.window
		f.window = max(2, f.window*0.7)
		f.thresh, f.reno = f.window, f.window
		f.k = math.Cbrt(f.most * 0.3 / 0.4)
	case f.window < f.thresh:
		f.window++
	case n >= f.recover:
		f.reno += 3 * 0.3 / 1.7 / f.window
		t := (f.l.now - f.cut + f.trip).Seconds() - f.k
		want := max(f.most+0.4*t*t*t, f.reno)
		f.window += max(0.01, min(want-f.window, f.window/2)) / f.window
	}
	f.fill()
}

type event struct {
	at  time.Duration
	seq uint64
	do  func()
}

// events has the next one on top.
type events []event

func (e events) Len() int { return len(e) }
func (e events) Less(i, j int) bool {
	return e[i].at < e[j].at || e[i].at == e[j].at && e[i].seq < e[j].seq
}
func (e events) Swap(i, j int) { e[i], e[j] = e[j], e[i] }
func (e *events) Push(x any)   { *e = append(*e, x.(event)) }
func (e *events) Pop() any {
	old := *e
	x := old[len(old)-1]
	*e = old[:len(old)-1]
	return x
}
