package web

import (
	"errors"
	"io"
	"net/http"

	"github.com/labstack/echo/v4"

	"landbridge/console/api"
)

// updatePage is what the page of updates shows.
type updatePage struct {
	Update api.Update
	Flaws  flaws
	Again  againFields
	Done   string // what was done just now
	Busy   bool   // with that
}

// showUpdates shows how it stands with updates.
func (p *Pages) showUpdates(c echo.Context) error {
	again, err := p.againFields(c)
	if err != nil {
		return p.fail(c, err)
	}
	done := c.QueryParam("done")
	return p.showUpdate(c, http.StatusOK, updatePage{Again: again, Done: done, Busy: done == "applied" || done == "back"})
}

func (p *Pages) showUpdate(c echo.Context, status int, page updatePage) error {
	u, err := ask[api.GetUpdateRequestObject, api.GetUpdateResponseObject, api.GetUpdate200JSONResponse](c, p.api.GetUpdate, api.GetUpdateRequestObject{})
	if err != nil {
		return p.fail(c, err)
	}
	page.Update = api.Update(u)
	return p.show(c, status, "update", page)
}

// uploadUpdate has an update checked.
func (p *Pages) uploadUpdate(c echo.Context) error {
	err := OpenUpload(c.Request())
	page := updatePage{}
	if err == nil {
		page.Again, err = p.certainly(c, func() error {
			_, err := ask[api.CheckUpdateRequestObject, api.CheckUpdateResponseObject, api.CheckUpdate200JSONResponse](
				c, p.api.CheckUpdate, api.CheckUpdateRequestObject{Body: c.Request().Body})
			return err
		})
	}
	if err == nil {
		return c.Redirect(http.StatusSeeOther, UpdatePath)
	}
	_, _ = io.Copy(io.Discard, c.Request().Body) // else a browser doesn't read what is wrong
	if !errors.Is(err, errAgainWanted) {
		page.Flaws, _ = p.flawsOf(err)
	}
	return p.showUpdate(c, http.StatusUnprocessableEntity, page)
}

// forgetUpdate removes the update that waits, and what is known of the last.
func (p *Pages) forgetUpdate(c echo.Context) error {
	_, err := ask[api.ForgetUpdateRequestObject, api.ForgetUpdateResponseObject, api.ForgetUpdate204Response](
		c, p.api.ForgetUpdate, api.ForgetUpdateRequestObject{})
	return p.updated(c, err, "forgotten")
}

// applyUpdate has the update that waits be made.
func (p *Pages) applyUpdate(c echo.Context) error {
	_, err := ask[api.ApplyUpdateRequestObject, api.ApplyUpdateResponseObject, api.ApplyUpdate202Response](
		c, p.api.ApplyUpdate, api.ApplyUpdateRequestObject{Body: &api.UpdateOrder{ID: c.FormValue("id"), Older: c.FormValue("older") == "yes"}})
	return p.updated(c, err, "applied")
}

// rollbackUpdate has the version in the other slot be started.
func (p *Pages) rollbackUpdate(c echo.Context) error {
	_, err := ask[api.RollbackUpdateRequestObject, api.RollbackUpdateResponseObject, api.RollbackUpdate202Response](
		c, p.api.RollbackUpdate, api.RollbackUpdateRequestObject{})
	return p.updated(c, err, "back")
}

// updated goes back to the page, which says what was done or why not.
func (p *Pages) updated(c echo.Context, err error, done string) error {
	if p.wantsPassword(err) {
		return err
	}
	if err != nil {
		f, status := p.flawsOf(err)
		return p.showUpdate(c, status, updatePage{Flaws: f})
	}
	return c.Redirect(http.StatusSeeOther, UpdatePath+"?done="+done)
}
