package strangers

import (
	"testing"
	"time"
)

// Those that are known are many more than may be attended to at a time, and may all be due at once.
func TestThoseThatAreKnownAreAttemptedOnlySoManyAtATime(t *testing.T) {
	l := newLimiter(limits{known: 9, atOnce: 3, burst: 9, every: time.Second, patience: 1, patienceMost: 1},
		func(*conduct[struct{}], time.Time) bool { return true })
	now := time.Now()
	for i := range l.known {
		if !l.begin(staticOf(i), now) {
			t.Fatalf("the %dth isn't attempted", i+1)
		}
		l.vain(l.end(staticOf(i)), now)
	}
	now = now.Add(1)
	for i := range l.known {
		if begun := l.begin(staticOf(i), now); begun != (i < l.atOnce) {
			t.Errorf("number %d at a time: %t", i+1, begun)
		}
	}
	l.vain(l.end(staticOf(0)), now)
	if !l.begin(staticOf(l.atOnce), now) {
		t.Error("where one has ended, the next isn't attempted")
	}
}
