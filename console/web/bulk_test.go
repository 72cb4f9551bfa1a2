package web

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/labstack/echo/v4"

	"landbridge/console/api"
)

// undoOf returns the path that undoes what a page says was done.
func undoOf(t *testing.T, body string) string {
	t.Helper()
	_, rest, found := strings.Cut(body, `action="/leases/deeds/`)
	id, _, closed := strings.Cut(rest, `"`)
	if !found || !closed {
		t.Fatalf("there is no way to undo it: %s", body)
	}
	return "/leases/deeds/" + id
}

func TestWhatCantBeUndoneIsAskedAboutForAllThatWereChosen(t *testing.T) {
	f := newFake(0, 4)
	server := serve(f)
	chosen := []string{"do", "evict", "address", "10.9.4.0", "address", "10.9.4.2", "address", "10.9.200.1", "back", "/leases?search=pri"}
	a := post(t, server, "/leases/bulk", chosen...)
	for _, want := range []string{"Evict 2 leases?", "refused its address when it renews", "There is no undo", "nobody has it any more", `name="sure" value="yes"`, `href="/leases?search=pri"`} {
		if a.Code != http.StatusOK || !strings.Contains(a.body, want) {
			t.Errorf("%d, without %q: %s", a.Code, want, a.body)
		}
	}
	if len(f.ordered) > 0 {
		t.Fatalf("%q was done unasked", f.ordered)
	}
	a = post(t, server, "/leases/bulk", "do", "evict", "address", "10.9.4.0", "address", "10.9.4.2", "back", "/leases?search=pri", "sure", "yes")
	if got := strings.Join(f.ordered, ", "); a.Code != http.StatusSeeOther || got != "evict 10.9.4.0, evict 10.9.4.2" {
		t.Fatalf("%d, %s", a.Code, got)
	}
	to := a.Header().Get("Location")
	body := get(t, server, to).body
	if !strings.HasPrefix(to, "/leases?deed=") || !strings.HasSuffix(to, "&search=pri") || !strings.Contains(body, "2 hosts are evicted") || strings.Contains(body, ">Undo<") {
		t.Errorf("%s: %s", to, body)
	}
	if a := post(t, server, "/leases/bulk", "do", "burn", "address", "10.9.4.0"); a.Code != http.StatusNotFound {
		t.Errorf("an act that isn't: %d", a.Code)
	}
	if a := post(t, server, "/leases/bulk", "do", "reserve"); a.Code != http.StatusSeeOther || a.Header().Get("Location") != "/leases" {
		t.Errorf("nothing chosen: %d %v", a.Code, a.Header())
	}
}

func TestWhatWasDoneToManyIsUndoneForThoseThatItChanged(t *testing.T) {
	f := newFake(0, 4)
	f.leases[1].Reserved, f.leases[1].ReservedFor, f.leases[1].Note = true, api.ReservedForMAC, "second floor"
	server := serve(f)
	a := post(t, server, "/leases/bulk", "do", "unreserve", "address", "10.9.4.1")
	body := get(t, server, a.Header().Get("Location")).body
	f.ordered = nil
	if a = post(t, server, undoOf(t, body)); a.Code != http.StatusSeeOther || !f.leases[1].Reserved || f.leases[1].Note != "second floor" {
		t.Errorf("%d: undone, it is %+v", a.Code, f.leases[1])
	}
	if body = get(t, server, a.Header().Get("Location")).body; !strings.Contains(body, "Undone: it is as it was before") || !strings.Contains(body, "Do it again") {
		t.Errorf("it isn't said: %s", body)
	}
	a = post(t, server, "/leases/bulk", "do", "note", "address", "10.9.4.1", "address", "10.9.4.2", "note", "to be thrown away", "sure", "yes")
	if f.leases[1].Note != "to be thrown away" || f.leases[2].Note != "to be thrown away" {
		t.Errorf("noted: %+v", f.leases[1:3])
	}
	post(t, server, undoOf(t, get(t, server, a.Header().Get("Location")).body))
	if f.leases[1].Note != "second floor" || f.leases[2].Note != "" {
		t.Errorf("undone: %+v", f.leases[1:3])
	}
}

func TestOfManyEachRowSaysWhyItFailed(t *testing.T) {
	f := newFake(0, 3)
	f.leases[1].Elsewhere = true
	server := serve(f)
	a := post(t, server, "/leases/bulk", "do", "reserve", "address", "10.9.4.0", "address", "10.9.4.1", "address", "10.9.4.2")
	to := a.Header().Get("Location")
	if a.Code != http.StatusSeeOther || !strings.HasPrefix(to, "/leases/deeds/") {
		t.Fatalf("%d %s", a.Code, to)
	}
	body := get(t, server, to).body
	for _, want := range []string{"1 of 3 couldn", "that belongs to porto", "these 2 addresses"} {
		if !strings.Contains(body, want) {
			t.Errorf("without %q: %s", want, body)
		}
	}
	f.ordered = nil
	post(t, server, undoOf(t, body))
	if got := strings.Join(f.ordered, ", "); got != "unreserve 10.9.4.0, unreserve 10.9.4.2" {
		t.Errorf("undone by %q", got)
	}
}

func TestANoteThatIsRefusedIsKeptAsItWasTyped(t *testing.T) {
	f := newFake(0, 3)
	f.refuse = formError{{Field: "note", Detail: "want one line of text"}}
	a := post(t, serve(f), "/leases/bulk", "do", "note", "address", "10.9.4.0", "address", "10.9.4.1", "note", "too long", "sure", "yes")
	if a.Code != http.StatusUnprocessableEntity || !strings.Contains(a.body, `value="too long"`) || !strings.Contains(a.body, "Use one line of text.") || len(f.ordered) != 1 {
		t.Errorf("%d, ordered %q: %s", a.Code, f.ordered, a.body)
	}
}

func TestAReservationOfNobodyIsGoneWhenItEndsAndCanBeUndone(t *testing.T) {
	f := newFake(0, 3)
	f.leases[0].State, f.leases[0].Reserved, f.leases[0].Name = api.LeaseStateReserved, true, "spare"
	server := serve(f)
	a := post(t, server, "/leases/10.9.4.0/unreserve")
	to := a.Header().Get("Location")
	body := get(t, server, to).body
	if !strings.HasPrefix(to, "/leases/deeds/") || !strings.Contains(body, "Not reserved any more") {
		t.Fatalf("%s: %s", to, body)
	}
	f.ordered = nil
	post(t, server, undoOf(t, body))
	if got := strings.Join(f.ordered, ", "); got != "reserve 10.9.4.0 52:54:00:00:00:00" {
		t.Errorf("undone by %q", got)
	}
}

func TestANameAndANoteOfALeaseAreUndone(t *testing.T) {
	f := newFake(0, 3)
	server := serve(f)
	a := post(t, server, "/leases/10.9.4.2/name", "name", "nora")
	a = post(t, server, undoOf(t, get(t, server, a.Header().Get("Location")).body))
	if f.leases[2].Name == "nora" || f.leases[2].HostName != "" {
		t.Errorf("%d: %+v", a.Code, f.leases[2])
	}
}

// Else undoing would take away what there was.
func TestNothingIsUndoneWhereWhatThereWasIsNotKnown(t *testing.T) {
	for what, do := range map[string]func(http.Handler) answer{
		"a name": func(s http.Handler) answer { return post(t, s, "/leases/10.9.4.2/name", "name", "nora") },
		"a note": func(s http.Handler) answer { return post(t, s, "/leases/10.9.4.2/note", "note", "attic") },
		"an import": func(s http.Handler) answer {
			return upload(t, s, "/leases/import", "office.csv", someCSV, "sure", "yes")
		},
	} {
		for _, unreadable := range []error{nil, errors.New("the appliance is too busy")} {
			f := newFake(0, 4)
			server := serve(f)
			f.unreadable = unreadable
			a := do(server)
			f.unreadable = nil
			if a.Code != http.StatusSeeOther {
				t.Fatalf("%s: %d %s", what, a.Code, a.body)
			}
			if body := get(t, server, a.Header().Get("Location")).body; strings.Contains(body, ">Undo<") != (unreadable == nil) {
				t.Errorf("%s, where the lease before it can't be read (%v): %s", what, unreadable, body)
			}
		}
	}
}

// What was done is known to who did it, for a while, and not forever.
func TestOnlyWhoDidSomethingUndoesItAndNotForever(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(0, 30)
		as := "olga"
		server := serve(f, func(o *Options) { o.Who = func(echo.Context) Who { return Who{Name: as, Role: "operator"} } })
		undo := func() string {
			a := post(t, server, "/leases/10.9.4.2/name", "name", "nora")
			return undoOf(t, get(t, server, a.Header().Get("Location")).body)
		}
		hers := undo()
		as = "vera"
		if a := post(t, server, hers); a.Code != http.StatusNotFound {
			t.Errorf("somebody else undid it: %d", a.Code)
		}
		as = "olga"
		if a := post(t, server, hers); a.Code != http.StatusSeeOther {
			t.Errorf("she can't: %d", a.Code)
		}
		old := undo()
		time.Sleep(deedKept)
		if a := post(t, server, old); a.Code != http.StatusNotFound {
			t.Errorf("undone after %v: %d", deedKept, a.Code)
		}
		first := undo()
		for range deedsKept {
			undo()
		}
		if a := post(t, server, first); a.Code != http.StatusNotFound {
			t.Errorf("more than %d are kept: %d", deedsKept, a.Code)
		}
	})
}

func TestAViewerHasNothingToChooseRowsFor(t *testing.T) {
	f := newFake(0, 3)
	body := get(t, serve(f, func(o *Options) { o.Who = viewer }), "/leases").body
	if strings.Contains(body, "checkbox") || strings.Contains(body, "/leases/bulk") {
		t.Error("a viewer is offered what he may not do")
	}
	f.leases[1].Elsewhere = true
	if body = get(t, serve(f), "/leases").body; !strings.Contains(body, `id="pick-10.9.4.0"`) || strings.Contains(body, `id="pick-10.9.4.1"`) {
		t.Error("what another site decides about can be chosen")
	}
}
