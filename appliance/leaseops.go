package appliance

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"iter"
	"net"
	"net/netip"
	"strings"
	"time"
	"unicode/utf8"

	"landbridge/console"
	"landbridge/console/api"
	"landbridge/internal/config"
	"landbridge/internal/group"
	"landbridge/internal/registry"
	"landbridge/internal/sorting"
)

// What operators do with leases; package registry decides.

// Leases yields what there is to say about addresses.
func (n *node) Leases(_ context.Context, elsewhere bool) (iter.Seq[console.LeaseRow], error) {
	networks := n.running()
	return func(yield func(console.LeaseRow) bool) {
		for _, nw := range networks {
			row := nw.describer()
			for w := range nw.registry.Rows(elsewhere) {
				if !yield(row(w)) {
					return
				}
			}
		}
	}, nil
}

// describer returns what makes rows of this group, with the members' names at hand.
func (n *network) describer() func(registry.Row) console.LeaseRow {
	id, self := n.id.String(), n.membership.Self()
	type member struct{ id, name string }
	members, six := make(map[group.MemberID]member), n.ipv6Net()
	return func(w registry.Row) console.LeaseRow {
		m, known := members[w.Member]
		if !known {
			m = member{w.Member.String(), n.memberName(w.Member)}
			members[w.Member] = m
		}
		r := console.LeaseRow{
			Group: id, Address: w.Addr, Name: w.Name, HostName: w.HostName, Note: w.Note, MAC: w.MAC, Client: w.Client,
			Member: m.id, MemberName: m.name, Segment: w.Segment, Kind: api.LeaseKindDhcp,
			Elsewhere: w.Member != self, Reserved: w.Reserved, ByMAC: w.ByMAC, Start: w.Start, End: w.End, Changed: w.Changed,
		}
		if w.IPv6 {
			r.IPv6 = six.Of(w.Addr)
		}
		switch {
		case w.Found():
			r.Kind = api.LeaseKindStatic
		case bytes.Equal(w.Client, registry.OwnClient(w.Member)):
			r.Kind = api.LeaseKindOwn
		}
		switch w.State {
		case registry.RowReserved:
			r.State = api.LeaseStateReserved
		case registry.RowExpired:
			r.State = api.LeaseStateExpired
		case registry.RowDeclined:
			r.State = api.LeaseStateDeclined
		default:
			r.State = api.LeaseStateLeased
		}
		return r
	}
}

// lease describes a lease that is live, or was.
func (n *network) lease(l registry.Lease) api.Lease {
	r := n.describer()(registry.Row{Lease: l, State: registry.RowLeased})
	return r.Lease()
}

// at returns the group whose prefix an address is in.
func (n *node) at(addr netip.Addr) (*network, error) {
	for _, nw := range n.running() {
		if nw.membership.Descriptor().Prefix.Contains(addr) {
			return nw, nil
		}
	}
	return nil, console.NotFound(fmt.Errorf("%v is in the prefix of none of this appliance's groups", addr))
}

// Lease returns what there is to say about an address.
func (n *node) Lease(_ context.Context, addr netip.Addr) (api.Lease, error) {
	nw, err := n.at(addr)
	if err != nil {
		return api.Lease{}, err
	}
	w, ok := nw.registry.Row(addr)
	if !ok {
		return api.Lease{}, console.NotFound(fmt.Errorf("%v is neither leased nor reserved, as far as this appliance knows", addr))
	}
	r := nw.describer()(w)
	return r.Lease(), nil
}

// now returns what an address is after something was done to it: nothing but the address
// where there is nothing to say any more.
func (n *node) now(ctx context.Context, nw *network, addr netip.Addr) (api.Lease, error) {
	if l, err := n.Lease(ctx, addr); err == nil {
		return l, nil
	}
	self := nw.membership.Self()
	return api.Lease{Group: nw.id.String(), Address: addr, MemberID: self.String(), State: api.LeaseStateExpired, Kind: api.LeaseKindDhcp}, nil
}

// Reserve reserves an address; for the host that has it, where none is named.
func (n *node) Reserve(ctx context.Context, addr netip.Addr, req api.ReservationCreate, by string) (api.Lease, error) {
	nw, err := n.at(addr)
	if err != nil {
		return api.Lease{}, err
	}
	r, err := nw.reservationOf(addr, req)
	if err != nil {
		return api.Lease{}, err
	}
	refused, err := nw.registry.Reserve(ctx, []registry.Reservation{r}, by, false)
	if err == nil {
		err = refused[0]
	}
	if err != nil {
		return api.Lease{}, nw.explain(err)
	}
	return n.now(ctx, nw, addr)
}

// reservationOf reads a reservation; for the host that has the address, where none is named.
func (n *network) reservationOf(addr netip.Addr, req api.ReservationCreate) (r registry.Reservation, err error) {
	v := api.Reservation{Address: addr.String(), MAC: req.MAC, ClientID: req.ClientID, Name: req.Name, Note: req.Note}
	if v.MAC == "" && v.ClientID == "" {
		w, ok := n.registry.Row(addr)
		switch {
		case !ok || w.MAC == [6]byte{}:
			return r, console.Invalid(fmt.Errorf("no host has %v here: say for which it is to be reserved", addr),
				api.FieldError{Field: "mac", Detail: "want the hardware address of a host, as 52:54:00:12:34:56"})
		default:
			v.MAC = net.HardwareAddr(w.MAC[:]).String()
		}
	}
	return reservation(v)
}

// reservation reads a reservation as a person writes it.
func reservation(v api.Reservation) (r registry.Reservation, err error) {
	invalid := func(field, format string, args ...any) error {
		err := fmt.Errorf(format, args...)
		return console.Invalid(fmt.Errorf("%s: %w", field, err), api.FieldError{Field: field, Detail: err.Error()})
	}
	if r.Addr, err = netip.ParseAddr(v.Address); err != nil || !r.Addr.Is4() {
		return r, invalid("address", "want an IPv4 address, as 10.9.0.7")
	}
	switch {
	case v.MAC != "":
		mac, err := config.ParseHost(v.MAC)
		if err != nil {
			return r, invalid("mac", "%v", err)
		}
		r.MAC = mac
	case v.ClientID == "":
		return r, invalid("mac", "want a hardware address, as 52:54:00:12:34:56, or a clientId")
	}
	if v.ClientID != "" {
		if r.Client, err = hex.DecodeString(strings.ReplaceAll(v.ClientID, ":", "")); err != nil || len(r.Client) < 2 || len(r.Client) > 255 {
			return r, invalid("clientId", "want 2 to 255 bytes in hexadecimal digits")
		}
	}
	if r.Name, err = hostLabel(v.Name); err != nil {
		return r, invalid("name", "%v", err)
	}
	if err := checkNote(v.Note); err != nil {
		return r, invalid("note", "%v", err)
	}
	r.Note = v.Note
	return r, nil
}

// checkNote checks what a person notes down of a host. Bytes that are no text couldn't be read from the state again.
func checkNote(note string) error {
	if len(note) > registry.MaxNote || !utf8.ValidString(note) || strings.ContainsFunc(note, func(c rune) bool { return c < ' ' || c == 0x7f }) {
		return fmt.Errorf("want one line of text of at most %d bytes", registry.MaxNote)
	}
	return nil
}

// hostLabel checks a name that a person gives to a host; the empty one is none.
func hostLabel(name string) (string, error) {
	label := strings.ToLower(name)
	good := len(label) <= 63 && !strings.HasPrefix(label, "-") && !strings.HasSuffix(label, "-") &&
		!strings.ContainsFunc(label, func(c rune) bool { return c != '-' && (c < '0' || c > '9') && (c < 'a' || c > 'z') })
	if !good {
		return "", errors.New("want letters, digits and hyphens, at most 63 and no hyphen at an end, as printer-2")
	}
	return label, nil
}

// explain says what the registry's refusals mean to who asked.
func (n *network) explain(err error) error {
	var away *registry.ElsewhereError
	var held *registry.HeldError
	var alias *registry.AliasError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &alias):
		return explainFault(alias)
	case errors.As(err, &away):
		name := n.memberName(away.Member)
		if name == "" {
			name = away.Member.Short()
		}
		return console.Conflict(fmt.Errorf("%v belongs to a block of addresses of %s, which alone can change it: do it at that appliance", away.Addr, name))
	case errors.As(err, &held), errors.Is(err, registry.ErrShare):
		return console.Conflict(err)
	case errors.Is(err, registry.ErrOutside):
		return console.Invalid(err, api.FieldError{Field: "address", Detail: err.Error()})
	case errors.Is(err, registry.ErrNoLease), errors.Is(err, registry.ErrNotReserved):
		return console.NotFound(err)
	case errors.Is(err, registry.ErrOwnLease):
		return console.Conflict(fmt.Errorf("%w: it is the appliance's own, or was set on the host by hand, where it can be taken off", err))
	case errors.Is(err, group.ErrRemoved), errors.Is(err, registry.ErrForgetful), errors.Is(err, registry.ErrNotOurs):
		return console.Conflict(err)
	case errors.Is(err, registry.ErrUnsure), errors.Is(err, registry.ErrNoQuorum), errors.Is(err, registry.ErrContended):
		return console.Unavailable(err)
	}
	return err
}

// Unreserve ends a reservation.
func (n *node) Unreserve(ctx context.Context, addr netip.Addr, by string) (api.Lease, error) {
	return n.change(ctx, addr, func(r *registry.Registry) error { return r.Unreserve(addr, by) })
}

// RenameLease gives a host another name, which no other has.
func (n *node) RenameLease(ctx context.Context, addr netip.Addr, name, by string) (api.Lease, error) {
	nw, err := n.at(addr)
	if err != nil {
		return api.Lease{}, err
	}
	label, err := nw.freeName(ctx, addr, name)
	if err != nil {
		return api.Lease{}, err
	}
	return n.change(ctx, addr, func(r *registry.Registry) error { return r.Rename(addr, label, by) })
}

// NoteLease notes something of a host.
func (n *node) NoteLease(ctx context.Context, addr netip.Addr, note, by string) (api.Lease, error) {
	return n.change(ctx, addr, func(r *registry.Registry) error { return r.Note(addr, note, by) })
}

func (n *node) change(ctx context.Context, addr netip.Addr, do func(*registry.Registry) error) (api.Lease, error) {
	nw, err := n.at(addr)
	if err != nil {
		return api.Lease{}, err
	}
	if err := do(nw.registry); err != nil {
		return api.Lease{}, nw.explain(err)
	}
	return n.now(ctx, nw, addr)
}

// EndLease ends a lease, and says what becomes of its host.
func (n *node) EndLease(_ context.Context, addr netip.Addr, evict bool, by string) (api.LeaseEnd, error) {
	nw, err := n.at(addr)
	if err != nil {
		return api.LeaseEnd{}, err
	}
	was, err := nw.registry.End(addr, evict, by)
	if err != nil {
		return api.LeaseEnd{}, nw.explain(err)
	}
	notice := nw.registry.Notice(was)
	if now := time.Now(); notice.Before(now) {
		notice = was.End
	}
	text := "If the host is still there it has the address again when it renews it; until then other sites don't reach it."
	if evict {
		text = "When the host renews the address it is refused, and asks anew: it may be given the same one, unless that is reserved for another host or the host isn't served any more. Until then it uses the address, and other sites don't reach it; a host that is gone notices nothing."
	}
	return api.LeaseEnd{Lease: nw.lease(was), NoticedBy: notice.UTC(), Text: text}, nil
}

// changeOf names an act as the API does.
func changeOf(a registry.Act) api.LeaseChange {
	names := []api.LeaseChange{
		registry.Granted: api.LeaseChangeGranted, registry.Renewed: api.LeaseChangeRenewed, registry.Released: api.LeaseChangeReleased,
		registry.Expired: api.LeaseChangeExpired, registry.MovedHere: api.LeaseChangeMovedHere, registry.MovedAway: api.LeaseChangeMovedAway,
		registry.Found: api.LeaseChangeFound, registry.Declined: api.LeaseChangeDeclined, registry.Lost: api.LeaseChangeLost,
		registry.Changed: api.LeaseChangeChanged, registry.Reserved: api.LeaseChangeReserved, registry.Unreserved: api.LeaseChangeUnreserved,
		registry.Evicted: api.LeaseChangeEvicted, registry.Renamed: api.LeaseChangeRenamed, registry.Noted: api.LeaseChangeNoted,
	}
	if int(a) < len(names) && names[a] != "" {
		return names[a]
	}
	return api.LeaseChangeChanged
}

// History returns the newest entries of all groups, newest first.
func (n *node) History(_ context.Context, q console.HistoryQuery) (list api.LeaseHistory, err error) {
	find := registry.HistoryQuery{Addr: q.Address, Name: q.Name, Search: q.Search, Since: q.Since, Until: q.Until, Before: q.Cursor, Limit: q.Limit + 1}
	if q.MAC != "" {
		mac, err := config.ParseHost(q.MAC)
		if err != nil {
			return list, console.Invalid(err, api.FieldError{Field: "mac", Detail: err.Error()})
		}
		find.MAC = mac
	}
	type placed struct {
		place string
		entry api.LeaseHistoryEntry
	}
	var all []placed
	for _, nw := range n.running() {
		if q.Group != "" && nw.id.String() != q.Group {
			continue
		}
		found, err := nw.registry.History(find)
		if errors.Is(err, registry.ErrBadPlace) {
			return list, console.Invalid(err, api.FieldError{Field: "cursor", Detail: "want the next of the page before, unchanged"})
		} else if err != nil {
			return list, err
		}
		for _, e := range found {
			all = append(all, placed{e.Place, nw.historyEntry(e.Happening)})
		}
	}
	sorting.StablyBy(all, func(a, b placed) int { return strings.Compare(b.place, a.place) })
	if len(all) > q.Limit {
		all = all[:q.Limit]
		list.Next = all[q.Limit-1].place
	}
	for _, p := range all {
		list.Items = append(list.Items, p.entry)
	}
	return list, nil
}

func (n *network) historyEntry(h registry.Happening) api.LeaseHistoryEntry {
	l := n.lease(h.Lease)
	e := api.LeaseHistoryEntry{
		At: h.At.UTC(), What: changeOf(h.Act), Group: l.Group, Address: l.Address, Name: l.Name, MAC: l.MAC, ClientID: l.ClientID,
		MemberID: l.MemberID, MemberName: l.MemberName, By: h.By, Why: h.Why,
	}
	if !h.To.IsZero() {
		e.To = h.To.String()
	}
	return e
}

// ImportReservations checks all, and makes them where all are right.
func (n *node) ImportReservations(ctx context.Context, all []api.Reservation, dry bool, by string) (plan api.ReservationPlan, err error) {
	var nw *network
	plan.Items = make([]api.ReservationOutcome, len(all))
	rows, wanted, which := make([]error, len(all)), []registry.Reservation{}, []int{}
	seen := make(map[netip.Addr]int)
	for i, v := range all {
		plan.Items[i] = api.ReservationOutcome{Row: i + 1, Address: v.Address, Action: api.ReservationActionReserve}
		r, err := reservation(v)
		if err == nil {
			var at *network
			if at, err = n.at(r.Addr); err == nil && nw != nil && at != nw {
				err = errors.New("the rows before are of another group: import each group by itself")
			} else if err == nil {
				nw = at
			}
		}
		if first, twice := seen[r.Addr]; err == nil && twice {
			err = fmt.Errorf("row %d reserves %v already", first, r.Addr)
		}
		if rows[i] = err; err != nil {
			continue
		}
		seen[r.Addr] = i + 1
		plan.Items[i].Action = nw.becomes(r)
		wanted, which = append(wanted, r), append(which, i)
	}
	if nw != nil {
		if err := n.reserveRows(ctx, nw, wanted, which, rows, dry || errors.Join(rows...) != nil, by); err != nil {
			return plan, err
		}
	}
	for i, err := range rows {
		if err != nil {
			plan.Wrong++
			plan.Items[i].Action, plan.Items[i].Why = api.ReservationActionRefuse, err.Error()
		} else if plan.Items[i].Action != api.ReservationActionKeep {
			plan.Changes++
		}
	}
	plan.Applied = !dry && plan.Wrong == 0
	return plan, nil
}

// reserveRows has the registry make reservations, and gives each row its error.
func (n *node) reserveRows(ctx context.Context, nw *network, wanted []registry.Reservation, which []int, rows []error, dry bool, by string) error {
	refused, err := nw.registry.Reserve(ctx, wanted, by, dry)
	if err != nil {
		return nw.explain(err)
	}
	for i, err := range refused {
		rows[which[i]] = nw.explain(err)
	}
	return nil
}

// becomes says what a reservation changes.
func (n *network) becomes(r registry.Reservation) api.ReservationAction {
	w, ok := n.registry.Row(r.Addr)
	switch {
	case !ok || !w.Reserved:
		return api.ReservationActionReserve
	case w.ByMAC == (len(r.Client) == 0) && w.Note == r.Note && (r.Name == "" || w.Name == r.Name) && (!w.ByMAC || w.MAC == r.MAC):
		return api.ReservationActionKeep
	}
	return api.ReservationActionChange
}
