package web

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/labstack/echo/v4"

	"landbridge/console/api"
)

// requests returns who waits to be let into a group.
func (p *Pages) requests(c echo.Context, group string) ([]api.Applicant, error) {
	l, err := ask[api.ListRequestsRequestObject, api.ListRequestsResponseObject, api.ListRequests200JSONResponse](
		c, p.api.ListRequests, api.ListRequestsRequestObject{Group: group})
	return l.Items, err
}

// applications returns the groups for which this appliance waits.
func (p *Pages) applications(c echo.Context) ([]api.JoinApplication, error) {
	l, err := ask[api.ListApplicationsRequestObject, api.ListApplicationsResponseObject, api.ListApplications200JSONResponse](
		c, p.api.ListApplications, api.ListApplicationsRequestObject{})
	return l.Items, err
}

// approveRequest lets an appliance in that waits.
func (p *Pages) approveRequest(c echo.Context) error {
	m, err := ask[api.ApproveRequestRequestObject, api.ApproveRequestResponseObject, api.ApproveRequest200JSONResponse](
		c, p.api.ApproveRequest, api.ApproveRequestRequestObject{Group: c.FormValue("group"), Member: c.FormValue("member")})
	return p.decided(c, "approved", m.Name, err)
}

// denyRequest refuses an appliance that waits.
func (p *Pages) denyRequest(c echo.Context) error {
	who, err := ask[api.DenyRequestRequestObject, api.DenyRequestResponseObject, api.DenyRequest200JSONResponse](
		c, p.api.DenyRequest, api.DenyRequestRequestObject{
			Group: c.FormValue("group"), Member: c.FormValue("member"), Body: &api.Denial{Reason: strings.TrimSpace(c.FormValue("reason"))},
		})
	return p.decided(c, "denied", who.Name, err)
}

// decided goes back to the members, or shows them with what is wrong: somebody else may have
// decided meanwhile.
func (p *Pages) decided(c echo.Context, done, who string, err error) error {
	if err == nil {
		return c.Redirect(http.StatusSeeOther, "/members?"+url.Values{"done": {done}, "who": {who}}.Encode())
	}
	said, status := p.flawsOf(err)
	page, err := p.membersPage(c)
	if err != nil {
		return p.fail(c, err)
	}
	page.Flaws = said
	return p.show(c, status, "members", page)
}

// withdraw has this appliance wait no longer for a group.
func (p *Pages) withdraw(c echo.Context) error {
	_, err := ask[api.WithdrawApplicationRequestObject, api.WithdrawApplicationResponseObject, api.WithdrawApplication200JSONResponse](
		c, p.api.WithdrawApplication, api.WithdrawApplicationRequestObject{Group: c.FormValue("group")})
	if err != nil {
		return p.fail(c, err)
	}
	return c.Redirect(http.StatusSeeOther, localPath(c.FormValue("back")))
}
