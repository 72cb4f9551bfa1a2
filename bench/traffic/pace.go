package traffic

import (
	"context"
	"time"
)

// pacer keeps a sender at a rate. What it could not send in time it doesn't send later in
// a burst, but for the last slack.
type pacer struct {
	rate float64 // bits per second
	next time.Time
}

const slack = 50 * time.Millisecond

// wait returns when so many bytes may be sent; false where the context has ended.
func (p *pacer) wait(ctx context.Context, bytes int) bool {
	now := time.Now()
	if earliest := now.Add(-slack); p.next.Before(earliest) {
		p.next = earliest
	}
	due := p.next
	p.next = p.next.Add(time.Duration(float64(bytes) * 8 / p.rate * 1e9))
	if !due.After(now) {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(due.Sub(now))
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
