package console

import (
	"cmp"
	"context"
	"iter"
	"net/netip"
	"strings"
	"time"

	"landbridge/console/access"
	"landbridge/console/api"
)

// Leases is the leases of an Appliance, and what operators do with them. by is who orders it,
// for the history.
type Leases interface {
	// Leases yields the addresses that there is something to say about, in any order; those that
	// other members serve, too, where elsewhere is set.
	Leases(ctx context.Context, elsewhere bool) (iter.Seq[LeaseRow], error)
	// HearAll has the other members asked for what they have leased, so that Leases knows of it, and returns the
	// names of those that haven't told all of it. It waits two seconds at most, and asks again only after some more.
	HearAll(ctx context.Context) (unheard []string)
	Lease(ctx context.Context, addr netip.Addr) (api.Lease, error)
	Reserve(ctx context.Context, addr netip.Addr, r api.ReservationCreate, by string) (api.Lease, error)
	Unreserve(ctx context.Context, addr netip.Addr, by string) (api.Lease, error)
	EndLease(ctx context.Context, addr netip.Addr, evict bool, by string) (api.LeaseEnd, error)
	RenameLease(ctx context.Context, addr netip.Addr, name, by string) (api.Lease, error)
	NoteLease(ctx context.Context, addr netip.Addr, note, by string) (api.Lease, error)
	// History returns the newest entries that fit, newest first, of all groups.
	History(ctx context.Context, q HistoryQuery) (api.LeaseHistory, error)
	// ImportReservations checks all, and makes them where all are right and dry isn't set.
	ImportReservations(ctx context.Context, all []api.Reservation, dry bool, by string) (api.ReservationPlan, error)
}

// HistoryQuery is a checked request for a page of the history; zero fields don't count.
type HistoryQuery struct {
	Group                     string // its ID
	Address                   netip.Addr
	MAC, Name, Search, Cursor string
	Since, Until              time.Time
	Limit                     int
}

// maxImport is the most bytes, and maxReservations the most rows, of one import.
const (
	maxImport       = 4 << 20
	maxReservations = 10_000
	importPath      = "/api/v1/reservations/import"
)

// by names who orders something.
func by(ctx context.Context) string {
	id := access.FromContext(ctx)
	return cmp.Or(id.Name, "the command line")
}

// address reads an address of the path.
func address(text string) (netip.Addr, error) {
	addr, err := netip.ParseAddr(text)
	if err != nil || !addr.Is4() {
		var c checker
		c.add("address", "want an IPv4 address, as 10.9.0.7")
		return netip.Addr{}, c.err()
	}
	return addr, nil
}

// GetLease returns a lease.
func (h *handlers) GetLease(ctx context.Context, req api.GetLeaseRequestObject) (api.GetLeaseResponseObject, error) {
	addr, err := address(req.Address)
	if err != nil {
		return nil, err
	}
	l, err := h.appliance.Lease(ctx, addr)
	if err != nil {
		return nil, err
	}
	return api.GetLease200JSONResponse(l), nil
}

// ReserveLease reserves an address.
func (h *handlers) ReserveLease(ctx context.Context, req api.ReserveLeaseRequestObject) (api.ReserveLeaseResponseObject, error) {
	var c checker
	c.bounds(req.Body)
	if err := c.err(); err != nil {
		return nil, err
	}
	addr, err := address(req.Address)
	if err != nil {
		return nil, err
	}
	if api.IsCheck(ctx) {
		return nil, h.appliance.CheckReservation(ctx, addr, *req.Body)
	}
	l, err := h.appliance.Reserve(ctx, addr, *req.Body, by(ctx))
	if err != nil {
		return nil, err
	}
	return api.ReserveLease200JSONResponse(l), nil
}

// UnreserveLease ends a reservation.
func (h *handlers) UnreserveLease(ctx context.Context, req api.UnreserveLeaseRequestObject) (api.UnreserveLeaseResponseObject, error) {
	addr, err := address(req.Address)
	if err != nil {
		return nil, err
	}
	l, err := h.appliance.Unreserve(ctx, addr, by(ctx))
	if err != nil {
		return nil, err
	}
	return api.UnreserveLease200JSONResponse(l), nil
}

// ReleaseLease ends a lease as its host would.
func (h *handlers) ReleaseLease(ctx context.Context, req api.ReleaseLeaseRequestObject) (api.ReleaseLeaseResponseObject, error) {
	end, err := h.endLease(ctx, req.Address, false)
	if err != nil {
		return nil, err
	}
	return api.ReleaseLease200JSONResponse(end), nil
}

// EvictLease ends a lease and has its host ask anew.
func (h *handlers) EvictLease(ctx context.Context, req api.EvictLeaseRequestObject) (api.EvictLeaseResponseObject, error) {
	end, err := h.endLease(ctx, req.Address, true)
	if err != nil {
		return nil, err
	}
	return api.EvictLease200JSONResponse(end), nil
}

func (h *handlers) endLease(ctx context.Context, text string, evict bool) (api.LeaseEnd, error) {
	addr, err := address(text)
	if err != nil {
		return api.LeaseEnd{}, err
	}
	return h.appliance.EndLease(ctx, addr, evict, by(ctx))
}

// RenameLease gives a host another name.
func (h *handlers) RenameLease(ctx context.Context, req api.RenameLeaseRequestObject) (api.RenameLeaseResponseObject, error) {
	var c checker
	c.bounds(req.Body)
	if err := c.err(); err != nil {
		return nil, err
	}
	addr, err := address(req.Address)
	if err != nil {
		return nil, err
	}
	if api.IsCheck(ctx) {
		return nil, h.appliance.CheckLeaseName(ctx, addr, req.Body.Name)
	}
	l, err := h.appliance.RenameLease(ctx, addr, req.Body.Name, by(ctx))
	if err != nil {
		return nil, err
	}
	return api.RenameLease200JSONResponse(l), nil
}

// NoteLease notes something of a host.
func (h *handlers) NoteLease(ctx context.Context, req api.NoteLeaseRequestObject) (api.NoteLeaseResponseObject, error) {
	var c checker
	c.bounds(req.Body)
	if strings.ContainsFunc(req.Body.Note, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		c.add("note", "want one line of text")
	}
	if err := c.err(); err != nil {
		return nil, err
	}
	addr, err := address(req.Address)
	if err != nil {
		return nil, err
	}
	if api.IsCheck(ctx) {
		return nil, nil
	}
	l, err := h.appliance.NoteLease(ctx, addr, req.Body.Note, by(ctx))
	if err != nil {
		return nil, err
	}
	return api.NoteLease200JSONResponse(l), nil
}

// ListLeaseHistory returns a page of the history.
func (h *handlers) ListLeaseHistory(ctx context.Context, req api.ListLeaseHistoryRequestObject) (api.ListLeaseHistoryResponseObject, error) {
	p := req.Params
	var c checker
	q := HistoryQuery{MAC: p.MAC, Name: p.Name, Search: p.Search, Cursor: p.Cursor, Limit: defaultPage}
	c.bounds(p)
	if p.Limit != nil {
		q.Limit = *p.Limit
	}
	if p.Address != "" {
		addr, err := netip.ParseAddr(p.Address)
		if err != nil {
			c.add("address", "want an IPv4 address, as 10.9.0.7")
		}
		q.Address = addr
	}
	for name, t := range map[string]struct {
		text string
		to   *time.Time
	}{"since": {p.Since, &q.Since}, "until": {p.Until, &q.Until}} {
		if t.text == "" {
			continue
		}
		at, err := time.Parse(time.RFC3339, t.text)
		if err != nil || at.Year() < 1970 || at.Year() > 2200 {
			c.add(name, "want a time, as 2026-11-22T15:04:05Z")
		}
		*t.to = at
	}
	if err := c.err(); err != nil {
		return nil, err
	}
	group, err := h.groupID(ctx, p.Group)
	if err != nil {
		return nil, err
	}
	q.Group = group
	list, err := h.appliance.History(ctx, q)
	if err != nil {
		return nil, err
	}
	list.Items = orEmpty(list.Items)
	return api.ListLeaseHistory200JSONResponse(list), nil
}

// groupID returns the ID of the group that a person names; nothing for nothing.
func (h *handlers) groupID(ctx context.Context, name string) (string, error) {
	if name == "" {
		return "", nil
	}
	groups, err := h.appliance.Groups(ctx)
	if err != nil {
		return "", err
	}
	g, err := api.FindGroup(groups, name)
	if err != nil {
		return "", NotFound(err)
	}
	return g.ID, nil
}

// ImportReservations reserves many addresses.
func (h *handlers) ImportReservations(ctx context.Context, req api.ImportReservationsRequestObject) (api.ImportReservationsResponseObject, error) {
	var c checker
	if len(req.Body.Items) > maxReservations {
		c.add("items", "want at most %d", maxReservations)
	}
	if err := c.err(); err != nil {
		return nil, err
	}
	plan, err := h.appliance.ImportReservations(ctx, req.Body.Items, req.Params.DryRun, by(ctx))
	if err != nil {
		return nil, err
	}
	plan.Items = orEmpty(plan.Items)
	return api.ImportReservations200JSONResponse(plan), nil
}
