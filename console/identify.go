package console

import (
	"context"
	"crypto/subtle"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"

	"landbridge/console/access"
	"landbridge/console/api"
	"landbridge/console/web"
)

// identify finds out who a request is from, waits for their turn, and refuses what they may not
// ask for before anything of it is read: operations of the document by their x-role, everything else that
// is served at the HTTPS door to who isn't logged in.
func (s *Server) identify(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		r := c.Request()
		op, isOperation := s.operations[r.Method+" "+c.Path()]
		id, err := s.identity(r, !op.Stream && r.Header.Get(backgroundHeader) == "")
		if err != nil {
			return err
		}
		met(r, id)
		named := access.NewContext(r.Context(), id)
		if r.Header.Get(api.CheckHeader) != "" {
			named, op.Reauth = api.CheckOnly(named), false
		}
		c.SetRequest(r.WithContext(named))
		free, err := s.admit(c, id, op)
		if err != nil {
			return err
		}
		defer free()
		r = c.Request()
		ctx := r.Context()
		if err := s.checkOrigin(c.Request(), id); err != nil {
			return err
		}
		if !isOperation {
			return s.page(c, id, next)
		}
		if err := s.users.Authorize(id, op); err != nil {
			if op.Audit && id.Known() {
				s.users.Record(ctx, op, r.URL.Path, err)
			}
			return err
		}
		if op.Stream {
			while, cancel := access.While(ctx, id)
			defer cancel()
			c.SetRequest(r.WithContext(while))
		}
		return next(c)
	}
}

// backgroundHeader is in requests that a page makes by itself: they don't show that the
// person is still there.
const backgroundHeader = "X-Background"

// page answers what isn't an operation: a page, for who has logged in.
func (s *Server) page(c echo.Context, id access.Identity, next echo.HandlerFunc) error {
	path := c.Request().URL.Path
	if id.Known() || strings.HasPrefix(path, "/api/") || isPublic(path) {
		return next(c)
	}
	to := loginPath + "?" + url.Values{"next": {c.Request().URL.RequestURI()}}.Encode()
	if done, err := s.users.IsSetUp(); err != nil {
		return err
	} else if !done {
		to = setupPath
	}
	r, h := c.Request(), c.Response().Header()
	switch {
	case r.Header.Get("HX-Request") != "": // htmx asks for a part of a page
		h.Set("HX-Redirect", to)
		return access.ErrNobody
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		return access.ErrNobody
	}
	return c.Redirect(http.StatusSeeOther, to)
}

// Paths that aren't the document's.
const (
	loginPath = "/login"
	setupPath = "/setup"
)

// isPublic reports whether a page is for those too who haven't logged in.
func isPublic(path string) bool {
	return strings.HasPrefix(path, "/assets/") || slices.Contains([]string{loginPath, setupPath, "/theme", "/favicon.ico"}, path)
}

// who tells a page whom it is for.
func who(c echo.Context) web.Who {
	id := access.FromContext(c.Request().Context())
	if !id.Known() {
		return web.Who{}
	}
	return web.Who{Name: id.Name, Role: id.Role.String(), CSRF: id.CSRF}
}

// identity returns who a request is from. active says that a person has made it.
func (s *Server) identity(r *http.Request, active bool) (access.Identity, error) {
	id := access.FromContext(r.Context())
	if id.How == access.BySocket {
		return id, nil
	}
	if credential := r.Header.Get("Authorization"); credential != "" {
		return s.users.AuthenticateToken(id, credential)
	}
	cookie, err := r.Cookie(s.users.CookieName())
	if err != nil {
		return id, nil // there is none
	}
	return s.users.Authenticate(id, cookie.Value, active)
}

// checkOrigin refuses what another site has a browser send. A request with a token is its
// program's own doing; one of a session must carry the session's CSRF token.
func (s *Server) checkOrigin(r *http.Request, id access.Identity) error {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions:
		return nil
	}
	if id.How == access.BySocket || id.How == access.ByToken {
		return nil
	}
	if err := s.origins.Check(r); err != nil {
		return access.ErrForeign
	}
	if id.How != access.BySession {
		return nil
	}
	given := r.Header.Get(access.CSRFHeader)
	if given == "" && isForm(r) {
		if err := openUpload(r); err != nil {
			return err
		}
		given = r.PostFormValue(access.CSRFField)
	}
	if subtle.ConstantTimeCompare([]byte(given), []byte(id.CSRF)) != 1 {
		return access.ErrCSRF
	}
	return nil
}

// isForm reports whether the body is a plain form, whose fields may be read (it is bounded).
func isForm(r *http.Request) bool {
	kind := r.Header.Get("Content-Type")
	return strings.HasPrefix(kind, "application/x-www-form-urlencoded") || strings.HasPrefix(kind, "multipart/form-data")
}

// ask is the api.Guard of every operation, whether the API or a page asks for it: who may
// not is refused, and what changes something is kept in the audit log.
func (s *Server) ask(ctx context.Context, op api.Operation, target string, call func(context.Context) error) error {
	if api.IsCheck(ctx) && op.Method != http.MethodGet {
		return s.check(ctx, op, call)
	}
	err := s.users.Authorize(access.FromContext(ctx), op)
	ctx, about := access.WithTarget(ctx, target)
	if err == nil {
		err = call(ctx)
	}
	if op.Audit {
		s.users.Record(ctx, op, about(), err)
	}
	return err
}
