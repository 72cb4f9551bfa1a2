package console

import (
	"context"
	"net/netip"
	"slices"

	"landbridge/console/access"
	"landbridge/console/api"
	"landbridge/image/updating"
)

// GetSetup tells a first visitor whether there is an administrator.
func (h *handlers) GetSetup(ctx context.Context, _ api.GetSetupRequestObject) (api.GetSetupResponseObject, error) {
	done, err := h.users.IsSetUp()
	if err != nil {
		return nil, err
	}
	name, fixed := h.appliance.Name()
	setup := api.GetSetup200JSONResponse{SetUp: done, Name: name, NameFixed: fixed}
	if !done {
		status, err := h.appliance.Status(ctx)
		if err != nil {
			return nil, err
		}
		setup.MachineTrouble = slices.ContainsFunc(status.Health, func(i api.HealthItem) bool { return i.Component == updating.Component })
	}
	return setup, nil
}

// SetUp makes the first administrator.
func (h *handlers) SetUp(ctx context.Context, req api.SetUpRequestObject) (api.SetUpResponseObject, error) {
	var c checker
	c.bounds(req.Body)
	wanted := req.Body.ApplianceName
	name, fixed := h.appliance.Name()
	if wanted != "" && wanted != name && fixed {
		c.add("applianceName", "the configuration calls the appliance %s: leave this out, or change it there", name)
	}
	if err := c.err(); err != nil {
		return nil, err
	}
	if wanted != "" && wanted != name {
		if err := h.appliance.CheckName(wanted); err != nil {
			return nil, Invalid(err, api.FieldError{Field: "applianceName", Detail: err.Error()})
		}
	}
	session, err := h.users.SetUp(ctx, req.Body.Code, req.Body.Name, req.Body.Password)
	if err != nil {
		return nil, err
	}
	if wanted != "" && wanted != name {
		if err := h.appliance.Rename(ctx, wanted); err != nil {
			return nil, err
		}
	}
	return api.SetUp201JSONResponse{
		Body: describe(session.Identity), Headers: api.SetUp201ResponseHeaders{SetCookie: h.users.SessionCookie(session).String()},
	}, nil
}

// LogIn begins a session.
func (h *handlers) LogIn(ctx context.Context, req api.LogInRequestObject) (api.LogInResponseObject, error) {
	var c checker
	c.bounds(req.Body)
	if err := c.err(); err != nil {
		return nil, err
	}
	session, err := h.users.Login(ctx, access.Credentials{Name: req.Body.Name, Password: req.Body.Password, Code: req.Body.Code})
	if err != nil {
		return nil, err
	}
	return api.LogIn200JSONResponse{
		Body: describe(session.Identity), Headers: api.LogIn200ResponseHeaders{SetCookie: h.users.SessionCookie(session).String()},
	}, nil
}

// LogOut ends the session of the request.
func (h *handlers) LogOut(ctx context.Context, _ api.LogOutRequestObject) (api.LogOutResponseObject, error) {
	if err := h.users.Logout(ctx); err != nil {
		return nil, err
	}
	return api.LogOut204Response{Headers: api.LogOut204ResponseHeaders{SetCookie: h.users.EndCookie().String()}}, nil
}

// GetSession tells who is asking.
func (h *handlers) GetSession(ctx context.Context, _ api.GetSessionRequestObject) (api.GetSessionResponseObject, error) {
	return api.GetSession200JSONResponse(describe(access.FromContext(ctx))), nil
}

// describe returns an identity as the API tells it to whom it is.
func describe(id access.Identity) api.Session {
	return api.Session{
		Name: id.Name, Role: id.Role.API(), How: api.Credential(id.How.String()), Csrf: id.CSRF, Totp: id.TOTP,
		Began: id.Began, Expires: id.Expires, Reauthenticated: id.Reauthenticated,
	}
}

// GetConsole tells where the HTTPS door is.
func (h *handlers) GetConsole(ctx context.Context, _ api.GetConsoleRequestObject) (api.GetConsoleResponseObject, error) {
	code, err := h.users.SetupCode()
	if err != nil {
		return nil, err
	}
	answer := api.Console{Listen: []netip.AddrPort{}, Urls: []string{}, SetUp: code == ""}
	if access.FromContext(ctx).How == access.BySocket {
		answer.SetupCode = code
	}
	if d := h.door.Load(); d != nil {
		answer.Listen = slices.Clone(d.Listen)
		answer.Urls = d.urls()
		answer.Fingerprint = d.Certificates.describe().Fingerprint
	}
	return api.GetConsole200JSONResponse(answer), nil
}
