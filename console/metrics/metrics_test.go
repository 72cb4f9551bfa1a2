package metrics

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"landbridge/console/api"
)

// source is an appliance with everything that there is a metric of.
type source struct {
	peers    []api.Peer
	counters []api.Counter
	err      error
}

func (s source) Status(context.Context) (api.Status, error) {
	now := time.Unix(1_700_000_000, 0)
	return api.Status{
		Version: "1.2.3", Mode: api.ModeRouter, StartedAt: now, Memory: api.Memory{ResidentBytes: 1e6, HeapBytes: 1e5, Goroutines: 7},
		Health: []api.HealthItem{{Level: api.HealthLevelWarning}},
		Groups: []api.GroupStatus{{
			ID: strings.Repeat("a1", 32), Name: "office", Prefix: netip.MustParsePrefix("10.9.0.0/16"), MembersKnown: 3, MembersConnected: 2,
			LeasesServed: 40, CertificateExpires: now.Add(time.Hour),
		}},
	}, s.err
}

func (s source) Peers(context.Context) ([]api.Peer, error) { return s.peers, nil }

func (source) Blocks(context.Context) ([]api.Block, error) {
	g := strings.Repeat("a1", 32)
	return []api.Block{{Group: g, State: api.BlockStateHeld, Size: 62, Used: 40}, {Group: g, State: api.BlockStateSpare, Size: 62}, {Group: "bb", Size: 9}}, nil
}

func (s source) Counters(context.Context) ([]api.Counter, error) { return s.counters, nil }

// full is a source with each counter of docs/counters.md, which a test of internal/e2e compares
// with what an appliance counts.
func full(t *testing.T) source {
	t.Helper()
	page, err := os.ReadFile("../../docs/counters.md")
	if err != nil {
		t.Fatal(err)
	}
	s := source{peers: []api.Peer{
		{MemberID: "12D3KooWaaaaaaaa", Name: "b", Groups: []string{"a1a1a1a1a1"}, Session: api.SessionStateEstablished, Path: api.PathKindRelay, RttMicroseconds: 1500, TxBytes: 10, RxBytes: 20},
	}}
	component := ""
	for _, line := range regexp.MustCompile("(?m)^(?:## `(\\w+)`|\\| `(\\w+)` \\| )").FindAllSubmatch(page, -1) {
		if len(line[1]) > 0 {
			component = string(line[1])
			continue
		}
		s.counters = append(s.counters, api.Counter{Component: component, Name: string(line[2]), Value: 1})
	}
	if len(s.counters) < 100 {
		t.Fatalf("docs/counters.md has %d counters: is the search right?", len(s.counters))
	}
	return s
}

// families returns the metrics by name, as a Prometheus reads them.
func families(t *testing.T, s source) map[string]string {
	t.Helper()
	text, err := New(s).Text(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	parser := expfmt.NewTextParser(model.LegacyValidation)
	all, err := parser.TextToMetricFamilies(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	names := make(map[string]string)
	for name, f := range all {
		names[name] = strings.ToLower(f.GetType().String())
	}
	return names
}

func TestEveryNameIsAsPrometheusWantsIt(t *testing.T) {
	for name, kind := range families(t, full(t)) {
		switch {
		case !regexp.MustCompile(`^landbridge_[a-z0-9_]*[a-z0-9]$`).MatchString(name), strings.Contains(name, "__"):
			t.Errorf("%s is no good name", name)
		case (kind == "counter") != strings.HasSuffix(name, "_total"):
			t.Errorf("%s is a %s", name, kind)
		}
	}
}

func TestValuesAreThoseOfTheAppliance(t *testing.T) {
	text, err := New(full(t)).Text(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{
		`landbridge_build_info{mode="router",version="1.2.3"} 1`,
		`landbridge_health_issues{level="error"} 0`, `landbridge_health_issues{level="warning"} 1`,
		`landbridge_group_members_connected{group="office",group_id="a1a1a1a1"} 2`,
		`landbridge_group_pool_addresses{group="office",group_id="a1a1a1a1"} 124`,
		`landbridge_group_pool_addresses_used{group="office",group_id="a1a1a1a1"} 40`,
		`landbridge_group_blocks{group="office",group_id="a1a1a1a1",state="spare"} 1`,
		`landbridge_group_prefix_addresses{group="office",group_id="a1a1a1a1"} 65536`,
		`landbridge_paths{kind="relay"} 1`,
		`landbridge_session_round_trip_seconds{group_id="a1a1a1a1",member="b",member_id="aaaaaaaa"} 0.0015`,
		`landbridge_session_sent_bytes_total{group_id="a1a1a1a1",member="b",member_id="aaaaaaaa"} 10`,
		`landbridge_router_out_packets_total 1`, `landbridge_socket_lacks_ipv6 1`,
	} {
		if !strings.Contains(text, line+"\n") {
			t.Errorf("%s isn't there", line)
		}
	}
	if _, err := New(source{err: errors.New("it stops")}).Text(t.Context()); err == nil {
		t.Error("an appliance that can't tell is no error")
	}
}

func TestSeriesAreBoundedHoweverManyMembersThereAre(t *testing.T) {
	var s source
	for i := range 3000 {
		s.peers = append(s.peers, api.Peer{MemberID: fmt.Sprintf("member-%08d", i), Name: fmt.Sprint("m", i), Groups: []string{"a1"}})
	}
	text, err := New(s).Text(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(text, "\nlandbridge_session_up{"); n != maxMembers || !strings.Contains(text, "landbridge_session_series_omitted 2500\n") {
		t.Errorf("%d members have series", n)
	}
}

func TestTheDashboardShowsOnlyWhatThereIs(t *testing.T) {
	known := families(t, full(t))
	raw, err := os.ReadFile("../../docs/grafana.json")
	if err != nil {
		t.Fatal(err)
	}
	var dashboard struct {
		Title  string
		Panels []struct {
			ID      int
			Title   string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(raw, &dashboard); err != nil {
		t.Fatal(err)
	}
	used, ids := 0, make(map[int]bool)
	for _, p := range dashboard.Panels {
		if ids[p.ID] || p.Title == "" {
			t.Errorf("panel %d %q: want an ID and a title of its own", p.ID, p.Title)
		}
		ids[p.ID] = true
		for _, target := range p.Targets {
			names := regexp.MustCompile(`landbridge_\w+`).FindAllString(target.Expr, -1)
			if len(names) == 0 {
				t.Errorf("panel %q asks for nothing: %s", p.Title, target.Expr)
			}
			for _, name := range names {
				used++
				kind, ok := known[name]
				if !ok {
					t.Errorf("panel %q asks for %s, which there isn't", p.Title, name)
				}
				if rated := strings.Contains(target.Expr, "rate("); ok && (kind == "counter") != rated {
					t.Errorf("panel %q: %s is a %s, in %s", p.Title, name, kind, target.Expr)
				}
			}
		}
	}
	if used < 20 || dashboard.Title == "" {
		t.Errorf("%q has %d metrics", dashboard.Title, used)
	}
}

func TestThePageOfMetricsListsThemAll(t *testing.T) {
	page, err := os.ReadFile("../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	listed := make(map[string]bool)
	for _, m := range regexp.MustCompile("(?m)^\\| `(landbridge_\\w+)` ").FindAllSubmatch(page, -1) {
		listed[string(m[1])] = true
	}
	s := full(t)
	s.counters = nil // docs/counters.md lists these
	known := families(t, s)
	for name := range known {
		if !listed[name] {
			t.Errorf("docs/metrics.md doesn't list %s", name)
		}
	}
	for name := range listed {
		if known[name] == "" {
			t.Errorf("docs/metrics.md lists %s, which there isn't", name)
		}
	}
}
