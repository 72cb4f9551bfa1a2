package appliance

import (
	"fmt"
	"time"

	"landbridge/console/api"
	"landbridge/internal/store"
)

// What the state says of the mode. Pending is on disk before the first change to the
// system, and goes once the appliance is attached as Committed says, or Committed says what
// it is attached as. So whatever a start finds, Committed is where it begins.

// modeRecord is what the state says of the mode; all nil where it was never switched.
type modeRecord struct {
	Committed *committedMode `cbor:"1,keyasint,omitempty"`
	Pending   *pendingMode   `cbor:"2,keyasint,omitempty"`
	Last      *endedSwitch   `cbor:"3,keyasint,omitempty"`
}

// committedMode is the mode that a start takes, and what was configured when it was
// committed: a configuration that says something else now is the later word.
type committedMode struct {
	Setup      setup  `cbor:"1,keyasint"`
	Configured *setup `cbor:"2,keyasint,omitempty"` // nil: nothing
}

// pendingMode is a switch that is neither committed nor undone.
type pendingMode struct {
	To setup `cbor:"1,keyasint"`
}

// endedSwitch is how the last switch ended.
type endedSwitch struct {
	To        setup     `cbor:"1,keyasint"`
	Back      setup     `cbor:"2,keyasint"`
	Confirmed bool      `cbor:"3,keyasint"`
	Why       string    `cbor:"4,keyasint,omitempty"` // it was rolled back
	At        time.Time `cbor:"5,keyasint"`
}

// begin notes that a switch from one setup to another begins; configured is what the
// configuration says, if anything.
func (r modeRecord) begin(from, to setup, configured *setup) modeRecord {
	if r.Committed == nil {
		r.Committed = &committedMode{Setup: from, Configured: configured}
	}
	r.Pending = &pendingMode{To: to}
	return r
}

// commit ends the pending switch: it is what a start takes from now on.
func (r modeRecord) commit(configured *setup, now time.Time) modeRecord {
	r.Last = &endedSwitch{To: r.Pending.To, Back: r.Committed.Setup, Confirmed: true, At: now}
	r.Committed = &committedMode{Setup: r.Pending.To, Configured: configured}
	r.Pending = nil
	return r
}

// undo ends the pending switch: nothing came of it.
func (r modeRecord) undo(why string, now time.Time) modeRecord {
	r.Last = &endedSwitch{To: r.Pending.To, Back: r.Committed.Setup, Why: why, At: now}
	r.Pending = nil
	return r
}

// start decides how a start attaches the appliance, and what the record says from then on.
// The latest decision counts: a committed mode outlives restarts though the configuration
// says still what it said then; a configuration that was changed since wins. remark is for
// the log, empty where there is nothing to say.
func (r modeRecord) start(byDefault setup, configured *setup, now time.Time) (s setup, next modeRecord, remark string) {
	if r.Pending != nil {
		remark = fmt.Sprintf("the switch to %v was not confirmed before the appliance ended", r.Pending.To)
		r = r.undo("the appliance ended before it was confirmed", now)
	}
	switch {
	case r.Committed == nil && configured == nil:
		return byDefault, r, remark
	case r.Committed == nil:
		return *configured, r, remark
	case configured == nil || *configured == r.Committed.Setup:
		return r.Committed.Setup, r, remark
	case r.Committed.Configured != nil && *configured == *r.Committed.Configured:
		if remark == "" {
			remark = fmt.Sprintf("the configuration says %v, as it did before landbridge mode switched to %v, which counts; let the configuration say that too, or nothing of the mode", *configured, r.Committed.Setup)
		}
		return r.Committed.Setup, r, remark
	}
	remark = fmt.Sprintf("the configuration says %v now, which counts from here on, not the %v that landbridge mode switched to before", *configured, r.Committed.Setup)
	r.Committed = nil
	return *configured, r, remark
}

// String names a setup in a sentence: "router mode on eth1".
func (s setup) String() string {
	if s.LANPort == "" {
		return string(s.Mode) + " mode"
	}
	return string(s.Mode) + " mode on " + s.LANPort
}

func (s setup) describe() api.ModeSetup {
	return api.ModeSetup{Mode: api.Mode(s.Mode), LanPort: s.LANPort}
}

// configured returns what the configuration says of the mode, nil where it says nothing.
func (c Config) configured() *setup {
	if !c.ModeGiven {
		return nil
	}
	return &setup{c.Mode, c.LANPort}
}

// modeKey is the one key of its bucket.
const modeKey = "switch"

func modeBucket() store.Bucket[modeRecord] { return store.NewBucket[modeRecord]("mode") }

// mode reads what the state says of the mode.
func (s *state) mode() (r modeRecord, err error) {
	err = s.db.View(func(tx *store.Tx) error {
		r, _, err = modeBucket().Get(tx, []byte(modeKey))
		return err
	})
	return r, err
}

// setMode writes what the state says of the mode; it is on disk when it returns.
func (s *state) setMode(r modeRecord) error {
	err := s.db.Update(func(tx *store.Tx) error { return modeBucket().Put(tx, []byte(modeKey), r) })
	if err != nil {
		return fmt.Errorf("note the mode in the state: %w", err)
	}
	return nil
}
