package strangers

import (
	"testing"
	"time"
)

// Listening to frames to unknown stations must not cost more than it tells.
func TestTheEarPausesWhereMuchIsSentToUnknownStations(t *testing.T) {
	heard, on := uint64(0), false
	e := &ear{heard: func() uint64 { return heard }, listen: func(to bool) { on = to }}
	now := time.Now()
	turn := func(frames uint64) bool {
		heard += frames
		now = now.Add(earInterval)
		e.turn(now)
		return on
	}
	if !turn(0) || !turn(earMost) || turn(earMost+1) || turn(0) {
		t.Fatal("it listens at first and with few frames, and pauses after many")
	}
	for range int(earPause / earInterval) {
		turn(0)
	}
	if !on || !turn(0) {
		t.Error("it doesn't listen again")
	}
}
