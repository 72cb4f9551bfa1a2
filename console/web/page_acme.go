package web

import (
	"errors"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"landbridge/console/api"
)

const acmePath = "/system/certificate/acme"

// acmePage is what the page of a certificate from a CA shows. A secret is never written into it.
type acmePage struct {
	Now   api.Acme
	Form  api.AcmeSettings
	Names string // of the form, as they were typed
	Flaws flaws
	Again againFields
	Done  string // what was done just now
}

// acmeSolvers and acmeAlgorithms are what the form offers.
func acmeSolvers() []api.AcmeSolver {
	return []api.AcmeSolver{api.AcmeSolverByUpdate, api.AcmeSolverByAcmeDNS}
}

func acmeAlgorithms() []string {
	return []string{"hmac-sha256", "hmac-sha512", "hmac-sha384", "hmac-sha224", "hmac-sha1"}
}

// acme shows how the certificate is had from a CA.
func (p *Pages) acme(c echo.Context) error {
	again, err := p.againFields(c)
	if err != nil {
		return p.fail(c, err)
	}
	return p.showAcme(c, http.StatusOK, acmePage{Done: c.QueryParam("done"), Again: again})
}

func (p *Pages) showAcme(c echo.Context, status int, page acmePage) error {
	now, err := ask[api.GetAcmeRequestObject, api.GetAcmeResponseObject, api.GetAcme200JSONResponse](c, p.api.GetAcme, api.GetAcmeRequestObject{})
	if err != nil {
		return p.fail(c, err)
	}
	page.Now = api.Acme(now)
	if status == http.StatusOK { // else it is as it was sent
		page.Form, page.Names = page.Now.Settings, strings.Join(page.Now.Settings.Names, " ")
	}
	return p.show(c, status, "acme", page)
}

// setAcme has the certificate issued by a CA.
func (p *Pages) setAcme(c echo.Context) error {
	page := acmePage{Names: c.FormValue("names"), Form: api.AcmeSettings{
		Directory: c.FormValue("directory"), Roots: c.FormValue("roots"), Email: c.FormValue("email"), Agree: c.FormValue("agree") != "",
		Names:  strings.Fields(strings.ReplaceAll(c.FormValue("names"), ",", " ")),
		Solver: api.AcmeSolver(c.FormValue("solver")), Server: c.FormValue("server"), Zone: c.FormValue("zone"), User: c.FormValue("user"),
		Algorithm: c.FormValue("algorithm"), Subdomain: c.FormValue("subdomain"), Resolver: c.FormValue("resolver"),
	}}
	wanted := page.Form
	wanted.Secret = c.FormValue("secret")
	var err error
	page.Again, err = p.certainly(c, func() error {
		_, err := ask[api.SetAcmeRequestObject, api.SetAcmeResponseObject, api.SetAcme200JSONResponse](c, p.api.SetAcme, api.SetAcmeRequestObject{Body: &wanted})
		return err
	})
	switch {
	case errors.Is(err, errAgainWanted):
		return p.showAcme(c, http.StatusUnprocessableEntity, page)
	case err != nil:
		page.Flaws, _ = p.flawsOf(err)
		return p.showAcme(c, http.StatusUnprocessableEntity, page)
	}
	return c.Redirect(http.StatusSeeOther, acmePath+"?done=set")
}

// orderCertificate has the certificate issued anew now, and agrees to terms where they are sent along.
func (p *Pages) orderCertificate(c echo.Context) error {
	_, err := ask[api.OrderCertificateRequestObject, api.OrderCertificateResponseObject, api.OrderCertificate200JSONResponse](
		c, p.api.OrderCertificate, api.OrderCertificateRequestObject{Body: &api.AcmeOrder{Terms: c.FormValue("terms")}})
	if err != nil {
		return p.fail(c, err)
	}
	return c.Redirect(http.StatusSeeOther, acmePath+"?done=ordered")
}

// removeAcme has the certificate renewed no longer.
func (p *Pages) removeAcme(c echo.Context) error {
	_, err := ask[api.RemoveAcmeRequestObject, api.RemoveAcmeResponseObject, api.RemoveAcme200JSONResponse](c, p.api.RemoveAcme, api.RemoveAcmeRequestObject{})
	switch {
	case p.wantsPassword(err):
		return err
	case err != nil:
		return p.fail(c, err)
	}
	return c.Redirect(http.StatusSeeOther, acmePath+"?done=removed")
}
