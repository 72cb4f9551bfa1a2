package main

import (
	"encoding/json"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"landbridge/console/api"
)

func TestPingShowsThePathOfEachPacket(t *testing.T) {
	addr := netip.MustParseAddrPort("192.0.2.1:4860")
	packets := []api.PingPacket{
		{Seq: 1, Answered: true, Path: api.PathKindRelay, ViaName: "d", Via: "x", RttMicroseconds: 4000, Why: "trying 2 addresses"},
		{Seq: 1, Answered: true, Path: api.PathKindDirect, Endpoint: addr, RttMicroseconds: 2000},
		{Seq: 1, Path: api.PathKindDirect, Endpoint: addr, Why: "no answer in time"},
	}
	asked := 0
	state := daemon(t, map[string]any{"POST /api/v1/ping": func(*http.Request) any {
		k := packets[asked%len(packets)]
		asked++
		r := api.PingResult{Kind: api.PingKindMember, MemberName: "site-b", Sent: 1, Packets: []api.PingPacket{k}}
		if k.Answered {
			r.Received = 1
		}
		return answerOK{r}
	}})
	got := command(t, engine{}, "", "ping", "site-b", "-c", "3", "-i", "10ms", "--state", state)
	if got.code != exitOK || !strings.Contains(got.out, "site-b: seq 1, 4.00 ms, by relay d; not better: trying 2 addresses\n") ||
		!strings.Contains(got.out, "site-b: seq 2, 2.00 ms, by direct 192.0.2.1:4860\n") ||
		!strings.Contains(got.out, "site-b: seq 3, no answer, by direct 192.0.2.1:4860: no answer in time\n") ||
		!strings.Contains(got.err, "3 sent, 2 answered; round trip 2.00 ms at least, 3.00 ms on average, 4.00 ms at most") {
		t.Errorf("%+v", got)
	}
	lost := api.Problem{Status: 404, Detail: "no member is called site-b"}
	left := daemon(t, map[string]any{"POST /api/v1/ping": func(*http.Request) any {
		if asked++; asked > 4 {
			return lost
		}
		return answerOK{api.PingResult{Kind: api.PingKindMember, MemberName: "site-b", Sent: 1, Received: 1, Packets: packets[1:2]}}
	}})
	got = command(t, engine{}, "", "ping", "site-b", "-i", "10ms", "--state", left)
	if got.code != exitFailed || !strings.Contains(got.err, "1 sent, 1 answered") || !strings.Contains(got.err, "no member is called site-b") {
		t.Errorf("an error in the middle: %+v", got)
	}
	asked = 2
	if got := command(t, engine{}, "", "ping", "site-b", "-c", "1", "--state", state); got.code != exitFailed {
		t.Errorf("nothing answered: %+v", got)
	}
}

func TestATraceShowsEachHopAsItAnswers(t *testing.T) {
	hops := []api.TraceHop{
		{Number: 1, Kind: api.PathHopKindRelay, Name: "d", Address: "192.0.2.1:4860", Packets: []api.PingPacket{{Answered: true, RttMicroseconds: 2000}, {Why: "no answer in time"}}},
		{Number: 2, Kind: api.PathHopKindHost, Name: "10.9.0.7", Address: "10.9.0.7", Packets: []api.PingPacket{{Answered: true, RttMicroseconds: 4000}}},
	}
	reached := true
	state := daemon(t, map[string]any{"POST /api/v1/traceroute": func(r *http.Request) any {
		var req api.TraceRequest
		if err := json.NewDecoder(r.Body).Decode(&req); err != nil || req.Hop < 1 || req.Hop > 2 || req.Count != 2 {
			t.Errorf("asked for %+v, %v", req, err)
			return nil
		}
		return answerOK{api.TraceResult{Target: "10.9.0.7", Total: 2, Reached: reached && req.Hop == 2, Why: "a symmetric NAT", Hops: hops[req.Hop-1 : req.Hop]}}
	}})
	got := command(t, engine{}, "", "traceroute", "10.9.0.7", "-c", "2", "--state", state)
	want := " 1  d at 192.0.2.1:4860  relay  2.00 ms  *  no answer in time\n 2  10.9.0.7  host  4.00 ms\n"
	if got.code != exitOK || got.out != want || !strings.Contains(got.err, "Not better: a symmetric NAT") {
		t.Errorf("%+v, want %q", got, want)
	}
	if got := command(t, engine{}, "", "traceroute", "10.9.0.7", "-c", "2", "--json", "--state", state); got.code != exitOK || strings.Count(got.out, `"number"`) != 2 {
		t.Errorf("as JSON: %+v", got)
	}
	reached = false
	if got := command(t, engine{}, "", "traceroute", "10.9.0.7", "-c", "2", "--state", state); got.code != exitFailed || !strings.Contains(got.err, "10.9.0.7 isn't reached") {
		t.Errorf("not reached: %+v", got)
	}
	if got := command(t, engine{}, "", "traceroute", "b", "-c", "11"); got.code != exitUsage {
		t.Errorf("%+v", got)
	}
}

func TestTheDoctorsExitCodeSaysWhetherACheckFailed(t *testing.T) {
	report := api.DoctorReport{State: api.CheckStateWarning, Checks: []api.DoctorCheck{
		{Name: "nat", Title: "NAT", State: api.CheckStateWarning, Text: "A symmetric NAT.", Remedy: "Forward a port."}, {Title: "Clock", State: api.CheckStateOK, Text: "It is kept right."}}}
	state := daemon(t, map[string]any{"GET /api/v1/doctor": func(*http.Request) any { return report }})
	got := command(t, engine{}, "", "doctor", "--state", state)
	want := "warning  NAT: A symmetric NAT.\n         -> Forward a port.\nok       Clock: It is kept right.\n"
	if got.code != exitOK || got.out != want {
		t.Errorf("%+v, want %q", got, want)
	}
	report.State = api.CheckStateFailed
	if got := command(t, engine{}, "", "doctor", "--json", "--state", state); got.code != exitFailed || !strings.Contains(got.out, `"state": "failed"`) {
		t.Errorf("%+v", got)
	}
}

func TestPathAndQueryGiveTheirReasons(t *testing.T) {
	state := daemon(t, map[string]any{
		"GET /api/v1/path": api.PathReport{Steps: []string{"site-b serves it."}, Help: "Forward a port.", Hops: []api.PathHop{{Name: "here"}, {Name: "site-b", Address: "192.0.2.1:4860"}}},
		"POST /api/v1/dns/query": answerOK{api.DNSAnswer{Name: "a.lan.", Type: "A", Code: "NOERROR", Server: netip.MustParseAddr("10.9.0.1"),
			Answers: []api.DNSRecord{{Name: "a.lan.", Type: "A", TTL: 60, Data: "10.9.0.7"}}, Reasons: []string{"It is a host."}}},
	})
	path := command(t, engine{}, "", "path", "10.9.0.7", "--state", state)
	if path.code != exitOK || !strings.Contains(path.out, "here -> site-b at 192.0.2.1:4860") || !strings.Contains(path.out, "site-b serves it.") || !strings.Contains(path.out, "Forward a port.") {
		t.Errorf("%+v", path)
	}
	query := command(t, engine{}, "", "query", "a.lan", "--state", state)
	if query.code != exitOK || !strings.Contains(query.out, "a.lan. 60 A 10.9.0.7") || !strings.Contains(query.out, "It is a host.") {
		t.Errorf("%+v", query)
	}
}

func TestADownloadIsAFileOnlyWhenItIsWhole(t *testing.T) {
	broken, asked := false, 0
	state := daemon(t, map[string]any{"GET /api/v1/backup": func(*http.Request) any {
		asked++
		if broken {
			panic(http.ErrAbortHandler)
		}
		return "the state"
	}})
	dir := t.TempDir()
	file := filepath.Join(dir, "backup.db")
	got := command(t, engine{}, "", "backup", file, "--state", state)
	info, err := os.Stat(file)
	if got.code != exitOK || err != nil || info.Mode().Perm() != 0o600 || !strings.Contains(got.err, "written") {
		t.Errorf("%+v, %v", got, err)
	}
	broken = true
	if got := command(t, engine{}, "", "backup", filepath.Join(dir, "b.db"), "--state", state); got.code != exitFailed {
		t.Errorf("%+v", got)
	}
	if got := command(t, engine{}, "", "support", filepath.Join(dir, "s.tar.gz"), "--state", state); got.code != exitFailed || !strings.Contains(got.err, "no answer to") {
		t.Errorf("a problem: %+v", got)
	}
	broken = false
	for where, want := range map[string]string{
		filepath.Join(dir, "none", "b.db"): "write " + filepath.Join(dir, "none", "b.db") + ": the directory " + filepath.Join(dir, "none") + " doesn't exist: make it first, or name another\n",
		dir:                                "it is a directory: name a file in it\n",
	} {
		before := asked
		got := command(t, engine{}, "", "backup", where, "--state", state)
		if got.code != exitFailed || !strings.HasSuffix(got.err, want) || asked != before {
			t.Errorf("to %s: asked for the state %d times, %+v", where, asked-before, got)
		}
	}
	if left, _ := os.ReadDir(dir); len(left) != 1 {
		t.Errorf("%d files are there, want the whole one", len(left))
	}
	if got := command(t, engine{}, "", "capture"); got.code != exitUsage {
		t.Errorf("a capture to nowhere: %+v", got)
	}
}

func TestLogsAreLinesThatMoveNoCursor(t *testing.T) {
	at := time.Date(2026, 11, 22, 12, 0, 0, 5e6, time.UTC)
	state := daemon(t, map[string]any{"GET /api/v1/logs": api.LogList{Items: []api.LogLine{
		{ID: 1, Time: at, Level: "warn", Message: "it\x1b[2J went away", Fields: []api.LogField{{Name: "member", Value: "site-b"}}}}}})
	got := command(t, engine{}, "", "logs", "--state", state)
	if want := "2026-11-22 12:00:00.005 warn  it?[2J went away member=site-b\n"; got.code != exitOK || got.out != want {
		t.Errorf("%+v, want %q", got, want)
	}
}
