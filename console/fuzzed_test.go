package console

import (
	"context"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"landbridge/console/api"
	"landbridge/internal/apifuzz"
)

// The whole appliance is asked likewise in internal/e2e.
func TestWhateverIsAskedGetsAnAnswerInWords(t *testing.T) {
	operations, err := apifuzz.Load(api.Document())
	if err != nil {
		t.Fatal(err)
	}
	s := newServer(t, &fake{events: NewEvents()})
	g := apifuzz.New(operations, 1, nil)
	hashed := 0
	for i := range 20_000 {
		r := g.Next()
		if hashesPassword(r.Operation.ID) { // which rests as long as it has worked
			if hashed++; hashed > 500 {
				continue
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		if strings.HasPrefix(r.Target, eventsPath) {
			cancel() // else it would go on
		}
		req, err := r.HTTP(ctx, "http://landbridge")
		if err != nil {
			cancel()
			continue // no client can send it
		}
		w := httptest.NewRecorder()
		s.ServeHTTP(w, req)
		cancel()
		for _, fault := range (apifuzz.Response{Status: w.Code, Header: w.Header(), Body: w.Body.Bytes()}).Faults(r) {
			t.Errorf("request %d: %s %.200q %.300q: %s: %.300s", i, req.Method, r.Target, r.Body, fault, w.Body)
		}
	}
}

// hashesPassword reports whether an operation looks at a password.
func hashesPassword(operation string) bool {
	return slices.Contains([]string{"setUp", "logIn", "reauthenticate", "changePassword", "createUser", "changeUser"}, operation)
}
