package updating

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestAnOrderIsTakenOnce(t *testing.T) {
	d := Desk{t.TempDir()}
	if o, ok, err := d.Take(); ok || err != nil {
		t.Fatalf("nothing was ordered: %v, %v", o, err)
	}
	want := Order{Do: Install, Bundle: "/state/update", Older: true, Reached: true}
	if err := d.Place(want); err != nil {
		t.Fatal(err)
	}
	if o, ok, err := d.Take(); !ok || err != nil || o != want {
		t.Errorf("taken: %v %t, %v", o, ok, err)
	}
	if o, ok, err := d.Take(); ok || err != nil {
		t.Errorf("taken once more: %v, %v", o, err)
	}
}

func TestAnOrderThatIsNoneIsForgotten(t *testing.T) {
	d := Desk{t.TempDir()}
	if err := os.WriteFile(filepath.Join(d.Dir, orderFile), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, ok, err := d.Take(); ok || err == nil {
		t.Errorf("taken: %t, %v", ok, err)
	}
	if _, ok, err := d.Take(); ok || err != nil {
		t.Errorf("it is there still: %t, %v", ok, err)
	}
}

func TestAReportComesAsItWasTold(t *testing.T) {
	d := Desk{filepath.Join(t.TempDir(), "none")}
	if _, err := d.Report(); d.There() || err == nil {
		t.Error("there is a report where there is no image")
	}
	d = Desk{t.TempDir()}
	want := Report{Slot: "A", Version: "1", Stage: Trial, Until: time.Unix(5, 0).UTC(), Last: &Outcome{Result: TakenBack, Version: "2", Why: "it hung"}}
	if err := d.Tell(want); err != nil {
		t.Fatal(err)
	}
	got, err := d.Report()
	if diff := cmp.Diff(want, got); err != nil || !d.There() || diff != "" {
		t.Errorf("%v %s", err, diff)
	}
}

func TestTheProgramIsToldWhatIsNotWellWithinBounds(t *testing.T) {
	d := Desk{t.TempDir()}
	if w, err := d.Warnings(); err != nil || len(w) != 0 {
		t.Errorf("nothing was told: %v, %v", w, err)
	}
	want := Warnings{"user-data": {"user-data:2: mode: <x>", "Nothing of it is applied."}, "state": {"It is in memory."}}
	if err := d.Warn(want); err != nil {
		t.Fatal(err)
	}
	if got, err := d.Warnings(); err != nil || !cmp.Equal(got, want) {
		t.Errorf("%v, %v", got, err)
	}
	many := make([]string, 5000)
	for i := range many {
		many[i] = strings.Repeat("\x00ü", 300)
	}
	if err := d.Warn(Warnings{"user-data": many}); err != nil {
		t.Fatal(err)
	}
	got, err := d.Warnings()
	if lines := got["user-data"]; err != nil || len(lines) != maxLines+1 || lines[maxLines] != "And 4900 more, which the machine's screen shows." || len(lines[0]) > maxLine+3 {
		t.Errorf("%d lines, %v", len(lines), err)
	}
}
