package tunnel

import (
	"testing"
	"time"
)

// drainedAt has a link of a rate (bits per second) drain a buffer that is filled up whenever
// half of it is empty, we come late each time, until its size has settled. It returns the time.
func drainedAt(w *sendWindow, now time.Duration, rate float64, late time.Duration) time.Duration {
	unsent := w.size
	for range 2000 {
		took := time.Duration(float64(max(0, unsent-w.size/2))*8/rate*1e9) + late
		now += took
		unsent = max(0, unsent-int(rate/8*took.Seconds()))
		w.writable(now, unsent)
		if n := w.size - unsent; n > 0 {
			w.sent(n)
			unsent = w.size
		}
	}
	return now
}

func TestTheSendBufferFollowsTheLink(t *testing.T) {
	w, now := sendWindow{size: windowStart}, time.Hour
	for _, c := range []struct {
		rate        float64
		least, most int
	}{
		{10e6, windowLeast, windowLeast},
		{1e9, 500_000, 800_000},
		{100e6, 50_000, 80_000},
		{100e9, windowMost, windowMost},
		{1e6, windowLeast, windowLeast},
	} {
		now = drainedAt(&w, now, c.rate, 10*time.Microsecond)
		if w.size < c.least || w.size > c.most {
			t.Errorf("at %v Mbit/s the buffer is %d bytes", c.rate/1e6, w.size)
		}
	}
}

// Where we come too late for a buffer the link runs dry, and what it took says little of what
// it could take.
func TestASendBufferThatRunsDryDoesNotShrink(t *testing.T) {
	w := sendWindow{size: windowLeast}
	now := drainedAt(&w, time.Hour, 1e9, 2*time.Millisecond)
	if w.size < 250_000 {
		t.Errorf("the buffer is %d bytes: 2 ms of the link are %d", w.size, 250_000)
	}
	before := w.size
	drainedAt(&w, now, 1e9, 50*time.Millisecond)
	if w.size < before {
		t.Errorf("from %d bytes the buffer has shrunk to %d", before, w.size)
	}
}

// On a link that has become faster bursts leave before its rate is measured for long.
func TestBurstsOnAFasterLinkGetALargerBuffer(t *testing.T) {
	for _, c := range []struct {
		rate float64
		want int
	}{{10e6, windowLeast}, {1e9, windowStart}} {
		w := sendWindow{size: windowStart}
		now := drainedAt(&w, time.Hour, 10e6, 10*time.Microsecond)
		w.emptied(now, w.size)
		for range 100 { // bursts of 100,000 bytes, the first of it in the buffer at once
			now += 500 * time.Millisecond
			unsent := w.size
			for left := 100_000 - w.size; left > 0; {
				took := time.Duration(float64(unsent-w.size/2) * 8 / c.rate * 1e9)
				now, unsent = now+took, w.size/2
				w.writable(now, unsent)
				n := min(left, w.size-unsent)
				w.sent(n)
				left, unsent = left-n, unsent+n
			}
			w.emptied(now+time.Microsecond, unsent)
		}
		if w.size != c.want {
			t.Errorf("at %v Mbit/s the buffer is %d bytes", c.rate/1e6, w.size)
		}
	}
}

func TestTheSendBufferIsSetRarely(t *testing.T) {
	w := sendWindow{size: windowStart}
	sets := 0
	now := time.Hour
	for i := range 10_000 { // a millisecond each, of a link of 100 Mbit/s that varies by a tenth
		now += time.Millisecond
		if _, changed := w.writable(now, 30_000); changed {
			sets++
		}
		w.sent(12_500 + (i%3-1)*1_250)
		if i%100 == 99 {
			w.emptied(now, 30_000) // nothing waits for a while
			now += time.Second
		}
	}
	if sets < 1 || sets > 2 {
		t.Errorf("set %d times in 10 s", sets)
	}
}

func TestAMessageKeepsASlowLinkForAMomentOnly(t *testing.T) {
	for rate, want := range map[int64]int{1e6: minQuantum, 100e6: 12_500, 100e9: maxRunBytes} {
		if got := pieceSize(rate); got != want {
			t.Errorf("%d bytes at %d bit/s, want %d", got, rate, want)
		}
	}
}
