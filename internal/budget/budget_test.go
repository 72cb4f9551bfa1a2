package budget

import (
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestABudgetGivesItsBurstAndThenOneAtATime(t *testing.T) {
	b := &Budget{Every: time.Second, Burst: 3}
	now := time.Unix(1_800_000_000, 0)
	got := func(asked int) (n, missed int) {
		for range asked {
			if ok, m := b.Take(now); ok {
				n, missed = n+1, missed+m
			}
		}
		return n, missed
	}
	for _, step := range []struct {
		pass             time.Duration
		asked, n, missed int
	}{{0, 10, 3, 0}, {time.Second - 1, 1, 0, 0}, {1, 2, 1, 8}, {time.Hour, 10, 3, 1}, {-time.Hour, 1, 0, 0}, {time.Second, 2, 1, 8}} {
		now = now.Add(step.pass)
		if n, missed := got(step.asked); n != step.n || missed != step.missed {
			t.Errorf("%v later, of %d: %d, %d in vain before; want %d, %d", step.pass, step.asked, n, missed, step.n, step.missed)
		}
	}
}

func TestALogWithABudgetSaysWhatItLeftOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out strings.Builder
		log := Log(slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug})), time.Second, 2).With("a", 1)
		for range 100 {
			log.Error("failed")
		}
		log.Debug("a detail")
		time.Sleep(time.Second)
		log.Info("again")
		lines := strings.Split(strings.TrimSpace(out.String()), "\n")
		if len(lines) != 4 || !strings.HasSuffix(lines[3], "msg=again a=1 suppressed=98") || !strings.Contains(lines[2], "a detail") {
			t.Errorf("got %q", lines)
		}
	})
}
