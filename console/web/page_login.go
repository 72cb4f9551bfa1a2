package web

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"landbridge/console/api"
)

// loginPage is the form by which a session begins.
type loginPage struct {
	Name, Next, Appliance string
	NeedsCode             bool // the user has enrolled TOTP
	Flaws                 flaws
}

// codeWanted is the type of the problem that asks for a TOTP code.
const codeWanted = "urn:landbridge:problem:code"

// askLogin shows the form, or that for the first visitor.
func (p *Pages) askLogin(c echo.Context) error {
	setup, err := p.setup(c)
	if err != nil {
		return p.fail(c, err)
	}
	if !setup.SetUp {
		return c.Redirect(http.StatusSeeOther, "/setup")
	}
	return p.show(c, http.StatusOK, "login", loginPage{Next: localPath(c.QueryParam("next")), Appliance: setup.Name})
}

func (p *Pages) setup(c echo.Context) (api.Setup, error) {
	s, err := ask[api.GetSetupRequestObject, api.GetSetupResponseObject, api.GetSetup200JSONResponse](
		c, p.api.GetSetup, api.GetSetupRequestObject{})
	return api.Setup(s), err
}

// login begins a session and goes where the person was.
func (p *Pages) login(c echo.Context) error {
	page := loginPage{Name: c.FormValue("name"), Next: localPath(c.FormValue("next"))}
	code := c.FormValue("code")
	session, err := ask[api.LogInRequestObject, api.LogInResponseObject, api.LogIn200JSONResponse](
		c, p.api.LogIn, api.LogInRequestObject{Body: &api.Login{Name: page.Name, Password: c.FormValue("password"), Code: code}})
	if err == nil {
		c.Response().Header().Add(echo.HeaderSetCookie, session.Headers.SetCookie)
		return c.Redirect(http.StatusSeeOther, page.Next)
	}
	problem := p.problem(err)
	page.Flaws, _ = p.flawsOf(err)
	page.NeedsCode = code != "" || problem.Type == codeWanted
	if setup, err := p.setup(c); err == nil {
		page.Appliance = setup.Name
	}
	return p.show(c, problem.Status, "login", page)
}

// logout ends the session.
func (p *Pages) logout(c echo.Context) error {
	end, err := ask[api.LogOutRequestObject, api.LogOutResponseObject, api.LogOut204Response](
		c, p.api.LogOut, api.LogOutRequestObject{})
	if err != nil {
		return p.fail(c, err)
	}
	c.Response().Header().Add(echo.HeaderSetCookie, end.Headers.SetCookie)
	return c.Redirect(http.StatusSeeOther, "/login")
}

// setupPage is the form of the first visitor.
type setupPage struct {
	Code, Name, Appliance string
	NameFixed             bool
	Trouble               bool // with the machine: more than that isn't a stranger's business
	Flaws                 flaws
}

// askSetup shows the form, once.
func (p *Pages) askSetup(c echo.Context) error {
	setup, err := p.setup(c)
	if err != nil {
		return p.fail(c, err)
	}
	if setup.SetUp {
		return c.Redirect(http.StatusSeeOther, "/login")
	}
	return p.show(c, http.StatusOK, "setup", setupPage{Appliance: setup.Name, NameFixed: setup.NameFixed, Name: "admin", Code: c.QueryParam("code"), Trouble: setup.MachineTrouble})
}

// doSetup makes the first administrator, and logs them in.
func (p *Pages) doSetup(c echo.Context) error {
	page := setupPage{Code: c.FormValue("code"), Name: c.FormValue("name"), Appliance: c.FormValue("applianceName")}
	password := c.FormValue("password")
	if setup, err := p.setup(c); err == nil {
		if page.Trouble = setup.MachineTrouble; setup.NameFixed {
			page.Appliance, page.NameFixed = setup.Name, true
		}
	}
	if password != c.FormValue("again") {
		page.Flaws = flaws{Fields: map[string]string{"again": "this isn't the password above: type it once more"}}
		return p.show(c, http.StatusUnprocessableEntity, "setup", page)
	}
	request := &api.SetupRequest{Code: page.Code, Name: page.Name, Password: password}
	if !page.NameFixed {
		request.ApplianceName = page.Appliance
	}
	session, err := ask[api.SetUpRequestObject, api.SetUpResponseObject, api.SetUp201JSONResponse](
		c, p.api.SetUp, api.SetUpRequestObject{Body: request})
	if err != nil {
		page.Flaws, _ = p.flawsOf(err)
		return p.show(c, p.problem(err).Status, "setup", page)
	}
	c.Response().Header().Add(echo.HeaderSetCookie, session.Headers.SetCookie)
	return c.Redirect(http.StatusSeeOther, "/start")
}
