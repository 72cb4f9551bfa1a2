package console

import (
	"context"
	"fmt"

	"landbridge/console/api"
	"landbridge/internal/sorting"
)

// CreateInvitation makes a token.
func (h *handlers) CreateInvitation(ctx context.Context, req api.CreateInvitationRequestObject) (api.CreateInvitationResponseObject, error) {
	var c checker
	c.length("group", req.Group, 1, 128)
	c.bounds(req.Body)
	c.line("note", req.Body.Note)
	if len(req.Body.Addresses) > 8 {
		c.add("addresses", "want at most 8")
	}
	for i, a := range req.Body.Addresses {
		c.length(fmt.Sprintf("addresses[%d]", i), a, 1, 256)
	}
	if err := c.err(); err != nil {
		return nil, err
	}
	inv, err := h.appliance.Invite(ctx, req.Group, *req.Body)
	if err != nil {
		return nil, err
	}
	inv.Addresses = orEmpty(inv.Addresses)
	return api.CreateInvitation201JSONResponse(inv), nil
}

// ListInvitations lists the invitations that are remembered, the newest first.
func (h *handlers) ListInvitations(ctx context.Context, req api.ListInvitationsRequestObject) (api.ListInvitationsResponseObject, error) {
	var c checker
	c.length("group", req.Group, 1, 128)
	if err := c.err(); err != nil {
		return nil, err
	}
	items, err := h.appliance.Invitations(ctx, req.Group)
	if err != nil {
		return nil, err
	}
	sorting.StablyBy(items, func(a, b api.IssuedInvitation) int { return b.Made.Compare(a.Made) })
	for i := range items {
		items[i].Users = orEmpty(items[i].Users)
	}
	return api.ListInvitations200JSONResponse{Items: orEmpty(items)}, nil
}

// RevokeInvitation ends an invitation.
func (h *handlers) RevokeInvitation(ctx context.Context, req api.RevokeInvitationRequestObject) (api.RevokeInvitationResponseObject, error) {
	var c checker
	c.length("group", req.Group, 1, 128)
	c.length("invitation", req.Invitation, 1, 64)
	if err := c.err(); err != nil {
		return nil, err
	}
	gone, err := h.appliance.RevokeInvitation(ctx, req.Group, req.Invitation)
	if err != nil {
		return nil, err
	}
	gone.Users = orEmpty(gone.Users)
	return api.RevokeInvitation200JSONResponse(gone), nil
}
