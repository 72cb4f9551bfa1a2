package main

import (
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"landbridge/console/api"
)

func TestOnlyTheSettingsThatAreGivenAreChanged(t *testing.T) {
	was := api.GroupSettings{
		Group: office().ID, Version: 3, Made: time.Unix(1, 0), LeaseSeconds: 600, Search: []string{"a.example"}, Denied: []string{"52:54:00:00:00:01"}, OnlyAllowed: true, Ipv6Prefix: "fd12:3456:789a::/64",
		InForce: api.GroupSettingsInForce{LeaseSeconds: 600, RenewSeconds: 300, RebindSeconds: 525, Domain: "office.internal", Search: []string{"a.example"}},
		Behind:  []api.MemberBehind{{Name: "por\x1bto", Why: "It isn't connected."}}, Leftovers: 2, Leftover: []api.Leftover{{Address: netip.MustParseAddr("10.9.0.7"), Name: "printer"}}, NoticeSeconds: 300,
	}
	f := &fakeState{groups: []api.Group{office()}, settings: was}
	state := "--state=" + t.TempDir()
	r := command(t, f.engine(), "", state, "group", "set")
	if r.code != 0 || len(f.set) != 0 || strings.Contains(r.out, "\x1b") {
		t.Errorf("without flags: %+v, %+v", r, f.set)
	}
	for _, text := range []string{"version 3", "10m, renewed after 5m, by any server after 8m 45s", "It isn't connected.", "10.9.0.7 (printer), and 1 more", "registered hosts alone", "fd12:3456:789a::/64"} {
		if !strings.Contains(r.out, text) {
			t.Errorf("not shown: %q in\n%s", text, r.out)
		}
	}
	for _, c := range []struct {
		args []string
		want api.GroupSettingsChange
	}{
		{[]string{"--exclude", "10.9.0.2-10.9.0.9,10.9.1.0/28", "--route", "192.168.7.0/24 via 10.9.0.77", "--lease-time", "15m"}, api.GroupSettingsChange{
			Version: 3, LeaseSeconds: 900, Search: []string{"a.example"}, Denied: []string{"52:54:00:00:00:01"}, OnlyAllowed: true, Ipv6Prefix: "fd12:3456:789a::/64",
			Excluded: []string{"10.9.0.2-10.9.0.9", "10.9.1.0/28"}, Routes: []string{"192.168.7.0/24 via 10.9.0.77"},
		}},
		{[]string{"--deny", "", "--only-allowed=false"}, api.GroupSettingsChange{Version: 3, LeaseSeconds: 600, Search: []string{"a.example"}, Denied: []string{}, Ipv6Prefix: "fd12:3456:789a::/64"}},
		{[]string{"--defaults", "--ipv6", "auto"}, api.GroupSettingsChange{Version: 3, Ipv6Prefix: "auto"}},
		{[]string{"--defaults", "--ntp", "10.9.0.9"}, api.GroupSettingsChange{Version: 3, NtpServers: []string{"10.9.0.9"}}},
	} {
		f.set = nil
		r := command(t, f.engine(), "", append([]string{state, "group", "set"}, c.args...)...)
		if r.code != 0 || len(f.set) != 1 || !reflect.DeepEqual(f.set[0], c.want) || !strings.Contains(r.err, "within 5m") {
			t.Errorf("%v: %+v\nasked %+v, want\n%+v", c.args, r, f.set, c.want)
		}
	}
	if r := command(t, f.engine(), "", state, "group", "set", "--lease-time", "1500ms"); r.code != exitUsage {
		t.Error("a lease of a second and a half")
	}
}

// refused is an error that names fields, as those of a state without a daemon do.
type refused []api.FieldError

func (r refused) Error() string            { return r[0].Field + ": " + r[0].Detail }
func (r refused) Fields() []api.FieldError { return r }

func TestAllThatIsWrongWithSettingsIsSaidByTheNamesOfTheFlags(t *testing.T) {
	f := &fakeState{groups: []api.Group{office()}, err: nil}
	f.setErr = refused{{Field: "leaseSeconds", Detail: "must be longer"}, {Field: "dnsServers", Detail: "has none"}, {Field: "excluded", Detail: "is backwards"}}
	r := command(t, f.engine(), "", "--state="+t.TempDir(), "group", "set", "--lease-time", "5s")
	if r.code == 0 || !strings.Contains(r.err, "--lease-time: must be longer; --dns: has none; --exclude: is backwards") {
		t.Errorf("%+v", r)
	}
}

func TestServingRegisteredHostsAloneTakesAYesOfItsOwn(t *testing.T) {
	state := "--state=" + t.TempDir()
	for _, c := range []struct {
		was  api.GroupSettings
		args string
		want bool
	}{
		{api.GroupSettings{}, "--only-allowed", false},
		{api.GroupSettings{}, "--only-allowed --yes", true},
		{api.GroupSettings{}, "--only-allowed --allow 52:54:00:00:00:01", true},
		{api.GroupSettings{OnlyAllowed: true, Allowed: []string{"52:54:00:00:00:01"}}, "--allow=", false},
		{api.GroupSettings{OnlyAllowed: true}, "--ntp 10.9.0.9", true}, // it is so already
	} {
		f := &fakeState{groups: []api.Group{office()}, settings: c.was}
		r := command(t, f.engine(), "", append([]string{state, "group", "set"}, strings.Fields(c.args)...)...)
		if done := r.code == 0 && len(f.set) == 1; done != c.want || !done && (r.code != exitUsage || len(f.set) > 0 || !strings.Contains(r.err, "loses its address when its lease ends")) {
			t.Errorf("%s of %+v: %+v, set %v", c.args, c.was, r, f.set)
		}
	}
	f := &fakeState{groups: []api.Group{office()}, settings: api.GroupSettings{OnlyAllowed: true}}
	if r := command(t, f.engine(), "", state, "group", "set"); !strings.Contains(r.out, "isn't registered at its appliance loses its address") {
		t.Errorf("shown: %s", r.out)
	}
}

func TestTheDefaultOfT2IsTakenAsItIsShown(t *testing.T) {
	for typed, want := range map[string]int{"87.5": 0, "0": 0, "80": 80} {
		f := &fakeState{groups: []api.Group{office()}, settings: api.GroupSettings{RebindPercent: 90}}
		if r := command(t, f.engine(), "", "--state="+t.TempDir(), "group", "set", "--rebind", typed); r.code != 0 || len(f.set) != 1 || f.set[0].RebindPercent != want {
			t.Errorf("%s: %+v, set %v", typed, r, f.set)
		}
	}
}

func TestAChangeWaitsForMembersInTouchToHaveIt(t *testing.T) {
	state := "--state=" + t.TempDir()
	f := &fakeState{groups: []api.Group{office()}}
	f.settings.Behind = []api.MemberBehind{{Name: "b", Underway: true}, {Name: "c", Underway: true}, {Name: "d", Why: "It isn't connected."}}
	f.arriving = 4
	if r := command(t, f.engine(), "", state, "group", "set"); !strings.Contains(r.out, "to b, c") || strings.Contains(r.out, "Not at      b") {
		t.Errorf("shown: %s", r.out)
	}
	r := command(t, f.engine(), "", state, "group", "set", "--ntp", "10.9.0.9")
	if r.code != 0 || strings.Contains(r.out, "On its way") || !strings.Contains(r.out, "d: It isn't connected.") || f.arriving != 0 {
		t.Errorf("%+v, %d looks left", r, f.arriving)
	}
}
