package web

import (
	"net/http"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"

	"landbridge/console/api"
	"landbridge/image/updating"
)

// Steps of an appliance's first minutes, in their order. The administrator is made before.
const (
	stepGroup = "group"
	stepMode  = "mode"
	stepHosts = "hosts"
)

// firstHosts is how many of the first hosts are shown.
const firstHosts = 8

// startPage leads from an appliance in no group to the first host with an address.
type startPage struct {
	networkPage
	Step         string
	Group        groupForm
	Leases       []api.Lease // the latest first
	Total        int
	Pictures     []picture             // wide and narrow: this site, its hosts as they come, the other members
	Waits        []api.JoinApplication // to be let into a group
	Create, Join flaws
}

// groupForm is how an appliance gets into a group: its own, or another's.
type groupForm struct {
	Name, Prefix string // of a new group
	Token        string
}

// steps are all of them.
func steps() []string { return []string{stepGroup, stepMode, stepHosts} }

// Behind reports whether a step is done.
func (s startPage) Behind(step string) bool {
	return slices.Index(steps(), step) < slices.Index(steps(), s.Step)
}

// Open reports whether a person may go to a step: all but the first need a group.
func (s startPage) Open(step string) bool {
	return step != s.Step && (step == stepGroup) == (len(s.Status.Groups) == 0)
}

// machineSays returns what isn't well with the machine, line by line, as its screen shows it.
func machineSays(s api.Status) (lines []string) {
	for _, h := range s.Health {
		if h.Component == updating.Component {
			lines = append(lines, strings.Split(h.Text, "\n")...)
		}
	}
	return lines
}

// start shows the step that is asked for, or that is due; none is where the appliance is in a group already, as by
// the command line or user-data: then it leads to the overview.
func (p *Pages) start(c echo.Context) error {
	n, err := p.networkPage(c)
	if err != nil {
		return p.fail(c, err)
	}
	page := startPage{networkPage: n, Step: c.QueryParam("step"), Group: groupForm{Prefix: "10.9.0.0/16"}}
	page.Done = c.QueryParam("done")
	if page.Waits, err = p.applications(c); err != nil {
		return p.fail(c, err)
	}
	isSetUp := len(page.Status.Groups) > 0 && page.Mode.Pending.To.Mode == "" && len(page.Waits) == 0
	switch {
	case isSetUp && len(c.QueryParams()) == 0 && c.Request().Header.Get("HX-Request") == "":
		return c.Redirect(http.StatusSeeOther, "/")
	case len(page.Status.Groups) == 0:
		page.Step = stepGroup
	case page.Mode.Pending.To.Mode != "":
		page.Step = stepMode
	case page.Done == "confirmed":
		page.Step = stepHosts
	case page.Step != stepHosts:
		page.Step = stepMode
	}
	if page.Step == stepHosts {
		if err := p.firstLeases(c, &page); err != nil {
			return p.fail(c, err)
		}
	}
	return p.show(c, http.StatusOK, "start", page)
}

// firstLeases finds the hosts of this site that have addresses. In router mode the one that
// the appliance itself had before is none of them.
func (p *Pages) firstLeases(c echo.Context, page *startPage) error {
	limit := 2 * firstHosts
	l, err := p.leases(c, api.ListLeasesParams{Limit: &limit, Sort: api.LeaseSortChangedDown, Site: api.LeaseSiteHere, State: api.LeaseFilterLeased})
	if err != nil {
		return err
	}
	page.Leases, page.Total = l.Items, l.Total
	if page.Mode.Now.Mode == api.ModeRouter {
		page.Leases = slices.DeleteFunc(l.Items, func(l api.Lease) bool { return l.Kind == api.LeaseKindOwn })
		page.Total -= len(l.Items) - len(page.Leases)
	}
	page.Leases = page.Leases[:min(firstHosts, len(page.Leases))]
	peers, err := p.peers(c)
	if err != nil || len(page.Status.Groups) == 0 {
		return err
	}
	here, links := site{Name: page.Status.Name, Detail: string(page.Status.Mode), Hosts: page.Leases, Total: page.Total}, linksOf(peers, p.meter.observe(p.now(), peers))
	page.Pictures = []picture{draw(here, links, false), draw(here, links, true)}
	return nil
}

// createGroup makes a group and goes on to how hosts are attached.
func (p *Pages) createGroup(c echo.Context) error {
	form := groupForm{Name: c.FormValue("name"), Prefix: c.FormValue("prefix")}
	_, err := ask[api.CreateGroupRequestObject, api.CreateGroupResponseObject, api.CreateGroup201JSONResponse](
		c, p.api.CreateGroup, api.CreateGroupRequestObject{Body: &api.GroupCreate{Name: form.Name, Prefix: form.Prefix}})
	if err != nil {
		said, status := p.flawsOf(err)
		return p.showGroup(c, status, startPage{Group: form, Create: said})
	}
	return c.Redirect(http.StatusSeeOther, "/start?done=group")
}

// joinGroup joins by an invitation and goes on to how hosts are attached.
func (p *Pages) joinGroup(c echo.Context) error {
	form := groupForm{Prefix: "10.9.0.0/16", Token: c.FormValue("token")}
	joined, err := p.api.JoinGroup(c.Request().Context(), api.JoinGroupRequestObject{Body: &api.JoinRequest{Token: form.Token}})
	if err != nil {
		said, status := p.flawsOf(err)
		return p.showGroup(c, status, startPage{Group: form, Join: said})
	}
	if _, waits := joined.(api.JoinGroup202JSONResponse); waits {
		return c.Redirect(http.StatusSeeOther, "/start")
	}
	return c.Redirect(http.StatusSeeOther, "/start?done=group")
}

// showGroup shows the first step again, with what was wrong.
func (p *Pages) showGroup(c echo.Context, status int, page startPage) error {
	n, err := p.networkPage(c)
	if err != nil {
		return p.fail(c, err)
	}
	if page.Waits, err = p.applications(c); err != nil {
		return p.fail(c, err)
	}
	page.networkPage, page.Step = n, stepGroup
	return p.show(c, status, "start", page)
}
