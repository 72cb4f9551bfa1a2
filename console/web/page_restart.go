package web

import (
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"landbridge/console/api"
)

// restartPage asks whether the appliance is really to start anew.
type restartPage struct {
	Status api.Status
	Flaws  flaws
}

// restartingPage waits until the appliance is back.
type restartingPage struct {
	Name string
	Next string // where to go then
}

// askRestart says what a restart does.
func (p *Pages) askRestart(c echo.Context) error {
	s, err := p.status(c)
	if err != nil {
		return p.fail(c, err)
	}
	return p.show(c, http.StatusOK, "restart", restartPage{Status: s})
}

// restart has the appliance start anew.
func (p *Pages) restart(c echo.Context) error {
	s, err := p.status(c)
	if err != nil {
		return p.fail(c, err)
	}
	_, err = ask[api.RestartRequestObject, api.RestartResponseObject, api.Restart202Response](c, p.api.Restart, api.RestartRequestObject{})
	if p.wantsPassword(err) {
		return err
	}
	if err != nil {
		page := restartPage{Status: s}
		var status int
		page.Flaws, status = p.flawsOf(err)
		return p.show(c, status, "restart", page)
	}
	return p.show(c, http.StatusAccepted, "restarting", restartingPage{Name: s.Name, Next: "/system"})
}

// namePage asks for another name of the appliance.
type namePage struct {
	Now, Name string
	Fixed     bool // by the configuration
	Flaws     flaws
}

func (p *Pages) named(c echo.Context) (namePage, error) {
	s, err := ask[api.GetSetupRequestObject, api.GetSetupResponseObject, api.GetSetup200JSONResponse](c, p.api.GetSetup, api.GetSetupRequestObject{})
	return namePage{Now: s.Name, Name: s.Name, Fixed: s.NameFixed}, err
}

// askName asks for another name.
func (p *Pages) askName(c echo.Context) error {
	page, err := p.named(c)
	if err != nil {
		return p.fail(c, err)
	}
	return p.show(c, http.StatusOK, "name", page)
}

// renameAppliance calls the appliance otherwise.
func (p *Pages) renameAppliance(c echo.Context) error {
	page, err := p.named(c)
	if err != nil {
		return p.fail(c, err)
	}
	page.Name = strings.TrimSpace(c.FormValue("name"))
	now, err := ask[api.RenameApplianceRequestObject, api.RenameApplianceResponseObject, api.RenameAppliance200JSONResponse](
		c, p.api.RenameAppliance, api.RenameApplianceRequestObject{Body: &api.ApplianceName{Name: page.Name}})
	if err != nil {
		var status int
		page.Flaws, status = p.flawsOf(err)
		return p.show(c, status, "name", page)
	}
	return systemDone(c, "renamed", now.Name, "appliance")
}
