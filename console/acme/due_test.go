package acme

import (
	"testing"
	"time"
)

func TestARenewalIsDueAfterTwoThirdsAndFailuresAreRetriedEverLater(t *testing.T) {
	t.Parallel()
	begins := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	ends := begins.AddDate(0, 0, 90)
	due := Due(begins, ends)
	if want := begins.AddDate(0, 0, 60); !due.Equal(want) {
		t.Errorf("due %v: want %v", due, want)
	}
	began := due.Add(time.Minute)
	for _, c := range []struct {
		a      Attempts
		jitter float64
		want   time.Time
	}{
		{Attempts{}, 0.5, due},
		{Attempts{After: due.Add(time.Hour)}, 0.5, due.Add(time.Hour)},
		{Attempts{Failures: 1, Began: began}, 0, due}, // interrupted: at once
		{Attempts{Failures: 2, Began: began}, 0, began.Add(30 * time.Minute)},
		{Attempts{Failures: 1, Began: began, Failed: true}, 0, began.Add(15 * time.Minute)},
		{Attempts{Failures: 1, Began: began, Failed: true}, 1, began.Add(11*time.Minute + 15*time.Second)},
		{Attempts{Failures: 3, Began: began, Failed: true}, 0, began.Add(time.Hour)},
		{Attempts{Failures: 6, Began: began, Failed: true}, 0, began.Add(8 * time.Hour)},
		{Attempts{Failures: 7, Began: began, Failed: true}, 0, began.Add(12 * time.Hour)},
		{Attempts{Failures: 1 << 40, Began: began, Failed: true}, 0, began.Add(12 * time.Hour)},
		{Attempts{Failures: 1, Began: began, Failed: true, After: began.Add(20 * time.Hour)}, 0, began.Add(20 * time.Hour)},
	} {
		if got := Next(due, c.a, c.jitter); !got.Equal(c.want) {
			t.Errorf("%+v, %v: %v, want %v", c.a, c.jitter, got, c.want)
		}
	}
	for days, want := range map[int]bool{59: false, 61: false, 67: false, 68: true, 100: true} {
		if got := Overdue(begins, ends, begins.AddDate(0, 0, days)); got != want {
			t.Errorf("after %d days: %t", days, got)
		}
	}
}
