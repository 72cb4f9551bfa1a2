package modes

import (
	"strings"
	"testing"
	"time"

	"landbridge/internal/store"
)

var (
	asInterface = Setup{Mode: Interface}
	asRouter    = Setup{Router, "eth1"}
	asHybrid    = Setup{Hybrid, "eth0"}
)

// At each point at which a switch can be cut off, a start takes the mode before, or, once
// the confirmation is on disk, the one after.
func TestAStartTakesTheCommittedModeWhereverASwitchWasCutOff(t *testing.T) {
	now := time.Now()
	began := Record{}.begin(asInterface, asRouter, nil)
	again := began.commit(nil, now).begin(asRouter, asHybrid, nil)
	for name, c := range map[string]struct {
		record Record
		want   Setup
		remark string
	}{
		"never switched":                {Record{}, asInterface, ""},
		"begun":                         {began, asInterface, "the switch to router mode on eth1 was not confirmed"},
		"confirmed":                     {began.commit(nil, now), asRouter, ""},
		"undone":                        {began.undo("nobody confirmed it", now), asInterface, ""},
		"begun after one was confirmed": {again, asRouter, "the switch to hybrid mode on eth0 was not confirmed"},
		"undone after one was":          {again.undo("verification failed", now), asRouter, ""},
	} {
		got, next, remark := c.record.Start(asInterface, nil, now)
		if got != c.want || !strings.Contains(remark, c.remark) || (remark == "") != (c.remark == "") {
			t.Errorf("%s: %v, %q; want %v, %q", name, got, remark, c.want, c.remark)
		}
		if next.Pending != nil {
			t.Errorf("%s: the switch is pending after a start", name)
		}
		if c.record.Pending != nil && (next.Last == nil || next.Last.Confirmed || next.Last.Why == "") {
			t.Errorf("%s: the end isn't told: %+v", name, next.Last)
		}
		if twice, _, remark := next.Start(asInterface, nil, now); twice != got || remark != "" {
			t.Errorf("%s: a second start takes %v and says %q", name, twice, remark)
		}
	}
}

func TestTheLatestDecisionOnTheModeCounts(t *testing.T) {
	now := time.Now()
	// Run by "--mode interface", and then switched to router mode.
	committed := Record{}.begin(asInterface, asRouter, &asInterface).commit(&asInterface, now)
	for name, c := range map[string]struct {
		configured *Setup
		want       Setup
		remark     string
		forgotten  bool
	}{
		"nothing is configured":         {nil, asRouter, "", false},
		"the same is configured":        {&asRouter, asRouter, "", false},
		"what was configured then":      {&asInterface, asRouter, "as it did before", false},
		"something new":                 {&asHybrid, asHybrid, "counts from here on", true},
		"the same mode on another port": {&Setup{Router, "eth2"}, Setup{Router, "eth2"}, "counts from here on", true},
	} {
		got, next, remark := committed.Start(asInterface, c.configured, now)
		if got != c.want || !strings.Contains(remark, c.remark) || (remark == "") != (c.remark == "") || (next.Committed == nil) != c.forgotten {
			t.Errorf("%s: %v, %q, committed %+v; want %v, %q", name, got, remark, next.Committed, c.want, c.remark)
		}
	}
	// Nothing was configured, so whatever is now is new.
	committed = Record{}.begin(asInterface, asRouter, nil).commit(nil, now)
	if got, _, _ := committed.Start(asInterface, &asInterface, now); got != asInterface {
		t.Errorf("--mode interface, given for the first time, is overruled: %v", got)
	}
}

func TestTheModeIsOnDisk(t *testing.T) {
	db, err := store.Open(t.TempDir() + "/db")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if r, err := Read(db); err != nil || r.Committed != nil || r.Pending != nil || r.Last != nil {
		t.Errorf("a new state: %+v, %v", r, err)
	}
	now := time.Now().UTC().Round(0)
	want := Record{}.begin(asInterface, asRouter, nil).undo("why not", now).begin(asInterface, asHybrid, nil)
	if err := Write(db, want); err != nil {
		t.Fatal(err)
	}
	r, err := Read(db)
	if err != nil || r.Committed.Setup != asInterface || r.Committed.Configured != nil || r.Pending.To != asHybrid ||
		r.Last.To != asRouter || r.Last.Why != "why not" || !r.Last.At.Equal(now) {
		t.Errorf("read back %+v, %v", r, err)
	}
}
