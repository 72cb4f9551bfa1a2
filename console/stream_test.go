package console

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// timed is a ResponseWriter that remembers the deadline of writing.
type timed struct {
	*httptest.ResponseRecorder
	deadlines []time.Time
}

func (w *timed) SetWriteDeadline(t time.Time) error {
	w.deadlines = append(w.deadlines, t)
	return nil
}

func TestTheTimeForWritingAnEventEndsWithTheWriting(t *testing.T) {
	w := &timed{ResponseRecorder: httptest.NewRecorder()}
	if err := send(w, http.NewResponseController(w), []byte(":\n\n")); err != nil {
		t.Fatal(err)
	}
	if n := len(w.deadlines); n != 2 || w.deadlines[0].IsZero() || !w.deadlines[n-1].IsZero() {
		t.Errorf("the deadlines were %v: one that stays resets an idle stream of HTTP/2", w.deadlines)
	}
}
