package e2e

import (
	"context"
	"crypto/tls"
	"io"
	"maps"
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

	"landbridge/console/access"
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
		// After these there is no group to ask about, or for a while nobody to ask.
		return slices.Contains([]string{"leaveGroup", "restart", "applyRestore"}, o.ID)
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
				answered[ask(t, client, "http://landbridge", g.Next(), nil)].Add(1)
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

// Strangers, and whoever shows a credential that nobody gave him, get nothing and change nothing.
func TestStrangersLearnAndChangeNothing(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	operations, err := apifuzz.Load(api.Document())
	if err != nil {
		t.Fatal(err)
	}
	operations = slices.DeleteFunc(operations, func(o apifuzz.Operation) bool { return o.Extension("x-role") == "anyone" })
	client := &http.Client{Timeout: time.Minute, Transport: &http.Transport{
		DialContext:     func(ctx context.Context, _, addr string) (net.Conn, error) { return s.d.Dial(ctx, "tcp", addr) },
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, // its certificate is its own
	}}
	defer client.CloseIdleConnections()
	before := s.d.knowledge()
	g := apifuzz.New(operations, 1, map[string][]string{"group": {"e2e"}, "member": {"d"}, "mac": {"02:00:00:00:00:01"}})
	credentials := []http.Header{
		{}, {"Authorization": {"Bearer lbt_0123456789abcdef0123456789abcdef"}}, {"Authorization": {"Basic YWRtaW46YWRtaW4="}}, {"Authorization": {"Bearer "}},
		{"Cookie": {access.CookieName + "=" + strings.Repeat("A", 43)}, "X-Csrf-Token": {strings.Repeat("A", 43)}}, {"Cookie": {access.CookieName + "="}},
		{"X-Forwarded-For": {"127.0.0.1"}, "X-Real-Ip": {"127.0.0.1"}}, {"Origin": {"https://example.com"}},
	}
	for i := range apiRequests(t) / 4 {
		r := g.Next()
		switch status := ask(t, client, "https://127.0.0.1:4861", r, credentials[i%len(credentials)]); status {
		case 0, http.StatusUnauthorized, http.StatusForbidden, http.StatusTooManyRequests, http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusBadRequest:
		default:
			t.Errorf("%s %.200q of a stranger: status %d", r.Operation.Method, r.Target, status)
		}
	}
	if after := s.d.knowledge(); after != before {
		t.Errorf("the appliance has changed: %s", differences(before, after))
	}
}

// knowledge returns what an appliance says of its groups, hosts and mode: as JSON, which tells points in time, not spans.
func (m *machine) knowledge() string {
	m.t.Helper()
	var b strings.Builder
	for _, words := range [][]string{{"group", "show"}, {"hosts"}, {"mode"}} {
		b.WriteString(m.must(append(words, "--json")...))
	}
	return b.String()
}

// ask sends a request with these headers besides its own, says what is wrong with the answer, and
// returns its status; 0: none.
func ask(t *testing.T, client *http.Client, base string, r apifuzz.Request, more http.Header) int {
	t.Helper()
	req, err := r.HTTP(t.Context(), base)
	if err != nil {
		return 0 // no client can send it
	}
	maps.Copy(req.Header, more)
	res, err := client.Do(req)
	if err != nil {
		t.Errorf("%s %.200q %.300q: %v", req.Method, r.Target, r.Body, err)
		return 0
	}
	defer res.Body.Close()
	if kind := res.Header.Get("Content-Type"); res.StatusCode < 300 && !strings.HasPrefix(kind, "application/json") {
		return res.StatusCode // events and captures go on
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
