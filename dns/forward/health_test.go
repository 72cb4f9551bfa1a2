package forward

import (
	"context"
	"slices"
	"testing"
	"time"
)

// Whoever is told keeps what is told last.
func TestHowAZoneDoesIsToldInTheOrderInWhichItCameAbout(t *testing.T) {
	t.Parallel()
	var told []bool
	back := make(chan struct{})
	var f *Forwarder
	f = New(nil, func(r Report) {
		if r.Failing { // it answers again while this is being told
			go func() {
				defer close(back)
				f.note(f.zones["."], f.zones["."].servers[0], nil)
			}()
			select {
			case <-back: // the other one has been told before
			case <-time.After(100 * time.Millisecond):
			}
		}
		told = append(told, r.Failing)
	})
	t.Cleanup(f.Close)
	f.Set(at("192.0.2.1:53", "."))
	for range failingAfter {
		f.note(f.zones["."], f.zones["."].servers[0], context.DeadlineExceeded)
	}
	<-back
	if !slices.Equal(told, []bool{true, false}) {
		t.Errorf("told that it fails: %v", told)
	}
}

func TestAZoneThatFailsAndIsForwardedNoMoreIsToldAsFailingNoMore(t *testing.T) {
	var told []Report
	f := New(nil, func(r Report) { told = append(told, r) })
	t.Cleanup(f.Close)
	f.Set(at("192.0.2.1:53", "a.", "b."))
	for range failingAfter {
		f.note(f.zones["a."], f.zones["a."].servers[0], context.DeadlineExceeded)
	}
	f.Set(at("192.0.2.1:53", "a.", "b."))
	if len(told) != 1 || !told[0].Failing {
		t.Fatalf("told: %+v", told)
	}
	f.Set(at("192.0.2.1:53", "b."))
	if len(told) != 2 || told[1].Failing || told[1].Name != "a." {
		t.Errorf("told: %+v", told)
	}
}
