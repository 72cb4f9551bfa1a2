package appliance

import (
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"landbridge/console/api"
	"landbridge/internal/division"
	"landbridge/internal/frame"
	"landbridge/internal/group"
	"landbridge/internal/registry"
	"landbridge/internal/store"
)

func TestRegisteredHostsAreRememberedAndConfiguredOnesStay(t *testing.T) {
	path := filepath.Join(t.TempDir(), "landbridge.db")
	fixed := frame.MAC{2, 0, 0, 0, 0, 1}
	open := func() (*node, *store.DB) {
		db, err := store.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		r, err := openRoll(db, []frame.MAC{fixed})
		if err != nil {
			t.Fatal(err)
		}
		return &node{roll: r}, db
	}
	n, db := open()
	for _, text := range []string{"02:00:00:00:00:02", "02-00-00-00-00-03", "02:00:00:00:00:01"} {
		if _, err := n.RegisterHost(t.Context(), text, api.HostRegistration{}, "nora"); err != nil {
			t.Error(err)
		}
	}
	if _, err := n.ForgetHost(t.Context(), "02:00:00:00:00:03", "nora"); err != nil {
		t.Error(err)
	}
	for text, want := range map[string]string{
		"02:00:00:00:00:01": "registered by the configuration",
		"02:00:00:00:00:03": "isn't registered",
		"01:00:5e:00:00:01": "no single host's",
		"x":                 "not a hardware address",
	} {
		if _, err := n.ForgetHost(t.Context(), text, "nora"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("forget %s: %v", text, err)
		}
	}
	for range 2 { // and after a restart
		for mac, want := range map[frame.MAC]bool{fixed: true, {2, 0, 0, 0, 0, 2}: true, {2, 0, 0, 0, 0, 3}: false} {
			if n.roll.has(mac) != want {
				t.Errorf("%v: registered %t", mac, !want)
			}
		}
		if all, err := n.Hosts(t.Context()); err != nil || len(all) != 2 || !all[0].Configured || all[1].Since.IsZero() {
			t.Errorf("%+v, %v", all, err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		n, db = open()
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

// What is acknowledged of a host's group is on disk; and a host's group isn't the business of others.
func TestTheGroupOfAHostIsRememberedAndOnlyWhatFits(t *testing.T) {
	path := filepath.Join(t.TempDir(), "landbridge.db")
	host, other := frame.MAC{2, 0, 0, 0, 0, 2}, frame.MAC{2, 0, 0, 0, 0, 3}
	lab, office := group.ID{7}, group.ID{8}
	fits := func(division.Live) error { return nil }
	in := func(id group.ID) func(*hostRecord) { return func(r *hostRecord) { r.in(id) } }
	for round := range 2 {
		db, err := store.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		r, err := openRoll(db, nil)
		if err != nil {
			t.Fatal(err)
		}
		if round == 0 {
			for _, step := range []struct {
				mac frame.MAC
				to  group.ID
			}{{host, office}, {other, group.ID{}}, {host, lab}} {
				if _, err := r.put(step.mac, in(step.to), fits); err != nil {
					t.Error(err)
				}
			}
			refusal := errors.New("it doesn't fit")
			if _, err := r.put(host, in(office), func(all division.Live) error {
				if all.Hosts[host] != office {
					t.Errorf("asked about %v", all)
				}
				return refusal
			}); !errors.Is(err, refusal) {
				t.Errorf("what doesn't fit: %v", err)
			}
			if _, err := r.remove(host, func(all division.Live) error { return refusal }); !errors.Is(err, refusal) || !r.has(host) {
				t.Errorf("a removal that doesn't fit: %v", err)
			}
		}
		if got := r.live().Hosts; len(got) != 1 || got[host] != lab || !r.has(other) {
			t.Errorf("round %d: in groups are %v", round, got)
		}
		if !r.serves(lab) || !r.serves(office) { // the other host can be of any
			t.Error("somebody can be of each group")
		}
		if round == 1 {
			if _, err := r.remove(other, fits); err != nil || r.serves(office) || !r.serves(lab) {
				t.Errorf("whom it serves: %v", err)
			}
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestHostsThatAskInVainAreRememberedToABound(t *testing.T) {
	var s asking
	began := time.Now()
	for i := range 3 * maxAsking {
		s.note(frame.MAC{2, 0, 0, 0, byte(i >> 8), byte(i)}, api.SeenHostWhyNoGroup, began.Add(time.Duration(i)*time.Second))
	}
	all := s.list(began.Add(3 * maxAsking * time.Second))
	if len(all) != maxAsking || slices.ContainsFunc(all, func(h api.SeenHost) bool { return h.Seen.Before(began.Add(2 * maxAsking * time.Second)) }) {
		t.Errorf("%d are remembered, some of them not of the latest", len(all))
	}
	if all := s.list(began.Add(3*maxAsking*time.Second + askingMemory)); len(all) != 0 {
		t.Errorf("%d are remembered for ever", len(all))
	}
}

func TestNotesThatAreNoTextAreRefused(t *testing.T) {
	for _, note := range []string{"\xff", "two\nlines", strings.Repeat("a", registry.MaxNote+1)} {
		if checkNote(note) == nil {
			t.Errorf("%.20q is noted down", note)
		}
	}
	if err := checkNote("Büro, 2. Stock"); err != nil {
		t.Error(err)
	}
}

func TestGroupsThatAreStillComingDivideTheLAN(t *testing.T) {
	office, lab := division.Territory{ID: group.ID{1}, Name: "office"}, division.Territory{ID: group.ID{2}, Name: "lab"}
	n := &node{coming: []division.Territory{office, lab}}
	if all := n.territories(group.ID{}); len(all) != 2 {
		t.Errorf("at the start the LAN is divided among %+v", all)
	}
	if all := n.territories(lab.ID); len(all) != 1 || all[0].Name != "office" {
		t.Errorf("beside the lab there are %+v", all)
	}
}
