package web

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

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
		page.Flaws = p.againFlaws(wrong)
	}
	return p.show(c, http.StatusUnprocessableEntity, "again", page)
}

// againFlaws says what is wrong with the password or code that a form has along.
func (p *Pages) againFlaws(err error) flaws {
	f, _ := p.flawsOf(err)
	for api, ours := range map[string]string{"password": againPassword, "code": againCode} {
		if said := f.Fields[api]; said != "" {
			f.Fields[ours] = said
			delete(f.Fields, api)
		}
	}
	return f
}

// againFields are those by which a form that has a file along asks for the password itself, as the
// file couldn't be kept while somebody else asks.
type againFields struct {
	Wanted bool // it was given too long ago
	Code   bool // the person has an authenticator
	Flaws  flaws
}

// reauthLasts is how long a password counts; a form that is filled in takes a moment of it.
const reauthLasts = 9 * time.Minute

// againFields returns what a form must ask for besides its own.
func (p *Pages) againFields(c echo.Context) (againFields, error) {
	s, err := p.session(c)
	return againFields{Wanted: s.How == api.CredentialSession && p.now().Sub(s.Reauthenticated) > reauthLasts, Code: s.Totp}, err
}

// certainly does what a form with a file along asks for, with the password that it carries. again is what
// is to be asked for, or said of it, where the error comes from there.
func (p *Pages) certainly(c echo.Context, act func() error) (again againFields, err error) {
	wrong := p.reauthenticate(c)
	if wrong == nil {
		err = act()
	}
	if wrong == nil && !p.wantsPassword(err) {
		return againFields{}, err
	}
	if again, err = p.againFields(c); err != nil {
		return again, err
	}
	again.Wanted = true
	if wrong != nil {
		again.Flaws = p.againFlaws(wrong)
	}
	return again, errAgainWanted
}

// errAgainWanted has a form be shown again, with fields for the password.
var errAgainWanted = errors.New("the password is wanted once more")

func (p *Pages) session(c echo.Context) (api.Session, error) {
	s, err := ask[api.GetSessionRequestObject, api.GetSessionResponseObject, api.GetSession200JSONResponse](
		c, p.api.GetSession, api.GetSessionRequestObject{})
	return api.Session(s), err
}
