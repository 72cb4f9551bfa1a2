package web

import (
	"errors"
	"io"
	"net/http"

	"github.com/labstack/echo/v4"

	"landbridge/console/api"
)

// restorePage is what the page of a restore shows: the copy that waits, or a form for one.
type restorePage struct {
	Waiting *api.Restore
	Flaws   flaws
	Again   againFields
	Done    string // what was done just now
}

// restoreState shows what the copy that waits would change.
func (p *Pages) restoreState(c echo.Context) error {
	again, err := p.againFields(c)
	if err != nil {
		return p.fail(c, err)
	}
	return p.showRestore(c, http.StatusOK, restorePage{Again: again, Done: c.QueryParam("done")})
}

func (p *Pages) showRestore(c echo.Context, status int, page restorePage) error {
	r, err := ask[api.GetRestoreRequestObject, api.GetRestoreResponseObject, api.GetRestore200JSONResponse](
		c, p.api.GetRestore, api.GetRestoreRequestObject{})
	switch {
	case err == nil:
		page.Waiting = (*api.Restore)(&r)
	case p.problem(err).Status != http.StatusNotFound:
		return p.fail(c, err)
	}
	return p.show(c, status, "restore", page)
}

// uploadRestore has a copy of a state checked.
func (p *Pages) uploadRestore(c echo.Context) error {
	err := OpenUpload(c.Request())
	page := restorePage{}
	if err == nil {
		page.Again, err = p.certainly(c, func() error {
			_, err := ask[api.CheckRestoreRequestObject, api.CheckRestoreResponseObject, api.CheckRestore200JSONResponse](
				c, p.api.CheckRestore, api.CheckRestoreRequestObject{Body: c.Request().Body})
			return err
		})
	}
	if err == nil {
		return c.Redirect(http.StatusSeeOther, RestorePath)
	}
	_, _ = io.Copy(io.Discard, c.Request().Body) // else a browser doesn't read what is wrong
	if !errors.Is(err, errAgainWanted) {
		page.Flaws, _ = p.flawsOf(err)
	}
	return p.showRestore(c, http.StatusUnprocessableEntity, page)
}

// forgetRestore removes the copy that waits.
func (p *Pages) forgetRestore(c echo.Context) error {
	_, err := ask[api.ForgetRestoreRequestObject, api.ForgetRestoreResponseObject, api.ForgetRestore204Response](
		c, p.api.ForgetRestore, api.ForgetRestoreRequestObject{})
	switch {
	case p.wantsPassword(err):
		return err
	case err != nil && p.problem(err).Status != http.StatusNotFound:
		return p.fail(c, err)
	}
	return c.Redirect(http.StatusSeeOther, RestorePath+"?done=forgotten")
}

// applyRestore restores the copy that waits.
func (p *Pages) applyRestore(c echo.Context) error {
	s, err := p.status(c)
	if err != nil {
		return p.fail(c, err)
	}
	_, err = ask[api.ApplyRestoreRequestObject, api.ApplyRestoreResponseObject, api.ApplyRestore202Response](
		c, p.api.ApplyRestore, api.ApplyRestoreRequestObject{Body: &api.RestoreOrder{ID: c.FormValue("id")}})
	if p.wantsPassword(err) {
		return err
	}
	if err != nil {
		f, status := p.flawsOf(err)
		return p.showRestore(c, status, restorePage{Flaws: f})
	}
	return p.show(c, http.StatusAccepted, "restarting", restartingPage{Name: s.Name, Next: "/login"})
}
