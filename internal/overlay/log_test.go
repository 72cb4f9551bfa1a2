package overlay

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"

	"landbridge/internal/budget"
)

func TestLibraryLogsAreLoweredAndBounded(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	now := time.Unix(1000, 0)
	log := slog.New(&boundedHandler{
		next:   slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug}),
		budget: &budget.Budget{Every: time.Second, Burst: 3}, now: func() time.Time { return now },
	}).With("logger", "swarm")
	lines := func() []string { return strings.Split(strings.TrimSpace(out.String()), "\n") }

	log.Info("chatter")
	for range 1000 {
		log.Error("a peer misbehaves", "peer", "x")
	}
	if got := lines(); len(got) != 3 || !strings.Contains(got[0], `level=WARN msg="libp2p: a peer misbehaves" logger=swarm peer=x`) {
		t.Fatalf("got %q", got)
	}
	now = now.Add(1500 * time.Millisecond)
	log.Warn("again")
	log.Warn("and again")
	if got := lines(); len(got) != 4 || !strings.Contains(got[3], "level=DEBUG") || !strings.Contains(got[3], "suppressed=997") {
		t.Fatalf("got %q", got)
	}
	now = now.Add(time.Hour)
	for range 10 {
		log.Warn("later")
	}
	if got := lines(); len(got) != 4+3 {
		t.Fatalf("a quiet hour buys %d lines", len(got)-4)
	}
}
