package beacon

import "time"

// Signature checks that may be caused in a second; one costs some 50 µs. A member sends
// 2 beacons a second, a router up to 22 to another, and each a few more when something changes.
const (
	memberRate    = 45
	strangersRate = 64 // all that aren't known yet together
	totalRate     = 600
	expectedRate  = 300 // beyond all of these: frames that answer what nobody else was told
	appointedRate = 20
)

// budget is a token bucket that holds what a second brings.
type budget struct {
	rate   float64 // a second
	tokens float64
	at     time.Time
}

func newBudget(rate float64, now time.Time) budget { return budget{rate: rate, tokens: rate, at: now} }

func (b *budget) spend(now time.Time) bool {
	b.tokens = min(b.rate, b.tokens+max(0, now.Sub(b.at).Seconds())*b.rate)
	b.at = now
	if b.tokens < 1 {
		return false
	}
	b.tokens--
	return true
}
