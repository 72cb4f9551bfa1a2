package appliance

import (
	"os"
	"runtime"
	"runtime/debug"

	"golang.org/x/sys/unix"
)

// An appliance runs beside other things on small machines: it collects garbage more
// eagerly than Go does by default, and well before a small VM is full. What moves packets
// makes none, and the rest little.
const (
	gcPercent   = 25
	memoryLimit = 96 << 20 // bytes; soft
)

// tuneRuntime sets the collector and the number of processors for the daemon, unless the
// operator has set them by GOGC, GOMEMLIMIT or GOMAXPROCS: one more than there are
// cores, because the data plane's loop takes one for itself. It keeps the kernel from backing the heap with huge pages
// (transparent_hugepage=always, the default of some distributions): that takes
// megabytes more for a heap of 5 MB, which has nothing to gain by it.
func tuneRuntime() {
	if v := debug.SetGCPercent(gcPercent); v != 100 {
		debug.SetGCPercent(v) // GOGC
	}
	if v := debug.SetMemoryLimit(-1); v == 1<<63-1 {
		debug.SetMemoryLimit(memoryLimit)
	}
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) + 1)
	}
	_ = unix.Prctl(unix.PR_SET_THP_DISABLE, 1, 0, 0, 0) // Linux 3.15 or later; else as the system has it
}
