package modes

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"landbridge/internal/health"
)

// applianceFake is attached as it was told last.
type applianceFake struct {
	mu       sync.Mutex
	now      Setup
	unfit    map[Setup]int // so many attempts to attach it so fail
	verified error
	written  []Record
	full     int // the disk, from so many records on; 0: never
	troubles map[string]health.Trouble
}

func (f *applianceFake) Now() Setup {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.now
}

func (f *applianceFake) Witness(context.Context) func(context.Context) error {
	return func(context.Context) error { return f.verified }
}

func (f *applianceFake) Reattach(to Setup) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.now = to
	if f.unfit[to] > 0 {
		f.unfit[to]--
		return errors.New("the port is in use")
	}
	return nil
}

func (f *applianceFake) report(t health.Trouble) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.troubles[t.Key] = t; t.Text == "" {
		delete(f.troubles, t.Key)
	}
}

func (f *applianceFake) told(key string) health.Trouble {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.troubles[key]
}

// onDisk is what the state says of the mode.
func (f *applianceFake) onDisk() Record {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.written[len(f.written)-1]
}

// switching has body switch an appliance that is in interface mode.
func switching(t *testing.T, f *applianceFake, body func(s *Switcher)) {
	synctest.Test(t, func(t *testing.T) {
		f.now, f.troubles = asInterface, make(map[string]health.Trouble)
		s := New(t.Context(), Record{}, Config{
			Appliance: f, Turn: new(sync.Mutex), Report: f.report, Log: slog.New(slog.DiscardHandler),
			Write: func(r Record) error {
				f.mu.Lock()
				defer f.mu.Unlock()
				if f.full > 0 && len(f.written) >= f.full {
					return errors.New("no space left on device")
				}
				f.written = append(f.written, r)
				return nil
			},
		})
		defer s.Close()
		body(s)
	})
}

// run begins a switch to router mode, as who has the turn.
func run(s *Switcher, confirmed bool) error {
	s.Turn.Lock()
	defer s.Turn.Unlock()
	return s.Run(asRouter, time.Minute, confirmed)
}

func TestASwitchThatNobodyConfirmsIsUndone(t *testing.T) {
	f := &applianceFake{}
	switching(t, f, func(s *Switcher) {
		if err := run(s, false); err != nil {
			t.Fatal(err)
		}
		if got := s.Status(); got.Phase != Waiting || time.Until(got.Deadline) != time.Minute || f.Now() != asRouter || f.onDisk().Pending == nil {
			t.Errorf("applied: %+v, in %v", got, f.Now())
		}
		if s.Settled() == nil || s.Waiting() != nil || f.told("pending").Text == "" {
			t.Error("it isn't told, or another may begin meanwhile")
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		got := s.Status()
		if got.Phase != 0 || f.Now() != asInterface || f.onDisk().Pending != nil || !strings.Contains(f.onDisk().Last.Why, "nobody confirmed it within 1m") {
			t.Errorf("after its time: %+v, in %v, on disk %+v", got, f.Now(), f.onDisk())
		}
		if err := s.Waiting(); s.Settled() != nil || !strings.Contains(err.Error(), "was rolled back: nobody confirmed") || f.told("pending").Text != "" {
			t.Errorf("it isn't over: %v, told %+v", err, f.told("pending"))
		}
	})
}

func TestASwitchThatIsConfirmedStays(t *testing.T) {
	for name, at := range map[string]bool{"at once": true, "later": false} {
		t.Run(name, func(t *testing.T) {
			f := &applianceFake{}
			switching(t, f, func(s *Switcher) {
				err := run(s, at)
				if !at {
					time.Sleep(time.Minute - 1)
					err = errors.Join(err, s.Commit())
				}
				time.Sleep(time.Hour)
				synctest.Wait()
				if r := f.onDisk(); err != nil || f.Now() != asRouter || r.Pending != nil || r.Committed.Setup != asRouter || f.told("pending").Text != "" {
					t.Errorf("%v; in %v, on disk %+v", err, f.Now(), r)
				}
			})
		})
	}
}

func TestASwitchThatCannotBeKeptIsUndoneAtOnce(t *testing.T) {
	f := &applianceFake{full: 1}
	switching(t, f, func(s *Switcher) {
		var refused *Error
		if err := run(s, true); !errors.As(err, &refused) || refused.Kind != Unavailable || !strings.Contains(err.Error(), "no space left") {
			t.Errorf("said %v", err)
		}
		if f.Now() != asInterface || s.Settled() != nil || s.Status().Phase != 0 {
			t.Errorf("in %v, %+v: %v", f.Now(), s.Status(), s.Settled())
		}
	})
}

func TestASwitchThatDoesNotWorkIsUndoneAtOnce(t *testing.T) {
	for name, f := range map[string]*applianceFake{
		"it can't be attached": {unfit: map[Setup]int{asRouter: 1}},
		"it isn't verified":    {verified: errors.New("no member can be reached")},
	} {
		t.Run(name, func(t *testing.T) {
			switching(t, f, func(s *Switcher) {
				var refused *Error
				if err := run(s, true); !errors.As(err, &refused) || refused.Kind != Unavailable || !strings.Contains(err.Error(), "is in interface mode again") {
					t.Errorf("said %v", err)
				}
				if f.Now() != asInterface || s.Settled() != nil || f.onDisk().Last.Confirmed {
					t.Errorf("in %v, on disk %+v", f.Now(), f.onDisk())
				}
			})
		})
	}
}

// The port that the former mode needs has gone, and comes back.
func TestTheFormerModeIsTriedUntilItCanBeHadAgain(t *testing.T) {
	f := &applianceFake{unfit: map[Setup]int{asInterface: 3}, verified: errors.New("no member can be reached")}
	switching(t, f, func(s *Switcher) {
		if err := run(s, false); err == nil || !strings.Contains(err.Error(), "it is tried until it can") {
			t.Errorf("said %v", err)
		}
		if got := s.Status(); got.Phase != Returning || f.told("return").Level != health.Error || s.Waiting() == nil {
			t.Errorf("meanwhile: %+v, told %+v", got, f.told("return"))
		}
		time.Sleep(3 * returnRetry)
		synctest.Wait()
		if s.Settled() != nil || f.told("return").Text != "" || f.onDisk().Pending != nil {
			t.Errorf("in the end: %+v, told %+v", s.Status(), f.told("return"))
		}
	})
}

func TestASwitchThatIsCutOffStaysPendingOnDisk(t *testing.T) {
	f := &applianceFake{}
	switching(t, f, func(s *Switcher) {
		if err := run(s, false); err != nil {
			t.Fatal(err)
		}
		closing := time.Now()
		s.Close()
		if waited := time.Since(closing); waited > 0 {
			t.Errorf("it waits %v for who might confirm", waited)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if f.onDisk().Pending == nil || f.Now() != asRouter {
			t.Errorf("in %v, on disk %+v", f.Now(), f.onDisk())
		}
	})
}
