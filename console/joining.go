package console

import (
	"context"

	"landbridge/console/api"
)

// JoinGroup joins a group by a token.
func (h *handlers) JoinGroup(ctx context.Context, req api.JoinGroupRequestObject) (api.JoinGroupResponseObject, error) {
	var c checker
	c.bounds(req.Body)
	if err := c.err(); err != nil {
		return nil, err
	}
	if api.IsCheck(ctx) {
		return nil, h.appliance.CheckJoin(ctx, *req.Body)
	}
	j, err := h.appliance.Join(ctx, *req.Body)
	if err != nil {
		return nil, err
	}
	j.Group.Members = orEmpty(j.Group.Members)
	switch {
	case j.Waiting != nil:
		return api.JoinGroup202JSONResponse(*j.Waiting), nil
	case j.Already:
		return api.JoinGroup200JSONResponse(j.Group), nil
	}
	return api.JoinGroup201JSONResponse(j.Group), nil
}

// ListApplications lists the groups for which this appliance waits.
func (h *handlers) ListApplications(ctx context.Context, _ api.ListApplicationsRequestObject) (api.ListApplicationsResponseObject, error) {
	items, err := h.appliance.Applications(ctx)
	if err != nil {
		return nil, err
	}
	return api.ListApplications200JSONResponse{Items: orEmpty(items)}, nil
}

// WithdrawApplication ends a wait.
func (h *handlers) WithdrawApplication(ctx context.Context, req api.WithdrawApplicationRequestObject) (api.WithdrawApplicationResponseObject, error) {
	var c checker
	c.length("group", req.Group, 4, 64)
	if err := c.err(); err != nil {
		return nil, err
	}
	a, err := h.appliance.WithdrawApplication(ctx, req.Group)
	if err != nil {
		return nil, err
	}
	return api.WithdrawApplication200JSONResponse(a), nil
}

// ListRequests lists who waits to be let into a group.
func (h *handlers) ListRequests(ctx context.Context, req api.ListRequestsRequestObject) (api.ListRequestsResponseObject, error) {
	var c checker
	c.length("group", req.Group, 1, 128)
	if err := c.err(); err != nil {
		return nil, err
	}
	items, err := h.appliance.Requests(ctx, req.Group)
	if err != nil {
		return nil, err
	}
	return api.ListRequests200JSONResponse{Items: orEmpty(items)}, nil
}

// ApproveRequest lets an appliance in.
func (h *handlers) ApproveRequest(ctx context.Context, req api.ApproveRequestRequestObject) (api.ApproveRequestResponseObject, error) {
	var c checker
	c.length("group", req.Group, 1, 128)
	c.length("member", req.Member, 1, 128)
	if err := c.err(); err != nil {
		return nil, err
	}
	m, err := h.appliance.Approve(ctx, req.Group, req.Member)
	if err != nil {
		return nil, err
	}
	return api.ApproveRequest200JSONResponse(m), nil
}

// DenyRequest refuses an appliance.
func (h *handlers) DenyRequest(ctx context.Context, req api.DenyRequestRequestObject) (api.DenyRequestResponseObject, error) {
	var c checker
	c.length("group", req.Group, 1, 128)
	c.length("member", req.Member, 1, 128)
	c.bounds(req.Body)
	c.line("reason", req.Body.Reason)
	if err := c.err(); err != nil {
		return nil, err
	}
	who, err := h.appliance.Deny(ctx, req.Group, req.Member, req.Body.Reason)
	if err != nil {
		return nil, err
	}
	return api.DenyRequest200JSONResponse(who), nil
}
