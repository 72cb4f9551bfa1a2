package web

import (
	"net"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"

	"landbridge/console/api"
)

// networkPage is what the page of the network shows.
type networkPage struct {
	Mode     api.ModeStatus
	Status   api.Status
	Segments []api.Segment
	Hosts    []api.RegisteredHost
	Form     modeForm
	Plan     *api.ModePlan
	Heard    *heardView // on a port, just now
	Host     hostForm   // of registering a host, as it was filled in
	Done     string     // what was done just now
	At       string     // the path of the page that shows it: /network, or /start
}

// modeForm is the form for a switch, as it was filled in.
type modeForm struct {
	Mode, LANPort, Seconds string
	Flaws                  flaws
}

// modes are what can be chosen.
func modes() []api.Mode {
	return []api.Mode{api.ModeInterface, api.ModeRouter, api.ModeHybrid}
}

// modePicture is what a mode means for the ports that were found.
type modePicture struct {
	Mode string
	Port api.LANPort   // that would be the LAN port; none where there is none
	Fit  []api.LANPort // that could be
	Why  string        // why the first of the others couldn't
}

// newModePicture returns what a mode means for these ports, of which one may be chosen.
func newModePicture(ports []api.LANPort, chosen string, m api.Mode) modePicture {
	pic := modePicture{Mode: string(m)}
	if m == api.ModeInterface {
		return pic
	}
	for _, p := range ports {
		switch {
		case !slices.Contains(p.Modes, m):
			if pic.Why == "" && p.Why != "" {
				pic.Why = p.Name + ": " + p.Why
			}
			continue
		case pic.Port.Name == "" || p.Name == chosen || p.Up && !pic.Port.Up && pic.Port.Name != chosen:
			pic.Port = p
		}
		pic.Fit = append(pic.Fit, p)
	}
	return pic
}

func (p *Pages) network(c echo.Context) error {
	page, err := p.networkPage(c)
	if err != nil {
		return p.fail(c, err)
	}
	page.Done = c.QueryParam("done")
	return p.show(c, http.StatusOK, "network", page)
}

func (p *Pages) networkPage(c echo.Context) (page networkPage, err error) {
	mode, err := ask[api.GetModeRequestObject, api.GetModeResponseObject, api.GetMode200JSONResponse](
		c, p.api.GetMode, api.GetModeRequestObject{})
	if err != nil {
		return page, err
	}
	page.Mode = api.ModeStatus(mode)
	if page.Status, err = p.status(c); err != nil {
		return page, err
	}
	segments, err := ask[api.ListSegmentsRequestObject, api.ListSegmentsResponseObject, api.ListSegments200JSONResponse](
		c, p.api.ListSegments, api.ListSegmentsRequestObject{})
	if err != nil {
		return page, err
	}
	page.Segments = segments.Items
	page.At = "/network"
	if strings.HasPrefix(c.Request().URL.Path, "/start") {
		page.At = "/start"
	}
	hosts, err := ask[api.ListHostsRequestObject, api.ListHostsResponseObject, api.ListHosts200JSONResponse](
		c, p.api.ListHosts, api.ListHostsRequestObject{})
	page.Hosts = hosts.Items
	page.Form = modeForm{Mode: string(mode.Now.Mode), LANPort: mode.Now.LanPort, Seconds: "60"}
	for _, m := range []api.Mode{api.ModeRouter, api.ModeHybrid} { // a port that would do is offered first
		if page.Form.LANPort == "" {
			page.Form.LANPort = newModePicture(mode.Ports, "", m).Port.Name
		}
	}
	return page, err
}

// read reads the form of a switch.
func (f *modeForm) read(c echo.Context) (*api.ModeRequest, bool) {
	*f = modeForm{Mode: c.FormValue("mode"), LANPort: c.FormValue("lanPort"), Seconds: c.FormValue("timeoutSeconds")}
	r := &api.ModeRequest{Mode: f.Mode, LanPort: f.LANPort, TimeoutSeconds: 60, Operator: operator(c.Request())}
	if f.Mode == string(api.ModeInterface) {
		r.LanPort = ""
	}
	if f.Seconds != "" {
		n, err := strconv.ParseInt(f.Seconds, 10, 64)
		if err != nil {
			f.Flaws = flaws{Fields: map[string]string{"timeoutSeconds": "want a whole number of seconds"}}
			return nil, false
		}
		r.TimeoutSeconds = n
	}
	return r, true
}

// operator tells by which connection the person is here, so that a switch that would cut
// it is refused. A connection of this host with itself is none.
func operator(r *http.Request) api.OperatorConnection {
	local, ok := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr)
	if !ok || local.IP.IsLoopback() {
		return api.OperatorConnection{}
	}
	remote, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return api.OperatorConnection{}
	}
	address := local.AddrPort().Addr().Unmap()
	return api.OperatorConnection{Local: address.String(), Remote: remote}
}

// showMode shows where a switch has got to, on the page where it was asked for.
func (p *Pages) showMode(c echo.Context, status int, page networkPage) error {
	if page.At == "/start" {
		return p.show(c, status, "start", startPage{networkPage: page, Step: stepMode})
	}
	return p.show(c, status, "network", page)
}

// planMode shows what a switch would do.
func (p *Pages) planMode(c echo.Context) error {
	page, err := p.networkPage(c)
	if err != nil {
		return p.fail(c, err)
	}
	request, ok := page.Form.read(c)
	if !ok {
		return p.showMode(c, http.StatusUnprocessableEntity, page)
	}
	plan, err := ask[api.PlanModeRequestObject, api.PlanModeResponseObject, api.PlanMode200JSONResponse](
		c, p.api.PlanMode, api.PlanModeRequestObject{Body: request})
	if err != nil {
		var status int
		page.Form.Flaws, status = p.flawsOf(err)
		return p.showMode(c, status, page)
	}
	page.Plan = (*api.ModePlan)(&plan)
	return p.showMode(c, http.StatusOK, page)
}

// switchMode applies a switch, which waits then for confirmation.
func (p *Pages) switchMode(c echo.Context) error {
	page, err := p.networkPage(c)
	if err != nil {
		return p.fail(c, err)
	}
	request, ok := page.Form.read(c)
	if !ok {
		return p.showMode(c, http.StatusUnprocessableEntity, page)
	}
	_, err = ask[api.SwitchModeRequestObject, api.SwitchModeResponseObject, api.SwitchMode200JSONResponse](
		c, p.api.SwitchMode, api.SwitchModeRequestObject{Body: request})
	if err != nil {
		var status int
		page.Form.Flaws, status = p.flawsOf(err)
		return p.showMode(c, status, page)
	}
	return c.Redirect(http.StatusSeeOther, page.At)
}

// confirmMode keeps a switch.
func (p *Pages) confirmMode(c echo.Context) error {
	_, err := ask[api.ConfirmModeRequestObject, api.ConfirmModeResponseObject, api.ConfirmMode200JSONResponse](
		c, p.api.ConfirmMode, api.ConfirmModeRequestObject{})
	return p.settle(c, err, "confirmed")
}

// rollbackMode undoes a switch.
func (p *Pages) rollbackMode(c echo.Context) error {
	_, err := ask[api.RollbackModeRequestObject, api.RollbackModeResponseObject, api.RollbackMode200JSONResponse](
		c, p.api.RollbackMode, api.RollbackModeRequestObject{})
	return p.settle(c, err, "back")
}

// settle goes back to the page where the switch was asked for, which says what was done or why it wasn't.
func (p *Pages) settle(c echo.Context, err error, done string) error {
	if err == nil {
		return c.Redirect(http.StatusSeeOther, path.Dir(c.Request().URL.Path)+"?done="+done)
	}
	page, other := p.networkPage(c)
	if other != nil {
		return p.fail(c, other)
	}
	var status int
	page.Form.Flaws, status = p.flawsOf(err)
	return p.showMode(c, status, page)
}
