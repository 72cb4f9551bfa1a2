package console

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"landbridge/console/api"
)

// granted publishes that a lease was granted to the host with this name.
func granted(e *Events, name string) {
	e.Publish(api.EventTypeLeaseGranted, time.Unix(1_800_000_000, 0), func() api.Event { return api.Event{Lease: api.Lease{Name: name}} })
}

// message is one event as a client gets it.
type message struct{ id, kind, data string }

// listen opens a stream and hands over what comes; it ends with the test.
func listen(t *testing.T, client *api.Local, params api.StreamEventsParams) <-chan message {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	res, err := client.StreamEvents(ctx, &params)
	if err != nil {
		t.Fatal(err)
	}
	if res.StatusCode != http.StatusOK || res.Header.Get("Content-Type") != "text/event-stream" {
		t.Fatalf("%d %v", res.StatusCode, res.Header)
	}
	messages := make(chan message, 64)
	var reading sync.WaitGroup
	reading.Go(func() {
		defer close(messages)
		var m message
		for lines := bufio.NewScanner(res.Body); lines.Scan(); {
			field, value, _ := strings.Cut(lines.Text(), ": ")
			switch field {
			case "id":
				m.id = value
			case "event":
				m.kind = value
			case "data":
				m.data = value
			case "":
				if m.kind != "" {
					select {
					case messages <- m:
					case <-ctx.Done():
						return
					}
				}
				m = message{}
			}
		}
	})
	t.Cleanup(func() { cancel(); _ = res.Body.Close(); reading.Wait() })
	return messages
}

func next(t *testing.T, messages <-chan message) message {
	t.Helper()
	select {
	case m, ok := <-messages:
		if !ok {
			t.Fatal("the stream has ended")
		}
		return m
	case <-time.After(time.Minute):
		t.Fatal("no event came")
		return message{}
	}
}

func TestEventsComeInOrderAndAgainAfterTheLastOneThatWasReceived(t *testing.T) {
	f := &fake{events: NewEvents()}
	client := serve(t, f)
	granted(f.events, "before")
	stream := listen(t, client, api.StreamEventsParams{})
	hello := next(t, stream)
	if hello.kind != "hello" || hello.id == "" {
		t.Fatalf("first came %+v", hello)
	}
	for i := range 3 {
		granted(f.events, fmt.Sprint("host-", i))
	}
	var seen []message
	for i := range 3 {
		m := next(t, stream)
		if m.kind != "lease.granted" || !strings.Contains(m.data, fmt.Sprintf(`"name":"host-%d"`, i)) || !strings.Contains(m.data, `"at":"2027-01-15T08:00:00Z"`) {
			t.Fatalf("event %d is %+v", i, m)
		}
		seen = append(seen, m)
	}
	for _, params := range []api.StreamEventsParams{{LastEventID: seen[0].id}, {After: seen[0].id}, {LastEventID: seen[0].id, After: "nonsense"}} {
		again := listen(t, client, params)
		if one, two := next(t, again), next(t, again); one != seen[1] || two != seen[2] {
			t.Errorf("%+v: after %s came %+v, %+v", params, seen[0].id, one, two)
		}
	}
	if m := next(t, listen(t, client, api.StreamEventsParams{LastEventID: hello.id})); m != seen[0] {
		t.Errorf("after hello came %+v", m)
	}
}

func TestAReaderHearsWhenWhatItMissedIsForgotten(t *testing.T) {
	f := &fake{events: NewEvents()}
	client := serve(t, f)
	for _, id := range []string{"nonsense", NewEvents().id(0), f.events.id(7)} {
		if m := next(t, listen(t, client, api.StreamEventsParams{LastEventID: id})); m.kind != "reset" {
			t.Errorf("after %s came %+v", id, m)
		}
	}
	for range remembered + 1 {
		granted(f.events, "x")
	}
	if m := next(t, listen(t, client, api.StreamEventsParams{LastEventID: f.events.id(0)})); m.kind != "reset" {
		t.Errorf("after one too old came %+v", m)
	}
	if m := next(t, listen(t, client, api.StreamEventsParams{LastEventID: f.events.id(1)})); m.id != f.events.id(2) {
		t.Errorf("after the oldest that counts came %+v", m)
	}
}

func TestAReaderGetsTheKindsThatItAsksFor(t *testing.T) {
	f := &fake{events: NewEvents()}
	client := serve(t, f)
	if f.events.Sampled() {
		t.Fatal("somebody wants samples already")
	}
	stream := listen(t, client, api.StreamEventsParams{Types: "health, member.path,traffic"})
	next(t, stream)
	f.events.Publish(api.EventTypeMemberAway, time.Now(), func() api.Event { return api.Event{} })
	granted(f.events, "x")
	f.events.Publish(api.EventTypeMemberPath, time.Now(), func() api.Event { return api.Event{} })
	if m := next(t, stream); m.kind != "member.path" {
		t.Errorf("got %+v", m)
	}
	if !f.events.Sampled() {
		t.Error("nobody wants samples")
	}
	f.events.Sample(time.Now(), api.TrafficSample{Milliseconds: 2000})
	if m := next(t, stream); m.kind != "traffic" || !strings.Contains(m.data, `"milliseconds":2000`) || m.id != f.events.id(3) {
		t.Errorf("got %+v", m)
	}
}

func TestAReaderThatFallsBehindIsCutOffAndNobodyWaitsForIt(t *testing.T) {
	e := NewEvents()
	r, _ := e.read("", nil)
	for range remembered {
		granted(e, strings.Repeat("x", 60))
	}
	total := 0
	for {
		b, more, late := r.take(nil)
		total += len(b)
		if late || len(b) > maxGathered+4096 {
			t.Fatalf("late %t with %d bytes at once", late, len(b))
		}
		if more != nil {
			break
		}
	}
	if total < remembered*100 {
		t.Errorf("%d bytes of %d events", total, remembered)
	}
	for range remembered + 1 {
		granted(e, "x")
	}
	if _, _, late := r.take(nil); !late {
		t.Error("a reader that has missed an event isn't told")
	}
}

// stuck is a client that takes nothing.
type stuck struct{ http.ResponseWriter }

func (stuck) Header() http.Header              { return http.Header{} }
func (stuck) WriteHeader(int)                  {}
func (stuck) Write([]byte) (int, error)        { return 0, errors.New("the deadline has passed") }
func (stuck) SetWriteDeadline(time.Time) error { return nil }

func TestAStreamEndsWhereItsClientTakesNothing(t *testing.T) {
	e := NewEvents()
	r, _ := e.read("", []string{"traffic"})
	ended := false
	s := &stream{ctx: t.Context(), reader: r, done: func() { ended = true }}
	if err := s.VisitStreamEventsResponse(stuck{}); err != nil || !ended || e.Sampled() {
		t.Errorf("%v, ended %t, still wants samples %t", err, ended, e.Sampled())
	}
}

func TestHundredsOfIdleStreamsKeepNobodyFromTheAPI(t *testing.T) {
	const many = 500
	f := &fake{events: NewEvents()}
	client := serve(t, f)
	streams := make([]<-chan message, many)
	for i := range streams {
		streams[i] = listen(t, client, api.StreamEventsParams{})
		if m := next(t, streams[i]); m.kind != "hello" {
			t.Fatalf("stream %d began with %+v", i, m)
		}
	}
	if res, err := client.GetStatusWithResponse(t.Context()); err != nil || res.StatusCode() != http.StatusOK {
		t.Fatalf("status beside %d streams: %v", many, err)
	}
	granted(f.events, "one")
	for i := range streams {
		if m := next(t, streams[i]); m.kind != "lease.granted" {
			t.Fatalf("stream %d got %+v", i, m)
		}
	}
}

func TestThereAreAsManyStreamsAsThereMayBe(t *testing.T) {
	h := &handlers{appliance: &fake{events: NewEvents()}}
	h.streams.Store(maxStreams)
	_, err := h.StreamEvents(t.Context(), api.StreamEventsRequestObject{})
	if marked, ok := asError(err); !ok || marked.status != statusUnavailable || h.streams.Load() != maxStreams {
		t.Errorf("got %v, %d streams counted", err, h.streams.Load())
	}
	h.streams.Store(maxStreams - 1)
	if _, err = h.StreamEvents(t.Context(), api.StreamEventsRequestObject{}); err != nil {
		t.Error(err)
	}
}

func BenchmarkPublish(b *testing.B) {
	e := NewEvents()
	b.ReportAllocs()
	for b.Loop() {
		granted(e, "x")
	}
}
