package codel

import (
	"testing"
	"time"
)

func TestStampsCompareTheShorterWayRound(t *testing.T) {
	const turn = (1 << stampBits) * Tick
	for _, start := range []time.Duration{0, turn - Tick, turn, 7*turn - 3*Tick, 1 << 62} {
		for _, after := range []int32{0, 1, -1, 1000, -1000, 1<<23 - 1, -1 << 23} {
			later := start + 2*turn + time.Duration(after)*Tick
			if got := At(later).less(At(start)); got != after {
				t.Errorf("%d ticks after %v: %d", after, start, got)
			}
		}
	}
}
