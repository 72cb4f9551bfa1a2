package web

import (
	"math"
	"net/http"
	"net/url"
	"strings"

	"github.com/labstack/echo/v4"

	"landbridge/console/api"
)

// systemPage is what the page of the system shows, with its forms as they were filled in.
type systemPage struct {
	Status    api.Status
	Session   api.Session
	NameFixed bool // by the configuration
	Time      api.Time
	Console   api.Console // to administrators
	Users     []api.User  // to administrators
	Tokens    []api.Token
	NewUser   userForm
	NewToken  tokenForm
	Made      *api.NewToken
	Password  flaws
	Done      string // what was done just now
	About     string // to whom
}

// farthest is the clock of the member whose offset is the largest, nil where none is known.
func farthest(t api.Time) *api.MemberClock {
	var most *api.MemberClock
	for i, m := range t.Members {
		if most == nil || math.Abs(m.OffsetSeconds) > math.Abs(most.OffsetSeconds) {
			most = &t.Members[i]
		}
	}
	return most
}

// roles are what a user or token may be.
func roles() []api.Role {
	return []api.Role{api.RoleViewer, api.RoleOperator, api.RoleAdministrator}
}

// system shows the appliance, who is asking, and who else may.
func (p *Pages) system(c echo.Context) error {
	return p.showSystem(c, http.StatusOK, systemPage{Done: c.QueryParam("done"), About: c.QueryParam("about")})
}

// showSystem fills in what the page has besides the form that was sent.
func (p *Pages) showSystem(c echo.Context, status int, page systemPage) error {
	if err := p.fillSystem(c, &page); err != nil {
		return p.fail(c, err)
	}
	return p.show(c, status, "system", page)
}

func (p *Pages) fillSystem(c echo.Context, page *systemPage) (err error) {
	if page.Status, err = p.status(c); err != nil {
		return err
	}
	if page.Session, err = p.session(c); err != nil {
		return err
	}
	setup, err := p.setup(c)
	if err != nil {
		return err
	}
	page.NameFixed = setup.NameFixed
	clock, err := ask[api.GetTimeRequestObject, api.GetTimeResponseObject, api.GetTime200JSONResponse](c, p.api.GetTime, api.GetTimeRequestObject{})
	if err != nil {
		return err
	}
	page.Time = api.Time(clock)
	if page.Tokens, err = p.tokens(c); err != nil || !p.who(c).Can("administrator") {
		return err
	}
	console, err := ask[api.GetConsoleRequestObject, api.GetConsoleResponseObject, api.GetConsole200JSONResponse](
		c, p.api.GetConsole, api.GetConsoleRequestObject{})
	if err != nil {
		return err
	}
	page.Console = api.Console(console)
	page.Users, err = p.users(c)
	return err
}

// systemDone goes back to the page, which says what was done.
func systemDone(c echo.Context, done, about, part string) error {
	return c.Redirect(http.StatusSeeOther, "/system?"+url.Values{"done": {done}, "about": {about}}.Encode()+"#"+part)
}

// changePassword gives who asks another password.
func (p *Pages) changePassword(c echo.Context) error {
	password := c.FormValue("new")
	if password != c.FormValue("again") {
		return p.showSystem(c, http.StatusUnprocessableEntity, systemPage{
			Password: flaws{Fields: map[string]string{"again": "this isn't the password above: type it once more"}}})
	}
	changed, err := ask[api.ChangePasswordRequestObject, api.ChangePasswordResponseObject, api.ChangePassword200JSONResponse](
		c, p.api.ChangePassword, api.ChangePasswordRequestObject{Body: &api.PasswordChange{Current: c.FormValue("current"), New: password}})
	if err != nil {
		f, status := p.flawsOf(err)
		return p.showSystem(c, status, systemPage{Password: f})
	}
	c.Response().Header().Add(echo.HeaderSetCookie, changed.Headers.SetCookie)
	return systemDone(c, "password", "", "you")
}

// totpPage shows how an authenticator app is taken into use: its code, then what stands in
// for it.
type totpPage struct {
	Enrollment api.TOTPEnrollment
	Code       code
	Recovery   []string
	Flaws      flaws
}

// Groups is the secret as people type it.
func (t totpPage) Groups() string {
	var b strings.Builder
	for i, r := range t.Enrollment.Secret {
		if i > 0 && i%4 == 0 {
			b.WriteByte(' ')
		}
		b.WriteRune(r)
	}
	return b.String()
}

// enrollTOTP begins with an authenticator app.
func (p *Pages) enrollTOTP(c echo.Context) error {
	e, err := ask[api.EnrollTOTPRequestObject, api.EnrollTOTPResponseObject, api.EnrollTOTP201JSONResponse](
		c, p.api.EnrollTOTP, api.EnrollTOTPRequestObject{})
	if p.wantsPassword(err) {
		return err
	}
	if err != nil {
		return p.fail(c, err)
	}
	return p.show(c, http.StatusOK, "totp", totpPage{Enrollment: api.TOTPEnrollment(e), Code: qrCode(e.URI)})
}

// confirmTOTP has log-ins ask for codes, and shows once what stands in for them.
func (p *Pages) confirmTOTP(c echo.Context) error {
	page := totpPage{Enrollment: api.TOTPEnrollment{Secret: c.FormValue("secret"), URI: c.FormValue("uri")}}
	codes, err := ask[api.ConfirmTOTPRequestObject, api.ConfirmTOTPResponseObject, api.ConfirmTOTP200JSONResponse](
		c, p.api.ConfirmTOTP, api.ConfirmTOTPRequestObject{Body: &api.TOTPCode{Code: strings.ReplaceAll(c.FormValue("code"), " ", "")}})
	if p.wantsPassword(err) {
		return err
	}
	if err != nil {
		var status int
		page.Flaws, status = p.flawsOf(err)
		page.Code = qrCode(page.Enrollment.URI)
		return p.show(c, status, "totp", page)
	}
	page.Recovery = codes.Codes
	return p.show(c, http.StatusOK, "totp", page)
}

// removeTOTP has log-ins ask for no code.
func (p *Pages) removeTOTP(c echo.Context) error {
	_, err := ask[api.RemoveTOTPRequestObject, api.RemoveTOTPResponseObject, api.RemoveTOTP204Response](
		c, p.api.RemoveTOTP, api.RemoveTOTPRequestObject{})
	if p.wantsPassword(err) {
		return err
	}
	if err != nil {
		return p.fail(c, err)
	}
	return systemDone(c, "totp", "", "you")
}

// backup sends a copy of the state.
func (p *Pages) backup(c echo.Context) error {
	answer, err := p.api.GetBackup(c.Request().Context(), api.GetBackupRequestObject{})
	if err == nil {
		err = answer.VisitGetBackupResponse(c.Response())
	}
	if err != nil && !c.Response().Committed && !p.wantsPassword(err) {
		return p.fail(c, err)
	}
	return err
}

// auditPage is one page of the audit log.
type auditPage struct {
	api.AuditList
	Later bool              // there are later entries
	names map[string]string // of groups and members, by their IDs
}

// About is what an entry is about, with names for the IDs that are known and without the middle of others.
func (a auditPage) About(target string) string {
	parts := strings.Split(target, "/")
	for i, part := range parts {
		if name := a.names[part]; name != "" {
			parts[i] = name
		} else if len(part) > longID {
			parts[i] = short(part)
		}
	}
	return strings.Join(parts, " / ")
}

// longID is longer than anything that people name.
const longID = 40

// knownNames are the names of groups and members, by their IDs, as far as they can be told.
func (p *Pages) knownNames(c echo.Context) map[string]string {
	names := make(map[string]string)
	groups, _ := p.groups(c) // without them the IDs are shown
	for _, g := range groups {
		names[g.ID] = g.Name
		for _, m := range g.Members {
			names[m.MemberID] = m.Name
		}
	}
	return names
}

// audit shows who has done what.
func (p *Pages) audit(c echo.Context) error {
	limit := 50
	params := api.ListAuditParams{Limit: &limit}
	if text := c.QueryParam("before"); text != "" {
		before, err := wholeNumber("before", text)
		if err != nil {
			return p.fail(c, echo.NewHTTPError(http.StatusNotFound, "there is no such page of the audit log"))
		}
		params.Before = before
	}
	l, err := ask[api.ListAuditRequestObject, api.ListAuditResponseObject, api.ListAudit200JSONResponse](
		c, p.api.ListAudit, api.ListAuditRequestObject{Params: params})
	if err != nil {
		return p.fail(c, err)
	}
	return p.show(c, http.StatusOK, "audit", auditPage{api.AuditList(l), params.Before > 0, p.knownNames(c)})
}
