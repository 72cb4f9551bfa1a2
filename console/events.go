package console

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"time"

	"landbridge/console/api"
)

// remembered is how many events a reader that comes back can be told of: seconds of a storm
// of leases, hours of a quiet day.
const remembered = 4096

// Events is what happens, kept in a ring, and read by any number of streams at their own
// pace: a reader is a place in the ring, and nothing waits for it. Publishing costs the same
// however many read: an event is built and encoded when the first reader comes to it.
// Safe for concurrent use. Make one with NewEvents.
type Events struct {
	run string // tells the IDs of this run from those of others

	mu      sync.Mutex
	ring    [remembered]event
	next    uint64        // number of the next event; the ring has those before it
	sample  event         // the last one of traffic, which isn't kept in the ring
	samples uint64        // how many of those there were
	wake    chan struct{} // closed when there is something new
	waiting bool          // somebody looks at wake
	curious int           // readers that want samples
}

// event is one in the ring.
type event struct {
	kind  api.EventType
	build func() api.Event // nil once it is encoded
	frame []byte           // as it goes over the wire
}

// NewEvents returns an empty ring.
func NewEvents() *Events {
	return &Events{run: strconv.FormatUint(rand.Uint64N(1<<40), 36), next: 1, wake: make(chan struct{})}
}

// Publish adds an event. build is called at most once, later, on another goroutine, or never;
// it must not publish. Type and time are set here.
func (e *Events) Publish(kind api.EventType, at time.Time, build func() api.Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.ring[e.next%remembered] = event{kind: kind, build: stamped(kind, at, build)}
	e.next++
	e.rouse()
}

// Sample replaces the sample of traffic.
func (e *Events) Sample(at time.Time, s api.TrafficSample) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.sample = event{kind: api.EventTypeTraffic, build: stamped(api.EventTypeTraffic, at, func() api.Event { return api.Event{Traffic: s} })}
	e.samples++
	e.rouse()
}

// Sampled reports whether anybody reads samples of traffic now.
func (e *Events) Sampled() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.curious > 0
}

func stamped(kind api.EventType, at time.Time, build func() api.Event) func() api.Event {
	return func() api.Event {
		v := build()
		v.Type, v.At = kind, at.UTC()
		return v
	}
}

// rouse wakes the readers. Called with mu held.
func (e *Events) rouse() {
	if e.waiting {
		close(e.wake)
		e.wake, e.waiting = make(chan struct{}), false
	}
}

// reader is a place in the ring.
type reader struct {
	events  *Events
	kinds   []string // beginnings of the kinds that are wanted; none for all
	next    uint64
	samples uint64
}

// read begins to read behind the event with this ID, or with what comes from now on. first is
// what to send at once; lost reports that events since that ID are forgotten.
func (e *Events) read(after string, kinds []string) (r *reader, lost bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	r = &reader{events: e, kinds: kinds, next: e.next, samples: e.samples}
	if r.wants(api.EventTypeTraffic) {
		e.curious++
	}
	if after == "" {
		return r, false
	}
	run, number, _ := strings.Cut(after, "-")
	seen, err := strconv.ParseUint(number, 10, 64)
	if err != nil || run != e.run || seen >= e.next || seen+remembered < e.next-1 {
		return r, true
	}
	r.next = seen + 1
	return r, false
}

// close ends the reading.
func (r *reader) close() {
	r.events.mu.Lock()
	defer r.events.mu.Unlock()
	if r.wants(api.EventTypeTraffic) {
		r.events.curious--
	}
}

func (r *reader) wants(kind api.EventType) bool {
	for _, k := range r.kinds {
		if strings.HasPrefix(string(kind), k) {
			return true
		}
	}
	return len(r.kinds) == 0
}

// maxGathered bounds what a reader takes at a time, in bytes.
const maxGathered = 64 << 10

// take appends what is new to b. more is closed when there is more than that; nil says that
// there is already. late reports that the reader has fallen behind the ring, and that its
// reading is over.
func (r *reader) take(b []byte) (_ []byte, more <-chan struct{}, late bool) {
	e := r.events
	e.mu.Lock()
	defer e.mu.Unlock()
	if r.next+remembered < e.next {
		return b, nil, true
	}
	for ; r.next < e.next; r.next++ {
		if len(b) > maxGathered {
			return b, nil, false
		}
		if v := &e.ring[r.next%remembered]; r.wants(v.kind) {
			b = append(b, v.encoded(e.id(r.next))...)
		}
	}
	if r.samples != e.samples {
		r.samples = e.samples
		if r.wants(api.EventTypeTraffic) { // its place is behind the last event: it can't be had again
			b = append(b, e.sample.encoded(e.id(e.next-1))...)
		}
	}
	e.waiting = true
	return b, e.wake, false
}

// greeting is the first event of a stream.
func (r *reader) greeting(kind api.EventType, now time.Time) []byte {
	v := event{kind: kind, build: stamped(kind, now, func() api.Event { return api.Event{} })}
	r.events.mu.Lock()
	id := r.events.id(r.next - 1)
	r.events.mu.Unlock()
	return v.encoded(id)
}

func (e *Events) id(number uint64) string { return e.run + "-" + strconv.FormatUint(number, 10) }

// encoded returns the event as the stream has it.
func (v *event) encoded(id string) []byte {
	if v.build == nil {
		return v.frame
	}
	data, err := json.Marshal(v.build())
	if err != nil { // unreachable: an Event is strings, numbers and times of this age
		data = fmt.Appendf(nil, `{"type":%q}`, v.kind)
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "id: %s\nevent: %s\ndata: %s\n\n", id, v.kind, data)
	v.build, v.frame = nil, b.Bytes()
	return v.frame
}
