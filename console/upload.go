package console

import (
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"landbridge/console/access"
	"landbridge/console/web"
)

// A copy of a state is the one body that is large: it is read as it comes, into a file.
const (
	restorePath   = "/api/v1/restore"
	maxUpload     = 257 << 20 // bytes; the appliance itself takes a little less, and says so
	uploadTimeout = 10 * time.Minute
)

// isUpload reports whether a request may have a copy of a state as its body.
func isUpload(c echo.Context, id access.Identity) bool {
	path, method := c.Path(), c.Request().Method
	return id.Role == access.Administrator && (path == restorePath && method == http.MethodPut || path == web.RestorePath && method == http.MethodPost)
}

// allowUpload gives a request the time that a large body takes.
func allowUpload(c echo.Context) {
	until, out := time.Now().Add(uploadTimeout), http.NewResponseController(c.Response())
	_, _ = out.SetReadDeadline(until), out.SetWriteDeadline(until) // a test's recorder has none
}

// openUpload reads the fields of a form that has a copy of a state along, up to that: net/http would
// gather all of it first.
func openUpload(r *http.Request) error {
	if r.URL.Path != web.RestorePath || !strings.HasPrefix(r.Header.Get("Content-Type"), "multipart/form-data") {
		return nil
	}
	if err := web.OpenUpload(r); err != nil {
		return Invalid(errors.New("the upload broke off, or is none: choose the file again"))
	}
	return nil
}
