package modes

import (
	"fmt"
	"time"

	"landbridge/internal/store"
)

// What the state says of the mode. Pending is on disk before the first change to the
// system, and goes once the appliance is attached as Committed says, or Committed says what
// it is attached as. So whatever a start finds, Committed is where it begins.

// Record is what the state says of the mode; all nil where it was never switched.
type Record struct {
	Committed *Committed `cbor:"1,keyasint,omitempty"`
	Pending   *Pending   `cbor:"2,keyasint,omitempty"`
	Last      *Ended     `cbor:"3,keyasint,omitempty"`
}

// Committed is the mode that a start takes, and what was configured when it was
// committed: a configuration that says something else now is the later word.
type Committed struct {
	Setup      Setup  `cbor:"1,keyasint"`
	Configured *Setup `cbor:"2,keyasint,omitempty"` // nil: nothing
}

// Pending is a switch that is neither committed nor undone.
type Pending struct {
	To Setup `cbor:"1,keyasint"`
}

// Ended is how the last switch ended.
type Ended struct {
	To        Setup     `cbor:"1,keyasint"`
	Back      Setup     `cbor:"2,keyasint"`
	Confirmed bool      `cbor:"3,keyasint"`
	Why       string    `cbor:"4,keyasint,omitempty"` // it was rolled back
	At        time.Time `cbor:"5,keyasint"`
}

// begin notes that a switch from one setup to another begins; configured is what the
// configuration says, if anything.
func (r Record) begin(from, to Setup, configured *Setup) Record {
	if r.Committed == nil {
		r.Committed = &Committed{Setup: from, Configured: configured}
	}
	r.Pending = &Pending{To: to}
	return r
}

// commit ends the pending switch: it is what a start takes from now on.
func (r Record) commit(configured *Setup, now time.Time) Record {
	r.Last = &Ended{To: r.Pending.To, Back: r.Committed.Setup, Confirmed: true, At: now}
	r.Committed = &Committed{Setup: r.Pending.To, Configured: configured}
	r.Pending = nil
	return r
}

// undo ends the pending switch: nothing came of it.
func (r Record) undo(why string, now time.Time) Record {
	r.Last = &Ended{To: r.Pending.To, Back: r.Committed.Setup, Why: why, At: now}
	r.Pending = nil
	return r
}

// Start decides how a start attaches the appliance, and what the record says from then on.
// The latest decision counts: a committed mode outlives restarts though the configuration
// says still what it said then; a configuration that was changed since wins. remark is for
// the log, empty where there is nothing to say.
func (r Record) Start(byDefault Setup, configured *Setup, now time.Time) (s Setup, next Record, remark string) {
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

// recordKey is the one key of its bucket.
const recordKey = "switch"

func bucket() store.Bucket[Record] { return store.NewBucket[Record]("mode") }

// Read reads what the state says of the mode.
func Read(db *store.DB) (r Record, err error) {
	err = db.View(func(tx *store.Tx) error {
		r, _, err = bucket().Get(tx, []byte(recordKey))
		return err
	})
	return r, err
}

// Write writes what the state says of the mode; it is on disk when it returns.
func Write(db *store.DB, r Record) error {
	err := db.Update(func(tx *store.Tx) error { return bucket().Put(tx, []byte(recordKey), r) })
	if err != nil {
		return fmt.Errorf("note the mode in the state: %w", err)
	}
	return nil
}
