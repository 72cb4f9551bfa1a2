package web

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/labstack/echo/v4"

	"landbridge/console/api"
)

// trouble is what the page of something that went wrong shows.
type trouble struct {
	Problem api.Problem
}

// fail shows what went wrong in the place of a page.
func (p *Pages) fail(c echo.Context, err error) error {
	if api.IsCheck(c.Request().Context()) {
		return nil
	}
	problem := p.problem(err)
	if problem.Status == http.StatusUnauthorized {
		return p.toLogin(c)
	}
	if problem.Status >= http.StatusInternalServerError && !errors.Is(err, context.Canceled) { // who asked has gone
		p.log.Error("console page failed", "path", c.Path(), "status", problem.Status, "err", err)
	}
	return p.show(c, problem.Status, "trouble", trouble{problem})
}

// WantsPage reports whether a request is a person's, who reads pages, and not a program's.
func WantsPage(r *http.Request) bool {
	return r.Method == http.MethodGet && strings.Contains(r.Header.Get("Accept"), "text/html")
}

// Missing says to a person that there is no such page.
func (p *Pages) Missing(c echo.Context) error {
	if p.who(c).Role == "" {
		return p.toLogin(c)
	}
	return p.show(c, http.StatusNotFound, "trouble", trouble{api.Problem{
		Title: "There is no such page", Status: http.StatusNotFound, Detail: "Nothing is at this address: a link may be old, or the address mistyped.",
	}})
}

// plainProblem says what an error means where nobody else does.
func plainProblem(err error) api.Problem {
	status := http.StatusInternalServerError
	var he *echo.HTTPError
	if errors.As(err, &he) {
		status = he.Code
	}
	return api.Problem{Type: "about:blank", Status: status, Title: http.StatusText(status), Detail: err.Error()}
}

// flaws are what is wrong with a form that was sent: said of all of it, and of fields.
type flaws struct {
	Detail string
	Fields map[string]string
}

// flawsOf returns what an error says of a form whose fields have the API's names, and the
// status that says it.
func (p *Pages) flawsOf(err error) (flaws, int) {
	f, problem := p.saidOf(err), p.problem(err)
	if problem.Status >= http.StatusInternalServerError && problem.Status != http.StatusServiceUnavailable && !errors.As(err, new(formError)) { // 503: which a request that was given up is, too
		p.log.Error("console page failed", "status", problem.Status, "err", err)
	}
	// htmx takes 422 for a page to show; other refusals are shown so, too.
	return f, http.StatusUnprocessableEntity
}

// saidOf returns what an error says of all of a form, and of its fields.
func (p *Pages) saidOf(err error) flaws {
	problem := p.problem(err)
	if form := formError(nil); errors.As(err, &form) {
		problem = api.Problem{Errors: form}
	}
	f := flaws{Detail: problem.Detail, Fields: make(map[string]string)}
	said := make(map[string]int)
	for _, e := range problem.Errors { // a field that takes many values may have many faults
		switch said[e.Field]++; said[e.Field] {
		case 1:
			f.Fields[e.Field] = e.Detail
		case 2, 3:
			f.Fields[e.Field] += "; " + e.Detail
		case 4:
			f.Fields[e.Field] += "; and more"
		}
	}
	return f
}

// isPart reports whether htmx asks for a part of the page alone.
func isPart(c echo.Context, id string) bool {
	h := c.Request().Header
	return h.Get("HX-Request") == "true" && h.Get("HX-Target") == id
}

// toLogin sends a person who isn't logged in to where that is done, and back then.
func (p *Pages) toLogin(c echo.Context) error {
	return c.Redirect(http.StatusSeeOther, "/login?next="+url.QueryEscape(c.Request().URL.RequestURI()))
}
