package console

import (
	"context"

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
	c.length("name", req.Body.Name, 1, 63)
	if err := c.err(); err != nil {
		return nil, err
	}
	access.About(ctx, req.Body.Name)
	if err := h.appliance.CheckName(req.Body.Name); err != nil {
		return nil, Invalid(err, api.FieldError{Field: "name", Detail: err.Error()})
	}
	if err := h.appliance.Rename(ctx, req.Body.Name); err != nil {
		return nil, err
	}
	name, _ := h.appliance.Name()
	return api.RenameAppliance200JSONResponse{Name: name}, nil
}
