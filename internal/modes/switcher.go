package modes

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"landbridge/internal/health"
)

// DefaultPatience is how long a switch waits for confirmation where nobody says otherwise.
const DefaultPatience = time.Minute

const returnRetry = time.Second // between attempts to go back

// Appliance is what a Switcher switches. Its methods are called by who has the turn.
type Appliance interface {
	// Now returns how hosts are attached.
	Now() Setup
	// Witness looks at what works before a switch. What it returns finds out whether that still
	// does, and that all is attached as it should be.
	Witness(ctx context.Context) (verify func(ctx context.Context) error)
	// Reattach attaches hosts as to says, or, where that can't be, not at all.
	Reattach(to Setup) error
}

// Config is what a Switcher needs; all of it must be there.
type Config struct {
	Appliance  Appliance
	Turn       sync.Locker          // held by whoever replaces attachments, so that no group comes or goes meanwhile
	Configured *Setup               // what the configuration says of the mode; nil: nothing
	Write      func(Record) error   // has it on disk when it returns
	Report     func(health.Trouble) // where it says nothing is wrong, the trouble is over
	Log        *slog.Logger
}

// Phase is how far a switch that is pending has come.
type Phase uint8

// The phases.
const (
	Applying  Phase = iota + 1 // attaching hosts, and verifying that it works
	Waiting                    // for confirmation
	Returning                  // being undone
)

// Switcher switches how the appliance is attached: one switch at a time, which is applied,
// verified, and then undone by itself unless somebody confirms it in time. See
// record.go for what is on disk when.
//
// It is safe for concurrent use, but for Run, Commit and Back, which are called by who has the
// turn. mu guards the fields, and is never held across a change to the system.
type Switcher struct {
	Config

	ctx    context.Context // ends what waits
	cancel context.CancelFunc
	work   sync.WaitGroup

	mu       sync.Mutex
	record   Record
	phase    Phase
	deadline time.Time   // for confirmation; zero until the switch is applied
	timer    *time.Timer // that rolls back then
}

// New returns a Switcher that works until ctx ends or Close. r is what the state says.
func New(ctx context.Context, r Record, c Config) *Switcher {
	s := &Switcher{Config: c, record: r}
	s.ctx, s.cancel = context.WithCancel(ctx)
	return s
}

// Close ends what waits. A switch that is pending stays so on disk: the next start goes
// back.
func (s *Switcher) Close() {
	s.cancel()
	s.mu.Lock()
	s.stopTimer()
	s.mu.Unlock()
	s.work.Wait()
}

// Status is how a Switcher stands.
type Status struct {
	Record   Record
	Phase    Phase     // zero where no switch is pending
	Deadline time.Time // for confirmation; zero but while that is waited for
}

// Status returns how the Switcher stands.
func (s *Switcher) Status() Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.record.Pending == nil {
		return Status{Record: s.record}
	}
	return Status{s.record, s.phase, s.deadline}
}

// Waiting refuses where no switch waits for confirmation, and says what became of the last.
func (s *Switcher) Waiting() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.record
	switch {
	case r.Pending != nil && s.phase == Waiting:
		return nil
	case r.Pending != nil:
		return conflict(fmt.Errorf("the switch to %v is being undone: nothing is left to confirm", r.Pending.To))
	case r.Last == nil:
		return conflict(errors.New("no switch of the mode waits for confirmation"))
	case r.Last.Confirmed:
		return conflict(fmt.Errorf("no switch of the mode waits for confirmation: the last, to %v, is confirmed already", r.Last.To))
	}
	return conflict(fmt.Errorf("no switch of the mode waits for confirmation: the last, to %v, was rolled back: %s", r.Last.To, r.Last.Why))
}

// stopTimer has nobody wait for confirmation any more. The caller holds mu.
func (s *Switcher) stopTimer() {
	if s.timer != nil && s.timer.Stop() {
		s.work.Done()
	}
	s.timer, s.deadline = nil, time.Time{}
}

// Settled refuses what can't be done during a switch: groups come and go before or after.
func (s *Switcher) Settled() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.record.Pending == nil {
		return nil
	}
	return conflict(fmt.Errorf("the switch to %v is not ended: confirm it (landbridge mode confirm) or go back (landbridge mode rollback) first", s.record.Pending.To))
}

// Run applies and verifies a switch, and has it wait for confirmation, unless it is confirmed.
// What fails is undone when it returns.
func (s *Switcher) Run(to Setup, patience time.Duration, confirmed bool) error {
	verify := s.Appliance.Witness(s.ctx)
	if err := s.begin(to); err != nil {
		return err
	}
	s.Log.Info("mode switch begins", "mode", to.String())
	err := s.Appliance.Reattach(to)
	if err == nil {
		err = verify(s.ctx)
	}
	if err != nil {
		return s.failed(to, err)
	}
	if confirmed {
		if err := s.Commit(); err != nil { // nobody waits who would go back
			return s.failed(to, err)
		}
		return nil
	}
	s.await(patience)
	return nil
}

// begin puts the switch on disk.
func (s *Switcher) begin(to Setup) error {
	s.mu.Lock()
	next := s.record.begin(s.Appliance.Now(), to, s.Configured)
	s.mu.Unlock()
	if err := s.store(next); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.phase = Applying
	return nil
}

// store makes a record the one that counts, on disk first.
func (s *Switcher) store(r Record) error {
	if err := s.Write(r); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.record = r
	return nil
}

// failed goes back from a switch that came to nothing, and says why it did.
func (s *Switcher) failed(to Setup, why error) error {
	if s.ctx.Err() != nil {
		return unavailable(errors.New("the appliance is stopping: the next start goes back to the former mode"))
	}
	s.Log.Warn("mode switch failed", "mode", to.String(), "err", why)
	if err := s.Back(why.Error()); err != nil {
		return err
	}
	return unavailable(fmt.Errorf("the switch to %v failed, and the appliance is in %v again: %w", to, s.Appliance.Now(), why))
}

// await gives the operator time to confirm.
func (s *Switcher) await(patience time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.phase, s.deadline = Waiting, time.Now().Add(patience)
	if s.ctx.Err() != nil {
		return // the next start goes back
	}
	s.work.Add(1)
	s.timer = time.AfterFunc(patience, func() {
		defer s.work.Done()
		s.expire(patience)
	})
	s.report(health.Warning, "pending", health.Finding{
		Text:   fmt.Sprintf("The switch to %v waits for confirmation until %s; otherwise the appliance goes back.", s.record.Pending.To, s.deadline.Format(time.TimeOnly)),
		Remedy: "landbridge mode confirm keeps it, landbridge mode rollback goes back at once.",
	})
}

// expire goes back, unless somebody was faster.
func (s *Switcher) expire(patience time.Duration) {
	s.Turn.Lock()
	defer s.Turn.Unlock()
	s.mu.Lock()
	due := s.record.Pending != nil && s.phase == Waiting && !time.Now().Before(s.deadline) && s.ctx.Err() == nil
	s.mu.Unlock()
	if !due {
		return
	}
	_ = s.Back(fmt.Sprintf("nobody confirmed it within %v", patience)) // it has said so where it failed
}

// settle ends the waiting: nobody has to confirm any more.
func (s *Switcher) settle() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopTimer()
	s.report(health.Warning, "pending", health.Finding{})
}

// report tells what an operator should know of a switch: nothing where that is over.
func (s *Switcher) report(level health.Level, key string, f health.Finding) {
	s.Report(health.Trouble{Level: level, Component: "mode", Key: key, Finding: f})
}

// Commit keeps the mode that was switched to.
func (s *Switcher) Commit() error {
	s.mu.Lock()
	next := s.record.commit(s.Configured, time.Now())
	s.mu.Unlock()
	if err := s.store(next); err != nil {
		return err // it waits on, and goes back
	}
	s.settle()
	s.Log.Info("mode switch confirmed", "mode", next.Committed.Setup.String())
	return nil
}

// Back attaches the appliance as it was before the switch. Where that fails it is tried
// until it succeeds, and the error says so.
func (s *Switcher) Back(why string) error {
	s.settle()
	s.mu.Lock()
	s.phase = Returning
	to := s.record.Committed.Setup
	s.mu.Unlock()
	err := s.tryBack(to, why)
	if err == nil {
		return nil
	}
	s.work.Go(func() { s.keepTrying(to, why) })
	return unavailable(fmt.Errorf("the switch was undone (%s), but %v can't be had again yet: %w; it is tried until it can", why, to, err))
}

func (s *Switcher) tryBack(to Setup, why string) error {
	if err := s.Appliance.Reattach(to); err != nil {
		s.Log.Error("can't go back to the former mode yet", "mode", to.String(), "err", err)
		s.report(health.Error, "return", health.Finding{
			Text:   fmt.Sprintf("No host is attached: going back to %v fails: %v. It is tried again every second.", to, err),
			Remedy: "Mend what it says; if nothing helps, restart the appliance.",
		})
		return err
	}
	s.report(health.Error, "return", health.Finding{})
	s.mu.Lock()
	next := s.record.undo(why, time.Now())
	s.mu.Unlock()
	if err := s.store(next); err != nil { // the next start goes back all the same
		s.Log.Error("the end of the mode switch isn't on disk", "err", err)
		s.mu.Lock()
		s.record = next
		s.mu.Unlock()
	}
	s.Log.Info("mode switch undone", "mode", to.String(), "why", why)
	return nil
}

func (s *Switcher) keepTrying(to Setup, why string) {
	for {
		select {
		case <-s.ctx.Done():
			return
		case <-time.After(returnRetry):
		}
		s.Turn.Lock()
		err := s.ctx.Err()
		if err == nil {
			err = s.tryBack(to, why)
		}
		s.Turn.Unlock()
		if err == nil {
			return
		}
	}
}
