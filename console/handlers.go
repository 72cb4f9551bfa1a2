package console

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync/atomic"
	"unicode"
	"unicode/utf8"

	"landbridge/console/access"
	"landbridge/console/api"
	"landbridge/console/metrics"
	"landbridge/internal/sorting"
)

// handlers implements the generated strict server over an Appliance.
type handlers struct {
	appliance Appliance
	streams   atomic.Int64 // of events, that are being read
	metrics   *metrics.Reporter
	users     *access.Service
	door      *atomic.Pointer[Door]
}

var _ api.StrictServerInterface = (*handlers)(nil)

// GetStatus tells how the appliance is.
func (h *handlers) GetStatus(ctx context.Context, _ api.GetStatusRequestObject) (api.GetStatusResponseObject, error) {
	st, err := h.appliance.Status(ctx)
	if err != nil {
		return nil, err
	}
	// A list that the document requires is [] where it is empty, never null.
	st.Listen = orEmpty(st.Listen)
	st.Addresses = orEmpty(st.Addresses)
	st.Observed = orEmpty(st.Observed)
	st.Groups = orEmpty(st.Groups)
	st.Health = orEmpty(st.Health)
	sorting.StablyBy(st.Health, func(a, b api.HealthItem) int {
		return cmp.Or(cmp.Compare(severity(a.Level), severity(b.Level)), b.Since.Compare(a.Since))
	})
	return api.GetStatus200JSONResponse(st), nil
}

// severity orders health levels, the worst first.
func severity(l api.HealthLevel) int {
	if l == api.HealthLevelError {
		return 0
	}
	return 1
}

// ListCounters lists the counters by component and name.
func (h *handlers) ListCounters(ctx context.Context, _ api.ListCountersRequestObject) (api.ListCountersResponseObject, error) {
	items, err := h.appliance.Counters(ctx)
	if err != nil {
		return nil, err
	}
	sorting.By(items, func(a, b api.Counter) int {
		return cmp.Or(strings.Compare(a.Component, b.Component), strings.Compare(a.Name, b.Name))
	})
	return api.ListCounters200JSONResponse{Items: orEmpty(items)}, nil
}

// GetDocument returns the OpenAPI document.
func (h *handlers) GetDocument(context.Context, api.GetDocumentRequestObject) (api.GetDocumentResponseObject, error) {
	doc := api.Document()
	return api.GetDocument200ApplicationVndOaiOpenapiResponse{
		Body: bytes.NewReader(doc), ContentLength: int64(len(doc)),
	}, nil
}

// ListPeers lists the other members by name.
func (h *handlers) ListPeers(ctx context.Context, _ api.ListPeersRequestObject) (api.ListPeersResponseObject, error) {
	items, err := h.appliance.Peers(ctx)
	if err != nil {
		return nil, err
	}
	sorting.By(items, func(a, b api.Peer) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.MemberID, b.MemberID))
	})
	return api.ListPeers200JSONResponse{Items: orEmpty(items)}, nil
}

// ListLeases returns one page of the leases that match.
func (h *handlers) ListLeases(ctx context.Context, req api.ListLeasesRequestObject) (api.ListLeasesResponseObject, error) {
	q, err := h.leaseQuery(ctx, req.Params)
	if err != nil {
		return nil, err
	}
	elsewhere := q.site != "" && q.site != api.LeaseSiteHere
	var unheard []string
	if elsewhere {
		unheard = h.appliance.HearAll(ctx)
	}
	leases, err := h.appliance.Leases(ctx, elsewhere)
	if err != nil {
		return nil, err
	}
	list := q.page(leases)
	list.Unheard = unheard
	return api.ListLeases200JSONResponse(list), nil
}

// leaseQuery checks the parameters of a listing.
func (h *handlers) leaseQuery(ctx context.Context, p api.ListLeasesParams) (leaseQuery, error) {
	var c checker
	q := leaseQuery{search: strings.ToLower(p.Search), limit: defaultPage, state: p.State, kind: p.Kind, site: p.Site, member: p.Member, sort: p.Sort}
	c.bounds(p)
	c.oneOf("state", string(p.State), p.State.Valid(), "leased, reserved, expired, declined or all")
	c.oneOf("kind", string(p.Kind), p.Kind.Valid(), "dhcp, static or own")
	c.oneOf("site", string(p.Site), p.Site.Valid(), "here, elsewhere or all")
	c.oneOf("sort", string(p.Sort), p.Sort.Valid(), "address, name, mac, end or changed, with a minus in front for the other way round")
	if p.Limit != nil {
		q.limit = *p.Limit
	}
	if p.Cursor != "" {
		after, err := parseCursor(p.Cursor)
		if err != nil || after.Sort != q.sort {
			c.add("cursor", "want the next of the page before, unchanged, with the same sort")
		}
		q.after = &after
	}
	if err := c.err(); err != nil {
		return leaseQuery{}, err
	}
	group, err := h.groupID(ctx, p.Group)
	q.group = group
	return q, err
}

// ListBlocks lists the blocks held here by group and prefix.
func (h *handlers) ListBlocks(ctx context.Context, _ api.ListBlocksRequestObject) (api.ListBlocksResponseObject, error) {
	items, err := h.appliance.Blocks(ctx)
	if err != nil {
		return nil, err
	}
	sorting.By(items, func(a, b api.Block) int {
		return cmp.Or(strings.Compare(a.Group, b.Group), a.Prefix.Addr().Compare(b.Prefix.Addr()))
	})
	return api.ListBlocks200JSONResponse{Items: orEmpty(items)}, nil
}

// GetThroughput tells how fast traffic was.
func (h *handlers) GetThroughput(ctx context.Context, _ api.GetThroughputRequestObject) (api.GetThroughputResponseObject, error) {
	t, err := h.appliance.Throughput(ctx)
	if err != nil {
		return nil, err
	}
	return api.GetThroughput200JSONResponse(t), nil
}

// ListSegments lists the groups' segments by port and name.
func (h *handlers) ListSegments(ctx context.Context, _ api.ListSegmentsRequestObject) (api.ListSegmentsResponseObject, error) {
	items, err := h.appliance.Segments(ctx)
	if err != nil {
		return nil, err
	}
	sorting.By(items, func(a, b api.Segment) int {
		return cmp.Or(strings.Compare(a.Attachment.LanPort, b.Attachment.LanPort), strings.Compare(a.GroupName, b.GroupName), strings.Compare(a.Group, b.Group))
	})
	return api.ListSegments200JSONResponse{Items: orEmpty(items)}, nil
}

// ListGroups lists the groups by name.
func (h *handlers) ListGroups(ctx context.Context, _ api.ListGroupsRequestObject) (api.ListGroupsResponseObject, error) {
	items, err := h.appliance.Groups(ctx)
	if err != nil {
		return nil, err
	}
	sorting.By(items, func(a, b api.Group) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.ID, b.ID))
	})
	for i := range items {
		items[i].Members = orEmpty(items[i].Members)
	}
	return api.ListGroups200JSONResponse{Items: orEmpty(items)}, nil
}

// CreateGroup makes a group.
func (h *handlers) CreateGroup(ctx context.Context, req api.CreateGroupRequestObject) (api.CreateGroupResponseObject, error) {
	var c checker
	c.bounds(req.Body)
	if err := c.err(); err != nil {
		return nil, err
	}
	if api.IsCheck(ctx) {
		return nil, h.appliance.CheckGroup(ctx, *req.Body)
	}
	g, err := h.appliance.CreateGroup(ctx, *req.Body)
	if err != nil {
		return nil, err
	}
	g.Members = orEmpty(g.Members)
	return api.CreateGroup201JSONResponse(g), nil
}

// RemoveMember ends a membership.
func (h *handlers) RemoveMember(ctx context.Context, req api.RemoveMemberRequestObject) (api.RemoveMemberResponseObject, error) {
	var c checker
	c.length("group", req.Group, 1, 128)
	c.length("member", req.Member, 1, 128)
	c.length("reason", req.Params.Reason, 0, 200)
	c.line("reason", req.Params.Reason)
	if err := c.err(); err != nil {
		return nil, err
	}
	r, err := h.appliance.Remove(ctx, req.Group, req.Member, req.Params.Reason)
	if err != nil {
		return nil, err
	}
	return api.RemoveMember200JSONResponse(r), nil
}

// LeaveGroup ends a group here.
func (h *handlers) LeaveGroup(ctx context.Context, req api.LeaveGroupRequestObject) (api.LeaveGroupResponseObject, error) {
	var c checker
	c.length("group", req.Group, 1, 128)
	if err := c.err(); err != nil {
		return nil, err
	}
	d, err := h.appliance.Leave(ctx, req.Group, req.Params.DestroyCA)
	if err != nil {
		return nil, err
	}
	return api.LeaveGroup200JSONResponse(d), nil
}

func orEmpty[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}

// checker gathers what is wrong with the fields of a request. It is told the bounds of the
// document; what a value means is for the appliance to judge.
type checker struct {
	fields []api.FieldError
}

func (c *checker) add(field, format string, args ...any) {
	c.fields = append(c.fields, api.FieldError{Field: field, Detail: fmt.Sprintf(format, args...)})
}

// bounds holds the body or the query of a request to the document.
func (c *checker) bounds(r interface{ Bounds(b api.Bounds) }) { r.Bounds(c) }

// Length wants a text of so many bytes at most.
func (c *checker) Length(field, v string, given bool, most int) {
	least := 0
	if given {
		least = 1
	}
	c.length(field, v, least, most)
}

func (c *checker) length(field, v string, least, most int) {
	switch {
	case len(v) < least:
		c.add(field, "must be given")
	case len(v) > most:
		c.add(field, "want at most %d characters", most)
	}
}

// line wants what a person wrote to be one line that can be read.
func (c *checker) line(field, v string) {
	if !utf8.ValidString(v) || strings.ContainsFunc(v, func(r rune) bool { return !unicode.IsPrint(r) }) {
		c.add(field, "want one line of letters, digits, signs and spaces")
	}
}

// Between wants a number from least to most.
func (c *checker) Between(field string, v, least, most int64) {
	switch {
	case v < least && most == math.MaxInt64:
		c.add(field, "want at least %d", least)
	case v < least || v > most:
		unit := ""
		if strings.HasSuffix(field, "Seconds") { // a form may have another
			unit = " seconds"
		}
		c.add(field, "want %d to %d%s", least, most, unit)
	}
}

// oneOf takes the empty text for a field that isn't given.
func (c *checker) oneOf(field, v string, known bool, values string) {
	if v != "" && !known {
		c.add(field, "want %s", values)
	}
}

func (c *checker) err() error {
	if len(c.fields) == 0 {
		return nil
	}
	var b strings.Builder
	for i, f := range c.fields {
		if i > 0 {
			b.WriteString("; ")
		}
		b.WriteString(f.Field + ": " + f.Detail)
	}
	return Invalid(errors.New(b.String()), c.fields...)
}
