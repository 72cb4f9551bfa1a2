package console

import (
	"context"
	"errors"

	"landbridge/console/access"
	"landbridge/console/api"
)

// Restart has the appliance start anew.
func (h *handlers) Restart(ctx context.Context, _ api.RestartRequestObject) (api.RestartResponseObject, error) {
	if err := h.appliance.Restart(ctx); err != nil {
		return nil, err
	}
	return api.Restart202Response{}, nil
}

// RenameAppliance calls the appliance otherwise.
func (h *handlers) RenameAppliance(ctx context.Context, req api.RenameApplianceRequestObject) (api.RenameApplianceResponseObject, error) {
	var c checker
	c.bounds(req.Body)
	if err := c.err(); err != nil {
		return nil, err
	}
	access.About(ctx, req.Body.Name)
	if err := h.appliance.CheckName(req.Body.Name); err != nil {
		return nil, Invalid(err, api.FieldError{Field: "name", Detail: err.Error()})
	}
	if api.IsCheck(ctx) {
		return nil, nil
	}
	if err := h.appliance.Rename(ctx, req.Body.Name); err != nil {
		return nil, err
	}
	name, _ := h.appliance.Name()
	return api.RenameAppliance200JSONResponse{Name: name}, nil
}

// GetRestore tells of the copy of a state that waits.
func (h *handlers) GetRestore(ctx context.Context, _ api.GetRestoreRequestObject) (api.GetRestoreResponseObject, error) {
	r, err := h.appliance.WaitingRestore(ctx)
	if err != nil {
		return nil, err
	}
	return api.GetRestore200JSONResponse(r), nil
}

// CheckRestore takes in a copy of a state.
func (h *handlers) CheckRestore(ctx context.Context, req api.CheckRestoreRequestObject) (api.CheckRestoreResponseObject, error) {
	if req.Body == nil {
		return nil, Invalid(errors.New("want a copy of a state as the body"))
	}
	r, err := h.appliance.CheckRestore(ctx, req.Body)
	if err != nil {
		return nil, err
	}
	access.About(ctx, r.ID)
	return api.CheckRestore200JSONResponse(r), nil
}

// ForgetRestore removes the copy that waits.
func (h *handlers) ForgetRestore(ctx context.Context, _ api.ForgetRestoreRequestObject) (api.ForgetRestoreResponseObject, error) {
	if err := h.appliance.ForgetRestore(ctx); err != nil {
		return nil, err
	}
	return api.ForgetRestore204Response{}, nil
}

// ApplyRestore restores the copy that waits.
func (h *handlers) ApplyRestore(ctx context.Context, req api.ApplyRestoreRequestObject) (api.ApplyRestoreResponseObject, error) {
	var c checker
	c.bounds(req.Body)
	if err := c.err(); err != nil {
		return nil, err
	}
	access.About(ctx, req.Body.ID)
	if err := h.appliance.ApplyRestore(ctx, req.Body.ID); err != nil {
		return nil, err
	}
	return api.ApplyRestore202Response{}, nil
}

// GetTime tells of the clock.
func (h *handlers) GetTime(ctx context.Context, _ api.GetTimeRequestObject) (api.GetTimeResponseObject, error) {
	t, err := h.appliance.Time(ctx)
	if err != nil {
		return nil, err
	}
	t.Members = orEmpty(t.Members)
	return api.GetTime200JSONResponse(t), nil
}
