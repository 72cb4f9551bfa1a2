package web

import (
	"net/http"
	"net/url"

	"github.com/labstack/echo/v4"

	"landbridge/console/api"
)

// groupsPage is the groups that this appliance is in, side by side.
type groupsPage struct {
	Groups []groupView
	Left   string // which was left just now
	InVain bool   // its authority couldn't be told
}

// groupView is a group, and what this appliance does in it.
type groupView struct {
	api.Group
	Now       api.GroupStatus // zero where the group doesn't run here
	Keeper    api.GroupMember // of the CA key
	Addresses int             // that the prefix has for hosts
	Held      int             // of them, in this appliance's blocks
	Used      int             // of those, leased
}

// listGroups shows them.
func (p *Pages) listGroups(c echo.Context) error {
	page := groupsPage{Left: c.QueryParam("left"), InVain: c.QueryParam("listed") != ""}
	groups, err := p.groups(c)
	if err != nil {
		return p.fail(c, err)
	}
	status, err := p.status(c)
	if err != nil {
		return p.fail(c, err)
	}
	blocks, err := p.blocks(c)
	if err != nil {
		return p.fail(c, err)
	}
	for _, g := range groups {
		page.Groups = append(page.Groups, viewGroup(g, status, blocks))
	}
	return p.show(c, http.StatusOK, "groups", page)
}

// reservedAddresses are never leased: the network's own, the service address, the broadcast.
const reservedAddresses = 3

func viewGroup(g api.Group, s api.Status, blocks []api.Block) groupView {
	v := groupView{Group: g, Addresses: 1<<(32-g.Prefix.Bits()) - reservedAddresses}
	for _, now := range s.Groups {
		if now.ID == g.ID {
			v.Now = now
		}
	}
	for _, m := range g.Members {
		if m.Authority {
			v.Keeper = m
		}
	}
	for _, b := range blocks {
		if b.Group == g.ID {
			v.Held += b.Size
			v.Used += b.Used
		}
	}
	return v
}

// leavingPage asks whether a group is really to be left.
type leavingPage struct {
	Group api.Group
	Flaws flaws
}

func (p *Pages) leavingPage(c echo.Context, ref string) (page leavingPage, err error) {
	groups, err := p.groups(c)
	if err != nil {
		return page, err
	}
	if page.Group, err = api.FindGroup(groups, ref); err != nil || ref == "" {
		return page, echo.NewHTTPError(http.StatusNotFound, "this appliance is in no such group")
	}
	return page, nil
}

// askLeave says what leaving a group does.
func (p *Pages) askLeave(c echo.Context) error {
	page, err := p.leavingPage(c, c.QueryParam("group"))
	if err != nil {
		return p.fail(c, err)
	}
	return p.show(c, http.StatusOK, "leave", page)
}

// leave ends a group here. Where that destroys the CA key, the group's name must be typed.
func (p *Pages) leave(c echo.Context) error {
	page, err := p.leavingPage(c, c.FormValue("group"))
	if err != nil {
		return p.fail(c, err)
	}
	if page.Group.Authority && c.FormValue("name") != page.Group.Name {
		page.Flaws = flaws{Fields: map[string]string{"name": "want " + page.Group.Name + ", the group's name, as it is written above"}}
		return p.show(c, http.StatusUnprocessableEntity, "leave", page)
	}
	gone, err := ask[api.LeaveGroupRequestObject, api.LeaveGroupResponseObject, api.LeaveGroup200JSONResponse](
		c, p.api.LeaveGroup, api.LeaveGroupRequestObject{Group: page.Group.ID, Params: api.LeaveGroupParams{DestroyCA: page.Group.Authority}})
	if p.wantsPassword(err) {
		return err
	}
	if err != nil {
		var status int
		page.Flaws, status = p.flawsOf(err)
		return p.show(c, status, "leave", page)
	}
	to := url.Values{"left": {gone.GroupName}}
	if gone.InRoster {
		to.Set("listed", "yes")
	}
	return c.Redirect(http.StatusSeeOther, "/groups?"+to.Encode())
}
