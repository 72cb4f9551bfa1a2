package throughput

import (
	"sync"
	"time"
)

// What is remembered.
const (
	Seconds = 300  // of the last five minutes
	Minutes = 1440 // of the last day
)

// Rate is a mean, in bits per second.
type Rate struct{ Sent, Received float32 }

// Series are rates one after the other.
type Series struct {
	Step  time.Duration
	Until time.Time // when the last one ended
	Rates []Rate    // the oldest first
}

// History is what it was told of, to a bound. The zero value has been told nothing. Safe for
// concurrent use.
type History struct {
	mu      sync.Mutex
	until   time.Time
	seconds ring[[Seconds]Rate]
	minutes ring[[Minutes]Rate]
	minute  time.Time // when the last of minutes ended
	sum     Rate      // of the seconds since
	summed  int
}

// ring is rates in a circle.
type ring[T any] struct {
	rates T
	n     int // ever put
}

// Add tells of the bytes that went in a span of time that ended at now. A span is as many
// seconds as it comes closest to, and one at least; each has the span's mean.
func (h *History) Add(now time.Time, span time.Duration, sent, received uint64) {
	if span <= 0 {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	r := Rate{float32(8 * float64(sent) / span.Seconds()), float32(8 * float64(received) / span.Seconds())}
	for range min(max(int(span.Round(time.Second)/time.Second), 1), Minutes*60) {
		h.seconds.rates[h.seconds.n%Seconds] = r
		h.seconds.n++
		h.sum.Sent += r.Sent
		h.sum.Received += r.Received
		if h.summed++; h.summed == 60 {
			h.minutes.rates[h.minutes.n%Minutes] = Rate{h.sum.Sent / 60, h.sum.Received / 60}
			h.minutes.n++
			h.sum, h.summed, h.minute = Rate{}, 0, now
		}
	}
	h.until = now
}

// Read returns the last five minutes and the last day.
func (h *History) Read() (seconds, minutes Series) {
	h.mu.Lock()
	defer h.mu.Unlock()
	seconds = Series{Step: time.Second, Until: h.until, Rates: unroll(h.seconds.rates[:], h.seconds.n)}
	minutes = Series{Step: time.Minute, Until: h.minute, Rates: unroll(h.minutes.rates[:], h.minutes.n)}
	return seconds, minutes
}

// unroll returns what a circle has, of which n were ever put into it.
func unroll(circle []Rate, n int) []Rate {
	all := make([]Rate, 0, min(n, len(circle)))
	for i := max(0, n-len(circle)); i < n; i++ {
		all = append(all, circle[i%len(circle)])
	}
	return all
}
