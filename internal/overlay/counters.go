package overlay

import "sync/atomic"

// counters is what the overlay has done since it was opened.
type counters struct {
	calls, callsFailed, searches atomic.Uint64
}

// Counters lists what has been counted, by name.
func (o *Overlay) Counters() map[string]uint64 {
	return map[string]uint64{
		"calls":        o.counters.calls.Load(),
		"calls_failed": o.counters.callsFailed.Load(),
		"searches":     o.counters.searches.Load(),
	}
}
