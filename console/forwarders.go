package console

import (
	"context"
	"fmt"
	"strings"

	"landbridge/console/access"
	"landbridge/console/api"
	"landbridge/internal/sorting"
)

// Forwarders is the zones of which an Appliance asks other DNS servers. by is who orders it.
type Forwarders interface {
	Forwarders(ctx context.Context) ([]api.Forwarder, error)
	SetForwarder(ctx context.Context, req api.ForwarderSet, by string) (api.Forwarder, error)
	RemoveForwarder(ctx context.Context, zone string) (api.Forwarder, error)
}

// maxServers is the most servers of one zone.
const maxServers = 4

// ListForwarders lists them by zone, that for all others last.
func (h *handlers) ListForwarders(ctx context.Context, _ api.ListForwardersRequestObject) (api.ListForwardersResponseObject, error) {
	items, err := h.appliance.Forwarders(ctx)
	if err != nil {
		return nil, err
	}
	sorting.By(items, func(a, b api.Forwarder) int {
		if (a.Zone == ".") != (b.Zone == ".") {
			return len(b.Zone) - len(a.Zone)
		}
		return strings.Compare(a.Zone, b.Zone)
	})
	return api.ListForwarders200JSONResponse{Items: orEmpty(items)}, nil
}

// SetForwarder sets the servers of a zone.
func (h *handlers) SetForwarder(ctx context.Context, req api.SetForwarderRequestObject) (api.SetForwarderResponseObject, error) {
	access.About(ctx, req.Body.Zone)
	var c checker
	c.bounds(req.Body)
	if n := len(req.Body.Servers); n < 1 || n > maxServers {
		c.add("servers", "want 1 to %d", maxServers)
	}
	for i, s := range req.Body.Servers {
		c.length(fmt.Sprintf("servers[%d]", i), s, 1, 64)
	}
	if err := c.err(); err != nil {
		return nil, err
	}
	f, err := h.appliance.SetForwarder(ctx, *req.Body, by(ctx))
	if err != nil {
		return nil, err
	}
	return api.SetForwarder200JSONResponse(f), nil
}

// RemoveForwarder ends forwarding a zone.
func (h *handlers) RemoveForwarder(ctx context.Context, req api.RemoveForwarderRequestObject) (api.RemoveForwarderResponseObject, error) {
	access.About(ctx, req.Params.Zone)
	var c checker
	c.bounds(req.Params)
	if err := c.err(); err != nil {
		return nil, err
	}
	f, err := h.appliance.RemoveForwarder(ctx, req.Params.Zone)
	if err != nil {
		return nil, err
	}
	return api.RemoveForwarder200JSONResponse(f), nil
}
