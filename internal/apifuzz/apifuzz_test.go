package apifuzz

import (
	"net/http"
	"strings"
	"testing"

	"landbridge/console/api"
)

func TestEachOperationIsAskedRightlyAndWrongly(t *testing.T) {
	operations, err := Load(api.Document())
	if err != nil {
		t.Fatal(err)
	}
	g := New(operations, 1, map[string][]string{"group": {"office"}})
	asked, targets := map[string]int{}, map[string]map[string]bool{}
	for range 100 * len(operations) {
		r := g.Next()
		asked[r.Operation.ID]++
		if targets[r.Operation.ID] == nil {
			targets[r.Operation.ID] = map[string]bool{}
		}
		targets[r.Operation.ID][r.Target+string(r.Body)] = true
	}
	for _, op := range operations {
		if asked[op.ID] < 50 {
			t.Errorf("%s was asked %d times of some 100", op.ID, asked[op.ID])
		}
		if op.spec.RequestBody != nil && len(targets[op.ID]) < 30 {
			t.Errorf("%s: only %d different requests", op.ID, len(targets[op.ID]))
		}
	}
}

func TestTheSameSeedMakesTheSameRequests(t *testing.T) {
	operations, err := Load(api.Document())
	if err != nil {
		t.Fatal(err)
	}
	a, b := New(operations, 7, nil), New(operations, 7, nil)
	for i := range 500 {
		x, y := a.Next(), b.Next()
		if x.Operation.ID != y.Operation.ID || x.Target != y.Target || string(x.Body) != string(y.Body) {
			t.Fatalf("request %d: %s %q and %s %q", i, x.Target, x.Body, y.Target, y.Body)
		}
	}
}

func TestAResponseThatShowsTheInsideIsAFault(t *testing.T) {
	problem := http.Header{"Content-Type": {"application/problem+json"}}
	for _, tc := range []struct {
		name string
		r    Response
		want string // "": no fault
	}{
		{"success", Response{Status: 200}, ""},
		{"problem", Response{404, problem, []byte(`{"status":404,"detail":"no such group"}`)}, ""},
		{"unavailable, in words", Response{503, problem, []byte(`{"status":503,"detail":"no member can be reached"}`)}, ""},
		{"failure", Response{500, problem, []byte(`{"status":500,"detail":"a fault in the appliance"}`)}, "status 500"},
		{"plain text", Response{404, http.Header{"Content-Type": {"text/plain"}}, []byte("not found")}, "content type"},
		{"without words", Response{400, problem, []byte(`{"status":400,"detail":""}`)}, "the problem says"},
		{"another status", Response{400, problem, []byte(`{"status":404,"detail":"no such group"}`)}, "the problem says"},
		{"a word that was asked", Response{404, problem, []byte(`{"status":404,"detail":"there is no /.go: here"}`)}, ""},
		{"stack", Response{400, problem, []byte(`{"status":400,"detail":"runtime error: index"}`)}, "runtime error"},
	} {
		got := strings.Join(tc.r.Faults(Request{Target: "/.go:"}), "; ")
		if (tc.want == "") != (got == "") || !strings.Contains(got, tc.want) {
			t.Errorf("%s: faults %q, want %q", tc.name, got, tc.want)
		}
	}
}
