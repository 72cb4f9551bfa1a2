package main

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"landbridge/console/api"
	"landbridge/internal/store"
)

// A daemon takes the state's lock before it opens its socket.
func TestACommandWaitsForADaemonThatIsStarting(t *testing.T) {
	state := t.TempDir()
	tries := 0
	starting := engine{offline: func(string, *slog.Logger) (offline, error) {
		if tries++; tries == 2 { // the command has looked for the socket twice
			l, err := net.Listen("unix", filepath.Join(state, api.SocketName))
			if err != nil {
				t.Error(err)
			}
			srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				_ = json.NewEncoder(w).Encode(api.GroupList{Items: []api.Group{office()}})
			})}
			go func() { _ = srv.Serve(l) }()
			t.Cleanup(func() { _ = srv.Close() })
		}
		return nil, fmt.Errorf("open %s: %w", state, store.ErrInUse)
	}}
	if r := command(t, starting, "", "--state", state, "group", "show"); r.code != 0 || !strings.Contains(r.out, "office") {
		t.Errorf("got %+v", r)
	}
}

func TestACommandSaysSoWhereTheDaemonDoesNotAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		state := t.TempDir()
		stuck := engine{offline: func(string, *slog.Logger) (offline, error) { return nil, store.ErrInUse }}
		start := time.Now()
		r := command(t, stuck, "", "--state", state, "group", "show")
		if r.code != 1 || !strings.Contains(r.err, state) || !strings.Contains(r.err, "try again") || strings.Contains(r.err, "stop that one") {
			t.Errorf("got %+v", r)
		}
		if took := time.Since(start); took < socketWait || took > socketWait+time.Second {
			t.Errorf("it took %v, want %v", took, socketWait)
		}
	})
}

func TestAGroupSaysHowLongEachMembersCertificateIsGood(t *testing.T) {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	for state, want := range map[api.MemberCertificateState]string{
		"": "", api.MemberCertificateStateGood: "2d", api.MemberCertificateStateDue: "2d, being renewed", api.MemberCertificateStateLate: "2d, not renewed",
	} {
		if got := certificateText(api.MemberCertificate{State: state, Expires: now.Add(48 * time.Hour)}, now); got != want {
			t.Errorf("%q: %q, want %q", state, got, want)
		}
	}
	if got := certificateText(api.MemberCertificate{State: api.MemberCertificateStateExpired, Expires: now.Add(-time.Hour)}, now); got != "ended 1h ago" {
		t.Error(got)
	}
}
