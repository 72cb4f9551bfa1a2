package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"landbridge/internal/netlab"
)

// short returns the options of a soak that fits into the tests, of the program that
// LANDBRIDGE_BINARY names or else of one built now.
func short(t *testing.T) options {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("the lab makes network namespaces, which needs root")
	}
	binary := os.Getenv("LANDBRIDGE_BINARY")
	if binary == "" {
		binary = filepath.Join(t.TempDir(), "landbridge")
		if out, err := exec.Command("go", "build", "-trimpath", "-o", binary, "landbridge/cmd/landbridge").CombinedOutput(); err != nil {
			t.Fatalf("build the program: %v\n%s", err, out)
		}
	}
	return options{
		binary: binary, logs: t.TempDir(), length: 10 * time.Second, every: 4 * time.Second, rate: 20e6, seed: 1, out: t.Output(),
		link: netlab.Link{Delay: 2 * time.Millisecond, Loss: 0.01, Reorder: 0.03, Hold: 3 * time.Millisecond},
	}
}

func TestAShortSoakFindsNothingWrong(t *testing.T) {
	if err := soak(t.Context(), short(t)); err != nil {
		t.Error(err)
	}
}

func TestADaemonThatDiesEndsTheSoakAndIsNamed(t *testing.T) {
	o := short(t)
	o.length = time.Hour
	s, err := build(o)
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	ctx, stop := context.WithCancelCause(t.Context())
	defer stop(nil)
	if err := s.boot(ctx, stop); err != nil {
		t.Fatal(err)
	}
	var killer sync.WaitGroup
	defer killer.Wait()
	killer.Go(func() {
		timer := time.NewTimer(2 * time.Second)
		defer timer.Stop()
		select {
		case <-timer.C:
			_ = syscall.Kill(s.b.Process(), syscall.SIGKILL)
		case <-ctx.Done():
		}
	})
	began := time.Now()
	err = s.carry(ctx, stop, o)
	if err == nil || !strings.HasPrefix(err.Error(), "the daemon of b has ended (signal: killed)") {
		t.Errorf("the soak says: %v", err)
	}
	if took := time.Since(began); took > time.Minute {
		t.Errorf("it took %v", took)
	}
}
