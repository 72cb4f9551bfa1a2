package main

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"landbridge/console/api"
)

func TestSegmentsSayWhoseHostsTheyHaveAndWhoElseIsThere(t *testing.T) {
	list := api.SegmentList{Items: []api.Segment{
		{GroupName: "lab", Prefix: netip.MustParsePrefix("10.2.0.0/16"), ServiceAddress: netip.MustParseAddr("10.2.0.1"), Trunk: "eth1", Vlan: 10, Hosts: 3, Remainder: true,
			Attachment: api.Attachment{LanPort: "eth1.10", Bridge: "lbbr1", OtherDhcpServers: []api.OtherDhcpServer{{Address: netip.MustParseAddr("192.168.1.1")}}},
			Assigned:   []string{"02:00:00:00:00:02"},
			Neighbours: []api.Neighbour{{Name: "here", Self: true, Router: true, State: api.NeighbourStateServing, Percent: 60},
				{Name: "spare", Router: true, State: api.NeighbourStateSilent, StandIn: "here", Since: time.Now().Add(-time.Hour)}}},
		{GroupName: "office", Prefix: netip.MustParsePrefix("10.1.0.0/16"), ServiceAddress: netip.MustParseAddr("10.1.0.1"), Attachment: api.Attachment{Bridge: "lbbr0"}},
	}}
	state := daemon(t, map[string]any{"GET /api/v1/segments": func(*http.Request) any { return list }})
	got := command(t, engine{}, "", "segments", "--state", state)
	for _, part := range []string{"lab 10.2.0.0/16", "VLAN 10 of eth1", "3 leases served here; 1 named host of the port, and all that are named for no group", "02:00:00:00:00:02",
		"here (this one), serves hosts, 60 %", "spare, isn't heard, here does its work, here for 1h", "DHCP server 192.168.1.1", "0 leases served here; no host of the port yet"} {
		if got.code != exitOK || !strings.Contains(got.out, part) {
			t.Errorf("%q isn't in %+v", part, got)
		}
	}
	list.Items = nil
	if got := command(t, engine{}, "", "segments", "--state", state); got.code != exitOK || !strings.Contains(got.err, "in no group yet") {
		t.Errorf("without a group: %+v", got)
	}
}

func TestThroughputIsSummedUpBySpansThatEndNow(t *testing.T) {
	until := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	series := api.RateSeries{StepSeconds: 1, Until: until}
	for i := range 20 { // 5 s of nothing, then 15 s
		rate := int64(0)
		if i >= 5 {
			rate = 2_000_000
		}
		series.Sent, series.Received = append(series.Sent, rate), append(series.Received, 2*rate)
	}
	measured := api.Throughput{FiveMinutes: series}
	state := daemon(t, map[string]any{"GET /api/v1/throughput": func(*http.Request) any { return measured }})
	got := command(t, engine{}, "", "throughput", "--state", state)
	want := `Now            sent 2.00 Mbit/s, received 4.00 Mbit/s
On average     sent 1.50 Mbit/s, received 3.00 Mbit/s
At most        sent 2.00 Mbit/s, received 4.00 Mbit/s

UNTIL (UTC)         SENT     RECEIVED
11:59:45         0 bit/s      0 bit/s
12:00:00     2.00 Mbit/s  4.00 Mbit/s
`
	if got.code != exitOK || got.out != want {
		t.Errorf("%+v, want %q", got, want)
	}
	if got := command(t, engine{}, "", "throughput", "--day", "--state", state); got.code != exitOK || !strings.Contains(got.err, "Nothing was measured yet") {
		t.Errorf("the day: %+v", got)
	}
}

func TestTimeSaysWhetherTheClockIsKeptAndOfTheMembers(t *testing.T) {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	clock := api.Time{Now: now, Known: true, Synchronized: true, ErrorSeconds: 0.012, Members: []api.MemberClock{
		{Name: "porto", OffsetSeconds: -0.25, WithinSeconds: 0.004, Seen: now.Add(-time.Minute)}, {Name: "faro", OffsetSeconds: 90, WithinSeconds: 0.5, Seen: now}}}
	state := daemon(t, map[string]any{"GET /api/v1/time": func(*http.Request) any { return clock }})
	got := command(t, engine{}, "", "time", "--state", state)
	for _, part := range []string{"2026-11-22 12:00:00 UTC", "yes, wrong by 0.012 s at most", "porto   0.250 s behind  0.004 s  1m ago", "faro      1m 30s ahead"} {
		if got.code != exitOK || !strings.Contains(got.out, part) {
			t.Errorf("%q isn't in %+v", part, got)
		}
	}
	clock.Synchronized, clock.Members = false, nil
	if got := command(t, engine{}, "", "time", "--state", state); !strings.Contains(got.out, "nothing keeps it") || !strings.Contains(got.out, "no member's clock is known") {
		t.Errorf("a clock that nobody keeps: %+v", got)
	}
}
