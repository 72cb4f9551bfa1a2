package web

import (
	"net/http"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"

	"landbridge/console/api"
	"landbridge/internal/sorting"
)

// hostForm is the form that registers a host, as it was filled in.
type hostForm struct {
	MAC, Group, Note string
	Flaws            flaws
}

// Registers reports whether hosts can be registered: DHCP serves in router mode alone.
func (n networkPage) Registers() bool { return n.Mode.Now.Mode == api.ModeRouter || len(n.Hosts) > 0 }

// Grouped reports whether there is more than one group that a host may be of.
func (n networkPage) Grouped() bool {
	return len(n.Segments) > 1 || slices.ContainsFunc(n.Hosts, func(h api.RegisteredHost) bool { return h.Group != "" || h.GroupName != "" || h.Elsewhere })
}

// Seen returns the hosts on the groups' segments that nobody has registered, each once: those without an
// address first. One that a group serves has one, whatever others say of it.
func (n networkPage) Seen() (all []seenHost) {
	at := make(map[string]int)
	for _, s := range n.Segments {
		for _, h := range s.Unregistered {
			host := seenHost{SeenHost: h}
			if h.Address.IsValid() {
				host.Of = s.GroupName
			}
			i, known := at[h.MAC]
			switch {
			case !known:
				at[h.MAC] = len(all)
				all = append(all, host)
			case h.Address.IsValid():
				all[i] = host
			}
		}
	}
	sorting.StablyBy(all, func(a, b seenHost) int {
		if a.Address.IsValid() == b.Address.IsValid() {
			return b.SeenHost.Seen.Compare(a.SeenHost.Seen)
		}
		if a.Address.IsValid() {
			return 1
		}
		return -1
	})
	return all
}

// seenHost is a host that nobody has registered.
type seenHost struct {
	api.SeenHost
	Of string // the group that serves it
}

// read reads a form about a host. What it has no field for stays as it is.
func (f *hostForm) read(c echo.Context) api.RegisterHostRequestObject {
	*f = hostForm{MAC: strings.TrimSpace(c.FormValue("mac")), Group: c.FormValue("group"), Note: strings.TrimSpace(c.FormValue("note"))}
	wish := api.HostRegistration{}
	if values, err := c.FormParams(); err == nil && values.Has("group") && f.Group != asItIs {
		wish.Group = &f.Group
	}
	if f.Note != "" || c.FormValue("about") == "note" { // else a field that is left empty says nothing
		wish.Note = &f.Note
	}
	return api.RegisterHostRequestObject{MAC: f.MAC, Body: &wish}
}

// asItIs is the choice not to say of which group a host is.
const asItIs = "-"

// registerHost has DHCP serve a host whatever the policy says, or has it be of another group.
func (p *Pages) registerHost(c echo.Context) error {
	var form hostForm
	request := form.read(c)
	_, err := ask[api.RegisterHostRequestObject, api.RegisterHostResponseObject, api.RegisterHost200JSONResponse](c, p.api.RegisterHost, request)
	done := "registered"
	switch {
	case request.Body.Group != nil:
		done = "moved"
	case c.FormValue("about") == "note":
		done = "noted"
	}
	return p.hostDone(c, err, form, done)
}

// forgetHost ends a registration.
func (p *Pages) forgetHost(c echo.Context) error {
	_, err := ask[api.ForgetHostRequestObject, api.ForgetHostResponseObject, api.ForgetHost200JSONResponse](
		c, p.api.ForgetHost, api.ForgetHostRequestObject{MAC: c.FormValue("mac")})
	return p.hostDone(c, err, hostForm{}, "forgotten")
}

func (p *Pages) hostDone(c echo.Context, err error, form hostForm, done string) error {
	if err == nil {
		return c.Redirect(http.StatusSeeOther, "/network?done="+done+"#hosts")
	}
	page, other := p.networkPage(c)
	if other != nil {
		return p.fail(c, other)
	}
	var status int
	form.Flaws, status = p.flawsOf(err)
	page.Host = form
	return p.show(c, status, "network", page)
}
