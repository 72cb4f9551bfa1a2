package web

import (
	"bytes"
	"compress/gzip"
	"embed"
	"io"
	"net/http"
	"path"
	"strings"
	"time"

	template "github.com/DataDog/datadog-agent/pkg/template/html"
	"github.com/labstack/echo/v4"

	"landbridge/console/api"
)

//go:embed templates
var templateFiles embed.FS

// views are the parsed templates by page.
type views map[string]*template.Template

// parseViews parses each page together with the frame and the shared parts.
func parseViews(now func() time.Time, static assets) views {
	frame := template.New("").Funcs(functions(now, static))
	template.Must(frame.ParseFS(templateFiles, "templates/layout.html", "templates/parts/*.html"))
	files, err := templateFiles.ReadDir("templates")
	if err != nil {
		panic(err) // the file system is part of the program
	}
	v := make(views)
	for _, f := range files {
		name, isPage := strings.CutSuffix(f.Name(), ".html")
		if !isPage || name == "layout" {
			continue
		}
		page := template.Must(frame.Clone())
		v[name] = template.Must(page.ParseFS(templateFiles, path.Join("templates", f.Name())))
	}
	return v
}

// frame is what the layout shows around a page.
type frame struct {
	Page    string // the template's name
	Path    string // the request's, with its query
	Theme   string // auto, light or dark
	Who     Who
	Nav     []place
	Status  api.Status // empty where nobody is logged in
	Now     time.Time
	Offline bool // a page that needs no events
	Data    any  // the page's own
}

// Below reports whether the page is one of those below a place.
func (f frame) Below(p place) bool { return strings.HasPrefix(f.Path, p.Path+"/") }

// place is an entry of the navigation.
type place struct {
	Path, Page, Icon string
}

// places is the navigation, in its order.
func places() []place {
	return []place{
		{"/", "overview", "overview"},
		{"/leases", "leases", "leases"},
		{"/members", "members", "members"},
		{"/groups", "groups", "groups"},
		{"/network", "network", "network"},
		{"/dns", "dns", "dns"},
		{"/diagnostics", "diagnostics", "diagnostics"},
		{"/system", "system", "system"},
		{"/api", "api", "api"},
	}
}

// show sends a page, or the part of it that htmx asks for.
func (p *Pages) show(c echo.Context, status int, page string, data any) error {
	part := page + "#" + c.Request().Header.Get("HX-Target")
	if c.Request().Header.Get("HX-Request") != "true" || p.looks().views[page].Lookup(part) == nil {
		part = "layout"
	}
	return p.render(c, status, page, part, data)
}

// render sends a template of a page: a part, or the whole, its layout.
func (p *Pages) render(c echo.Context, status int, page, name string, data any) error {
	if api.IsCheck(c.Request().Context()) { // nobody sees it
		return nil
	}
	f := frame{
		Page: page, Path: c.Request().URL.RequestURI(), Theme: theme(c), Who: p.who(c), Nav: places(),
		Now: p.now(), Data: data,
	}
	if name == "layout" && f.Who.Role != "" {
		if s, err := p.status(c); err == nil {
			f.Status = s
		}
	}
	var b bytes.Buffer
	if err := p.looks().views[page].ExecuteTemplate(&b, name, f); err != nil {
		return err
	}
	return send(c, status, b.Bytes())
}

// send sends HTML, compressed where the client takes that and it is worth it.
func send(c echo.Context, status int, body []byte) error {
	const worth = 1400 // a packet
	if len(body) < worth || !acceptsGzip(c.Request()) {
		return c.HTMLBlob(status, body)
	}
	h := c.Response().Header()
	h.Set(echo.HeaderContentType, echo.MIMETextHTMLCharsetUTF8)
	h.Set(echo.HeaderContentEncoding, "gzip")
	c.Response().WriteHeader(status)
	w, err := gzip.NewWriterLevel(c.Response(), gzip.BestSpeed)
	if err != nil {
		return err
	}
	if _, err := io.Copy(w, bytes.NewReader(body)); err != nil {
		return err
	}
	return w.Close()
}

// theme returns which look the browser's cookie asks for.
func theme(c echo.Context) string {
	if k, err := c.Cookie("theme"); err == nil && (k.Value == "light" || k.Value == "dark") {
		return k.Value
	}
	return "auto"
}

// setTheme keeps the look in a cookie, and goes back to where the person was.
func (p *Pages) setTheme(c echo.Context) error {
	value := c.FormValue("theme")
	if value != "light" && value != "dark" {
		value = "auto"
	}
	c.SetCookie(&http.Cookie{
		Name: "theme", Value: value, Path: "/", MaxAge: 365 * 24 * 3600,
		Secure: c.IsTLS(), HttpOnly: true, SameSite: http.SameSiteStrictMode,
	})
	return c.Redirect(http.StatusSeeOther, localPath(c.FormValue("back")))
}

// localPath returns a path of this site, or the first page's for all else. Browsers take \ for / and leave
// out tabs and line ends, so that what they make of a path with those may be another site's.
func localPath(to string) string {
	control := func(r rune) bool { return r < ' ' || r == 0x7f || r == '\\' }
	if !strings.HasPrefix(to, "/") || strings.HasPrefix(to, "//") || strings.ContainsFunc(to, control) {
		return "/"
	}
	return to
}
