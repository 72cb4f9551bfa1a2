package console

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"landbridge/console/access"
	"landbridge/console/api"
	"landbridge/console/web"
)

const (
	statusInvalid     = http.StatusUnprocessableEntity
	statusNotFound    = http.StatusNotFound
	statusConflict    = http.StatusConflict
	statusUnavailable = http.StatusServiceUnavailable
)

// problemType is the media type of RFC 9457 section 3.
const problemType = "application/problem+json"

// problemOf says in an RFC 9457 problem what err means for who asked.
func problemOf(err error) api.Problem {
	p := api.Problem{Type: "about:blank", Status: http.StatusInternalServerError}
	var he *echo.HTTPError
	var refused *access.Error
	marked, isMarked := asError(err)
	switch {
	case isMarked:
		p.Status, p.Detail, p.Errors = marked.status, marked.Error(), marked.fields
	case errors.As(err, &refused):
		p.Status, p.Detail, p.Errors = refusalStatus(refused.Kind), refused.Error(), refused.Fields
		p.Type = refusalType(refused)
	case errors.Is(err, context.DeadlineExceeded):
		p.Status = http.StatusGatewayTimeout
		p.Detail = "the appliance did not finish in time: the members that it waits for may be away; try again"
	case errors.Is(err, context.Canceled):
		p.Status = statusUnavailable
		p.Detail = "the appliance is stopping"
	case errors.As(err, &he):
		p.Status = he.Code
		p.Detail, p.Errors = httpErrorDetail(he)
	default:
		p.Detail = err.Error()
	}
	p.Title = http.StatusText(p.Status)
	return p
}

// refusalStatus returns the HTTP status that says what a refusal means.
func refusalStatus(k access.Kind) int {
	switch k {
	case access.Invalid:
		return statusInvalid
	case access.NotFound:
		return statusNotFound
	case access.Conflict:
		return statusConflict
	case access.Unauthenticated:
		return http.StatusUnauthorized
	case access.TooMany:
		return http.StatusTooManyRequests
	}
	return http.StatusForbidden
}

// refusalType tells the refusals apart that a program can do something about.
func refusalType(e *access.Error) string {
	switch {
	case e.Kind == access.Reauthenticate:
		return "urn:landbridge:problem:reauthenticate"
	case e.Code:
		return "urn:landbridge:problem:code"
	}
	return "about:blank"
}

// httpErrorDetail puts into a sentence what echo or the generated routes refuse.
func httpErrorDetail(he *echo.HTTPError) (string, []api.FieldError) {
	message := fmt.Sprint(he.Message)
	switch he.Code {
	case http.StatusNotFound:
		if message != http.StatusText(he.Code) {
			return message, nil // a page's own words
		}
		return "there is nothing at this path: GET /api/v1/openapi.yaml describes what there is", nil
	case http.StatusMethodNotAllowed:
		return "this path takes other methods: see the header Allow", nil
	case http.StatusRequestEntityTooLarge:
		return fmt.Sprintf("the body is larger than %d KiB", maxBody>>10), nil
	case http.StatusUnsupportedMediaType:
		return "the body must be JSON as it is (not compressed, UTF-8), with the header Content-Type: application/json", nil
	}
	// "Invalid format for parameter limit: …" comes from the generated routes.
	if rest, ok := strings.CutPrefix(message, "Invalid format for parameter "); ok {
		name, why, _ := strings.Cut(rest, ": ")
		return fmt.Sprintf("the parameter %s can't be read", name), []api.FieldError{{Field: name, Detail: why}}
	}
	return message, nil
}

// decodeError says what is wrong with a JSON body.
func decodeError(err error) error {
	if _, said := asError(err); said {
		return err
	}
	e := &Error{status: http.StatusBadRequest}
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	var tooLarge *http.MaxBytesError
	const unknown = "json: unknown field "
	switch {
	case errors.As(err, &tooLarge):
		e.status = http.StatusRequestEntityTooLarge
		e.err = fmt.Errorf("the body is larger than %d KiB", tooLarge.Limit>>10)
	case errors.As(err, &kind) && kind.Field == "":
		e.err = fmt.Errorf("the body is a JSON %s where an object is wanted", kind.Value)
	case errors.As(err, &kind):
		e.err = fmt.Errorf("the body's field %q is a JSON %s where a %s is wanted", kind.Field, kind.Value, jsonKind(kind))
		e.fields = []api.FieldError{{Field: kind.Field, Detail: "want a " + jsonKind(kind)}}
	case strings.HasPrefix(err.Error(), unknown):
		field := strings.Trim(strings.TrimPrefix(err.Error(), unknown), `"`)
		e.err = fmt.Errorf("the body has a field %q, which this request doesn't know", field)
		e.fields = []api.FieldError{{Field: field, Detail: "unknown: leave it out"}}
	case errors.As(err, &syntax):
		e.err = fmt.Errorf("the body is not JSON: %v at byte %d", syntax, syntax.Offset)
	default:
		e.err = fmt.Errorf("the body is not one JSON object: %w", err)
	}
	return e
}

// jsonKind names the JSON type that a Go type is read from.
func jsonKind(e *json.UnmarshalTypeError) string {
	switch e.Type.Kind().String() {
	case "string":
		return "string"
	case "bool":
		return "boolean"
	case "slice":
		return "list"
	case "struct":
		return "object"
	}
	return "number in range"
}

// writeProblem sends err as a problem. It does nothing once an answer has begun.
func (s *Server) writeProblem(err error, c echo.Context) {
	if c.Response().Committed {
		return
	}
	p := problemOf(err)
	if p.Status == http.StatusNoContent { // it was only checked
		_ = c.NoContent(p.Status)
		return
	}
	p.Instance = c.Request().URL.Path
	nowhere := p.Status == http.StatusNotFound || p.Status == http.StatusMethodNotAllowed // where forms are sent, as somebody goes back
	if nowhere && c.Echo() == s.pages && web.WantsPage(c.Request()) {
		if err := s.web.Missing(c); err == nil || c.Response().Committed {
			return
		}
	}
	if p.Status >= http.StatusInternalServerError && retryOf(err) == 0 && !errors.Is(err, context.Canceled) { // or who asked has gone
		s.log.Error("console request failed", "method", c.Request().Method, "path", c.Path(), "status", p.Status, "err", err)
	}
	if wait := retryOf(err); wait > 0 {
		c.Response().Header().Set("Retry-After", strconv.Itoa(int(wait/time.Second)))
	}
	if p.Status == http.StatusUnauthorized { // RFC 9110 section 11.6.1
		c.Response().Header().Set("WWW-Authenticate", "Bearer")
	}
	body, err := json.Marshal(p)
	if err != nil { // unreachable: a Problem is strings and numbers
		body = []byte(`{"type":"about:blank","title":"Internal Server Error","status":500}`)
	}
	if c.Request().Method == http.MethodHead {
		body = nil
	}
	if err := c.Blob(p.Status, problemType, body); err != nil {
		s.log.Debug("console answer not sent", "err", err)
	}
}

// retryOf returns when one that was refused may come again; 0 where that isn't known.
func retryOf(err error) time.Duration {
	if marked, ok := asError(err); ok {
		return marked.retry
	}
	if refused := new(access.Error); errors.As(err, &refused) {
		return refused.Retry
	}
	return 0
}
