package appliance

import (
	"strings"
	"testing"
	"time"

	"landbridge/internal/group"
	"landbridge/internal/health"
)

func TestAClockIsReadInTheMiddleOfTheQuestion(t *testing.T) {
	asked := time.Now()
	came := asked.Add(40 * time.Millisecond)
	r := readClock(asked, came, asked.Round(0).Add(10*time.Second+20*time.Millisecond))
	if r.offset != 10*time.Second || r.within != 20*time.Millisecond {
		t.Errorf("%+v, want 10 s ahead within 20 ms", r)
	}
	if got := r.now(came.Add(time.Hour)); got != 10*time.Second {
		t.Errorf("an hour later: %v", got)
	}
	// Without a monotonic part, as after the clock was set, the difference of both is all there is.
	r.at = r.at.Round(0)
	if got := r.now(came.Round(0).Add(time.Hour)); got != 10*time.Second {
		t.Errorf("by the wall alone: %v", got)
	}
}

func TestAClockThatIsOffIsToldByTheMiddleOfTheOthers(t *testing.T) {
	var c clocks
	now := time.Now()
	var members []group.MemberID
	for i, offset := range []time.Duration{-time.Hour, 7 * time.Second, 8 * time.Second} { // one of them is wrong itself
		m := group.MemberID{byte(i + 1)}
		members = append(members, m)
		c.note(m, reading{offset: offset, at: now})
	}
	off, of := c.median(members, now)
	if off != 7*time.Second || of != 3 {
		t.Errorf("the middle of %d is %v", of, off)
	}
	if f := clockFinding(off, of); !strings.Contains(f.Text, "7s behind") || f.Remedy == "" {
		t.Errorf("%+v", f)
	}
	if f := clockFinding(-9*time.Second, 1); !strings.Contains(f.Text, "9s ahead of that of the only other") {
		t.Errorf("%+v", f)
	}
	for _, fine := range []health.Finding{clockFinding(clockTolerance, 3), clockFinding(time.Hour, 0)} {
		if fine != (health.Finding{}) {
			t.Errorf("%+v", fine)
		}
	}
}
