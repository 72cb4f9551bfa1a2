package appliance

import "runtime/debug"

// An appliance runs beside other things on small machines: it collects garbage a
// little more eagerly than Go does by default, and well before a small VM is full.
const (
	gcPercent   = 50
	memoryLimit = 96 << 20 // bytes; soft
)

// tuneRuntime sets the collector for the daemon, unless the operator has set it by
// GOGC or GOMEMLIMIT.
func tuneRuntime() {
	if v := debug.SetGCPercent(gcPercent); v != 100 {
		debug.SetGCPercent(v) // GOGC
	}
	if v := debug.SetMemoryLimit(-1); v == 1<<63-1 {
		debug.SetMemoryLimit(memoryLimit)
	}
}
