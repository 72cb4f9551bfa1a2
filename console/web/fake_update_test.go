package web

import (
	"context"
	"io"
	"net/http"

	"github.com/labstack/echo/v4"

	"landbridge/console/api"
)

func anUpdate() api.UpdateOffer {
	return api.UpdateOffer{
		ID: "0123456789abcdef", Version: "v1.1.0", Built: start(), Bytes: 22 << 20, Changes: "Names are quicker.\n\nLeases too.", Newer: true, DevelopmentKey: true,
		Effects: []string{"It is written to the slot that doesn't run."},
	}
}

func (f *fake) GetUpdate(context.Context, api.GetUpdateRequestObject) (api.GetUpdateResponseObject, error) {
	return api.GetUpdate200JSONResponse(f.update), f.err
}

func (f *fake) CheckUpdate(_ context.Context, r api.CheckUpdateRequestObject) (api.CheckUpdateResponseObject, error) {
	if err := f.dangerous(); err != nil {
		return nil, err
	}
	if b, err := io.ReadAll(r.Body); err != nil || string(b) != "the update" {
		return nil, echo.NewHTTPError(http.StatusUnprocessableEntity, "this update isn't signed by a key that this appliance takes")
	}
	f.update.Waiting = anUpdate()
	return api.CheckUpdate200JSONResponse(f.update.Waiting), nil
}

func (f *fake) ForgetUpdate(context.Context, api.ForgetUpdateRequestObject) (api.ForgetUpdateResponseObject, error) {
	if err := f.dangerous(); err != nil {
		return nil, err
	}
	f.update.Waiting, f.update.Last = api.UpdateOffer{}, api.UpdateOutcome{}
	return api.ForgetUpdate204Response{}, nil
}

func (f *fake) ApplyUpdate(_ context.Context, r api.ApplyUpdateRequestObject) (api.ApplyUpdateResponseObject, error) {
	if err := f.dangerous(); err != nil {
		return nil, err
	}
	if r.Body.ID != f.update.Waiting.ID || r.Body.Older == f.update.Waiting.Newer {
		return nil, echo.NewHTTPError(http.StatusConflict, "another update was handed in meanwhile")
	}
	f.update.Stage, f.update.Target, f.update.DoneBytes, f.update.TotalBytes = api.UpdateStageWriting, "v1.1.0", 5, 10
	return api.ApplyUpdate202Response{}, nil
}

func (f *fake) RollbackUpdate(context.Context, api.RollbackUpdateRequestObject) (api.RollbackUpdateResponseObject, error) {
	if err := f.dangerous(); err != nil {
		return nil, err
	}
	f.update.Stage, f.update.Target = api.UpdateStageRestarting, f.update.OtherVersion
	return api.RollbackUpdate202Response{}, nil
}
