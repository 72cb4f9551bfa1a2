package web

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"

	"landbridge/console/api"
)

// userForm is the form for a user, as it was filled in; passwords aren't kept.
type userForm struct {
	Name, Role string
	Flaws      flaws
}

// tokenForm is the form for an API token, as it was filled in.
type tokenForm struct {
	Name, Role, User, Days string
	Flaws                  flaws
}

// userPage is what the page of one user shows.
type userPage struct {
	systemPage
	User  api.User
	Form  userForm
	Reset flaws
}

// tokenPage asks whether a token is really to be revoked.
type tokenPage struct {
	Token api.Token
	Flaws flaws
}

func (p *Pages) users(c echo.Context) ([]api.User, error) {
	l, err := ask[api.ListUsersRequestObject, api.ListUsersResponseObject, api.ListUsers200JSONResponse](
		c, p.api.ListUsers, api.ListUsersRequestObject{})
	return l.Items, err
}

func (p *Pages) tokens(c echo.Context) ([]api.Token, error) {
	l, err := ask[api.ListTokensRequestObject, api.ListTokensResponseObject, api.ListTokens200JSONResponse](
		c, p.api.ListTokens, api.ListTokensRequestObject{})
	return l.Items, err
}

// createUser makes a user.
func (p *Pages) createUser(c echo.Context) error {
	form := userForm{Name: strings.TrimSpace(c.FormValue("name")), Role: c.FormValue("role")}
	_, err := ask[api.CreateUserRequestObject, api.CreateUserResponseObject, api.CreateUser201JSONResponse](
		c, p.api.CreateUser, api.CreateUserRequestObject{Body: &api.UserCreate{Name: form.Name, Role: api.Role(form.Role), Password: c.FormValue("password")}})
	if p.wantsPassword(err) {
		return err
	}
	if err != nil {
		var status int
		form.Flaws, status = p.flawsOf(err)
		return p.showSystem(c, status, systemPage{NewUser: form})
	}
	return systemDone(c, "user", form.Name, "users")
}

// user finds the user of a path.
func (p *Pages) user(c echo.Context) (page userPage, err error) {
	all, err := p.users(c)
	if err != nil {
		return page, err
	}
	for _, u := range all {
		if u.Name == c.Param("name") {
			return userPage{User: u, Form: userForm{Name: u.Name, Role: string(u.Role)}}, nil
		}
	}
	return page, echo.NewHTTPError(http.StatusNotFound, "there is no such user: somebody may have removed them")
}

// showUser shows a user, and what can be done with them.
func (p *Pages) showUser(c echo.Context) error {
	page, err := p.user(c)
	if err != nil {
		return p.fail(c, err)
	}
	return p.show(c, http.StatusOK, "user", page)
}

// changeUser gives a user another role, another password, or no authenticator.
func (p *Pages) changeUser(c echo.Context) error {
	page, err := p.user(c)
	if err != nil {
		return p.fail(c, err)
	}
	do, change := c.FormValue("do"), api.UserChange{}
	switch do {
	case "role":
		page.Form.Role = c.FormValue("role")
		change.Role = api.Role(page.Form.Role)
	case "password":
		change.Password = c.FormValue("password")
	case "totp":
		change.RemoveTotp = true
	}
	_, err = ask[api.ChangeUserRequestObject, api.ChangeUserResponseObject, api.ChangeUser200JSONResponse](
		c, p.api.ChangeUser, api.ChangeUserRequestObject{User: page.User.Name, Body: &change})
	if p.wantsPassword(err) {
		return err
	}
	if err == nil {
		return systemDone(c, "changed", page.User.Name, "users")
	}
	said, status := p.flawsOf(err)
	if do == "password" {
		page.Reset = said
	} else {
		page.Form.Flaws = said
	}
	return p.show(c, status, "user", page)
}

// removeUser removes a user.
func (p *Pages) removeUser(c echo.Context) error {
	page, err := p.user(c)
	if err != nil {
		return p.fail(c, err)
	}
	_, err = ask[api.RemoveUserRequestObject, api.RemoveUserResponseObject, api.RemoveUser204Response](
		c, p.api.RemoveUser, api.RemoveUserRequestObject{User: page.User.Name})
	if p.wantsPassword(err) {
		return err
	}
	if err != nil {
		var status int
		page.Form.Flaws, status = p.flawsOf(err)
		return p.show(c, status, "user", page)
	}
	return systemDone(c, "removed", page.User.Name, "users")
}

// createToken makes an API token, and shows it once.
func (p *Pages) createToken(c echo.Context) error {
	form := tokenForm{Name: strings.TrimSpace(c.FormValue("name")), Role: c.FormValue("role"), User: c.FormValue("user"), Days: c.FormValue("days")}
	page := systemPage{NewToken: form}
	days, err := strconv.ParseInt(form.Days, 10, 16)
	if err != nil || days < 0 {
		page.NewToken.Flaws = flaws{Fields: map[string]string{"ttlSeconds": "want a number of days, 0 for no end"}}
		return p.showSystem(c, http.StatusUnprocessableEntity, page)
	}
	made, err := ask[api.CreateTokenRequestObject, api.CreateTokenResponseObject, api.CreateToken201JSONResponse](
		c, p.api.CreateToken, api.CreateTokenRequestObject{Body: &api.TokenCreate{
			Name: form.Name, Role: api.Role(form.Role), User: form.User, TTLSeconds: days * 24 * 3600}})
	if p.wantsPassword(err) {
		return err
	}
	if err != nil {
		var status int
		page.NewToken.Flaws, status = p.flawsOf(err)
		return p.showSystem(c, status, page)
	}
	return p.showSystem(c, http.StatusOK, systemPage{Made: (*api.NewToken)(&made)})
}

// token finds the token of a path.
func (p *Pages) token(c echo.Context) (page tokenPage, err error) {
	all, err := p.tokens(c)
	if err != nil {
		return page, err
	}
	for _, t := range all {
		if t.ID == c.Param("id") {
			return tokenPage{Token: t}, nil
		}
	}
	return page, echo.NewHTTPError(http.StatusNotFound, "there is no such token: somebody may have revoked it")
}

// askRevocation says what revoking a token does.
func (p *Pages) askRevocation(c echo.Context) error {
	page, err := p.token(c)
	if err != nil {
		return p.fail(c, err)
	}
	return p.show(c, http.StatusOK, "token", page)
}

// revokeToken makes a token worthless.
func (p *Pages) revokeToken(c echo.Context) error {
	page, err := p.token(c)
	if err != nil {
		return p.fail(c, err)
	}
	_, err = ask[api.RevokeTokenRequestObject, api.RevokeTokenResponseObject, api.RevokeToken204Response](
		c, p.api.RevokeToken, api.RevokeTokenRequestObject{Token: page.Token.ID})
	if p.wantsPassword(err) {
		return err
	}
	if err != nil {
		var status int
		page.Flaws, status = p.flawsOf(err)
		return p.show(c, status, "token", page)
	}
	return systemDone(c, "revoked", page.Token.Name, "tokens")
}
