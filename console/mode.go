package console

import (
	"context"

	"landbridge/console/api"
)

// GetMode tells how the appliance is attached.
func (h *handlers) GetMode(ctx context.Context, _ api.GetModeRequestObject) (api.GetModeResponseObject, error) {
	s, err := h.appliance.Mode(ctx)
	if err != nil {
		return nil, err
	}
	return api.GetMode200JSONResponse(listed(s)), nil
}

// PlanMode tells what a switch would do.
func (h *handlers) PlanMode(ctx context.Context, req api.PlanModeRequestObject) (api.PlanModeResponseObject, error) {
	if err := checkMode(*req.Body); err != nil {
		return nil, err
	}
	p, err := h.appliance.PlanMode(ctx, *req.Body)
	if err != nil || api.IsCheck(ctx) {
		return nil, err
	}
	p.Steps, p.Notices = orEmpty(p.Steps), orEmpty(p.Notices)
	return api.PlanMode200JSONResponse(p), nil
}

// SwitchMode switches the mode.
func (h *handlers) SwitchMode(ctx context.Context, req api.SwitchModeRequestObject) (api.SwitchModeResponseObject, error) {
	if err := checkMode(*req.Body); err != nil {
		return nil, err
	}
	s, err := h.appliance.SwitchMode(ctx, *req.Body)
	if err != nil {
		return nil, err
	}
	return api.SwitchMode200JSONResponse(listed(s)), nil
}

// ConfirmMode keeps the mode that was switched to.
func (h *handlers) ConfirmMode(ctx context.Context, _ api.ConfirmModeRequestObject) (api.ConfirmModeResponseObject, error) {
	s, err := h.appliance.ConfirmMode(ctx)
	if err != nil {
		return nil, err
	}
	return api.ConfirmMode200JSONResponse(listed(s)), nil
}

// RollbackMode goes back to the mode before.
func (h *handlers) RollbackMode(ctx context.Context, _ api.RollbackModeRequestObject) (api.RollbackModeResponseObject, error) {
	s, err := h.appliance.RollbackMode(ctx)
	if err != nil {
		return nil, err
	}
	return api.RollbackMode200JSONResponse(listed(s)), nil
}

// checkMode holds a request to the document's bounds.
func checkMode(r api.ModeRequest) error {
	var c checker
	c.bounds(r)
	c.length("operator.local", r.Operator.Local, 0, 64)
	c.length("operator.remote", r.Operator.Remote, 0, 64)
	return c.err()
}

// listed makes a list that is empty one that isn't null.
func listed(s api.ModeStatus) api.ModeStatus {
	s.Ports = orEmpty(s.Ports)
	return s
}
