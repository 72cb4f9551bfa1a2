package appliance

import (
	"runtime/debug"
	"testing"

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
