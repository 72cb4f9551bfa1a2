package pid1

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"landbridge/console/api"
	"landbridge/image/bundle"
	"landbridge/image/slots"
	"landbridge/image/updating"
)

func TestAVersionIsWellOnceItsConsoleAnswersAndOthersAreReachedAsBefore(t *testing.T) {
	good := sighting{door: true, socket: true, reached: true}
	alone, shut, stateless, dead := good, good, good, sighting{}
	alone.reached, shut.door, stateless.lost = false, false, true
	for name, c := range map[string]struct {
		gate  gate
		seen  sighting
		after time.Duration
		want  verdict
		why   string
	}{
		"well":                               {gate{trial: true, reached: true, inARow: wellAfter - 1}, good, time.Minute, well, ""},
		"not for long yet":                   {gate{trial: true}, good, time.Minute, undecided, ""},
		"alone, as before":                   {gate{trial: true, inARow: wellAfter}, alone, time.Minute, well, ""},
		"alone, for now":                     {gate{trial: true, reached: true, inARow: wellAfter}, alone, time.Minute, undecided, ""},
		"alone, too long":                    {gate{trial: true, reached: true, inARow: wellAfter}, alone, trialWithin, unwell, "reached no other member"},
		"no console for browsers":            {gate{trial: true}, shut, trialWithin, unwell, "didn't answer browsers"},
		"no console":                         {gate{trial: true}, dead, trialWithin, unwell, "the console didn't answer"},
		"no console, for now":                {gate{trial: true}, dead, trialWithin - 1, undecided, ""},
		"a program that ends":                {gate{trial: true}, sighting{ends: mostEnds}, time.Second, unwell, "ended 6 times"},
		"no state":                           {gate{trial: true}, sighting{lost: true}, time.Second, unwell, "state partition"},
		"no trial: no console":               {gate{}, dead, time.Hour, undecided, ""},
		"no trial: a program that ends":      {gate{}, sighting{ends: 100}, time.Hour, undecided, ""},
		"no trial: no state":                 {gate{inARow: wellAfter - 1}, stateless, time.Hour, up, ""},
		"no trial: no state, for now":        {gate{}, stateless, time.Hour, undecided, ""},
		"no trial: well, whoever is reached": {gate{reached: true, inARow: wellAfter}, alone, time.Hour, well, ""},
	} {
		if v, why := c.gate.judge(c.seen, c.after); v != c.want || !strings.Contains(why, c.why) || (v == unwell) != (why != "") {
			t.Errorf("%s: %v, %q", name, v, why)
		}
	}
	g := gate{trial: true}
	for range wellAfter - 1 {
		g.judge(good, time.Second)
	}
	g.judge(dead, time.Second)
	if v, _ := g.judge(good, time.Second); v != undecided {
		t.Error("answers count that are not in a row")
	}
}

// testDisk is a disk's partitions as files.
type testDisk struct{ dir string }

func (d testDisk) Environment() (part, error) { return openStorage(filepath.Join(d.dir, "grubenv")) }

func (d testDisk) Slot(_ context.Context, name string) (part, int64, error) {
	s, err := openStorage(filepath.Join(d.dir, name))
	return s, 1 << 20, err
}

// testMachine is a machine's updates from start to start.
type testMachine struct {
	*testing.T
	disk     testDisk
	state    string
	said     string
	restarts int
}

func newTestMachine(t *testing.T) *testMachine {
	m := &testMachine{T: t, disk: testDisk{t.TempDir()}, state: t.TempDir()}
	m.file("grubenv", slots.Environment{Primary: "A"}.Block())
	m.file("A", []byte("hsqs old"))
	m.file("B", make([]byte, 4096))
	return m
}

func (m *testMachine) file(name string, contents []byte) string {
	m.Helper()
	name = filepath.Join(m.disk.dir, name)
	if err := os.WriteFile(name, contents, 0o600); err != nil {
		m.Fatal(err)
	}
	return name
}

// start starts a slot, as GRUB would have it, with this version in it.
func (m *testMachine) start(version string) (u *updates, g *gate) {
	m.Helper()
	env, err := m.disk.Environment()
	if err != nil {
		m.Fatal(err)
	}
	defer env.Close()
	e, err := slots.Read(env)
	if err != nil {
		m.Fatal(err)
	}
	slot, trial := e.Primary, e.Trial != ""
	switch {
	case trial:
		slot, e.Trial, e.Starts = e.Trial, "", ""
	case e.Starts == "111":
		slot, trial, e.Starts = slots.Other(e.Primary), true, ""
	default:
		e.Starts += "1"
	}
	m.file("grubenv", e.Block())
	u = &updates{
		desk: updating.Desk{Dir: m.TempDir()}, keys: []bundle.Key{bundle.KeyOf(updateKey(1))}, log: slog.New(slog.DiscardHandler),
		say: func(lines ...string) { m.said = strings.Join(lines, " ") }, restart: func() { m.restarts++ }, system: m.disk,
		now: bundle.Running{Version: version, Built: time.Unix(1000, 0), Arch: "amd64", Schema: 1}, slot: slot, state: m.state,
	}
	return u, u.begin(m.Context(), false, trial)
}

func (m *testMachine) report(u *updates) updating.Report {
	m.Helper()
	r, err := u.desk.Report()
	if err != nil {
		m.Fatal(err)
	}
	return r
}

func updateKey(seed byte) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, ed25519.SeedSize))
}

func newManifest() bundle.Manifest {
	return bundle.Manifest{Version: "new", Built: time.Unix(2000, 0), Arch: "amd64", Schemas: bundle.Schemas{Min: 1, Max: 2}}
}

func (m *testMachine) bundle(by byte, what bundle.Manifest) string {
	m.Helper()
	var b bytes.Buffer
	if err := bundle.Write(&b, updateKey(by), what, bundle.Content{Name: bundle.SlotFile, Data: strings.NewReader("hsqs new")}); err != nil {
		m.Fatal(err)
	}
	return m.file("update", b.Bytes())
}

func TestAGoodUpdateIsWrittenTriedAndKept(t *testing.T) {
	m := newTestMachine(t)
	u, g := m.start("old")
	if g.trial {
		t.Fatal("the old version is on trial")
	}
	u.do(t.Context(), updating.Order{Do: updating.Install, Bundle: m.bundle(1, newManifest()), Reached: true})
	if r := m.report(u); m.restarts != 1 || r.Stage != updating.Restarting || r.Target != "new" {
		t.Fatalf("%d restarts, %+v", m.restarts, r)
	}
	u, g = m.start("new")
	if r := m.report(u); u.slot != "B" || !g.trial || !g.reached || r.Stage != updating.Trial || r.Other != "old" || r.Until.IsZero() {
		t.Fatalf("slot %s, %+v, %+v", u.slot, g, r)
	}
	u.do(t.Context(), updating.Order{Do: updating.Rollback})
	if m.restarts != 1 || m.report(u).Stage != updating.Trial {
		t.Error("what is on trial is left for an order")
	}
	u.keep(t.Context())
	if r := m.report(u); r.Stage != updating.Idle || r.Last == nil || r.Last.Result != updating.Kept || r.Last.Version != "new" || m.said != "" {
		t.Errorf("%+v %q", r, m.said)
	}
	if u, g = m.start("new"); u.slot != "B" || g.trial {
		t.Errorf("the next start is of %s, on trial %t", u.slot, g.trial)
	}
	u.do(t.Context(), updating.Order{Do: updating.Rollback})
	if u, g = m.start("old"); u.slot != "A" || !g.trial {
		t.Errorf("the way back is to %s, on trial %t", u.slot, g.trial)
	}
}

func TestAVersionThatIsNotWellIsTakenBackWithItsReason(t *testing.T) {
	for want, end := range map[string]func(*updates){
		"its program ended 6 times": func(u *updates) { u.giveUp("its program ended 6 times") },
		"it panicked, hung, lost":   func(*updates) {},
	} {
		m := newTestMachine(t)
		u, _ := m.start("old")
		u.do(t.Context(), updating.Order{Do: updating.Install, Bundle: m.bundle(1, newManifest())})
		u, _ = m.start("new")
		end(u)
		u, g := m.start("old")
		r := m.report(u)
		if u.slot != "A" || g.trial || r.Last == nil || r.Last.Result != updating.TakenBack || r.Last.Version != "new" || !strings.Contains(r.Last.Why, want) {
			t.Errorf("slot %s, %+v", u.slot, r.Last)
		}
		if !strings.Contains(m.said, "The update to new was taken back: ") || !strings.Contains(m.said, want) || !strings.Contains(m.said, "Version old runs") {
			t.Errorf("the screen says %q", m.said)
		}
		if u, _ = m.start("old"); !strings.Contains(m.said, "taken back") {
			t.Error("after another start nobody knows")
		}
		u.do(t.Context(), updating.Order{Do: updating.Dismiss})
		if m.said != "" || m.report(u).Last != nil {
			t.Errorf("it is known, and the screen says %q", m.said)
		}
	}
}

func TestAVersionThatDoesNotComeUpAnyMoreIsLeftForTheOtherAndToldOf(t *testing.T) {
	m := newTestMachine(t)
	m.start("old")
	u, _ := m.start("old")
	u.keep(t.Context()) // it is well, and GRUB counts anew
	u.do(t.Context(), updating.Order{Do: updating.Install, Bundle: m.bundle(1, newManifest())})
	u, _ = m.start("new")
	u.keep(t.Context())
	for range 3 {
		if u, g := m.start("new"); u.slot != "B" || g.trial {
			t.Fatalf("slot %s, on trial %t", u.slot, g.trial)
		}
	}
	u, g := m.start("old")
	if r := m.report(u); u.slot != "A" || !g.trial || r.Stage != updating.Trial || m.said != "" {
		t.Fatalf("slot %s, %+v, %q", u.slot, r, m.said)
	}
	u.giveUp("it isn't well either")
	if u, g := m.start("new"); u.slot != "B" || g.trial || m.said != "" {
		t.Errorf("slot %s, on trial %t, %q", u.slot, g.trial, m.said)
	}
	m.start("new")
	m.start("new")
	u, _ = m.start("old")
	u.keep(t.Context())
	for range 2 {
		if r := m.report(u); u.slot != "A" || r.Stage != updating.Idle || r.Last == nil || r.Last.Result != updating.Left || r.Last.Version != "new" || !strings.Contains(m.said, "Version new was left: ") {
			t.Errorf("slot %s, %+v, %q", u.slot, r, m.said)
		}
		u, _ = m.start("old")
		u.keep(t.Context())
	}
}

func TestAnApplianceWithoutItsStateIsStartedAgainFromTheSameSlot(t *testing.T) {
	m := newTestMachine(t)
	for range 10 {
		u, _ := m.start("old")
		u.cameUp()
		if u.slot != "A" {
			t.Fatalf("slot %s is started", u.slot)
		}
	}
}

func TestAnOrderThatComesBeforeARestartIsLeft(t *testing.T) {
	for name, order := range map[string]updating.Order{
		"installed twice": {Do: updating.Install}, "back again": {Do: updating.Rollback}, "forgotten": {Do: updating.Dismiss},
	} {
		m := newTestMachine(t)
		u, _ := m.start("old")
		u.do(t.Context(), updating.Order{Do: updating.Install, Bundle: m.bundle(1, newManifest())})
		order.Bundle = m.bundle(1, newManifest()) // handed in meanwhile
		u.do(t.Context(), order)
		if r := m.report(u); m.restarts != 1 || r.Stage != updating.Restarting || r.Last != nil {
			t.Errorf("%s: %d restarts, %+v", name, m.restarts, r)
		}
		if u, g := m.start("new"); u.slot != "B" || !g.trial {
			t.Errorf("%s: slot %s is started, on trial %t", name, u.slot, g.trial)
		}
	}
}

func TestATrialOfWhichNothingIsKnownIsOneByTheWordOfGRUB(t *testing.T) {
	m := newTestMachine(t)
	u, _ := m.start("old")
	u.do(t.Context(), updating.Order{Do: updating.Install, Bundle: m.bundle(1, newManifest())})
	if err := os.WriteFile(filepath.Join(m.state, keptUpdates), []byte("torn"), 0o600); err != nil {
		t.Fatal(err)
	}
	u, g := m.start("new")
	if r := m.report(u); u.slot != "B" || !g.trial || r.Stage != updating.Trial {
		t.Fatalf("slot %s, on trial %t, %+v", u.slot, g.trial, r)
	}
	u.giveUp("it isn't well")
	if u, g = m.start("old"); u.slot != "A" || g.trial || m.restarts != 2 {
		t.Errorf("slot %s, on trial %t", u.slot, g.trial)
	}
}

func TestAKillBetweenTheTwoThatKeepAVersionKeepsIt(t *testing.T) {
	m := newTestMachine(t)
	u, _ := m.start("old")
	u.do(t.Context(), updating.Order{Do: updating.Install, Bundle: m.bundle(1, newManifest())})
	u, _ = m.start("new")
	m.file("grubenv", slots.Environment{Primary: "B"}.Block())
	if u, g := m.start("new"); g.trial || m.report(u).Last.Result != updating.Kept {
		t.Errorf("on trial %t, %+v", g.trial, m.report(u).Last)
	}
	_ = u
}

func TestWhatIsNotToBeInstalledChangesNothing(t *testing.T) {
	older, foreignArch, later := newManifest(), newManifest(), newManifest()
	older.Built, foreignArch.Arch, later.Schemas = time.Unix(1000, 0), "arm64", bundle.Schemas{Min: 2, Max: 2}
	for want, order := range map[string]func(*testMachine) updating.Order{
		"isn't newer than version old": func(m *testMachine) updating.Order { return updating.Order{Bundle: m.bundle(1, older)} },
		"isn't signed by a key":        func(m *testMachine) updating.Order { return updating.Order{Bundle: m.bundle(2, newManifest())} },
		"it is for arm64":              func(m *testMachine) updating.Order { return updating.Order{Bundle: m.bundle(1, foreignArch)} },
		"too old for version new":      func(m *testMachine) updating.Order { return updating.Order{Bundle: m.bundle(1, later)} },
		"cut off": func(m *testMachine) updating.Order {
			whole, err := os.ReadFile(m.bundle(1, newManifest()))
			if err != nil {
				m.Fatal(err)
			}
			return updating.Order{Bundle: m.file("update", whole[:len(whole)-1])}
		},
		"isn't what was signed": func(m *testMachine) updating.Order {
			whole, err := os.ReadFile(m.bundle(1, newManifest()))
			if err != nil {
				m.Fatal(err)
			}
			whole[len(whole)-1] ^= 1
			return updating.Order{Bundle: m.file("update", whole)}
		},
		"no such file": func(m *testMachine) updating.Order { return updating.Order{Bundle: filepath.Join(m.state, "none")} },
		"no order":     func(*testMachine) updating.Order { return updating.Order{Do: "dance"} },
		"is empty":     func(*testMachine) updating.Order { return updating.Order{Do: updating.Rollback} },
	} {
		m := newTestMachine(t)
		u, _ := m.start("old")
		o := order(m)
		if o.Do == "" {
			o.Do = updating.Install
		}
		before := m.disks()
		u.do(t.Context(), o)
		if r := m.report(u); m.restarts != 0 || r.Stage != updating.Idle || r.Last == nil || r.Last.Result != updating.Refused || !strings.Contains(r.Last.Why, want) {
			t.Errorf("want %q: %d restarts, %+v", want, m.restarts, r.Last)
		}
		if !slices.EqualFunc(before, m.disks(), bytes.Equal) {
			t.Errorf("%q: the disk was changed", want)
		}
	}
}

func (m *testMachine) disks() (all [][]byte) {
	m.Helper()
	for _, name := range []string{"grubenv", "A", "B"} {
		b, err := os.ReadFile(filepath.Join(m.disk.dir, name))
		if err != nil {
			m.Fatal(err)
		}
		all = append(all, b)
	}
	return all
}

func TestAnOlderVersionIsInstalledWhereThatIsAsked(t *testing.T) {
	m := newTestMachine(t)
	u, _ := m.start("old")
	older := newManifest()
	older.Built = time.Unix(1, 0)
	u.do(t.Context(), updating.Order{Do: updating.Install, Bundle: m.bundle(1, older), Older: true})
	if m.restarts != 1 {
		t.Errorf("%d restarts, %+v", m.restarts, m.report(u))
	}
}

func TestAVersionThatCannotOpenTheStateIsTriedByGRUBsWord(t *testing.T) {
	m := newTestMachine(t)
	u, _ := m.start("old")
	u.slot = "B"
	if g := u.begin(t.Context(), true, true); !g.trial {
		t.Error("it isn't on trial")
	}
	if g := u.begin(t.Context(), true, false); g.trial {
		t.Error("it is on trial, and GRUB didn't try it")
	}
}

func TestARecordThatCannotBeReadIsNoTrial(t *testing.T) {
	m := newTestMachine(t)
	if err := os.WriteFile(filepath.Join(m.state, keptUpdates), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if u, g := m.start("old"); g.trial || m.report(u).Version != "old" {
		t.Error("it is a trial")
	}
}

func TestAnOrderIsDoneAsItIsPlaced(t *testing.T) {
	m := newTestMachine(t)
	u, _ := m.start("old")
	ctx, cancel := context.WithCancel(t.Context())
	u.restart = cancel
	if err := u.desk.Place(updating.Order{Do: updating.Install, Bundle: m.bundle(1, newManifest())}); err != nil {
		t.Fatal(err)
	}
	u.serve(ctx)
	if !errors.Is(ctx.Err(), context.Canceled) || m.report(u).Stage != updating.Restarting {
		t.Errorf("%+v", m.report(u))
	}
}

func TestTheProgramIsToldWhatTheScreenSaysButOfUpdates(t *testing.T) {
	desk := updating.Desk{Dir: t.TempDir()}
	m := &machine{screen: NewScreen(), updates: &updates{desk: desk}, log: slog.New(slog.DiscardHandler)}
	told := func(want updating.Warnings) {
		t.Helper()
		m.warnProgram()
		if got, err := desk.Warnings(); err != nil || !cmp.Equal(got, want) {
			t.Errorf("%v, %v", got, err)
		}
	}
	told(updating.Warnings{})
	m.screen.Warn("user-data", "user-data:2: mode", "Nothing of it is applied.")
	m.screen.Warn("update", "It was taken back.")
	told(updating.Warnings{"user-data": {"user-data:2: mode", "Nothing of it is applied."}})
	m.screen.Warn("user-data")
	told(updating.Warnings{})
	if got := m.screen.Warnings(); !cmp.Equal(got, []string{"It was taken back."}) {
		t.Errorf("the screen says %v", got)
	}
	page := view{status: api.Status{Health: []api.HealthItem{{Component: "dhcp", Text: "of the program"}, {Component: updating.Component, Text: "of the machine"}}}}.text()
	if !strings.Contains(page, "of the program") || strings.Contains(page, "of the machine") {
		t.Errorf("what it told the program comes back:\n%s", page)
	}
}
