package web

import (
	"context"
	"io"
	"net/http"

	"github.com/labstack/echo/v4"

	"landbridge/console/api"
)

func aRestore() *api.Restore {
	return &api.Restore{
		ID: "0123456789abcdef", Bytes: 1 << 20, Checked: start(), Made: start(), Version: "0.9", SameAppliance: true, MemberID: "12D3KooWHr7JM1YfmnWDujggBT5pLrSUAuRQeFYErD1DtSxDB3ZN",
		Groups: []api.RestoreGroup{
			{ID: "a", Name: "office", Prefix: "10.9.0.0/16", Change: api.RestoreChangeStays, Authority: true, Leases: 40, LeasesNow: 42, Roster: 3, RosterNow: 5},
			{ID: "b", Name: "lab", Prefix: "10.8.0.0/16", Change: api.RestoreChangeGoes, LeasesNow: 7},
		},
		Users: []string{"admin (administrator)"}, UsersNow: []string{"admin (administrator)", "vera (viewer)"},
		Dangers: []string{"The group lab isn't in the copy: this appliance is no member of it any more, and its hosts get no addresses of it."},
	}
}

func (f *fake) GetRestore(context.Context, api.GetRestoreRequestObject) (api.GetRestoreResponseObject, error) {
	if f.waiting == nil {
		return nil, echo.NewHTTPError(http.StatusNotFound, "no copy waits")
	}
	return api.GetRestore200JSONResponse(*f.waiting), f.err
}

func (f *fake) CheckRestore(_ context.Context, r api.CheckRestoreRequestObject) (api.CheckRestoreResponseObject, error) {
	if err := f.dangerous(); err != nil {
		return nil, err
	}
	if b, err := io.ReadAll(r.Body); err != nil || string(b) != "the copy" {
		return nil, echo.NewHTTPError(http.StatusUnprocessableEntity, "this is no whole copy of a state")
	}
	f.waiting = aRestore()
	return api.CheckRestore200JSONResponse(*f.waiting), nil
}

func (f *fake) ForgetRestore(context.Context, api.ForgetRestoreRequestObject) (api.ForgetRestoreResponseObject, error) {
	if err := f.dangerous(); err != nil {
		return nil, err
	}
	f.waiting = nil
	return api.ForgetRestore204Response{}, nil
}

func (f *fake) ApplyRestore(_ context.Context, r api.ApplyRestoreRequestObject) (api.ApplyRestoreResponseObject, error) {
	if err := f.dangerous(); err != nil {
		return nil, err
	}
	if f.waiting == nil || r.Body.ID != f.waiting.ID {
		return nil, echo.NewHTTPError(http.StatusConflict, "another copy was uploaded meanwhile")
	}
	return api.ApplyRestore202Response{}, nil
}

func (f *fake) GetTime(context.Context, api.GetTimeRequestObject) (api.GetTimeResponseObject, error) {
	return api.GetTime200JSONResponse{Now: start(), Known: true, Synchronized: true, Members: []api.MemberClock{
		{Name: "porto", Group: "office", OffsetSeconds: -0.2, Seen: start()}, {Name: "faro", Group: "office", OffsetSeconds: 1.5, Seen: start()},
	}}, f.err
}
