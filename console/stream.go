package console

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"landbridge/console/api"
)

// Limits of event streams. An idle one costs a connection's buffers and a goroutine.
const (
	maxStreams    = 1024
	gather        = 200 * time.Millisecond // between two writes to one stream
	keepAlive     = 20 * time.Second       // a comment, where nothing happens: finds out who is gone
	writePatience = 5 * time.Second
	// streamLife is how long a stream lasts: whoever reads it shows again, then, that he may.
	streamLife = 10 * time.Minute
)

// StreamEvents streams what happens.
func (h *handlers) StreamEvents(ctx context.Context, req api.StreamEventsRequestObject) (api.StreamEventsResponseObject, error) {
	var c checker
	c.bounds(req.Params)
	c.length("Last-Event-ID", req.Params.LastEventID, 0, 64)
	kinds, err := eventKinds(req.Params.Types)
	if err != nil {
		c.add("types", "%v", err)
	}
	if err := c.err(); err != nil {
		return nil, err
	}
	if n := h.streams.Add(1); n > maxStreams {
		h.streams.Add(-1)
		return nil, Unavailable(errors.New("as many streams of events are being read as there can be: close one, and try again"))
	}
	after := req.Params.LastEventID
	if after == "" {
		after = req.Params.After
	}
	r, lost := h.appliance.Events().read(after, kinds)
	return &stream{ctx: ctx, reader: r, resumed: after != "" && !lost, lost: lost, done: func() { h.streams.Add(-1) }}, nil
}

// eventKinds reads the beginnings of kinds of event.
func eventKinds(list string) (kinds []string, err error) {
	for k := range strings.SplitSeq(list, ",") {
		if k = strings.TrimSpace(k); k != "" {
			kinds = append(kinds, k)
		}
	}
	if len(kinds) > 32 {
		return nil, errors.New("want at most 32")
	}
	return kinds, nil
}

// stream is the answer that goes on: it writes what its reader finds.
type stream struct {
	ctx           context.Context
	reader        *reader
	resumed, lost bool
	done          func()
}

// VisitStreamEventsResponse writes events until the client goes, falls behind, or time is up.
func (s *stream) VisitStreamEventsResponse(w http.ResponseWriter) error {
	defer s.done()
	defer s.reader.close()
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no") // reverse proxies would gather it
	w.WriteHeader(http.StatusOK)
	out := http.NewResponseController(w)
	_ = out.SetReadDeadline(time.Time{}) // nothing more is to be read; its passing would end the request
	return s.run(w, out)
}

func (s *stream) run(w http.ResponseWriter, out *http.ResponseController) error {
	life, alive := time.NewTimer(streamLife), time.NewTicker(keepAlive)
	defer life.Stop()
	defer alive.Stop()
	b := []byte("retry: 2000\n\n")
	switch {
	case s.lost:
		b = append(b, s.reader.greeting(api.EventTypeReset, time.Now())...)
	case !s.resumed:
		b = append(b, s.reader.greeting(api.EventTypeHello, time.Now())...)
	}
	for {
		var more <-chan struct{}
		var late bool
		b, more, late = s.reader.take(b)
		next := time.Now().Add(gather)
		if len(b) > 0 && send(w, out, b) != nil {
			return nil // gone, or too slow
		}
		if late {
			return nil // it connects again, and is told so
		}
		b = nil // an idle stream holds none
		for more != nil {
			select {
			case <-more:
				more = nil
			case <-alive.C:
				if send(w, out, []byte(":\n\n")) != nil {
					return nil
				}
			case <-life.C:
				return nil
			case <-s.ctx.Done():
				return nil
			}
			if more == nil && !sleep(s.ctx, time.Until(next)) {
				return nil
			}
		}
	}
}

// sleep waits so long, or reports that ctx has ended.
func sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// send writes to a stream and has it on its way; whoever doesn't take it soon is given up.
func send(w http.ResponseWriter, out *http.ResponseController, b []byte) error {
	if err := out.SetWriteDeadline(time.Now().Add(writePatience)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	if _, err := w.Write(b); err != nil {
		return err
	}
	if err := out.Flush(); err != nil {
		return err
	}
	// The time is for this writing: HTTP/2 would reset the stream when it is over.
	if err := out.SetWriteDeadline(time.Time{}); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	return nil
}
