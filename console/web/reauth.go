package web

import (
	"net/http"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"

	"landbridge/console/api"
)

// passwordWanted is the type of the problem that asks the person to show again who they are.
const passwordWanted = "urn:landbridge:problem:reauthenticate"

// Fields by which a person shows again who they are.
const (
	againPassword = "reauthPassword"
	againCode     = "reauthCode"
)

// againPage asks for the password before something is done, and has the form along.
type againPage struct {
	Action, Back string
	Kept         []field // as they were sent
	Secret       []field // not written into a page: they are typed again
	Code         bool    // the person has an authenticator
	Flaws        flaws
}

// field is one of a form.
type field struct{ Name, Value string }

// dangerous has a person give the password, or a code, before act is done, where the API asks
// for it: act returns the API's error then, and is done again with what was given.
func (p *Pages) dangerous(act echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if err := p.reauthenticate(c); err != nil {
			return p.askAgain(c, err)
		}
		err := act(c)
		if p.wantsPassword(err) && !c.Response().Committed {
			return p.askAgain(c, nil)
		}
		return err
	}
}

// wantsPassword reports whether an error of the API means that a password must be given again.
func (p *Pages) wantsPassword(err error) bool {
	return err != nil && p.problem(err).Type == passwordWanted
}

// reauthenticate shows the API the password or the code that a form carries, if it does.
func (p *Pages) reauthenticate(c echo.Context) error {
	given := api.Reauthentication{Password: c.FormValue(againPassword), Code: c.FormValue(againCode)}
	if given == (api.Reauthentication{}) {
		return nil
	}
	_, err := ask[api.ReauthenticateRequestObject, api.ReauthenticateResponseObject, api.Reauthenticate200JSONResponse](
		c, p.api.Reauthenticate, api.ReauthenticateRequestObject{Body: &given})
	return err
}

// askAgain asks for the password; wrong says why the one that was given doesn't do.
func (p *Pages) askAgain(c echo.Context, wrong error) error {
	s, err := p.session(c)
	if err != nil {
		return p.fail(c, err)
	}
	path := c.Request().URL.EscapedPath()
	page := againPage{Action: path, Back: "/" + strings.Split(path, "/")[1], Code: s.Totp}
	sent, err := c.FormParams()
	if err != nil {
		return p.fail(c, err)
	}
	for name, values := range sent {
		switch {
		case slices.Contains([]string{"csrf", againPassword, againCode}, name):
		case name == "password":
			page.Secret = append(page.Secret, field{Name: name})
		default:
			for _, v := range values {
				page.Kept = append(page.Kept, field{name, v})
			}
		}
	}
	if wrong != nil {
		page.Flaws, _ = p.flawsOf(wrong)
		for api, ours := range map[string]string{"password": againPassword, "code": againCode} {
			if said := page.Flaws.Fields[api]; said != "" {
				page.Flaws.Fields[ours] = said
				delete(page.Flaws.Fields, api)
			}
		}
	}
	return p.show(c, http.StatusUnprocessableEntity, "again", page)
}

func (p *Pages) session(c echo.Context) (api.Session, error) {
	s, err := ask[api.GetSessionRequestObject, api.GetSessionResponseObject, api.GetSession200JSONResponse](
		c, p.api.GetSession, api.GetSessionRequestObject{})
	return api.Session(s), err
}
