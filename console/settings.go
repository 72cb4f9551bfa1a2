package console

import (
	"context"
	"slices"

	"landbridge/console/api"
)

// GetGroupSettings tells what a group's settings are.
func (h *handlers) GetGroupSettings(ctx context.Context, req api.GetGroupSettingsRequestObject) (api.GetGroupSettingsResponseObject, error) {
	var c checker
	c.length("group", req.Group, 1, 128)
	if err := c.err(); err != nil {
		return nil, err
	}
	s, err := h.appliance.GroupSettings(ctx, req.Group)
	return api.GetGroupSettings200JSONResponse(s), err
}

// SetGroupSettings changes them.
func (h *handlers) SetGroupSettings(ctx context.Context, req api.SetGroupSettingsRequestObject) (api.SetGroupSettingsResponseObject, error) {
	var c checker
	c.length("group", req.Group, 1, 128)
	c.bounds(req.Body)
	for _, list := range []struct {
		field     string
		all       []string
		most, len int
	}{
		{"search", req.Body.Search, 8, 181}, {"dnsServers", req.Body.DNSServers, 3, 64}, {"ntpServers", req.Body.NtpServers, 3, 64},
		{"routes", req.Body.Routes, 16, 64}, {"excluded", req.Body.Excluded, 64, 64}, {"allowed", req.Body.Allowed, 512, 32}, {"denied", req.Body.Denied, 512, 32},
	} {
		if len(list.all) > list.most {
			c.add(list.field, "want at most %d", list.most)
		}
		for _, text := range list.all {
			c.length(list.field, text, 1, list.len)
		}
	}
	if len(c.fields) > 0 {
		return nil, h.allWrong(ctx, req, c)
	}
	if api.IsCheck(ctx) {
		return nil, h.appliance.CheckGroupSettings(ctx, req.Group, *req.Body)
	}
	s, err := h.appliance.SetGroupSettings(ctx, req.Group, *req.Body)
	return api.SetGroupSettings200JSONResponse(s), err
}

// allWrong refuses settings by what is beyond the document's bounds, and by what the appliance finds
// wrong besides; of a field of which it speaks, it knows better what can be.
func (h *handlers) allWrong(ctx context.Context, req api.SetGroupSettingsRequestObject, c checker) error {
	found, _ := asError(h.appliance.CheckGroupSettings(ctx, req.Group, *req.Body))
	if found == nil || len(found.fields) == 0 {
		return c.err()
	}
	all := checker{fields: slices.Clone(found.fields)}
	for _, f := range c.fields {
		if !slices.ContainsFunc(found.fields, func(other api.FieldError) bool { return other.Field == f.Field }) {
			all.fields = append(all.fields, f)
		}
	}
	return all.err()
}
