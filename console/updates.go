package console

import (
	"context"
	"errors"

	"landbridge/console/access"
	"landbridge/console/api"
)

// GetUpdate tells how it stands with updates of the image.
func (h *handlers) GetUpdate(ctx context.Context, _ api.GetUpdateRequestObject) (api.GetUpdateResponseObject, error) {
	u, err := h.appliance.Update(ctx)
	if err != nil {
		return nil, err
	}
	return api.GetUpdate200JSONResponse(u), nil
}

// CheckUpdate takes in an update.
func (h *handlers) CheckUpdate(ctx context.Context, req api.CheckUpdateRequestObject) (api.CheckUpdateResponseObject, error) {
	if req.Body == nil {
		return nil, Invalid(errors.New("want an update of the image as the body"))
	}
	o, err := h.appliance.CheckUpdate(ctx, req.Body)
	if err != nil {
		return nil, err
	}
	access.About(ctx, o.Version)
	return api.CheckUpdate200JSONResponse(o), nil
}

// ForgetUpdate removes the update that waits.
func (h *handlers) ForgetUpdate(ctx context.Context, _ api.ForgetUpdateRequestObject) (api.ForgetUpdateResponseObject, error) {
	if err := h.appliance.ForgetUpdate(ctx); err != nil {
		return nil, err
	}
	return api.ForgetUpdate204Response{}, nil
}

// ApplyUpdate has the update that waits be made.
func (h *handlers) ApplyUpdate(ctx context.Context, req api.ApplyUpdateRequestObject) (api.ApplyUpdateResponseObject, error) {
	var c checker
	c.bounds(req.Body)
	if err := c.err(); err != nil {
		return nil, err
	}
	access.About(ctx, req.Body.ID)
	if err := h.appliance.ApplyUpdate(ctx, *req.Body); err != nil {
		return nil, err
	}
	return api.ApplyUpdate202Response{}, nil
}

// RollbackUpdate has the version in the other slot be started.
func (h *handlers) RollbackUpdate(ctx context.Context, _ api.RollbackUpdateRequestObject) (api.RollbackUpdateResponseObject, error) {
	if err := h.appliance.RollbackUpdate(ctx); err != nil {
		return nil, err
	}
	return api.RollbackUpdate202Response{}, nil
}
