package appliance

import (
	"runtime/debug"

	"golang.org/x/sys/unix"
)

// An appliance runs beside other things on small machines: it collects garbage a
// little more eagerly than Go does by default, and well before a small VM is full.
const (
	gcPercent   = 50
	memoryLimit = 96 << 20 // bytes; soft
)

// tuneRuntime sets the collector for the daemon, unless the operator has set it by
// GOGC or GOMEMLIMIT. It keeps the kernel from backing the heap with huge pages
// (transparent_hugepage=always, the default of some distributions): that takes
// megabytes more for a heap of 5 MB, which has nothing to gain by it.
func tuneRuntime() {
	if v := debug.SetGCPercent(gcPercent); v != 100 {
		debug.SetGCPercent(v) // GOGC
	}
	if v := debug.SetMemoryLimit(-1); v == 1<<63-1 {
		debug.SetMemoryLimit(memoryLimit)
	}
	_ = unix.Prctl(unix.PR_SET_THP_DISABLE, 1, 0, 0, 0) // Linux 3.15 or later; else as the system has it
}
