package web

import (
	"errors"
	"net/http"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"

	"landbridge/console/api"
)

// AcmePath is where the console's certificate is got by ACME.
const AcmePath = "/system/certificate/acme"

// acmePage is how the console's certificate is got by ACME. A secret is never written into it.
type acmePage struct {
	Now   api.Acme
	Typed map[string]string // the form, by the API's names
	Flaws flaws
	Again againFields
	Done  string // what was done just now
}

// letsEncrypt is the authority of a form that names none.
const letsEncrypt = "https://acme-v02.api.letsencrypt.org/directory"

// acmeFields are the form's fields that hold a line each, by the API's names.
func acmeFields() []string {
	return []string{"directory", "roots", "names", "email", "publish", "url", "subdomain", "username", "server", "zone", "keyName", "algorithm", "waitSeconds", "termsAgreed"}
}

// acmeField is the name of a field in the form: the browser's own password is asked for in the same form.
func acmeField(field string) string { return "acme-" + field }

// showAcme shows how certificates are got by ACME, to be changed.
func (p *Pages) showAcme(c echo.Context) error {
	now, err := p.acme(c)
	if err != nil {
		return p.fail(c, err)
	}
	page := acmePage{Now: now, Typed: typedAcme(now), Done: c.QueryParam("done")}
	if page.Again, err = p.againFields(c); err != nil {
		return p.fail(c, err)
	}
	return p.show(c, http.StatusOK, "acme", page)
}

func (p *Pages) acme(c echo.Context) (api.Acme, error) {
	now, err := ask[api.GetAcmeRequestObject, api.GetAcmeResponseObject, api.GetAcme200JSONResponse](
		c, p.api.GetAcme, api.GetAcmeRequestObject{})
	return api.Acme(now), err
}

// typedAcme is the form as it is filled in before anybody types.
func typedAcme(now api.Acme) map[string]string {
	if now.State == api.AcmeStateOff {
		return map[string]string{"directory": letsEncrypt, "publish": string(api.AcmePublishAcmeDNS), "waitSeconds": "30", "algorithm": string(api.TsigAlgorithmHmacSha256)}
	}
	s := now.Settings
	typed := map[string]string{
		"directory": s.Directory, "roots": s.Roots, "names": strings.Join(s.Names, "\n"), "email": s.Email, "publish": string(s.Publish),
		"url": s.URL, "subdomain": s.Subdomain, "username": s.Username, "server": s.Server, "zone": s.Zone, "keyName": s.KeyName,
		"algorithm": string(s.Algorithm), "waitSeconds": strconv.FormatInt(s.WaitSeconds, 10),
	}
	if s.TermsAgreed {
		typed["termsAgreed"] = "yes"
	}
	return typed
}

// read reads the form; of the two ways to publish a record, what belongs to the one that is chosen.
func (page *acmePage) read(c echo.Context) (*api.AcmeSettings, formError) {
	page.Typed = make(map[string]string)
	for _, field := range acmeFields() {
		page.Typed[field] = strings.TrimSpace(c.FormValue(acmeField(field)))
	}
	t := page.Typed
	s := &api.AcmeSettings{
		Directory: t["directory"], Roots: t["roots"], Names: apart(t["names"]), Email: t["email"], TermsAgreed: t["termsAgreed"] != "", Publish: api.AcmePublish(t["publish"]),
	}
	if s.Names == nil {
		s.Names = []string{}
	}
	var wrong formError
	var err error
	s.WaitSeconds, err = wholeNumber("waitSeconds", t["waitSeconds"])
	errors.As(err, &wrong)
	if s.Publish == api.AcmePublishRfc2136 {
		s.Server, s.Zone, s.KeyName, s.Algorithm = t["server"], t["zone"], t["keyName"], api.TsigAlgorithm(t["algorithm"])
		s.Secret = strings.TrimSpace(c.FormValue(acmeField("secret")))
		return s, wrong
	}
	s.URL, s.Subdomain, s.Username, s.Password = t["url"], t["subdomain"], t["username"], strings.TrimSpace(c.FormValue(acmeField("password")))
	return s, wrong
}

// setAcme has certificates be got by ACME, as the form says.
func (p *Pages) setAcme(c echo.Context) error {
	now, err := p.acme(c)
	if err != nil {
		return p.fail(c, err)
	}
	page := acmePage{Now: now}
	settings, unread := page.read(c)
	unreadable(c, unread)
	act := func() error {
		_, err := ask[api.SetAcmeRequestObject, api.SetAcmeResponseObject, api.SetAcme200JSONResponse](
			c, p.api.SetAcme, api.SetAcmeRequestObject{Body: settings})
		return err
	}
	if api.IsCheck(c.Request().Context()) { // which no password is wanted for
		return act()
	}
	if len(unread) > 0 {
		if page.Again, err = p.againFields(c); err != nil {
			return p.fail(c, err)
		}
		page.Flaws = p.saidOf(unread)
		return p.show(c, http.StatusUnprocessableEntity, "acme", page)
	}
	page.Again, err = p.certainly(c, act)
	switch {
	case errors.Is(err, errAgainWanted):
		return p.show(c, http.StatusUnprocessableEntity, "acme", page)
	case err != nil:
		page.Flaws, _ = p.flawsOf(err)
		return p.show(c, http.StatusUnprocessableEntity, "acme", page)
	}
	return c.Redirect(http.StatusSeeOther, AcmePath+"?done=set")
}

// tryAcme has a certificate be asked for now.
func (p *Pages) tryAcme(c echo.Context) error {
	_, err := ask[api.TryAcmeRequestObject, api.TryAcmeResponseObject, api.TryAcme200JSONResponse](c, p.api.TryAcme, api.TryAcmeRequestObject{})
	return p.acmeDone(c, err, "try")
}

// endAcme ends that certificates are got by ACME.
func (p *Pages) endAcme(c echo.Context) error {
	_, err := ask[api.EndAcmeRequestObject, api.EndAcmeResponseObject, api.EndAcme200JSONResponse](c, p.api.EndAcme, api.EndAcmeRequestObject{})
	return p.acmeDone(c, err, "end")
}

func (p *Pages) acmeDone(c echo.Context, err error, done string) error {
	switch {
	case p.wantsPassword(err):
		return err
	case err != nil:
		return p.fail(c, err)
	}
	return c.Redirect(http.StatusSeeOther, AcmePath+"?done="+done)
}
