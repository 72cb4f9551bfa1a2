package registry

import (
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Clock reads the machine's clocks. It must be safe for concurrent use.
type Clock interface {
	Instant() Instant
	// Mono is Instant().Mono, cheaply.
	Mono() time.Duration
}

// SystemClock is the kernel's: CLOCK_BOOTTIME, which counts sleep, named by the
// kernel's boot ID.
type SystemClock struct{ boot string }

// NewSystemClock reads the boot ID. Where there is none, every start of the
// program counts as a boot, which is the careful side.
func NewSystemClock() SystemClock {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return SystemClock{boot: time.Now().String()}
	}
	return SystemClock{boot: strings.TrimSpace(string(id))}
}

// Mono implements Clock.
func (c SystemClock) Mono() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		return 0 // unreachable: every kernel since 2.6.39 has it
	}
	return time.Duration(ts.Nano())
}

// Instant implements Clock.
func (c SystemClock) Instant() Instant {
	return Instant{Boot: c.boot, Mono: c.Mono(), Wall: time.Now()}
}
