package web

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/labstack/echo/v4"

	"landbridge/console/api"
)

// checkForm sends a form as forms.js does while it is typed.
func checkForm(t *testing.T, server http.Handler, path string, fields ...string) answer {
	t.Helper()
	form := url.Values{}
	for i := 0; i < len(fields); i += 2 {
		form.Add(fields[i], fields[i+1])
	}
	req := httptest.NewRequestWithContext(t.Context(), http.MethodPost, path, strings.NewReader(form.Encode()))
	return do(t, server, req, echo.HeaderContentType, echo.MIMEApplicationForm, api.CheckHeader, "true")
}

func TestAFormIsCheckedByItsOwnRouteWithoutBeingDone(t *testing.T) {
	f := newFake(2, 3)
	server := serve(f)
	a := checkForm(t, server, "/leases", "address", "10.9.4.77", "mac", "52:54")
	if a.Code != http.StatusOK || strings.TrimSpace(a.body) != `{"fields":{"mac":"Use a hardware address.","name":"Use a name."}}` {
		t.Errorf("%d %s", a.Code, a.body)
	}
	a = checkForm(t, server, "/leases", "address", "10.9.4.77", "mac", "52:54:00:00:00:01")
	if a.Code != http.StatusOK || strings.TrimSpace(a.body) != `{"fields":{}}` {
		t.Errorf("nothing is wrong: %d %s", a.Code, a.body)
	}
	if len(f.ordered) > 0 {
		t.Errorf("it was done: %q", f.ordered)
	}
}

// Whatever a page's form is for: with the header nothing of it is done.
func TestNoFormIsDoneThatIsOnlyToBeChecked(t *testing.T) {
	f := newFake(2, 3)
	var called []string
	g := &guardedFake{f, &called}
	e := echo.New()
	New(Options{API: api.Guarded(f, g.guard), Log: slog.New(slog.DiscardHandler)}).Register(e)
	routes := 0
	for _, r := range e.Routes() {
		if r.Method != http.MethodPost {
			continue
		}
		routes++
		path := strings.NewReplacer(":address", "10.9.4.2", ":name", "vera", ":id", "t1").Replace(r.Path)
		checkForm(t, e, path, "do", "evict", "address", "10.9.4.1", "sure", "yes", "mac", "52:54:00:00:00:01", "name", "nora", "note", "x", "days", "30",
			"hours", "1", "group", office, "member", "porto", "new", "x", "again", "x", "text", "address,mac\n10.9.4.1,52:54:00:00:00:01\n", "reauthPassword", "x")
	}
	if len(called) > 0 || routes < 25 {
		t.Errorf("of %d forms these were done: %q", routes, called)
	}
}

// guardedFake notes the operations that change something and can't be only checked.
type guardedFake struct {
	*fake
	called *[]string
}

func (g *guardedFake) guard(ctx context.Context, op api.Operation, _ string, call func(context.Context) error) error {
	if op.Method == http.MethodGet {
		return call(ctx)
	}
	if !op.Check || !api.IsCheck(ctx) {
		*g.called = append(*g.called, op.ID)
	}
	return nil
}

// The forms that ask for it do so for operations that can be checked.
func TestFormsThatAreCheckedAsTheyAreTypedNameTheirFields(t *testing.T) {
	server := serve(newFake(2, 30), func(o *Options) { o.Who = func(echo.Context) Who { return Who{Name: "olga", Role: "administrator"} } })
	form, field := regexp.MustCompile(`(?s)<form[^>]* data-check.*?</form>`), regexp.MustCompile(`<(?:input|select|textarea)[^>]*>`)
	checked := 0
	for _, path := range pages() {
		for _, html := range form.FindAllString(get(t, server, path).body, -1) {
			checked++
			for _, input := range field.FindAllString(html, -1) {
				if !strings.Contains(input, `type="hidden"`) && (!strings.Contains(input, ` id="`) || !strings.Contains(input, ` name="`)) {
					t.Errorf("%s: %s has no name or no ID", path, input)
				}
			}
		}
	}
	if checked < 9 {
		t.Errorf("%d forms are checked as they are typed", checked)
	}
}
