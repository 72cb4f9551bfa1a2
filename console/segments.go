package console

import (
	"context"

	"landbridge/console/api"
)

// PlanSegment tells what a change of a segment's rules would do.
func (h *handlers) PlanSegment(ctx context.Context, req api.PlanSegmentRequestObject) (api.PlanSegmentResponseObject, error) {
	if err := checkSegment(req.Group, *req.Body); err != nil {
		return nil, err
	}
	p, err := h.appliance.PlanSegment(ctx, req.Group, *req.Body)
	if err != nil || api.IsCheck(ctx) {
		return nil, err
	}
	p.Changes, p.Notices = orEmpty(p.Changes), orEmpty(p.Notices)
	return api.PlanSegment200JSONResponse(p), nil
}

// SetSegment changes a segment's rules.
func (h *handlers) SetSegment(ctx context.Context, req api.SetSegmentRequestObject) (api.SetSegmentResponseObject, error) {
	if err := checkSegment(req.Group, *req.Body); err != nil {
		return nil, err
	}
	p, err := h.appliance.SetSegment(ctx, req.Group, *req.Body, by(ctx))
	if err != nil {
		return nil, err
	}
	p.Changes, p.Notices = orEmpty(p.Changes), orEmpty(p.Notices)
	return api.SetSegment200JSONResponse(p), nil
}

// checkSegment finds what of a change is beyond the document's bounds.
func checkSegment(group string, req api.SegmentChange) error {
	var c checker
	c.length("group", group, 1, 128)
	c.bounds(req)
	if len(req.VendorClasses) > 16 {
		c.add("vendorClasses", "want at most 16")
	}
	for _, class := range req.VendorClasses {
		c.length("vendorClasses", class, 1, 255)
	}
	return c.err()
}
