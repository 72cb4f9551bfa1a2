package pid1

import (
	"testing"
	"time"
)

func TestATimeServerCanMoveTheClockOnlySoFar(t *testing.T) {
	built := time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)
	const day = 24 * time.Hour
	tests := map[string]struct {
		now      time.Time
		offset   time.Duration
		first    bool
		believed bool
	}{
		"the first, far off":           {built, 400 * day, true, true},
		"the first, back a little":     {built.Add(30 * day), -29 * day, true, true},
		"before the image":             {built.Add(30 * day), -31 * day, true, false},
		"far ahead":                    {built, 11 * 365 * day, true, false},
		"later, a little":              {built.Add(day), 4 * time.Minute, false, true},
		"later, back a little":         {built.Add(day), -4 * time.Minute, false, true},
		"later, by an hour":            {built.Add(day), time.Hour, false, false},
		"later, back by an hour":       {built.Add(day), -time.Hour, false, false},
		"later, back before the image": {built.Add(time.Minute), -2 * time.Minute, false, false},
	}
	for what, tt := range tests {
		if err := believe(tt.now, built, tt.offset, tt.first); (err == nil) != tt.believed {
			t.Errorf("%s: %v", what, err)
		}
	}
	if err := believe(built, time.Time{}, 100*365*day, true); err != nil {
		t.Errorf("it isn't known when the image was made: %v", err)
	}
}
