package codel

import (
	"testing"
	"time"
)

func TestWhatCouldNotBeToldIsNotMadeUpFor(t *testing.T) {
	var l Law
	now, due := time.Minute, 0
	for end := now + time.Minute; now < end; now += ms {
		if l.Due(now, 100*ms) {
			due++
		}
	}
	if due < 59_000 {
		t.Errorf("due with %d of 60,000", due)
	}
	told := 0
	for end := now + 500*ms; now < end; now += ms {
		if l.Due(now, 100*ms) {
			l.Told(now, 100*ms)
			told++
		}
	}
	if told < 5 || told > 20 {
		t.Errorf("told %d times in 500 ms", told)
	}
	l.Calm()
	if l.Due(now, 100*ms) || l.Due(now+99*ms, 100*ms) || !l.Due(now+100*ms, 100*ms) {
		t.Error("after a calm moment it isn't due in an interval")
	}
}
