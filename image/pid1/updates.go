package pid1

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"time"

	"landbridge/image/bundle"
	"landbridge/image/slots"
	"landbridge/image/updating"
	"landbridge/internal/store"
)

// updates does what is ordered about the slots, and tells how it stands. Its methods are safe for
// concurrent use.
type updates struct {
	desk    updating.Desk
	keys    []bundle.Key
	log     *slog.Logger
	say     func(...string) // on the screen
	restart func()
	system  slotSystem
	now     bundle.Running // what runs
	slot    string         // in which it does
	state   string         // the directory where the record is

	mu     sync.Mutex
	left   string // the version of GRUB's first choice, where another runs in its place
	record record
	report updating.Report
	busy   bool // with an order; then the machine restarts, or isn't busy again
}

// slotSystem is the disk as far as updates are concerned.
type slotSystem interface {
	// Environment and Slot open GRUB's environment block, and a slot with its size in bytes.
	Environment() (part, error)
	Slot(ctx context.Context, name string) (part, int64, error)
}

// part is a storage that is open.
type part interface {
	slots.Storage
	io.Closer
}

var errOnTrial = errors.New("a version is on trial just now: wait until it is kept, or taken back")

// begin finds out what became of the last update, and tells; the gate is for the version that runs.
func (u *updates) begin(ctx context.Context, lost, tried bool) *gate {
	u.mu.Lock()
	defer u.mu.Unlock()
	var err error
	if !lost {
		if u.record, err = readRecord(u.state); err != nil {
			u.log.Error("what became of updates isn't known", "err", err)
		}
	}
	g, primary := &gate{}, u.primary()
	if u.record.Trial == nil && primary != u.slot {
		u.left = u.record.Versions[primary]
	}
	u.record, g.trial = u.record.started(u.slot, primary, u.now.Version, time.Now())
	g.trial = g.trial || tried // by GRUB's word, where there is no other
	u.report = updating.Report{Slot: u.slot, Version: u.now.Version, Built: u.now.Built, Stage: updating.Idle}
	if g.trial {
		u.report.Stage, u.report.Target, u.report.Until = updating.Trial, u.now.Version, time.Now().Add(trialWithin).UTC()
	}
	if u.record.Trial != nil {
		g.reached = u.record.Trial.Reached
	}
	if !lost {
		u.keepRecord()
	}
	u.tell(ctx)
	return g
}

// primary returns the slot that GRUB starts by itself, or nothing where that can't be read.
func (u *updates) primary() string {
	env, err := u.system.Environment()
	if err != nil {
		u.log.Error("GRUB's environment can't be read", "err", err)
		return ""
	}
	defer env.Close()
	e, err := slots.Read(env)
	if err != nil {
		u.log.Error("GRUB's environment can't be read", "err", err)
	}
	return e.Primary
}

// keepRecord writes the record. Called with mu held.
func (u *updates) keepRecord() {
	if err := u.record.write(u.state); err != nil {
		u.log.Error("what becomes of updates isn't noted", "err", err)
	}
}

// tell has the program and the screen know how it stands. Called with mu held.
func (u *updates) tell(ctx context.Context) {
	u.report.Last, u.report.Other = u.record.Last, ""
	if other, _, err := u.system.Slot(ctx, slots.Other(u.slot)); err == nil {
		if slots.HasSystem(other) {
			u.report.Other = u.record.Versions[slots.Other(u.slot)]
			if u.report.Other == "" {
				u.report.Other = "unknown"
			}
		}
		_ = other.Close()
	}
	u.say(tale(u.record.Last, u.now.Version))
	u.publish()
}

// publish has the program know how it stands. Called with mu held.
func (u *updates) publish() {
	if err := u.desk.Tell(u.report); err != nil {
		u.log.Error("the program isn't told of updates", "err", err)
	}
}

// serve does what is ordered, until ctx is done.
func (u *updates) serve(ctx context.Context) {
	look := time.NewTicker(time.Second)
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-look.C:
		}
		o, ok, err := u.desk.Take()
		if err != nil {
			u.log.Error("an order about updates isn't one", "err", err)
		}
		if ok {
			u.do(ctx, o)
		}
	}
}

// do does what is ordered. What can't be done is told; what comes as the machine restarts already is left.
func (u *updates) do(ctx context.Context, o updating.Order) {
	if u.restarting() {
		u.log.Warn("an order about updates is left, as the machine restarts")
		return
	}
	var version string
	var err error
	switch o.Do {
	case updating.Install:
		version, err = u.install(ctx, o)
	case updating.Rollback:
		version, err = u.rollback(ctx, o.Reached)
	case updating.Dismiss:
		u.mu.Lock()
		u.record.Last = nil
		u.keepRecord()
		u.mu.Unlock()
	default:
		err = fmt.Errorf("there is no order %q: the program is of another version than this", o.Do)
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if err != nil {
		u.log.Error("the update isn't made", "err", err)
		u.report.Stage, u.report.Target, u.report.Done, u.report.Total = updating.Idle, "", 0, 0
		if !errors.Is(err, errOnTrial) {
			u.record.Last = &updating.Outcome{Result: updating.Refused, Version: version, Why: err.Error(), At: time.Now().UTC()}
			u.keepRecord()
		} else {
			u.report.Stage, u.report.Target = updating.Trial, u.now.Version
		}
	}
	if u.report.Stage != updating.Restarting {
		u.tell(ctx)
	}
}

// install puts a bundle into the other slot and has that tried.
func (u *updates) install(ctx context.Context, o updating.Order) (version string, err error) {
	f, err := os.Open(o.Bundle)
	if err != nil {
		return "another version", err
	}
	defer f.Close()
	b, err := u.checked(f, o.Older)
	if b == nil {
		return "another version", err
	}
	m := b.Manifest()
	if err != nil {
		return m.Version, err
	}
	if err := u.start(updating.Writing, m.Version, m.Slot().Size); err != nil {
		return m.Version, err
	}
	u.log.Info("an update is written", "version", m.Version, "slot", slots.Other(u.slot))
	if err := u.write(ctx, b); err != nil {
		return m.Version, err
	}
	if err := u.try(m.Version, o.Reached); err != nil {
		return m.Version, err
	}
	_ = os.Remove(o.Bundle)
	return m.Version, nil
}

// checked reads a bundle whole, and returns it from its beginning; nil where it is none.
func (u *updates) checked(f io.ReadSeeker, older bool) (b *bundle.Reader, err error) {
	if b, err = bundle.Open(f, u.keys); err != nil {
		return nil, err
	}
	if err := b.Manifest().Fits(u.now); err != nil {
		return b, err
	}
	if !older && !b.Manifest().Newer(u.now) {
		return b, fmt.Errorf("it isn't newer than version %s, which runs", u.now.Version)
	}
	if err := b.Copy(func(bundle.File) io.Writer { return nil }); err != nil {
		return b, err
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return b, err
	}
	return bundle.Open(f, u.keys)
}

// start has everybody know what is being done, unless something is already.
func (u *updates) start(stage updating.Stage, target string, total int64) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.report.Stage == updating.Trial {
		return errOnTrial
	}
	if u.busy {
		return errors.New("another update is being made just now")
	}
	u.busy = true
	u.report.Stage, u.report.Target, u.report.Done, u.report.Total = stage, target, 0, total
	u.publish()
	return nil
}

func (u *updates) restarting() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.report.Stage == updating.Restarting
}

// write writes the other slot.
func (u *updates) write(ctx context.Context, b *bundle.Reader) error {
	defer u.idle()
	env, err := u.system.Environment()
	if err != nil {
		return err
	}
	defer env.Close()
	slot, size, err := u.system.Slot(ctx, slots.Other(u.slot))
	if err != nil {
		return err
	}
	defer slot.Close()
	const step = 1 << 20
	var told int64
	return slots.Install(ctx, b, slots.Target{Environment: env, Slot: slot, Size: size, Running: u.slot, Written: func(done, _ int64) {
		if done-told < step {
			return
		}
		told = done
		u.mu.Lock()
		defer u.mu.Unlock()
		u.report.Done = done
		u.publish()
	}})
}

func (u *updates) idle() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.busy = false
}

// try has the other slot be started once, now.
func (u *updates) try(version string, reached bool) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	other := slots.Other(u.slot)
	u.record.Versions[other] = version
	u.record.Trial, u.record.Last = &trial{Version: version, From: u.slot, To: other, Reached: reached}, nil
	err := u.record.write(u.state)
	if err == nil {
		var env part
		if env, err = u.system.Environment(); err == nil {
			err = errors.Join(slots.Try(env, u.slot, other), env.Close())
		}
	}
	if err != nil {
		u.record.Trial = nil
		return err
	}
	u.report.Stage, u.report.Target = updating.Restarting, version
	u.say(fmt.Sprintf("The machine restarts with version %s, on trial: unless it is well within %v, version %s comes back.", version, trialWithin, u.now.Version))
	u.publish()
	u.restart()
	return nil
}

// rollback has the other slot be started once, as it is.
func (u *updates) rollback(ctx context.Context, reached bool) (version string, err error) {
	u.mu.Lock()
	version = u.record.Versions[slots.Other(u.slot)]
	u.mu.Unlock()
	if version == "" {
		version = "the other version"
	}
	if slots.Other(u.slot) == "" {
		return version, errors.New("the running slot isn't known: the machine wasn't started by the image's boot loader")
	}
	other, _, err := u.system.Slot(ctx, slots.Other(u.slot))
	if err != nil {
		return version, err
	}
	there := slots.HasSystem(other)
	if err := other.Close(); err != nil || !there {
		return version, errors.Join(err, fmt.Errorf("there is no other version: slot %s is empty", slots.Other(u.slot)))
	}
	if err := u.start(updating.Restarting, version, 0); err != nil {
		return version, err
	}
	defer u.idle()
	return version, u.try(version, reached)
}

// keep makes the slot that runs the primary one, as it is well.
func (u *updates) keep(ctx context.Context) {
	u.mu.Lock()
	defer u.mu.Unlock()
	env, err := u.system.Environment()
	if err == nil {
		var changed bool
		changed, err = slots.Keep(env, u.slot)
		err = errors.Join(err, env.Close())
		if changed && err == nil {
			u.log.Info("the running slot is the primary now", "slot", u.slot)
		}
	}
	if err != nil {
		u.log.Error("the running slot wasn't kept", "slot", u.slot, "err", err)
		return
	}
	if u.report.Stage != updating.Trial && u.left == "" {
		return
	}
	u.record = u.record.ended(updating.Kept, "", time.Now())
	if u.left != "" {
		u.record.Last = &updating.Outcome{Result: updating.Left, Version: u.left, Why: "its slot can't be read, or it ended three times before it was well", At: time.Now().UTC()}
		u.left = ""
	}
	u.report.Stage, u.report.Target, u.report.Until = updating.Idle, "", time.Time{}
	u.keepRecord()
	u.tell(ctx)
}

// cameUp has GRUB know that the start of the slot that runs came to something, without making it the primary one.
func (u *updates) cameUp() {
	u.mu.Lock()
	defer u.mu.Unlock()
	env, err := u.system.Environment()
	if err == nil {
		err = errors.Join(slots.CameUp(env, u.slot), env.Close())
	}
	if err != nil {
		u.log.Error("GRUB doesn't know that the slot that runs came up", "slot", u.slot, "err", err)
	}
}

// giveUp notes why the version that runs isn't well, and restarts into the one before.
func (u *updates) giveUp(why string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.log.Error("the version on trial is given up", "version", u.now.Version, "err", why)
	if u.record.Trial != nil {
		u.record.Trial.Why = why
		u.keepRecord()
	}
	u.say(fmt.Sprintf("This version isn't well: %s. The machine restarts with the one before.", why))
	u.restart()
}

// runningVersion is what runs on this machine.
func runningVersion(version string) bundle.Running {
	return bundle.Running{Version: version, Built: built(), Arch: architecture(), Schema: store.Schema}
}
