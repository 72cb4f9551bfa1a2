package neighbourhood

import (
	"testing"
	"time"
)

const ms = time.Millisecond

// run asks every interval from the clock's time on for so long, with answers after trip (none: they
// never come), and returns after how long the signs weren't fresh any more; all of it if they were.
func (s *signs) run(from, long, trip time.Duration) time.Duration {
	type answer struct{ left, at time.Duration }
	var due []answer
	for now := from; now < from+long; now += WANInterval {
		left := s.pass(now)
		for len(due) > 0 && due[0].at <= now {
			s.answered(due[0].left, due[0].at-due[0].left)
			due = due[1:]
		}
		if trip >= 0 {
			due = append(due, answer{left, left + trip})
		}
		if !s.fresh(wanPatience) {
			return now - from
		}
	}
	return long
}

const never = time.Duration(-1)

func TestAWANThatSwallowsEverythingIsNoticedBeforeTCPTriesTwice(t *testing.T) {
	for _, trip := range []time.Duration{0, ms, 10 * ms, 40 * ms} {
		var s signs
		s.begin(0, true)
		if took := s.run(0, 10*time.Second, trip); took != 10*time.Second {
			t.Fatalf("round trip %v: a WAN that works was given up after %v", trip, took)
		}
		if took := s.run(10*time.Second, 5*time.Second, never); took > 400*ms || took < 100*ms {
			t.Errorf("round trip %v: noticed after %v", trip, took)
		}
	}
}

func TestAWANWhoseQueueFillsIsNotGivenUp(t *testing.T) {
	var s signs
	s.begin(0, true)
	now := time.Duration(0)
	for trip := 20 * ms; trip < 700*ms; trip += 50 * ms { // half a second of queue in a second
		if took := s.run(now, WANInterval, 20*ms); took != WANInterval {
			t.Fatalf("given up at %v", now)
		}
		now += WANInterval
		s.answered(s.clock-trip, trip)
	}
}

func TestAStallOfThisProcessIsNoFaultOfTheWAN(t *testing.T) {
	var s signs
	s.begin(0, true)
	s.run(0, 2*time.Second, ms)
	if took := s.run(7*time.Second, time.Second, ms); took != time.Second { // 5 s later than the last
		t.Errorf("after a stall the WAN was given up after %v", took)
	}
}

func TestAWANWithoutConnectionsIsGoodWhenItAnswers(t *testing.T) {
	var s signs
	s.begin(0, false)
	if s.pass(WANInterval); s.fresh(returnPatience) {
		t.Error("good before anybody has answered")
	}
	s.answered(s.clock, ms)
	if !s.fresh(returnPatience) {
		t.Error("not good though a member has answered")
	}
}

func TestAWANThatWasGivenUpIsNotGoodForAnOldAnswer(t *testing.T) {
	var s signs
	s.begin(0, true)
	s.run(0, time.Second, ms)
	asked := s.clock
	s.run(time.Second, time.Second, never)
	if s.fresh(returnPatience) {
		t.Error("good again for the patience alone")
	}
	s.answered(asked, 900*ms)
	if s.fresh(returnPatience) {
		t.Error("good again by an answer to what was asked before")
	}
	s.answered(s.pass(2*time.Second), ms)
	if !s.fresh(returnPatience) {
		t.Error("a new answer isn't taken")
	}
}
