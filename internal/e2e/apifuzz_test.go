package e2e

import (
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"landbridge/console/api"
	"landbridge/internal/apifuzz"
)

// apiRequests is how many generated requests an appliance is asked: LANDBRIDGE_API_REQUESTS,
// or a few thousand.
func apiRequests(t *testing.T) int {
	t.Helper()
	text := os.Getenv("LANDBRIDGE_API_REQUESTS")
	if text == "" {
		return 4000
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("LANDBRIDGE_API_REQUESTS is %q, want a number", text)
	}
	return n
}

// A running appliance is asked whatever the document allows, and much that it doesn't: it
// answers in words, and stands.
func TestAnApplianceStandsWhateverItsAPIIsAsked(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	operations, err := apifuzz.Load(api.Document())
	if err != nil {
		t.Fatal(err)
	}
	operations = slices.DeleteFunc(operations, func(o apifuzz.Operation) bool {
		return o.ID == "leaveGroup" // after it there is no group to ask about
	})
	seeds := map[string][]string{"group": {"e2e"}, "member": {"d", "nobody"}, "mac": {"02:00:00:00:00:01"}, "address": {"10.77.0.9"}, "prefix": {"10.78.0.0/24"}}
	socket := s.d.Path(s.d.state() + "/" + api.SocketName)
	client := &http.Client{Timeout: time.Minute, Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}}}
	defer client.CloseIdleConnections()
	const askers = 4
	var all sync.WaitGroup
	var answered [600]atomic.Int64 // by status
	for asker := range askers {
		all.Go(func() {
			g := apifuzz.New(operations, uint64(asker), seeds)
			for range apiRequests(t) / askers {
				answered[ask(t, client, "http://landbridge", g.Next())].Add(1)
			}
		})
	}
	all.Wait()
	for status := range answered {
		if n := answered[status].Load(); n > 0 {
			t.Logf("%d answers with status %d", n, status)
		}
	}
	if answered[http.StatusOK].Load() == 0 || answered[http.StatusCreated].Load() == 0 {
		t.Error("no request did what it asks for: the generator asks nothing that makes sense")
	}
	var status api.Status
	if err := s.d.get(&status, "status"); err != nil || len(status.Groups) == 0 {
		t.Errorf("the appliance after all requests: %d groups, %v", len(status.Groups), err)
	}
	if log, err := os.ReadFile(s.d.log); err != nil || strings.Contains(string(log), "panic") {
		t.Errorf("a panic in its log, or none to read: %v", err)
	}
}

// ask sends a request, says what is wrong with the answer, and returns its status; 0: none.
func ask(t *testing.T, client *http.Client, base string, r apifuzz.Request) int {
	t.Helper()
	req, err := r.HTTP(t.Context(), base)
	if err != nil {
		return 0 // no client can send it
	}
	res, err := client.Do(req)
	if err != nil {
		t.Errorf("%s %.200q %.300q: %v", req.Method, r.Target, r.Body, err)
		return 0
	}
	defer res.Body.Close()
	if res.Header.Get("Content-Type") == "text/event-stream" {
		return res.StatusCode // it goes on
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	if err != nil {
		t.Errorf("%s %.200q: its answer ends with %v", req.Method, r.Target, err)
	}
	for _, fault := range (apifuzz.Response{Status: res.StatusCode, Header: res.Header, Body: body}).Faults(r) {
		t.Errorf("%s %.200q %.300q: %s: %.300s", req.Method, r.Target, r.Body, fault, body)
	}
	return res.StatusCode
}
