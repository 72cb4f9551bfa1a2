package web

import (
	"context"
	"net/http"

	"github.com/labstack/echo/v4"

	"landbridge/console/api"
)

// A form with the attribute data-check is checked as it is typed (assets/forms.js): it is sent
// to its own route, as it will be, with the header api.CheckHeader. The route's handler makes of
// it the request that it always makes, which the API checks and doesn't carry out; what it says
// of the fields is the answer. So there are no rules here and none in the browser, and a handler
// knows nothing of it. The operation must be one with x-check.

// checking is what the API says of a form that is only to be checked.
type checking struct {
	done   bool // it was asked
	err    error
	unread formError // what the API can't be asked about: it couldn't be read
}

type checkingKey struct{}

// errChecked ends what a handler would go on with after a check.
var errChecked = echo.NewHTTPError(http.StatusNoContent, "the form was only checked")

// finding is the answer to a form that is only to be checked.
type finding struct {
	Fields map[string]string `json:"fields"`           // what is wrong, by the names of the fields
	Detail string            `json:"detail,omitempty"` // what is wrong, but with no field
}

// checkForm runs a handler up to the first thing that it would have the API change, and answers
// what is wrong with that.
func (p *Pages) checkForm(c echo.Context, handler echo.HandlerFunc) error {
	var found checking
	ctx := api.CheckOnly(context.WithValue(c.Request().Context(), checkingKey{}, &found))
	c.SetRequest(c.Request().WithContext(ctx))
	answer := c.Response()
	c.SetResponse(echo.NewResponse(nowhere{make(http.Header)}, c.Echo()))
	_ = handler(c) // says in words what the finding says by fields
	c.SetResponse(answer)
	v := finding{Fields: make(map[string]string)}
	if found.done && found.err != nil {
		switch f, problem := p.saidOf(found.err), p.problem(found.err); {
		case len(f.Fields) > 0:
			for field, said := range f.Fields {
				v.Fields[field] = sentence(said)
			}
		case problem.Status == http.StatusConflict || problem.Status == http.StatusUnprocessableEntity:
			v.Detail = sentence(f.Detail)
		}
	}
	for _, e := range found.unread {
		v.Fields[e.Field] = sentence(e.Detail)
	}
	return c.JSON(http.StatusOK, v)
}

// unreadable notes what of a form can't be read, so that a check says that besides what the API says of the rest.
func unreadable(c echo.Context, wrong formError) {
	if found, _ := c.Request().Context().Value(checkingKey{}).(*checking); found != nil {
		found.unread = wrong
	}
}

// watch is the api.Guard of what pages ask for. Where a form is only to be checked, nothing that
// can't be only checked is called, and nothing at all after the check.
func (p *Pages) watch(ctx context.Context, op api.Operation, _ string, call func(context.Context) error) error {
	found, _ := ctx.Value(checkingKey{}).(*checking)
	switch {
	case found == nil, op.Method == http.MethodGet && !found.done:
		return call(ctx)
	case found.done || !op.Check:
		return errChecked
	}
	found.done, found.err = true, call(ctx)
	return errChecked
}

// nowhere is where the page goes that a handler shows of a form that is only to be checked.
type nowhere struct{ header http.Header }

func (n nowhere) Header() http.Header         { return n.header }
func (n nowhere) Write(b []byte) (int, error) { return len(b), nil }
func (n nowhere) WriteHeader(int)             {}
