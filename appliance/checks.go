package appliance

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"landbridge/console"
	"landbridge/console/api"
	"landbridge/internal/division"
	"landbridge/internal/registry"
)

// What would be wrong with what a person is typing. Nothing here changes anything.

// CheckGroup says what CreateGroup would refuse, as far as it can be told without the ports.
func (n *node) CheckGroup(_ context.Context, req api.GroupCreate) error {
	p, err := groupParams(req)
	if err != nil {
		return err
	}
	return aboutField("prefix", errors.Join(checkPrefix(p.Prefix), n.state.mustBeApart(division.Territory{Name: p.Name, Prefix: p.Prefix})))
}

// CheckReservation says what Reserve would refuse.
func (n *node) CheckReservation(ctx context.Context, addr netip.Addr, req api.ReservationCreate) error {
	nw, err := n.at(addr)
	if err != nil {
		return aboutField("address", err)
	}
	r, err := nw.reservationOf(addr, req)
	if err != nil {
		return err
	}
	refused, err := nw.registry.Reserve(ctx, []registry.Reservation{r}, "", true)
	if err == nil {
		err = refused[0]
	}
	return aboutField("address", nw.explain(err))
}

// CheckLeaseName says what RenameLease would refuse.
func (n *node) CheckLeaseName(ctx context.Context, addr netip.Addr, name string) error {
	nw, err := n.at(addr)
	if err != nil {
		return err
	}
	_, err = nw.freeName(ctx, addr, name)
	return aboutField("name", err)
}

// CheckJoin says what Join would refuse before it asks the group's authority.
func (n *node) CheckJoin(_ context.Context, req api.JoinRequest) error {
	inv, err := parseInvitation(req.Token)
	if err != nil {
		return err
	}
	if _, already, err := n.state.alreadyIn(inv.Group); already || err != nil {
		return err
	}
	return aboutField("token", errors.Join(inv.Check(time.Now()), n.checkInvited(inv)))
}

// freeName returns a name as a host of an address may have it: no other has it.
func (n *network) freeName(ctx context.Context, addr netip.Addr, name string) (string, error) {
	label, err := hostLabel(name)
	if err != nil {
		return "", console.Invalid(err, api.FieldError{Field: "name", Detail: err.Error()})
	}
	if label != "" {
		if other, err := n.registry.LookupName(ctx, label); err == nil && other != addr {
			return "", console.Conflict(fmt.Errorf("the host %v is called %s already: choose another name", other, label))
		}
	}
	return label, nil
}

// aboutField says of a field what an error says of no field.
func aboutField(field string, err error) error {
	var named *console.Error
	if err == nil || errors.As(err, &named) && len(named.Fields()) > 0 {
		return err
	}
	return console.Invalid(err, api.FieldError{Field: field, Detail: err.Error()})
}

// groupFields returns which fields of a new group an error of its parameters is about: each line
// begins with what it is of. A zone that wasn't given is made of the name, and as wrong.
func groupFields(err error, zoneGiven bool) (fields []api.FieldError) {
	if err == nil {
		return nil
	}
	for line := range strings.Lines(err.Error()) {
		line = strings.TrimSpace(line)
		for words, field := range map[string]string{
			"group name": "name", "prefix": "prefix", "zone": "zone", "lease time": "leaseSeconds", "hold time": "holdSeconds", "MTU": "mtu",
		} {
			if strings.HasPrefix(line, words) && (field != "zone" || zoneGiven) {
				fields = append(fields, api.FieldError{Field: field, Detail: line})
			}
		}
	}
	return fields
}
