package budget

import (
	"sync"
	"time"
)

// Budget is a token bucket: Burst tokens, and one more each Every. Both are set before it is used
// and stay as they are. It is full at first, and safe for concurrent use.
type Budget struct {
	Every time.Duration
	Burst int

	mu     sync.Mutex
	spent  int // tokens that are out
	since  time.Time
	missed int
}

// Take returns whether there is a token now, and then how many asked in vain since the last one.
func (b *Budget) Take(now time.Time) (ok bool, missed int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if back := int(now.Sub(b.since) / b.Every); b.spent > 0 && back > 0 {
		b.spent = max(0, b.spent-back)
		b.since = b.since.Add(time.Duration(back) * b.Every)
	}
	if b.spent == 0 || now.Before(b.since) { // a clock may be set back
		b.since = now
	}
	if b.spent >= b.Burst {
		b.missed++
		return false, 0
	}
	b.spent++
	missed, b.missed = b.missed, 0
	return true, missed
}
