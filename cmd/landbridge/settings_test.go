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
		Group: office().ID, Version: 3, Made: time.Unix(1, 0), LeaseSeconds: 600, Search: []string{"a.example"}, Denied: []string{"52:54:00:00:00:01"}, OnlyAllowed: true,
		InForce: api.GroupSettingsInForce{LeaseSeconds: 600, RenewSeconds: 300, RebindSeconds: 525, Domain: "office.internal", Search: []string{"a.example"}},
		Behind:  []api.MemberBehind{{Name: "por\x1bto", Why: "It isn't connected."}}, Leftovers: 2, Leftover: []api.Leftover{{Address: netip.MustParseAddr("10.9.0.7"), Name: "printer"}}, NoticeSeconds: 300,
	}
	f := &fakeState{groups: []api.Group{office()}, settings: was}
	state := "--state=" + t.TempDir()
	r := command(t, f.engine(), "", state, "group", "set")
	if r.code != 0 || len(f.set) != 0 || strings.Contains(r.out, "\x1b") {
		t.Errorf("without flags: %+v, %+v", r, f.set)
	}
	for _, text := range []string{"version 3", "10m, renewed after 5m, by any server after 8m 45s", "It isn't connected.", "10.9.0.7 (printer), and 1 more", "registered hosts alone"} {
		if !strings.Contains(r.out, text) {
			t.Errorf("not shown: %q in\n%s", text, r.out)
		}
	}
	for _, c := range []struct {
		args []string
		want api.GroupSettingsChange
	}{
		{[]string{"--exclude", "10.9.0.2-10.9.0.9,10.9.1.0/28", "--route", "192.168.7.0/24 via 10.9.0.77", "--lease-time", "15m"}, api.GroupSettingsChange{
			Version: 3, LeaseSeconds: 900, Search: []string{"a.example"}, Denied: []string{"52:54:00:00:00:01"}, OnlyAllowed: true,
			Excluded: []string{"10.9.0.2-10.9.0.9", "10.9.1.0/28"}, Routes: []string{"192.168.7.0/24 via 10.9.0.77"},
		}},
		{[]string{"--deny", "", "--only-allowed=false"}, api.GroupSettingsChange{Version: 3, LeaseSeconds: 600, Search: []string{"a.example"}, Denied: []string{}}},
		{[]string{"--defaults", "--ntp", "10.9.0.9"}, api.GroupSettingsChange{Version: 3, NtpServers: []string{"10.9.0.9"}}},
	} {
		f.set = nil
		r := command(t, f.engine(), "", append([]string{state, "group", "set"}, c.args...)...)
		if r.code != 0 || len(f.set) != 1 || !reflect.DeepEqual(f.set[0], c.want) || !strings.Contains(r.err, "within 5m") {
			t.Errorf("%v: %+v\nasked %+v, want\n%+v", c.args, r, f.set, c.want)
		}
	}
	if r := command(t, f.engine(), "", state, "group", "set", "--lease-time", "1s"); r.code == 0 {
		t.Error("a lease of a second")
	}
}
