package updating

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Where things are on the image.
const (
	Dir      = "/run/landbridge-updates"
	KeysFile = "/etc/landbridge-update.keys" // by which updates are taken: bundle.ParseKeys
)

const (
	orderFile  = "order"
	reportFile = "report"
	warnFile   = "warnings"
	maxFile    = 256 << 10 // bytes
)

// Action is what is ordered.
type Action string

// The orders that there are.
const (
	Install  Action = "install"  // the bundle into the other slot, and a trial of that
	Rollback Action = "rollback" // a trial of the other slot as it is
	Dismiss  Action = "dismiss"  // how the last update ended is known
)

// Order is what the program wants done.
type Order struct {
	Do     Action `json:"do"`
	Bundle string `json:"bundle,omitempty"` // its file; Install
	Older  bool   `json:"older,omitempty"`  // one that isn't newer will do
	// Reached says that other members are reached now: then they must be in the trial.
	Reached bool `json:"reached,omitempty"`
}

// Stage is what is being done.
type Stage string

// The stages that there are.
const (
	Idle       Stage = "idle"
	Writing    Stage = "writing"    // the other slot
	Restarting Stage = "restarting" // into the other slot
	Trial      Stage = "trial"      // of the slot that runs
)

// Result is how an update ended.
type Result string

// The results that there are.
const (
	Kept      Result = "kept"      // what was tried runs well
	TakenBack Result = "takenBack" // it didn't, and what ran before runs again
	Refused   Result = "refused"   // nothing was changed
	Left      Result = "left"      // it was in use, didn't come up any more, and what is in the other slot runs
)

// Outcome is how an update, or a way back, ended.
type Outcome struct {
	Result  Result    `json:"result"`
	Version string    `json:"version"`       // that was to run
	Why     string    `json:"why,omitempty"` // a clause: "the console didn't answer"
	At      time.Time `json:"at"`
}

// Report is how it stands with updates.
type Report struct {
	Slot    string    `json:"slot"` // that runs: A or B
	Version string    `json:"version"`
	Built   time.Time `json:"built"`
	Other   string    `json:"other,omitempty"` // the version in the other slot; empty: none
	Stage   Stage     `json:"stage"`
	Target  string    `json:"target,omitempty"` // the version that is written, or started
	Done    int64     `json:"done,omitempty"`   // bytes of Total that are written
	Total   int64     `json:"total,omitempty"`
	Until   time.Time `json:"until,omitzero"` // the trial's end at the latest
	Last    *Outcome  `json:"last,omitempty"`
}

// Bounds of what the program is told isn't well. The screen shows it whole.
const (
	maxLines = 100 // of a matter
	maxLine  = 300 // bytes
)

// Component is what the program's health calls the machine.
const Component = "machine"

// Warnings is what isn't well with the machine, in lines for people, by matters ("user-data", "state").
type Warnings map[string][]string

// bounded returns them as the program takes them.
func (w Warnings) bounded() Warnings {
	b := Warnings{}
	for matter, lines := range w {
		for i, line := range lines {
			if i == maxLines {
				b[matter] = append(b[matter], fmt.Sprintf("And %d more, which the machine's screen shows.", len(lines)-maxLines))
				break
			}
			b[matter] = append(b[matter], strings.ToValidUTF8(line[:min(len(line), maxLine)], "…"))
		}
	}
	return b
}

// Desk is the directory. Its methods are safe for concurrent use, of one program and one PID 1.
type Desk struct{ Dir string }

// There reports whether this machine is the image.
func (d Desk) There() bool {
	st, err := os.Stat(d.Dir)
	return err == nil && st.IsDir()
}

// Place gives PID 1 an order. One that wasn't taken yet is forgotten.
func (d Desk) Place(o Order) error { return d.write(orderFile, o) }

// Ordered reports whether a slot is to be written or started, by an order that wasn't taken yet.
func (d Desk) Ordered() bool {
	var o Order
	return d.read(orderFile, &o) == nil && o.Do != Dismiss
}

// Take returns an order that was placed, and forgets it.
func (d Desk) Take() (o Order, ok bool, err error) {
	err = d.read(orderFile, &o)
	if errors.Is(err, fs.ErrNotExist) {
		return o, false, nil
	}
	err = errors.Join(err, os.Remove(filepath.Join(d.Dir, orderFile)))
	return o, err == nil, err
}

// Tell has the program know how it stands.
func (d Desk) Tell(r Report) error { return d.write(reportFile, r) }

// Report returns how it stands.
func (d Desk) Report() (r Report, err error) { return r, d.read(reportFile, &r) }

// Warn has the program know what isn't well, in place of what it was told before.
func (d Desk) Warn(w Warnings) error { return d.write(warnFile, w.bounded()) }

// Warnings returns what isn't well; nothing, where nothing was told.
func (d Desk) Warnings() (w Warnings, err error) {
	err = d.read(warnFile, &w)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return w, err
}

func (d Desk) write(name string, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	name = filepath.Join(d.Dir, name)
	if err := os.WriteFile(name+".new", text, 0o600); err != nil {
		return err
	}
	return os.Rename(name+".new", name)
}

func (d Desk) read(name string, v any) error {
	f, err := os.Open(filepath.Join(d.Dir, name))
	if err != nil {
		return err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxFile))
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, v); err != nil {
		return fmt.Errorf("the file %s of updates: %w", name, err)
	}
	return nil
}
