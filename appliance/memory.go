package appliance

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"time"

	"golang.org/x/sys/unix"
)

// An appliance runs beside other things on small machines: it collects garbage more
// eagerly than Go does by default, and well before a small VM is full. What moves packets
// makes none, and the rest little.
const (
	gcPercent   = 25
	gcAtStart   = 10 // until startTime: the garbage of the start would leave the heap full of holes
	startTime   = time.Minute
	memoryLimit = 96 << 20 // bytes; soft
)

// Where much garbage is made for a while, as by hundreds of DHCP clients a second, the collector would mark the whole
// heap for each few of them. Then it lets the heap grow to thrice its size for a while; rest gives that back.
const (
	gcBusy     = 200
	busyCycles = 4 // collections a second
	busyTime   = time.Minute
)

// eagerness says how eager the collector is to be: by how much the heap may grow, in percent.
type eagerness struct {
	began  time.Time
	cycles uint64    // of the collector, so far; 0: not looked at yet
	busy   time.Time // until then there is much garbage

	percent int // as it was set; 0: it wasn't
}

// step takes how many collections there have been, a while after the last look.
func (e *eagerness) step(now time.Time, cycles uint64, ago time.Duration) (percent int) {
	if e.cycles != 0 && float64(cycles-e.cycles) > busyCycles*ago.Seconds() {
		e.busy = now.Add(busyTime)
	}
	e.cycles = cycles
	switch {
	case now.Before(e.busy):
		return gcBusy
	case now.Sub(e.began) < startTime:
		return gcAtStart
	}
	return gcPercent
}

// look has the collector be as eager as it is to be, unless the operator has said so (GOGC).
func (e *eagerness) look(now time.Time, ago time.Duration) {
	if os.Getenv("GOGC") != "" {
		return
	}
	sample := []metrics.Sample{{Name: "/gc/cycles/automatic:gc-cycles"}}
	metrics.Read(sample)
	if percent := e.step(now, sample[0].Value.Uint64(), ago); percent != e.percent {
		debug.SetGCPercent(percent)
		e.percent = percent
	}
}

// When the appliance is at rest, and how often it is tidied up then.
const (
	restBytes = 16 << 10 // a second, sent and received: what members say to each other, and a ping
	restTime  = 4 * time.Second
	tidyEvery = time.Minute
)

// tidier says when to collect garbage and give memory back. The collector waits until the heap
// has grown by a quarter, and what it frees stays with the program for minutes: 2 to 3 MB
// that an appliance with nothing to do doesn't need. To give back holds goroutines up for a moment, so
// it is done at rest.
type tidier struct {
	rest   time.Time // since when little happens; zero while there is more
	tidied time.Time
}

// due reports whether it is time, when so many bytes have gone since the last look, a while ago.
func (t *tidier) due(now time.Time, bytes uint64, ago time.Duration) bool {
	if float64(bytes) > restBytes*ago.Seconds() {
		t.rest = time.Time{}
		return false
	}
	if t.rest.IsZero() {
		t.rest = now
	}
	// Once for what happened before the rest, and then for what little happens.
	if now.Sub(t.rest) < restTime || t.tidied.After(t.rest) && now.Sub(t.tidied) < tidyEvery {
		return false
	}
	t.tidied = now
	return true
}

// rest gives back what only traffic needs: the memory of the buffers that packets go through, and free heap.
func (n *node) rest() {
	networks := n.running()
	n.loop.Between(func() {
		n.socket.Rest()
		for _, nw := range networks {
			nw.tunnel.Rest()
			if a := nw.attachment.Load(); a != nil {
				a.tap.Rest()
				a.router.Rest()
			}
		}
	})
	giveBack()
}

// giveBack collects garbage and gives back what is free. A collection halves the stacks of
// goroutines that use less than a quarter of them, and the start needs larger ones than what waits.
func giveBack() {
	for range 3 {
		runtime.GC()
	}
	debug.FreeOSMemory()
}

// tuneRuntime sets the collector and the number of processors for the daemon, unless the
// operator has set them by GOGC, GOMEMLIMIT or GOMAXPROCS: one more than there are
// cores, because the data plane's loop takes one for itself. It keeps the kernel from backing the heap with huge pages
// (transparent_hugepage=always, the default of some distributions): that takes
// megabytes more for a heap of 5 MB, which has nothing to gain by it.
func tuneRuntime() {
	if v := debug.SetGCPercent(gcAtStart); v != 100 {
		debug.SetGCPercent(v) // GOGC
	}
	runtime.MemProfileRate = 0 // nobody can ask for that profile
	if v := debug.SetMemoryLimit(-1); v == 1<<63-1 {
		debug.SetMemoryLimit(memoryLimit)
	}
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) + 1)
	}
	_ = unix.Prctl(unix.PR_SET_THP_DISABLE, 1, 0, 0, 0) // Linux 3.15 or later; else as the system has it
}
