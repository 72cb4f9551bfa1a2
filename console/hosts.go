package console

import (
	"context"
	"strings"

	"landbridge/console/api"
	"landbridge/internal/sorting"
)

// maxMACText is the longest that somebody writes a hardware address.
const maxMACText = 32

// ListHosts lists the registered hosts by hardware address.
func (h *handlers) ListHosts(ctx context.Context, _ api.ListHostsRequestObject) (api.ListHostsResponseObject, error) {
	items, err := h.appliance.Hosts(ctx)
	if err != nil {
		return nil, err
	}
	sorting.By(items, func(a, b api.RegisteredHost) int { return strings.Compare(a.MAC, b.MAC) })
	return api.ListHosts200JSONResponse{Items: orEmpty(items)}, nil
}

// RegisterHost registers a host, or has it be of another group.
func (h *handlers) RegisterHost(ctx context.Context, req api.RegisterHostRequestObject) (api.RegisterHostResponseObject, error) {
	var wish api.HostRegistration
	if req.Body != nil {
		wish = *req.Body
	}
	var c checker
	c.length("mac", req.MAC, 1, maxMACText)
	c.bounds(wish)
	if err := c.err(); err != nil {
		return nil, err
	}
	if api.IsCheck(ctx) {
		return nil, h.appliance.CheckHost(ctx, req.MAC, wish)
	}
	host, err := h.appliance.RegisterHost(ctx, req.MAC, wish, by(ctx))
	if err != nil {
		return nil, err
	}
	return api.RegisterHost200JSONResponse(host), nil
}

// ForgetHost ends a registration.
func (h *handlers) ForgetHost(ctx context.Context, req api.ForgetHostRequestObject) (api.ForgetHostResponseObject, error) {
	var c checker
	c.length("mac", req.MAC, 1, maxMACText)
	if err := c.err(); err != nil {
		return nil, err
	}
	host, err := h.appliance.ForgetHost(ctx, req.MAC, by(ctx))
	if err != nil {
		return nil, err
	}
	return api.ForgetHost200JSONResponse(host), nil
}
