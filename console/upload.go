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

// A copy of a state and an update of the image are the bodies that are large: they are read as they
// come, into a file.
const (
	restorePath   = "/api/v1/restore"
	updatePath    = "/api/v1/update"
	maxUpload     = 257 << 20 // bytes; the appliance itself takes a little less, and says so
	uploadTimeout = 10 * time.Minute
)

// isUpload reports whether a request may have such a body.
func isUpload(c echo.Context, id access.Identity) bool {
	path, method := c.Path(), c.Request().Method
	return id.Role == access.Administrator &&
		((path == restorePath || path == updatePath) && method == http.MethodPut || isUploadForm(path) && method == http.MethodPost)
}

// isUploadForm reports whether a page's form has such a body along.
func isUploadForm(path string) bool { return path == web.RestorePath || path == web.UpdatePath }

// allowUpload gives a request the time that a large body takes.
func allowUpload(c echo.Context) {
	until, out := time.Now().Add(uploadTimeout), http.NewResponseController(c.Response())
	_, _ = out.SetReadDeadline(until), out.SetWriteDeadline(until) // a test's recorder has none
}

// openUpload reads the fields of a form that has a large body along, up to that: net/http would
// gather all of it first.
func openUpload(r *http.Request) error {
	if !isUploadForm(r.URL.Path) || !strings.HasPrefix(r.Header.Get("Content-Type"), "multipart/form-data") {
		return nil
	}
	if err := web.OpenUpload(r); err != nil {
		return Invalid(errors.New("the upload broke off, or is none: choose the file again"))
	}
	return nil
}
