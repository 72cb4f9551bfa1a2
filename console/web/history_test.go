package web

import (
	"net/http"
	"strings"
	"testing"

	"landbridge/console/api"
)

func TestTheHistoryIsSearchedByTheAPIAndLeadsToEachLease(t *testing.T) {
	f := newFake(0, 3)
	server := serve(f)
	a := get(t, server, "/leases/history?search=olga&since=2026-11-01&until=2026-11-30&mac=52:54:00:00:00:00&cursor=x")
	for _, want := range []string{"named printer-1", `href="/leases/10.9.4.2"`, ">lisbon<", ">olga<", "granted", `value="2026-11-30"`,
		`href="/leases/history?cursor=more&amp;mac=52%3A54%3A00%3A00%3A00%3A00&amp;search=olga&amp;since=2026-11-01&amp;until=2026-11-30"`} {
		if a.Code != http.StatusOK || !strings.Contains(a.body, want) {
			t.Errorf("%d, without %q: %s", a.Code, want, a.body)
		}
	}
	q := f.past[0]
	q.Limit = nil
	if want := (api.ListLeaseHistoryParams{Search: "olga", MAC: "52:54:00:00:00:00", Cursor: "x", Since: "2026-11-01T00:00:00Z", Until: "2026-11-30T23:59:59Z"}); q != want {
		t.Errorf("asked for %+v", q)
	}
	if part := get(t, server, "/leases/history?search=a", "HX-Request", "true", "HX-Target", "entries").body; !strings.HasPrefix(strings.TrimSpace(part), `<div id="entries"`) {
		t.Errorf("got %.200s", part)
	}
	f.refuse = formError{{Field: "since", Detail: "want a time"}}
	if a = get(t, server, "/leases/history?since=yesterday"); a.Code != http.StatusUnprocessableEntity || !strings.Contains(a.body, "Use a time.") || !strings.Contains(a.body, `value="yesterday"`) {
		t.Errorf("%d %s", a.Code, a.body)
	}
}

func TestAnAddressThatNobodyHasStillHasItsPast(t *testing.T) {
	f := newFake(0, 3)
	server := serve(f)
	a := get(t, server, "/leases/10.9.4.200")
	if a.Code != http.StatusOK || !strings.Contains(a.body, "Nobody has it") || !strings.Contains(a.body, "named printer-1") || strings.Contains(a.body, "Evict") {
		t.Errorf("%d %s", a.Code, a.body)
	}
	if a = get(t, server, "/leases/10.200.0.1"); a.Code != http.StatusNotFound {
		t.Errorf("one that has none: %d", a.Code)
	}
}
