package tunnel

import "time"

const (
	// The kernel's send buffer, in bytes as they are asked of it. What waits there delays
	// everybody, so it holds windowTime of what the link has been seen to take.
	windowStart = 256 << 10
	windowLeast = 8 << 10
	windowMost  = 4 << 20
	windowTime  = 5 * time.Millisecond
	windowSpan  = 20 * time.Millisecond // over which the rate is measured at least

	pieceTime = time.Millisecond // how long one message may keep the link
)

// A sendWindow decides how large the kernel's send buffer is: from the rate at which the
// kernel takes data while there is more than it takes. The zero value is a buffer of size 0:
// set the size.
type sendWindow struct {
	size int // of the buffer

	measuring bool
	since     time.Duration
	unsent    int  // was in the buffer then
	bytes     int  // sent since then
	dry       bool // and the buffer has been found empty: the link would have taken more
}

// writable notes that the buffer, in which there are still unsent bytes, takes more, and that
// there is more. It reports true if another size, at this rate (bits per second), is better.
func (w *sendWindow) writable(now time.Duration, unsent int) (rate int64, changed bool) {
	w.dry = w.dry || unsent <= 0
	took := now - w.since
	if !w.measuring {
		w.measure(now, unsent)
		return 0, false
	}
	if took < windowSpan {
		return 0, false
	}
	rate, want := w.taken(took, unsent)
	if w.dry { // we came late: the link is faster than that
		want = max(want, w.size)
	}
	w.measure(now, unsent)
	if want >= w.size*3/4 && want <= w.size*5/4 {
		return 0, false
	}
	w.size = want
	return rate, true
}

// taken is the rate at which bytes have left the buffer, and the size that goes with it.
func (w *sendWindow) taken(took time.Duration, unsent int) (rate int64, want int) {
	rate = int64(float64(max(0, w.bytes+w.unsent-unsent)) * 8 / took.Seconds())
	return rate, min(max(int(float64(rate)/8*windowTime.Seconds()), windowLeast), windowMost)
}

// measure begins to.
func (w *sendWindow) measure(now time.Duration, unsent int) {
	w.measuring, w.since, w.unsent, w.bytes, w.dry = true, now, unsent, 0, unsent <= 0
}

// sent notes that bytes have gone into the buffer.
func (w *sendWindow) sent(n int) { w.bytes += n }

// emptied notes that nothing waits any more: it isn't the link that sets the pace. It returns
// what writable does. So short a time says enough for the size that we begin with, or else
// bursts that are over soon would keep the buffer of a link that was slow once.
func (w *sendWindow) emptied(now time.Duration, unsent int) (rate int64, changed bool) {
	took := now - w.since
	if !w.measuring || took <= 0 {
		w.measuring = false
		return 0, false
	}
	w.measuring = false
	rate, want := w.taken(took, unsent)
	if want = min(want, windowStart); want <= w.size*5/4 {
		return 0, false
	}
	w.size = want
	return rate, true
}

// pieceSize is how many bytes one message may have at a rate in bits per second.
func pieceSize(rate int64) int {
	return int(min(max(float64(rate)/8*pieceTime.Seconds(), minQuantum), maxRunBytes))
}
