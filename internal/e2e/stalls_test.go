package e2e

import (
	"sync"
	"testing"
	"time"
)

// span is a time between two moments.
type span struct{ from, to time.Time }

func (s span) length() time.Duration { return s.to.Sub(s.from) }

// stalls are the times in which this process couldn't run: of a machine that is busy otherwise, a gap says little.
type stalls struct {
	mu    sync.Mutex
	all   []span
	until time.Time // when it was looked last
	long  time.Duration
}

// newStalls watches until the test ends.
func newStalls(t *testing.T) *stalls {
	s := &stalls{until: time.Now()}
	done := make(chan struct{})
	var running sync.WaitGroup
	running.Go(func() {
		tick := time.NewTicker(streamPause)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case <-tick.C:
			}
			s.look(time.Now())
		}
	})
	t.Cleanup(func() { close(done); running.Wait() })
	return s
}

// look is called each streamPause, or as soon as this process can run.
func (s *stalls) look(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	late := span{s.until.Add(streamPause), now}
	s.until = now
	s.long = max(s.long, late.length())
	if late.length() > streamPause {
		s.all = append(s.all, late)
	}
}

// worst returns the longest since it was asked last.
func (s *stalls) worst() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	long := s.long
	s.long = 0
	return long
}

// within returns how long this process stood still in a time that has passed.
func (s *stalls) within(when span) (total time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.until.Before(when.to) { // the end of the last one isn't known yet
		s.mu.Unlock()
		<-time.After(streamPause)
		s.mu.Lock()
	}
	for _, one := range s.all {
		if one.from.Before(when.from) {
			one.from = when.from
		}
		if one.to.After(when.to) {
			one.to = when.to
		}
		total += max(0, one.length())
	}
	return total
}

func TestWhatThisProcessStandsStillIsNoGapOfTheStreams(t *testing.T) {
	t.Parallel()
	began := time.Now()
	machine := &stalls{until: began}
	st := &stream{at: began, machine: machine}
	for ms := 10; ms <= 8000; ms += 10 {
		now := began.Add(time.Duration(ms) * time.Millisecond)
		runs := ms <= 1000 || ms >= 3000
		if runs {
			machine.look(now)
		}
		if runs && (ms <= 5000 || ms >= 6500) {
			st.take(st.came+1, now)
		}
	}
	if worst, ours := st.judged(); worst != 2*time.Second || ours != 1500*time.Millisecond {
		t.Errorf("nothing came for %v, and for %v without what this process stood still", worst, ours)
	}
	if worst, ours := st.judged(); worst != 0 || ours != 0 {
		t.Errorf("it doesn't begin anew: %v, %v", worst, ours)
	}
}
