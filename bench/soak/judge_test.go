package main

import (
	"strings"
	"testing"
	"time"

	"landbridge/bench/traffic"
	"landbridge/console/api"
	"landbridge/internal/tunnel"
)

// series samples a run every second.
func series(length time.Duration, at func(time.Duration) sample) (all []sample) {
	for t := time.Duration(0); t <= length; t += time.Second {
		s := at(t)
		s.at = t
		all = append(all, s)
	}
	return all
}

func TestMemoryThatGrowsIsFoundAndMemoryThatIsFlatIsNot(t *testing.T) {
	const length = time.Hour
	steady := sample{rss: 35e6, fds: 20, threads: 11}
	for name, c := range map[string]struct {
		at   func(time.Duration) sample
		want string // in the error; none where empty
	}{
		"flat": {func(time.Duration) sample { return steady }, ""},
		"flat after the warm-up": {func(t time.Duration) sample {
			s := steady
			s.rss -= max(0, int64(5*time.Minute-t)/10_000)
			return s
		}, ""},
		"up and down": {func(t time.Duration) sample {
			s := steady
			s.rss += int64(t/time.Second%7) * 1e6
			return s
		}, ""},
		"a leak of 4 MB an hour": {func(t time.Duration) sample {
			s := steady
			s.rss += int64(t.Hours() * 4e6)
			return s
		}, "memory grows"},
		"a file descriptor left each minute": {func(t time.Duration) sample {
			s := steady
			s.fds += int(t.Minutes())
			return s
		}, "file descriptors grow"},
		"a thread left each five minutes": {func(t time.Duration) sample {
			s := steady
			s.threads += int(t.Minutes() / 5)
			return s
		}, "threads grow"},
	} {
		err := flat(series(length, c.at), length)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := flat(nil, length); err == nil {
		t.Error("no samples at all are flat")
	}
	if err := bounded(sample{rss: 48_000_001}); err == nil {
		t.Error("more than 48 MB pass")
	}
	if err := bounded(sample{rss: 47_999_999}); err != nil {
		t.Error(err)
	}
}

func TestEveryRunIsSampledOftenEnough(t *testing.T) {
	for _, length := range []time.Duration{shortestFlat, 2 * time.Minute, 10 * time.Minute, time.Hour, 24 * time.Hour} {
		var all []sample
		for at := time.Duration(0); at <= length; at += sampleEvery(length) {
			all = append(all, sample{at: at})
		}
		if err := flat(all, length); err != nil {
			t.Errorf("%v: %v", length, err)
		}
	}
}

func TestACounterOfWhatCannotHappenIsFound(t *testing.T) {
	fine := []api.Counter{{Component: "socket", Name: "datagrams_in", Value: 5}, {Component: "dhcp", Name: "forged", Value: 1}}
	for component, names := range impossible() {
		for _, name := range names {
			if component != "socket" && component != "tunnel" { // which list only what isn't zero
				fine = append(fine, api.Counter{Component: component, Name: name})
			}
		}
	}
	if err := unmoved(fine); err != nil {
		t.Error(err)
	}
	for _, c := range []api.Counter{
		{Component: "tunnel", Name: "forged", Value: 1}, {Component: "tunnel", Name: "bad_body", Value: 1},
		{Component: "socket", Name: "bad_header", Value: 3}, {Component: "router", Name: "drop_malformed", Value: 1},
	} {
		if err := unmoved(append(fine, c)); err == nil || !strings.Contains(err.Error(), c.Name) {
			t.Errorf("%+v: %v", c, err)
		}
	}
	if err := unmoved(fine[:len(fine)-1]); err == nil || !strings.Contains(err.Error(), "another name") {
		t.Errorf("one isn't counted: %v", err)
	}
}

func TestALogThatTellsOfAnErrorIsFound(t *testing.T) {
	fine := "time=2026-11-22T08:00:00Z level=INFO msg=\"member connected\"\ntime=2026-11-22T08:00:01Z level=WARN msg=\"level of errors\"\n"
	if err := errorsIn(fine); err != nil {
		t.Error(err)
	}
	for _, line := range []string{"time=2026-11-22T08:00:02Z level=ERROR msg=\"register not written\"", "panic: runtime error", "fatal error: all goroutines are asleep"} {
		if err := errorsIn(fine + line + "\n"); err == nil || !strings.Contains(err.Error(), line) {
			t.Errorf("%s: %v", line, err)
		}
	}
}

func TestSessionsMadeAreCounted(t *testing.T) {
	const log = `time=2026-11-22T08:55:34.111Z level=INFO msg="session made" group=soak cipher=AES-256-GCM role=responder` + "\n"
	if n := sessionsMade(log + "level=INFO msg=\"session ended\"\n" + log); n != 2 {
		t.Errorf("%d of 2", n)
	}
}

func TestSessionsMustRenewTheirKeys(t *testing.T) {
	for _, c := range []struct {
		rekeys uint64
		at     time.Duration
		anew   int
		fine   bool
	}{
		{0, 149 * time.Second, 0, true},
		{0, 151 * time.Second, 0, false},
		{1, 151 * time.Second, 0, true},
		{1, 301 * time.Second, 0, false},
		{1, 301 * time.Second, 1, true},
		{24, time.Hour, 0, true},
		{23, time.Hour, 0, false},
	} {
		peers := []api.Peer{{Name: "b", Rekeys: 100}, {Name: "c", Rekeys: c.rekeys}}
		if err := renewed(peers, c.at, c.anew); (err == nil) != c.fine {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

// direction is traffic of which each class lost this share of 10,000 datagrams.
func direction(lost ...float64) traffic.Direction {
	d := traffic.Direction{From: "a", To: "b", Totals: traffic.Totals{Transfers: 1, Requests: 1, Connections: 1}}
	for i, share := range lost {
		d.Classes[i] = traffic.Datagrams{Sent: 10_000, Received: uint64(10_000 * (1 - share))}
	}
	return d
}

func TestLossIsJudgedByWhatTheLinksLose(t *testing.T) {
	for _, c := range []struct {
		loss []float64
		want string
	}{
		{[]float64{0.02, 0.02, 0.02, 0.11}, ""},
		{[]float64{0, 0, 0, 0}, ""},
		{[]float64{0.05, 0.02, 0.02, 0.11}, "small"},
		{[]float64{0.02, 0.02, 0.05, 0.11}, "full-size"},
		{[]float64{0.02, 0.02, 0.02, 0.2}, "oversized"},
		{[]float64{0.02, 1, 0.02, 0.1}, "none of 10000"},
	} {
		err := arrived(direction(c.loss...), groupMTU, 2, 0.01)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: %v", c.loss, err)
		}
	}
	for _, spoil := range []func(*traffic.Direction){
		func(d *traffic.Direction) { d.Transfers = 0 }, func(d *traffic.Direction) { d.Requests = 0 }, func(d *traffic.Direction) { d.Connections = 0 },
	} {
		d := direction(0, 0, 0, 0)
		spoil(&d)
		if err := arrived(d, groupMTU, 2, 0.01); err == nil {
			t.Errorf("%+v passes", d)
		}
	}
}

func TestRefusedChecksumsAreAddedUp(t *testing.T) {
	const snmp = `Ip: Forwarding DefaultTTL
Ip: 1 64
Icmp: InMsgs InErrors InCsumErrors
Icmp: 4 0 1
Tcp: RtoAlgorithm MaxConn InCsumErrors
Tcp: 1 -1 20
Udp: InDatagrams InCsumErrors MemErrors
Udp: 5 300 7
`
	if n, err := sumOf(snmp, "InCsumErrors"); err != nil || n != 321 {
		t.Errorf("%d, %v", n, err)
	}
	if _, err := sumOf(snmp, "NoSuch"); err == nil {
		t.Error("a column that isn't there is 0")
	}
}

func TestWhatCannotBeRunIsRefused(t *testing.T) {
	for _, args := range []string{"-for 1s", "-rate 0", "-rate 5000", "-every 0", "much"} {
		if _, err := parse(strings.Fields(args)); err == nil {
			t.Errorf("%s was accepted", args)
		}
	}
	o, err := parse(strings.Fields("-for 2m -rate 20 -reorder 0"))
	if err != nil || o.length != 2*time.Minute || o.rate != 20e6 || o.link.Hold != 0 || !strings.HasPrefix(o.binary, "/") {
		t.Errorf("%+v, %v", o, err)
	}
}

func TestTheTunnelCountsUnderTheNamesOfWhatCannotHappen(t *testing.T) {
	known := make(map[string]bool)
	for c := tunnel.Counter(0); !strings.HasPrefix(c.String(), "counter "); c++ {
		known[c.String()] = true
	}
	for _, component := range []string{"socket", "tunnel"} {
		for _, name := range impossible()[component] {
			if !known[name] {
				t.Errorf("the tunnel has no counter %s", name)
			}
		}
	}
}
