package web

import (
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"

	"landbridge/console/api"
)

// inviteForm is the form for an invitation, as it was filled in.
type inviteForm struct {
	Groups    []api.Group // in which this appliance can invite
	Group     string
	Hours     string
	Uses      string
	Note      string
	Approval  bool
	Addresses string
	Flaws     flaws
}

// invited is an invitation to show, once.
type invited struct {
	api.Invitation
	Code code
}

// invitationsShown is how many invitations that are over a page shows.
const invitationsShown = 5

// invitations returns a group's invitations that are open, and the latest of those that aren't.
func (p *Pages) invitations(c echo.Context, group string) ([]api.IssuedInvitation, error) {
	l, err := ask[api.ListInvitationsRequestObject, api.ListInvitationsResponseObject, api.ListInvitations200JSONResponse](
		c, p.api.ListInvitations, api.ListInvitationsRequestObject{Group: group})
	over := 0
	return slices.DeleteFunc(l.Items, func(i api.IssuedInvitation) bool {
		if i.State != api.InvitationStateOpen {
			over++
		}
		return i.State != api.InvitationStateOpen && over > invitationsShown
	}), err
}

// invite makes an invitation and shows it, this once.
func (p *Pages) invite(c echo.Context) error {
	page, err := p.membersPage(c)
	if err != nil {
		return p.fail(c, err)
	}
	form := &page.Invite
	form.Group, form.Hours, form.Uses = c.FormValue("group"), c.FormValue("hours"), c.FormValue("uses")
	form.Approval = c.FormValue("approval") != ""
	form.Note, form.Addresses = c.FormValue("note"), c.FormValue("addresses")
	req, wrong := form.request()
	if len(wrong) > 0 {
		form.Flaws = flaws{Fields: wrong}
		return p.show(c, http.StatusUnprocessableEntity, "members", page)
	}
	inv, err := ask[api.CreateInvitationRequestObject, api.CreateInvitationResponseObject, api.CreateInvitation201JSONResponse](
		c, p.api.CreateInvitation, api.CreateInvitationRequestObject{Group: form.Group, Body: &req})
	if err != nil {
		var status int
		form.Flaws, status = p.flawsOf(err)
		return p.show(c, status, "members", page)
	}
	if page, err = p.membersPage(c); err != nil { // with the new one in the list
		return p.fail(c, err)
	}
	page.Token = &invited{Invitation: api.Invitation(inv), Code: qrCode(inv.Token)}
	return p.show(c, http.StatusOK, "members", page)
}

// request reads the form; wrong says by the API's names of fields what isn't a number.
func (f inviteForm) request() (req api.InvitationCreate, wrong map[string]string) {
	wrong = make(map[string]string)
	hours, err := strconv.ParseInt(f.Hours, 10, 64)
	if err != nil || hours < 1 || hours > 8760 {
		wrong["ttlSeconds"] = "want a whole number of hours from 1 to 8760"
	}
	uses := 1
	if f.Uses != "" {
		if uses, err = strconv.Atoi(strings.TrimSpace(f.Uses)); err != nil || uses < 1 || uses > 1000 {
			wrong["uses"] = "want a whole number from 1 to 1000"
		}
	}
	return api.InvitationCreate{
		TTLSeconds: hours * 3600, Uses: uses, Approval: f.Approval, Note: strings.TrimSpace(f.Note),
		Addresses: strings.Fields(strings.ReplaceAll(f.Addresses, ",", " ")),
	}, wrong
}

// revokeInvitation ends an invitation.
func (p *Pages) revokeInvitation(c echo.Context) error {
	_, err := ask[api.RevokeInvitationRequestObject, api.RevokeInvitationResponseObject, api.RevokeInvitation200JSONResponse](
		c, p.api.RevokeInvitation, api.RevokeInvitationRequestObject{Group: c.FormValue("group"), Invitation: c.FormValue("invitation")})
	if err != nil {
		return p.fail(c, err)
	}
	return c.Redirect(http.StatusSeeOther, "/members?done=revoked")
}
