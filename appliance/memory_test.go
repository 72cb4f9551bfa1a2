package appliance

import (
	"runtime/debug"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestTuneRuntimeKeepsWhatTheOperatorSet(t *testing.T) {
	percent, limit := debug.SetGCPercent(33), debug.SetMemoryLimit(44<<20)
	t.Cleanup(func() {
		debug.SetGCPercent(percent)
		debug.SetMemoryLimit(limit)
	})
	tuneRuntime()
	if got := debug.SetGCPercent(33); got != 33 {
		t.Errorf("GOGC is %d after tuneRuntime, was set to 33", got)
	}
	if got := debug.SetMemoryLimit(-1); got != 44<<20 {
		t.Errorf("GOMEMLIMIT is %d after tuneRuntime, was set to %d", got, 44<<20)
	}
}

func TestTheHeapGetsNoHugePages(t *testing.T) {
	percent, limit := debug.SetGCPercent(100), debug.SetMemoryLimit(-1)
	was, err := unix.PrctlRetInt(unix.PR_GET_THP_DISABLE, 0, 0, 0, 0)
	if err != nil {
		t.Skip("this kernel cannot say whether huge pages are off:", err)
	}
	t.Cleanup(func() {
		debug.SetGCPercent(percent)
		debug.SetMemoryLimit(limit)
		if err := unix.Prctl(unix.PR_SET_THP_DISABLE, uintptr(was), 0, 0, 0); err != nil {
			t.Error(err)
		}
	})
	tuneRuntime()
	if off, err := unix.PrctlRetInt(unix.PR_GET_THP_DISABLE, 0, 0, 0, 0); off != 1 || err != nil {
		t.Errorf("PR_GET_THP_DISABLE says %d, %v; want 1", off, err)
	}
}

func TestMemoryIsGivenBackAtRestAlone(t *testing.T) {
	var tidier tidier
	at := time.Unix(0, 0)
	step := func(bytes uint64) bool {
		at = at.Add(2 * time.Second)
		return tidier.due(at, bytes, 2*time.Second)
	}
	count := func(bytes uint64, looks int) (n int) {
		for range looks {
			if step(bytes) {
				n++
			}
		}
		return n
	}
	if n := count(1<<20, 100); n != 0 {
		t.Errorf("%d times while there was traffic", n)
	}
	if n := count(1000, 5); n != 1 {
		t.Errorf("%d times within 10 s of rest, want once", n)
	}
	if n := count(1000, 100); n < 2 || n > 4 {
		t.Errorf("%d times in 200 s of rest, want one a minute", n)
	}
	step(1 << 20)
	if n := count(0, 5); n != 1 {
		t.Errorf("%d times within 10 s of rest after something happened, want once", n)
	}
}

func TestTheCollectorIsLessEagerWhileThereIsMuchGarbage(t *testing.T) {
	start := time.Unix(0, 0)
	e, cycles := eagerness{began: start}, uint64(0)
	for _, c := range []struct {
		at     time.Duration
		cycles uint64 // within 2 s
		want   int
	}{
		{2 * time.Second, 50, gcAtStart}, {4 * time.Second, 3, gcAtStart}, {100 * time.Second, 7, gcPercent}, {102 * time.Second, 20, gcBusy},
		{104 * time.Second, 0, gcBusy}, {160 * time.Second, 9, gcBusy}, {162 * time.Second, 1, gcBusy}, {222 * time.Second, 0, gcPercent},
	} {
		cycles += c.cycles
		if got := e.step(start.Add(c.at), cycles, 2*time.Second); got != c.want {
			t.Errorf("%v, %d collections: %d %%, want %d", c.at, c.cycles, got, c.want)
		}
	}
}
