package web

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"landbridge/console/api"
)

// What the fake's appliance does with leases.

// errAway is what is refused of the addresses that a fake has at another site.
var errAway = errors.New("that belongs to porto, which alone can change it: do it at that appliance")

func (f *fake) GetLease(_ context.Context, r api.GetLeaseRequestObject) (api.GetLeaseResponseObject, error) {
	if f.unreadable != nil {
		return nil, f.unreadable
	}
	if l := f.at(r.Address); l != nil {
		return api.GetLease200JSONResponse(*l), nil
	}
	return nil, echo.ErrNotFound
}

// at returns the lease of an address; nil where there is none.
func (f *fake) at(address string) *api.Lease {
	i := slices.IndexFunc(f.leases, func(l api.Lease) bool { return l.Address.String() == address })
	if i < 0 {
		return nil
	}
	return &f.leases[i]
}

// order notes an order, and has the lease changed where it isn't refused.
func (f *fake) order(text, address string, change func(*api.Lease)) (api.Lease, error) {
	f.ordered = append(f.ordered, text)
	if f.refuse != nil {
		return api.Lease{}, f.refuse
	}
	l := f.at(address)
	if l == nil {
		return api.Lease{}, nil
	}
	if l.Elsewhere {
		return api.Lease{}, errAway
	}
	change(l)
	return *l, nil
}

func (f *fake) ListLeaseHistory(_ context.Context, r api.ListLeaseHistoryRequestObject) (api.ListLeaseHistoryResponseObject, error) {
	f.past = append(f.past, r.Params)
	list := api.LeaseHistory{Items: []api.LeaseHistoryEntry{}, Next: "more"}
	if strings.HasPrefix(r.Params.Address, "10.9.4.") || r.Params.Address == "" {
		addr := netip.MustParseAddr(cmp.Or(r.Params.Address, "10.9.4.2"))
		list.Items = []api.LeaseHistoryEntry{
			{At: time.Now().Add(-time.Hour), What: "changed", Address: addr, MemberName: "lisbon", Name: "printer-1", MAC: "52:54:00:00:00:00", By: "olga", Why: "named printer-1"},
			{At: start(), What: "granted", Address: addr, MemberName: "lisbon", Name: "printer", MAC: "52:54:00:00:00:00"},
		}
	}
	if r.Params.Since != "" && f.refuse != nil {
		return nil, f.refuse
	}
	return api.ListLeaseHistory200JSONResponse(list), nil
}

func (f *fake) ReserveLease(ctx context.Context, r api.ReserveLeaseRequestObject) (api.ReserveLeaseResponseObject, error) {
	if api.IsCheck(ctx) {
		if r.Body.MAC != "52:54:00:00:00:01" {
			return nil, formError{{Field: "mac", Detail: "want a hardware address"}, {Field: "name", Detail: "want a name"}}
		}
		return nil, nil
	}
	l, err := f.order("reserve "+r.Address+" "+r.Body.MAC, r.Address, func(l *api.Lease) {
		l.Reserved, l.ReservedFor, l.Note = true, api.ReservedForMAC, r.Body.Note
		if r.Body.Name != "" && r.Body.Name != l.Name {
			l.HostName, l.Name = l.Name, r.Body.Name
		}
	})
	return api.ReserveLease200JSONResponse(l), err
}

func (f *fake) UnreserveLease(_ context.Context, r api.UnreserveLeaseRequestObject) (api.UnreserveLeaseResponseObject, error) {
	l, err := f.order("unreserve "+r.Address, r.Address, func(l *api.Lease) { l.Reserved, l.ReservedFor, l.Note = false, "", "" })
	if err == nil && l.State == api.LeaseStateReserved { // nothing is left
		f.leases = slices.DeleteFunc(f.leases, func(o api.Lease) bool { return o.Address == l.Address })
	}
	return api.UnreserveLease200JSONResponse(l), err
}

func (f *fake) RenameLease(_ context.Context, r api.RenameLeaseRequestObject) (api.RenameLeaseResponseObject, error) {
	l, err := f.order("rename "+r.Address+" "+r.Body.Name, r.Address, func(l *api.Lease) {
		if l.HostName == "" {
			l.HostName = l.Name
		}
		if l.Name = r.Body.Name; l.Name == "" {
			l.Name, l.HostName = l.HostName, ""
		}
	})
	return api.RenameLease200JSONResponse(l), err
}

func (f *fake) NoteLease(_ context.Context, r api.NoteLeaseRequestObject) (api.NoteLeaseResponseObject, error) {
	l, err := f.order("note "+r.Address+" "+r.Body.Note, r.Address, func(l *api.Lease) { l.Note = r.Body.Note })
	return api.NoteLease200JSONResponse(l), err
}

func (f *fake) ReleaseLease(_ context.Context, r api.ReleaseLeaseRequestObject) (api.ReleaseLeaseResponseObject, error) {
	l, err := f.order("release "+r.Address, r.Address, func(l *api.Lease) { l.State = api.LeaseStateExpired })
	return api.ReleaseLease200JSONResponse{Lease: l}, err
}

func (f *fake) EvictLease(_ context.Context, r api.EvictLeaseRequestObject) (api.EvictLeaseResponseObject, error) {
	l, err := f.order("evict "+r.Address, r.Address, func(l *api.Lease) { l.State = api.LeaseStateExpired })
	return api.EvictLease200JSONResponse{Lease: l}, err
}

// ImportReservations takes what has a MAC, and keeps what is reserved already.
func (f *fake) ImportReservations(_ context.Context, r api.ImportReservationsRequestObject) (api.ImportReservationsResponseObject, error) {
	var plan api.ReservationPlan
	for i, v := range r.Body.Items {
		o := api.ReservationOutcome{Row: i + 1, Address: v.Address, Action: api.ReservationActionReserve}
		l := f.at(v.Address)
		switch {
		case v.MAC == "":
			o.Action, o.Why = api.ReservationActionRefuse, "mac: want a hardware address"
			plan.Wrong++
		case l != nil && l.Reserved && l.Note == v.Note:
			o.Action = api.ReservationActionKeep
		case l != nil && l.Reserved:
			o.Action = api.ReservationActionChange
		}
		if o.Action != api.ReservationActionKeep && o.Why == "" {
			plan.Changes++
		}
		plan.Items = append(plan.Items, o)
	}
	plan.Applied = !r.Params.DryRun && plan.Wrong == 0
	f.ordered = append(f.ordered, fmt.Sprintf("import %d, dry %t", len(r.Body.Items), r.Params.DryRun))
	for _, v := range r.Body.Items {
		if l := f.at(v.Address); l != nil && plan.Applied {
			l.Reserved, l.ReservedFor, l.Note = true, api.ReservedForMAC, v.Note
		}
	}
	return api.ImportReservations200JSONResponse(plan), f.refuse
}
