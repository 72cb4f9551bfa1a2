package pid1

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"time"

	"landbridge/image/updating"
)

// keptUpdates is where it stands what became of updates, in stateDir. Which slot is started stands in
// GRUB's environment alone: the record says what that means.
const keptUpdates = "updates.json"

// record is what is known of updates over restarts.
type record struct {
	Versions map[string]string `json:"versions"` // by slot
	Trial    *trial            `json:"trial,omitempty"`
	Last     *updating.Outcome `json:"last,omitempty"`
}

// trial is a version that is to be started once, or is running so.
type trial struct {
	Version string `json:"version"`
	From    string `json:"from"` // the slots
	To      string `json:"to"`
	Reached bool   `json:"reached,omitempty"` // other members were, before
	Why     string `json:"why,omitempty"`     // it is given up
}

func readRecord(dir string) (r record, err error) {
	text, err := readAtMost(filepath.Join(dir, keptUpdates), largestText)
	if errors.Is(err, fs.ErrNotExist) {
		return record{}, nil
	}
	if err == nil {
		err = json.Unmarshal(text, &r)
	}
	if err != nil {
		return record{}, fmt.Errorf("what became of updates isn't known: %w", err)
	}
	return r, nil
}

func (r record) write(dir string) error {
	text, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return writeSafely(filepath.Join(dir, keptUpdates), text)
}

// started returns what is known now that this version runs in this slot, where primary is GRUB's
// first choice; trying says that it runs on trial.
func (r record) started(running, primary, version string, now time.Time) (after record, trying bool) {
	r.Versions = maps.Clone(r.Versions)
	if r.Versions == nil {
		r.Versions = map[string]string{}
	}
	r.Versions[running] = version
	switch t := r.Trial; {
	case t == nil:
		return r, false
	case running == t.To && primary != t.To:
		return r, true
	case running == t.To: // and its record was cut off
		return r.ended(updating.Kept, "", now), false
	default:
		return r.ended(updating.TakenBack, cmp.Or(t.Why, "it ended before it was well: it panicked, hung, lost its power or was restarted"), now), false
	}
}

// ended returns what is known once the trial is over.
func (r record) ended(how updating.Result, why string, now time.Time) record {
	if r.Trial != nil {
		r.Last = &updating.Outcome{Result: how, Version: r.Trial.Version, Why: why, At: now.UTC()}
		r.Trial = nil
	}
	return r
}

// tale says how an update ended, where a person should know that.
func tale(o *updating.Outcome, running string) string {
	switch {
	case o == nil:
	case o.Result == updating.TakenBack:
		return fmt.Sprintf("The update to %s was taken back: %s. Version %s runs, as before.", o.Version, o.Why, running)
	case o.Result == updating.Left:
		return fmt.Sprintf("Version %s was left: %s. Version %s runs in its place.", o.Version, o.Why, running)
	case o.Result == updating.Refused:
		return fmt.Sprintf("The update to %s wasn't made: %s.", o.Version, o.Why)
	}
	return ""
}
