package appliance

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"landbridge/console/api"
	"landbridge/image/bundle"
	"landbridge/image/updating"
	"landbridge/internal/health"
)

// imageUpdates is an appliance of the image whose first process tells this.
func imageUpdates(t *testing.T, r updating.Report) *updates {
	t.Helper()
	u := newUpdates(t.TempDir(), "v1.0.0")
	u.running.Arch = "amd64"
	u.desk, u.keys = updating.Desk{Dir: t.TempDir()}, filepath.Join(t.TempDir(), "keys")
	if err := os.WriteFile(u.keys, bundle.FormatKeys(bundle.KeyOf(signingKey(1))), 0o600); err != nil {
		t.Fatal(err)
	}
	if r.Stage == "" {
		r.Stage = updating.Idle
	}
	r.Slot, r.Version, r.Built = "A", "v1.0.0", time.Unix(1000, 0)
	if err := u.desk.Tell(r); err != nil {
		t.Fatal(err)
	}
	return u
}

func signingKey(seed byte) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, ed25519.SeedSize))
}

func anUpdate(t *testing.T, by byte, change func(*bundle.Manifest)) []byte {
	t.Helper()
	m := bundle.Manifest{Version: "v1.1.0", Built: time.Unix(2000, 0), Arch: "amd64", Schemas: bundle.Schemas{Min: 1, Max: 1}, Changes: "Names are quicker."}
	if change != nil {
		change(&m)
	}
	var b bytes.Buffer
	if err := bundle.Write(&b, signingKey(by), m, bundle.Content{Name: bundle.SlotFile, Data: strings.NewReader("hsqs and the rest")}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestAnUpdateIsCheckedWaitsAndIsOrdered(t *testing.T) {
	u := imageUpdates(t, updating.Report{Other: "v0.9.0"})
	offer, err := u.check(bytes.NewReader(anUpdate(t, 1, nil)))
	if err != nil || offer.Version != "v1.1.0" || !offer.Newer || offer.Changes == "" || len(offer.Effects) != 3 {
		t.Fatalf("%+v, %v", offer, err)
	}
	s, err := u.status()
	if err != nil || !s.Image || s.Slot != "A" || s.OtherVersion != "v0.9.0" || s.Waiting.ID != offer.ID || s.DevelopmentKey {
		t.Fatalf("%+v, %v", s, err)
	}
	if err := u.apply(api.UpdateOrder{ID: "another"}, true); err == nil {
		t.Error("another update is applied")
	}
	if err := u.apply(api.UpdateOrder{ID: offer.ID}, true); err != nil {
		t.Fatal(err)
	}
	want := updating.Order{Do: updating.Install, Bundle: u.path(waitingUpdate), Reached: true}
	if o, ok, err := u.desk.Take(); !ok || err != nil || o != want {
		t.Errorf("ordered: %+v %t, %v", o, ok, err)
	}
	if err := u.forget(); err != nil {
		t.Fatal(err)
	}
	if err := u.forget(); err == nil {
		t.Error("nothing waits, and it is forgotten")
	}
}

func TestWhatIsNoUpdateForHereIsRefusedAndWhatWaitedStays(t *testing.T) {
	u := imageUpdates(t, updating.Report{})
	waiting, err := u.check(bytes.NewReader(anUpdate(t, 1, nil)))
	if err != nil {
		t.Fatal(err)
	}
	good := anUpdate(t, 1, nil)
	for want, body := range map[string]io.Reader{
		"isn't signed":       bytes.NewReader(anUpdate(t, 2, nil)),
		"is for arm64":       bytes.NewReader(anUpdate(t, 1, func(m *bundle.Manifest) { m.Arch = "arm64" })),
		"too old":            bytes.NewReader(anUpdate(t, 1, func(m *bundle.Manifest) { m.Schemas = bundle.Schemas{Min: 2, Max: 3} })),
		"no update":          strings.NewReader("a backup"),
		"cut off":            bytes.NewReader(good[:40]),
		"the network is off": io.MultiReader(bytes.NewReader(good[:40]), iotest.ErrReader(io.ErrClosedPipe)),
	} {
		_, err := u.check(body)
		if err == nil || !strings.Contains(err.Error(), "nothing is changed") || want != "the network is off" && !strings.Contains(err.Error(), want) {
			t.Errorf("want %q: %v", want, err)
		}
		if now, err := u.waiting(); err != nil || now.ID != waiting.ID {
			t.Errorf("%q: what waited is %+v, %v", want, now, err)
		}
	}
	if _, err := u.check(bytes.NewReader(good[:len(good)-1])); err == nil {
		t.Error("one that is cut behind its signature is taken")
	}
	if files, err := os.ReadDir(u.dir); err != nil || len(files) != 0 {
		t.Errorf("left: %v, %v", files, err)
	}
}

func TestAnUpdateLeavesRoomForLeases(t *testing.T) {
	u, body := imageUpdates(t, updating.Report{}), anUpdate(t, 1, nil)
	free := uint64(roomKept + len("hsqs and the rest") - 1)
	u.free = func(string) (uint64, error) { return free, nil }
	if _, err := u.check(bytes.NewReader(body)); !errors.Is(err, errNoRoom) {
		t.Errorf("with a byte too little: %v", err)
	}
	if files, err := os.ReadDir(u.dir); err != nil || len(files) != 0 {
		t.Errorf("left: %v, %v", files, err)
	}
	free++
	if _, err := u.check(bytes.NewReader(body)); err != nil {
		t.Error(err)
	}
	if err := os.WriteFile(u.path(comingUpdate), body[:20], 0o600); err != nil { // and a kill
		t.Fatal(err)
	}
	again := newUpdates(u.dir, "v1.0.0")
	if _, err := os.Stat(again.path(comingUpdate)); err == nil {
		t.Error("what a kill left of an update stays")
	}
	if _, err := os.Stat(again.path(waitingUpdate)); err != nil {
		t.Errorf("what waits: %v", err)
	}
}

func TestWhatIsOrderedIsNotChangedBeforeItIsTaken(t *testing.T) {
	u := imageUpdates(t, updating.Report{Other: "v0.9.0"})
	offer, err := u.check(bytes.NewReader(anUpdate(t, 1, nil)))
	if err != nil {
		t.Fatal(err)
	}
	if err := u.apply(api.UpdateOrder{ID: offer.ID}, true); err != nil {
		t.Fatal(err)
	}
	for name, do := range map[string]func() error{
		"another is handed in": func() error {
			_, err := u.check(bytes.NewReader(anUpdate(t, 1, func(m *bundle.Manifest) { m.Version = "v0.1.0" })))
			return err
		},
		"it is applied again": func() error { return u.apply(api.UpdateOrder{ID: offer.ID}, true) },
		"it is forgotten":     u.forget,
		"back":                func() error { return u.rollback(true) },
	} {
		if err := do(); !errors.Is(err, errOrdered) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAnUpdateThatIsNotNewerIsMadeWhereThatIsAsked(t *testing.T) {
	u := imageUpdates(t, updating.Report{})
	offer, err := u.check(bytes.NewReader(anUpdate(t, 1, func(m *bundle.Manifest) { m.Version = "v0.9.0" })))
	if err != nil || offer.Newer {
		t.Fatalf("%+v, %v", offer, err)
	}
	if err := u.apply(api.UpdateOrder{ID: offer.ID}, false); err == nil || !strings.Contains(err.Error(), "isn't newer") {
		t.Error(err)
	}
	if err := u.apply(api.UpdateOrder{ID: offer.ID, Older: true}, false); err != nil {
		t.Error(err)
	}
}

func TestWhileAVersionIsOnTrialNothingElseIsDone(t *testing.T) {
	u := imageUpdates(t, updating.Report{Stage: updating.Trial, Target: "v1.0.0", Other: "v0.9.0"})
	if _, err := u.check(bytes.NewReader(anUpdate(t, 1, nil))); err == nil {
		t.Error("an update is taken in")
	}
	if err := u.rollback(false); err == nil {
		t.Error("the other version is started")
	}
}

func TestTheOtherVersionIsStartedWhereThereIsOne(t *testing.T) {
	if err := imageUpdates(t, updating.Report{}).rollback(false); err == nil || !strings.Contains(err.Error(), "empty") {
		t.Error(err)
	}
	u := imageUpdates(t, updating.Report{Other: "v0.9.0"})
	if err := u.rollback(true); err != nil {
		t.Fatal(err)
	}
	if o, ok, _ := u.desk.Take(); !ok || o.Do != updating.Rollback || !o.Reached {
		t.Errorf("%+v %t", o, ok)
	}
}

func TestHealthSaysWhatTheFirstProcessFindsAsLongAsItDoes(t *testing.T) {
	var book health.Book
	u := imageUpdates(t, updating.Report{})
	must := func(w updating.Warnings) {
		t.Helper()
		if err := u.desk.Warn(w); err != nil {
			t.Fatal(err)
		}
		u.tellMachine(&book)
	}
	must(updating.Warnings{"user-data": {"user-data:2: mode", "Nothing of it is applied."}, "state": {"It is in memory."}})
	items := book.Items()
	if len(items) != 2 || items[0].Component != updating.Component || items[0].Text+items[1].Text != "It is in memory.user-data:2: mode\nNothing of it is applied." {
		t.Errorf("%+v", items)
	}
	if must(updating.Warnings{"state": {"It is in memory."}}); len(book.Items()) != 1 {
		t.Errorf("%+v", book.Items())
	}
	if must(nil); len(book.Items()) != 0 {
		t.Errorf("%+v", book.Items())
	}
}

func TestHealthSaysThatAnUpdateWasTakenBackUntilItIsForgotten(t *testing.T) {
	var book health.Book
	u := imageUpdates(t, updating.Report{Last: &updating.Outcome{Result: updating.TakenBack, Version: "v1.1.0", Why: "the console didn't answer"}})
	u.tell(&book)
	items := book.Items()
	if len(items) != 1 || items[0].Text != "The update to v1.1.0 was taken back: the console didn't answer. Version v1.0.0 runs, as before." {
		t.Fatalf("%+v", items)
	}
	if err := u.forget(); err != nil {
		t.Fatal(err)
	}
	if _, err := u.idle(); err != nil {
		t.Errorf("that it is forgotten keeps from the next: %v", err)
	}
	if o, ok, _ := u.desk.Take(); !ok || o.Do != updating.Dismiss {
		t.Errorf("%+v %t", o, ok)
	}
	if err := u.desk.Tell(updating.Report{Stage: updating.Idle}); err != nil {
		t.Fatal(err)
	}
	if u.tell(&book); len(book.Items()) != 0 {
		t.Errorf("%+v", book.Items())
	}
}

func TestAHostIsUpdatedByItsPackageManager(t *testing.T) {
	u := newUpdates(t.TempDir(), "v1.0.0")
	u.desk.Dir = filepath.Join(t.TempDir(), "none")
	if s, err := u.status(); err != nil || s.Image || s.Version != "v1.0.0" {
		t.Errorf("%+v, %v", s, err)
	}
	for _, do := range []func() error{
		func() error { _, err := u.check(bytes.NewReader(anUpdate(t, 1, nil))); return err },
		func() error { return u.apply(api.UpdateOrder{ID: "x"}, false) },
		func() error { return u.rollback(false) },
		u.forget,
	} {
		if err := do(); err == nil || !strings.Contains(err.Error(), "package manager") {
			t.Error(err)
		}
	}
}
