package appliance

import (
	"errors"
	"maps"
	"path/filepath"
	"reflect"
	"slices"
	"testing"
	"time"

	"landbridge/dhcp"
	"landbridge/internal/config"
	"landbridge/internal/division"
	"landbridge/internal/group"
	"landbridge/internal/store"
)

func TestTheRulesOfSegmentsAreRememberedAndOnlyWhatFits(t *testing.T) {
	path := filepath.Join(t.TempDir(), "landbridge.db")
	lab, office := group.ID{7}, group.ID{8}
	want := map[group.ID]ruleRecord{
		lab:    {Serve: dhcp.ServeVendorClass, Classes: []string{"PXEClient"}, Server: 1067, Client: 1068, Default: 5, Since: 5, By: "nora"},
		office: {Default: 9, Since: 9},
	}
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
			put := func(rules map[group.ID]ruleRecord) error {
				maps.Copy(rules, want)
				return nil
			}
			refusal := errors.New("it doesn't fit")
			if err := r.setRules(put, func(live division.Live) error {
				if !slices.Equal(live.Defaults, []group.ID{office, lab}) {
					t.Errorf("asked about %v, want the latest first", live.Defaults)
				}
				return refusal
			}); !errors.Is(err, refusal) || len(*r.rules.Load()) != 0 {
				t.Errorf("what doesn't fit: %v, %v", err, *r.rules.Load())
			}
			if err := r.setRules(put, func(division.Live) error { return nil }); err != nil {
				t.Error(err)
			}
		}
		if got := *r.rules.Load(); !reflect.DeepEqual(got, want) {
			t.Errorf("round %d: %+v", round, got)
		}
		if round == 1 {
			r.forgetRule(office)
			if got := r.live().Defaults; !slices.Equal(got, []group.ID{lab}) {
				t.Errorf("one is left, and the defaults are %v", got)
			}
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// While a group is left, its rule is gone on disk a moment before it is in memory.
func TestTheRuleOfAGroupThatIsBeingLeftIsntWrittenBack(t *testing.T) {
	db, err := store.Open(filepath.Join(t.TempDir(), "landbridge.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	r, err := openRoll(db, nil)
	if err != nil {
		t.Fatal(err)
	}
	left, other := group.ID{7}, group.ID{8}
	put := func(id group.ID, record ruleRecord) {
		t.Helper()
		if err := r.setRules(func(rules map[group.ID]ruleRecord) error {
			rules[id] = record
			return nil
		}, func(division.Live) error { return nil }); err != nil {
			t.Fatal(err)
		}
	}
	put(left, ruleRecord{Serve: dhcp.ServeVendorClass, Classes: []string{"PXEClient"}, Since: 5})
	put(other, ruleRecord{Serve: dhcp.ServeOpen, Since: 6})
	if err := db.Update(func(tx *store.Tx) error { return ruleBucket().Delete(tx, left[:]) }); err != nil {
		t.Fatal(err)
	}
	put(other, ruleRecord{Serve: dhcp.ServeRegistered, Since: 7})
	if err := r.readRules(); err != nil {
		t.Fatal(err)
	}
	if got, want := *r.rules.Load(), (map[group.ID]ruleRecord{other: {Serve: dhcp.ServeRegistered, Since: 7}}); !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
}

func TestWhatTheConfigurationNamesGoesBeforeTheRules(t *testing.T) {
	set := ruleRecord{Serve: dhcp.ServeRegistered, Server: 1067, Client: 1068}
	standard := config.DHCP{Serve: dhcp.ServeOpen, Ports: dhcp.StandardPorts(), MTU: config.MTUOfLAN}
	serving, listening := standard, standard
	serving.ServeGiven, listening.PortsGiven = true, true
	for name, c := range map[string]struct {
		rule ruleRecord
		cfg  config.DHCP
		want config.DHCP
	}{
		"nothing set":              {ruleRecord{}, standard, standard},
		"nothing configured":       {set, standard, config.DHCP{Serve: dhcp.ServeRegistered, Ports: dhcp.Ports{Server: 1067, Client: 1068}, MTU: config.MTUOfLAN}},
		"the hosts are configured": {set, serving, config.DHCP{Serve: dhcp.ServeOpen, Ports: dhcp.Ports{Server: 1067, Client: 1068}, MTU: config.MTUOfLAN, ServeGiven: true}},
		"the ports are configured": {set, listening, config.DHCP{Serve: dhcp.ServeRegistered, Ports: dhcp.StandardPorts(), MTU: config.MTUOfLAN, PortsGiven: true}},
	} {
		if got := c.rule.over(c.cfg); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
}

func TestHowLongSomethingTakesIsSaidInWords(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Second: "0 seconds", 9 * time.Second: "9 seconds", 100 * time.Second: "100 seconds", 121 * time.Second: "3 minutes", 58 * time.Minute: "58 minutes", 3 * time.Hour: "3 hours", 49 * time.Hour: "3 days",
	} {
		if got := atMost(d); got != want {
			t.Errorf("%v: %s, want %s", d, got, want)
		}
	}
}
