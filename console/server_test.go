package console

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"landbridge/console/api"
)

func TestStatusArrivesAsTheApplianceGaveIt(t *testing.T) {
	now := time.Date(2026, 11, 22, 3, 0, 0, 0, time.UTC)
	want := api.Status{
		MemberID: "12D3KooW", Name: "site-a", Version: "1.2.3", Mode: api.ModeRouter, StartedAt: now, UptimeSeconds: 61,
		Listen: []string{"udp [::]:4860"}, Addresses: []string{"/ip4/203.0.113.5/udp/4860/quic-v1"},
		Observed:   []netip.AddrPort{netip.MustParseAddrPort("203.0.113.5:4860")},
		Attachment: api.Attachment{Tap: "lb0", Bridge: "lbbr0", LanPort: "eth1", GatewayMAC: "02:01:02:03:04:05", MTU: 1376},
		Groups: []api.GroupStatus{{
			ID: "aa", Name: "office", Prefix: netip.MustParsePrefix("10.9.0.0/16"), Zone: "office.internal",
			ServiceAddress: netip.MustParseAddr("10.9.0.1"), DescriptorVersion: 4, MembersKnown: 4, MembersConnected: 3, LeasesServed: 2, BlocksHeld: 2, BlocksSpare: 1,
		}},
		Memory: api.Memory{ResidentBytes: 30 << 20, HeapBytes: 9 << 20, Goroutines: 40},
		Health: []api.HealthItem{
			{Level: api.HealthLevelError, Component: "registry", Text: "one", Since: now},
			{Level: api.HealthLevelWarning, Component: "tunnel", Text: "two", Since: now.Add(time.Hour)},
		},
	}
	given := want
	given.Health = []api.HealthItem{want.Health[1], want.Health[0]} // the worst comes first
	client := serve(t, &fake{status: given})
	res, err := client.GetStatusWithResponse(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if res.JSON200 == nil || !reflect.DeepEqual(*res.JSON200, want) {
		t.Errorf("got %d %s", res.StatusCode(), res.Body)
	}
}

func TestEmptyListsAreListsAndNotNull(t *testing.T) {
	s := newServer(t, &fake{})
	for _, path := range []string{"peers", "leases", "blocks", "counters", "groups", "status"} {
		w := httptest.NewRecorder()
		s.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/api/v1/"+path, nil))
		if w.Code != http.StatusOK || strings.Contains(w.Body.String(), "null") {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
}

func TestListsComeInTheOrderOfTheDocument(t *testing.T) {
	f := &fake{
		peers: []api.Peer{{Name: "b", MemberID: "1"}, {Name: "a", MemberID: "3"}, {Name: "a", MemberID: "2"}},
		blocks: []api.Block{
			{Group: "a", Prefix: netip.MustParsePrefix("10.9.10.0/26")}, {Group: "a", Prefix: netip.MustParsePrefix("10.9.9.0/26")},
		},
		counters: []api.Counter{{Component: "tunnel", Name: "a"}, {Component: "router", Name: "z"}, {Component: "router", Name: "b"}},
		groups:   []api.Group{{Name: "b"}, {Name: "a"}},
	}
	client := serve(t, f)
	peers, err := client.ListPeersWithResponse(t.Context())
	if err != nil || peers.JSON200.Items[0].MemberID != "2" || peers.JSON200.Items[2].MemberID != "1" {
		t.Errorf("peers: %v, %s", err, peers.Body)
	}
	blocks, err := client.ListBlocksWithResponse(t.Context())
	if err != nil || blocks.JSON200.Items[0].Prefix.String() != "10.9.9.0/26" {
		t.Errorf("blocks: %v, %s", err, blocks.Body)
	}
	counters, err := client.ListCountersWithResponse(t.Context())
	if err != nil || counters.JSON200.Items[0].Name != "b" || counters.JSON200.Items[2].Component != "tunnel" {
		t.Errorf("counters: %v, %s", err, counters.Body)
	}
	groups, err := client.ListGroupsWithResponse(t.Context())
	if err != nil || groups.JSON200.Items[0].Name != "a" {
		t.Errorf("groups: %v, %s", err, groups.Body)
	}
}

func TestOrdersReachTheAppliance(t *testing.T) {
	f := &fake{}
	client := serve(t, f)
	create := api.GroupCreate{Name: "office", Prefix: "10.9.0.0/16", Zone: "office.example", LeaseSeconds: 600}
	g, err := client.CreateGroupWithResponse(t.Context(), create)
	if err != nil || g.JSON201 == nil || g.JSON201.Name != "office" {
		t.Fatalf("create: %v, %s", err, g.Body)
	}
	invite := api.InvitationCreate{TTLSeconds: 3600, Addresses: []string{"203.0.113.5:4860"}}
	i, err := client.CreateInvitationWithResponse(t.Context(), "office", invite)
	if err != nil || i.JSON201 == nil || i.JSON201.Group != "office" {
		t.Fatalf("invite: %v, %s", err, i.Body)
	}
	f.issued = []api.IssuedInvitation{{ID: "old", Made: time.Unix(1, 0)}, {ID: "new", Made: time.Unix(2, 0)}}
	if l, err := client.ListInvitationsWithResponse(t.Context(), "office"); err != nil || l.JSON200 == nil || len(l.JSON200.Items) != 2 || l.JSON200.Items[0].ID != "new" {
		t.Errorf("invitations: %v, %s", err, l.Body)
	}
	if g, err := client.RevokeInvitationWithResponse(t.Context(), "office", "new"); err != nil || g.JSON200 == nil || !slices.Equal(f.revoked, []string{"office/new"}) {
		t.Errorf("revoke: %v, %s", err, g.Body)
	}
	join := api.JoinRequest{Token: "lb1abc"}
	j, err := client.JoinGroupWithResponse(t.Context(), join)
	if err != nil || j.JSON201 == nil {
		t.Fatalf("join: %v, %s", err, j.Body)
	}
	r, err := client.RemoveMemberWithResponse(t.Context(), "office", "site-b", &api.RemoveMemberParams{Reason: "closed"})
	if err != nil || r.JSON200 == nil || r.JSON200.Name != "site-b" || !slices.Equal(f.removed, []string{"office/site-b closed"}) {
		t.Fatalf("remove: %v, %s, asked %v", err, r.Body, f.removed)
	}
	f.already = true
	if j, err = client.JoinGroupWithResponse(t.Context(), join); err != nil || j.JSON201 != nil || j.JSON200 == nil || j.JSON200.Name != "office" {
		t.Errorf("join, a member already: %v, %d %s", err, j.StatusCode(), j.Body)
	}
	for _, destroy := range []bool{false, true} {
		l, err := client.LeaveGroupWithResponse(t.Context(), "office", &api.LeaveGroupParams{DestroyCA: destroy})
		if err != nil || l.JSON200 == nil || l.JSON200.BlocksReleased != 2 || !l.JSON200.InRoster {
			t.Errorf("leave: %v, %s", err, l.Body)
		}
	}
	if want := []string{"office false", "office true"}; !slices.Equal(f.left, want) {
		t.Errorf("leave asked %q, want %q", f.left, want)
	}
	want := &fake{created: []api.GroupCreate{create}, invited: []api.InvitationCreate{invite}, joined: []api.JoinRequest{join, join}}
	if !reflect.DeepEqual(f.created, want.created) || !reflect.DeepEqual(f.invited, want.invited) || !reflect.DeepEqual(f.joined, want.joined) {
		t.Errorf("got %+v %+v %+v", f.created, f.invited, f.joined)
	}
}

func TestDecisionsOnWhoWaitsReachTheAppliance(t *testing.T) {
	f := &fake{applicants: []api.Applicant{{MemberID: "m", Fingerprint: "k3f7-m2qx-5rta-wd4e", Name: "site-b"}}}
	client := serve(t, f)
	if l, err := client.ListRequestsWithResponse(t.Context(), "office"); err != nil || l.JSON200 == nil || len(l.JSON200.Items) != 1 {
		t.Errorf("requests: %v, %s", err, l.Body)
	}
	if r, err := client.ApproveRequestWithResponse(t.Context(), "office", "m"); err != nil || r.JSON200 == nil {
		t.Errorf("approve: %v, %s", err, r.Body)
	}
	for reason, status := range map[string]int{"not ours": 200, "two\nlines": 422, strings.Repeat("x", 201): 422} {
		if r, err := client.DenyRequestWithResponse(t.Context(), "office", "m", api.Denial{Reason: reason}); err != nil || r.StatusCode() != status {
			t.Errorf("deny for %q: %v, %d %s", reason, err, r.StatusCode(), r.Body)
		}
	}
	f.waits = []api.JoinApplication{{Group: strings.Repeat("a", 64), State: api.JoinStateWaiting, Fingerprint: "k3f7-m2qx-5rta-wd4e"}}
	if j, err := client.JoinGroupWithResponse(t.Context(), api.JoinRequest{Token: "lb1abc"}); err != nil || j.JSON202 == nil || j.JSON202.Fingerprint != f.waits[0].Fingerprint {
		t.Errorf("join: %v, %d %s", err, j.StatusCode(), j.Body)
	}
	if l, err := client.ListApplicationsWithResponse(t.Context()); err != nil || l.JSON200 == nil || len(l.JSON200.Items) != 1 {
		t.Errorf("applications: %v, %s", err, l.Body)
	}
	if w, err := client.WithdrawApplicationWithResponse(t.Context(), "aaaaaaaa"); err != nil || w.JSON200 == nil {
		t.Errorf("withdraw: %v, %s", err, w.Body)
	}
	if want := []string{"approve office/m", "deny office/m not ours", "withdraw aaaaaaaa"}; !slices.Equal(f.decided, want) {
		t.Errorf("asked %q, want %q", f.decided, want)
	}
}

func TestErrorsOfTheApplianceBecomeProblems(t *testing.T) {
	field := api.FieldError{Field: "prefix", Detail: "want an IPv4 prefix"}
	tests := map[string]struct {
		err    error
		status int
		fields []api.FieldError
	}{
		"invalid":     {err: Invalid(errors.New("the prefix is wrong"), field), status: 422, fields: []api.FieldError{field}},
		"not found":   {err: NotFound(errors.New("no such group")), status: 404},
		"conflict":    {err: Conflict(errors.New("in a group already")), status: 409},
		"unavailable": {err: Unavailable(errors.New("the authority is away: try again")), status: 503},
		"wrapped":     {err: fmt.Errorf("while working: %w", Conflict(errors.New("in a group already"))), status: 409},
		"fault":       {err: errors.New("the disk is full"), status: 500},
		"time":        {err: context.DeadlineExceeded, status: 504},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			client := serve(t, &fake{err: tt.err})
			res, err := client.CreateGroupWithResponse(t.Context(), api.GroupCreate{Name: "a", Prefix: "10.0.0.0/8"})
			if err != nil {
				t.Fatal(err)
			}
			p := res.ApplicationProblemJSONDefault
			if p == nil || res.HTTPResponse.Header.Get("Content-Type") != problemType {
				t.Fatalf("no problem: %s %s", res.HTTPResponse.Header, res.Body)
			}
			if res.StatusCode() != tt.status || p.Status != tt.status || p.Title != http.StatusText(tt.status) ||
				p.Detail == "" || p.Type != "about:blank" || p.Instance != "/api/v1/groups" || !reflect.DeepEqual(p.Errors, tt.fields) {
				t.Errorf("got %d %+v", res.StatusCode(), *p)
			}
		})
	}
}

func TestBadRequestsAreRefusedWithTheirFieldAndChangeNothing(t *testing.T) {
	const js = "application/json"
	tests := map[string]struct {
		method, path, kind, body string
		status                   int
		field, detail            string
	}{
		"no such path":      {method: "GET", path: "/api/v1/nothing", status: 404, detail: "nothing at this path"},
		"root":              {method: "GET", path: "/api/", status: 404, detail: "nothing at this path"},
		"no such method":    {method: "DELETE", path: "/api/v1/groups", status: 405, detail: "other methods"},
		"not JSON":          {method: "POST", path: "/api/v1/groups", kind: js, body: "{", status: 400, detail: "the body is not"},
		"syntax":            {method: "POST", path: "/api/v1/groups", kind: js, body: `{"name" "a"}`, status: 400, detail: "not JSON: "},
		"a list":            {method: "POST", path: "/api/v1/groups", kind: js, body: "[]", status: 400, detail: "JSON array where an object"},
		"two objects":       {method: "POST", path: "/api/v1/groups", kind: js, body: `{"name":"a","prefix":"b"}{}`, status: 400, detail: "something follows"},
		"unknown field":     {method: "POST", path: "/api/v1/groups", kind: js, body: `{"nmae":"a"}`, status: 400, field: "nmae"},
		"wrong type":        {method: "POST", path: "/api/v1/groups", kind: js, body: `{"name":7}`, status: 400, field: "name", detail: "a string is wanted"},
		"number too large":  {method: "POST", path: "/api/v1/groups", kind: js, body: `{"mtu":99999999999999999999}`, status: 400, field: "mtu"},
		"wrong media type":  {method: "POST", path: "/api/v1/groups", kind: "text/plain", body: "{}", status: 415, detail: "must be JSON"},
		"no body":           {method: "POST", path: "/api/v1/groups", kind: js, status: 422, field: "name"},
		"empty name":        {method: "POST", path: "/api/v1/groups", kind: js, body: `{"name":"","prefix":"10.0.0.0/8"}`, status: 422, field: "name", detail: "must be given"},
		"long name":         {method: "POST", path: "/api/v1/groups", kind: js, body: `{"name":"` + strings.Repeat("a", 64) + `","prefix":"10.0.0.0/8"}`, status: 422, field: "name", detail: "at most 63"},
		"lease time":        {method: "POST", path: "/api/v1/groups", kind: js, body: `{"name":"a","prefix":"10.0.0.0/8","leaseSeconds":-1}`, status: 422, field: "leaseSeconds"},
		"MTU":               {method: "POST", path: "/api/v1/groups", kind: js, body: `{"name":"a","prefix":"10.0.0.0/8","mtu":100}`, status: 422, field: "mtu", detail: "576 to 9000"},
		"TTL":               {method: "POST", path: "/api/v1/groups/a/invitations", kind: js, body: `{"ttlSeconds":-1}`, status: 422, field: "ttlSeconds"},
		"many addresses":    {method: "POST", path: "/api/v1/groups/a/invitations", kind: js, body: `{"addresses":["a"` + strings.Repeat(`,"a"`, 8) + `]}`, status: 422, field: "addresses"},
		"empty address":     {method: "POST", path: "/api/v1/groups/a/invitations", kind: js, body: `{"addresses":[""]}`, status: 422, field: "addresses[0]"},
		"leave, no boolean": {method: "DELETE", path: "/api/v1/groups/a?destroyCA=sure", status: 400, field: "destroyCA"},
		"no token":          {method: "POST", path: "/api/v1/join", kind: js, body: `{}`, status: 422, field: "token"},
		"huge body":         {method: "POST", path: "/api/v1/join", kind: js, body: `{"token":"` + strings.Repeat("a", maxBody) + `"}`, status: 413, detail: "64 KiB"},
		"limit no number":   {method: "GET", path: "/api/v1/leases?limit=many", status: 400, field: "limit"},
		"limit zero":        {method: "GET", path: "/api/v1/leases?limit=0", status: 422, field: "limit", detail: "1 to 1000"},
		"limit large":       {method: "GET", path: "/api/v1/leases?limit=1001", status: 422, field: "limit"},
		"cursor":            {method: "GET", path: "/api/v1/leases?cursor=bm8", status: 422, field: "cursor"},
		"foreign group":     {method: "GET", path: "/api/v1/leases?group=none", status: 404, detail: "in no group"},
		"long search":       {method: "GET", path: "/api/v1/leases?search=" + strings.Repeat("a", 129), status: 422, field: "search"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			f := &fake{}
			r := httptest.NewRequest(tt.method, tt.path, strings.NewReader(tt.body))
			if tt.kind != "" {
				r.Header.Set("Content-Type", tt.kind)
			}
			w := httptest.NewRecorder()
			newServer(t, f).ServeHTTP(w, r)
			var p api.Problem
			if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || w.Header().Get("Content-Type") != problemType {
				t.Fatalf("%v in %q (%s)", err, w.Body, w.Header())
			}
			if w.Code != tt.status || p.Status != tt.status || !strings.Contains(p.Detail, tt.detail) {
				t.Errorf("got %d %+v", w.Code, p)
			}
			if tt.field != "" && (len(p.Errors) == 0 || p.Errors[0].Field != tt.field || p.Errors[0].Detail == "") {
				t.Errorf("the field %q isn't named: %+v", tt.field, p)
			}
			if len(f.created)+len(f.invited)+len(f.joined)+len(f.left) > 0 {
				t.Error("the appliance was asked all the same")
			}
		})
	}
}

func TestAPanicIsAProblemAndTheServerGoesOn(t *testing.T) {
	f := &fake{panics: true}
	client := serve(t, f)
	for range 2 {
		res, err := client.GetStatusWithResponse(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if p := res.ApplicationProblemJSONDefault; res.StatusCode() != 500 || p == nil || strings.Contains(p.Detail, "told to") {
			t.Errorf("got %s", res.Body)
		}
	}
}

func TestTheDocumentIsServed(t *testing.T) {
	client := serve(t, &fake{})
	res, err := client.GetDocumentWithResponse(t.Context())
	if err != nil || !bytes.Equal(res.Body, api.Document()) || !bytes.Contains(res.Body, []byte("openapi: 3.0.3")) {
		t.Errorf("%v, %d bytes", err, len(res.Body))
	}
}

func TestServeStopsWithARequestInFlight(t *testing.T) {
	f := &fake{block: make(chan struct{}), entered: make(chan struct{}, 1)}
	l, err := Listen(filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	s := newServer(t, f)
	go func() { done <- s.Serve(ctx, l) }()
	client, err := api.Dial(t.Context(), l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	answered := make(chan int, 1)
	go func() {
		res, err := client.JoinGroupWithResponse(context.WithoutCancel(ctx), api.JoinRequest{Token: "lb1"})
		if err != nil {
			answered <- 0
			return
		}
		answered <- res.StatusCode()
	}()
	<-f.entered
	cancel()
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(time.Minute):
		t.Fatal("Serve did not return")
	}
	if code := <-answered; code != http.StatusServiceUnavailable {
		t.Errorf("the request in flight got %d, want 503", code)
	}
}

// FuzzRequest holds that no request makes the server answer with a fault of its own, or
// with anything but JSON.
func FuzzRequest(f *testing.F) {
	f.Add("POST", "/api/v1/groups", []byte(`{"name":"a","prefix":"10.0.0.0/8","mtu":1376}`))
	f.Add("POST", "/api/v1/groups/a/invitations", []byte(`{"ttlSeconds":60,"addresses":["a:1"]}`))
	f.Add("POST", "/api/v1/join", []byte(`{"token":"lb1"}`))
	f.Add("GET", "/api/v1/leases?limit=3&search=a&group=a&cursor=MTAuOS4wLjIgYWE", []byte(nil))
	f.Add("GET", "/api/v1/status", []byte(nil))
	f.Add("HEAD", "/", []byte(nil))
	s := newServer(f, &fake{leases: someLeases("aa", 10), groups: []api.Group{{ID: "aa", Name: "a"}}})
	f.Fuzz(func(t *testing.T, method, target string, body []byte) {
		r, err := http.NewRequest(method, target, bytes.NewReader(body))
		if err != nil || !strings.HasPrefix(target, "/") {
			t.Skip("no request that a client could send")
		}
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		if w.Code >= 500 {
			t.Errorf("%s %s: %d %s", method, target, w.Code, w.Body)
		}
		if kind := w.Header().Get("Content-Type"); strings.Contains(kind, "json") && w.Body.Len() > 0 && !json.Valid(w.Body.Bytes()) {
			t.Errorf("%s %s: %q", method, target, w.Body)
		}
		_, _ = io.Copy(io.Discard, w.Body)
	})
}

func TestAnImportOfTooManyRowsIsRefusedBeforeItTakesMuchMemory(t *testing.T) {
	s := newServer(t, &fake{})
	for row, most := range map[string]int{"{}": 48, "0": 48, "null": 48, `{"name":"\",{[,"}`: 48, `[[],[]]`: 48} {
		body := `{"items":[` + strings.Repeat(row+",", maxImport/(len(row)+1)-8) + row + `]}`
		r := httptest.NewRequest(http.MethodPost, importPath, strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		s.ServeHTTP(w, r)
		runtime.ReadMemStats(&after)
		if w.Code != statusInvalid || !strings.Contains(w.Body.String(), "at most 10000") {
			t.Errorf("%s: %d %s", row, w.Code, w.Body)
		}
		if got := int((after.TotalAlloc - before.TotalAlloc) >> 20); got > most {
			t.Errorf("%s: %d MiB", row, got)
		}
	}
	fits := `{"items":[` + strings.Repeat(`{"address":"10.9.0.7","mac":"02:00:00:00:00:01","name":"a,b"},`, maxReservations-1) + `{}]}`
	r := httptest.NewRequest(http.MethodPost, importPath, strings.NewReader(fits))
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	if s.ServeHTTP(w, r); w.Code != http.StatusOK {
		t.Errorf("%d rows: %d %s", maxReservations, w.Code, w.Body)
	}
}
