package console

import (
	"context"

	"landbridge/console/access"
	"landbridge/console/api"
)

// Reauthenticate notes that a person has shown once more who they are.
func (h *handlers) Reauthenticate(ctx context.Context, req api.ReauthenticateRequestObject) (api.ReauthenticateResponseObject, error) {
	var c checker
	c.bounds(req.Body)
	if err := c.err(); err != nil {
		return nil, err
	}
	id, err := h.users.Reauthenticate(ctx, req.Body.Password, req.Body.Code)
	if err != nil {
		return nil, err
	}
	return api.Reauthenticate200JSONResponse(describe(id)), nil
}

// ChangePassword gives who asks another password.
func (h *handlers) ChangePassword(ctx context.Context, req api.ChangePasswordRequestObject) (api.ChangePasswordResponseObject, error) {
	var c checker
	c.bounds(req.Body)
	if err := c.err(); err != nil {
		return nil, err
	}
	if api.IsCheck(ctx) {
		return nil, access.CheckPassword("new", req.Body.New, access.FromContext(ctx).Name)
	}
	session, err := h.users.ChangePassword(ctx, req.Body.Current, req.Body.New)
	if err != nil {
		return nil, err
	}
	return api.ChangePassword200JSONResponse{
		Body: describe(session.Identity), Headers: api.ChangePassword200ResponseHeaders{SetCookie: h.users.SessionCookie(session).String()},
	}, nil
}

// EnrollTOTP begins to use an authenticator app.
func (h *handlers) EnrollTOTP(ctx context.Context, _ api.EnrollTOTPRequestObject) (api.EnrollTOTPResponseObject, error) {
	name, _ := h.appliance.Name()
	e, err := h.users.EnrollTOTP(ctx, "Landbridge "+name)
	if err != nil {
		return nil, err
	}
	return api.EnrollTOTP201JSONResponse(e), nil
}

// ConfirmTOTP has logins ask for codes.
func (h *handlers) ConfirmTOTP(ctx context.Context, req api.ConfirmTOTPRequestObject) (api.ConfirmTOTPResponseObject, error) {
	var c checker
	c.bounds(req.Body)
	if err := c.err(); err != nil {
		return nil, err
	}
	codes, err := h.users.ConfirmTOTP(ctx, req.Body.Code)
	if err != nil {
		return nil, err
	}
	return api.ConfirmTOTP200JSONResponse{Codes: codes}, nil
}

// RemoveTOTP has logins ask for no code.
func (h *handlers) RemoveTOTP(ctx context.Context, _ api.RemoveTOTPRequestObject) (api.RemoveTOTPResponseObject, error) {
	if err := h.users.RemoveTOTP(ctx); err != nil {
		return nil, err
	}
	return api.RemoveTOTP204Response{}, nil
}

// ListUsers lists the users.
func (h *handlers) ListUsers(context.Context, api.ListUsersRequestObject) (api.ListUsersResponseObject, error) {
	all, err := h.users.Users()
	if err != nil {
		return nil, err
	}
	return api.ListUsers200JSONResponse{Items: orEmpty(all)}, nil
}

// CreateUser makes a user.
func (h *handlers) CreateUser(ctx context.Context, req api.CreateUserRequestObject) (api.CreateUserResponseObject, error) {
	var c checker
	c.bounds(req.Body)
	c.length("role", string(req.Body.Role), 1, 32)
	if err := c.err(); err != nil {
		return nil, err
	}
	if api.IsCheck(ctx) {
		return nil, access.CheckUser(*req.Body)
	}
	access.About(ctx, req.Body.Name)
	u, err := h.users.CreateUser(ctx, *req.Body)
	if err != nil {
		return nil, err
	}
	return api.CreateUser201JSONResponse(u), nil
}

// ChangeUser changes a user.
func (h *handlers) ChangeUser(ctx context.Context, req api.ChangeUserRequestObject) (api.ChangeUserResponseObject, error) {
	var c checker
	c.length("user", req.User, 1, 64)
	c.length("role", string(req.Body.Role), 0, 32)
	c.bounds(req.Body)
	if err := c.err(); err != nil {
		return nil, err
	}
	u, err := h.users.ChangeUser(ctx, req.User, *req.Body)
	if err != nil {
		return nil, err
	}
	return api.ChangeUser200JSONResponse(u), nil
}

// RemoveUser removes a user.
func (h *handlers) RemoveUser(_ context.Context, req api.RemoveUserRequestObject) (api.RemoveUserResponseObject, error) {
	var c checker
	c.length("user", req.User, 1, 64)
	if err := c.err(); err != nil {
		return nil, err
	}
	if err := h.users.RemoveUser(req.User); err != nil {
		return nil, err
	}
	return api.RemoveUser204Response{}, nil
}

// ListTokens lists API tokens.
func (h *handlers) ListTokens(ctx context.Context, _ api.ListTokensRequestObject) (api.ListTokensResponseObject, error) {
	all, err := h.users.Tokens(ctx)
	if err != nil {
		return nil, err
	}
	return api.ListTokens200JSONResponse{Items: orEmpty(all)}, nil
}

// CreateToken makes an API token.
func (h *handlers) CreateToken(ctx context.Context, req api.CreateTokenRequestObject) (api.CreateTokenResponseObject, error) {
	var c checker
	c.bounds(req.Body)
	c.length("role", string(req.Body.Role), 1, 32)
	if err := c.err(); err != nil {
		return nil, err
	}
	if api.IsCheck(ctx) {
		return nil, access.CheckToken(access.FromContext(ctx), *req.Body)
	}
	access.About(ctx, req.Body.Name)
	t, err := h.users.CreateToken(ctx, *req.Body)
	if err != nil {
		return nil, err
	}
	return api.CreateToken201JSONResponse(t), nil
}

// RevokeToken makes an API token worthless.
func (h *handlers) RevokeToken(ctx context.Context, req api.RevokeTokenRequestObject) (api.RevokeTokenResponseObject, error) {
	var c checker
	c.length("token", req.Token, 1, 32)
	if err := c.err(); err != nil {
		return nil, err
	}
	if err := h.users.RevokeToken(ctx, req.Token); err != nil {
		return nil, err
	}
	return api.RevokeToken204Response{}, nil
}

// ListAudit returns one page of the audit log.
func (h *handlers) ListAudit(_ context.Context, req api.ListAuditRequestObject) (api.ListAuditResponseObject, error) {
	var c checker
	limit := defaultPage
	if req.Params.Limit != nil {
		limit = *req.Params.Limit
	}
	c.bounds(req.Params)
	if err := c.err(); err != nil {
		return nil, err
	}
	all, next, err := h.users.Entries(uint64(req.Params.Before), limit)
	if err != nil {
		return nil, err
	}
	return api.ListAudit200JSONResponse{Items: orEmpty(all), Next: int64(next)}, nil
}
