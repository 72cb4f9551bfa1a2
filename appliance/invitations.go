package appliance

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"landbridge/console"
	"landbridge/console/api"
	"landbridge/iface"
	"landbridge/internal/config"
	"landbridge/internal/group"
)

const defaultInvitationTTL = 24 * time.Hour

// find returns the group at work here that a person means by its name or ID.
func (n *node) find(name string) (*network, error) {
	m, err := n.state.findGroup(name)
	if err != nil {
		return nil, err
	}
	nw, ok := n.network(m.Group())
	if !ok {
		return nil, console.Unavailable(fmt.Errorf("the group %s isn't running here: see the appliance's log", m.Descriptor().Name))
	}
	return nw, nil
}

// find returns the group that a person means, with its CA where the state has it.
func (o *Offline) find(name string) (*group.Authority, *group.Membership, error) {
	m, err := o.state.findGroup(name)
	if err != nil {
		return nil, nil, err
	}
	a, err := authorityOf(o.state.db, m.Group())
	return a, m, err
}

// Invite makes an invitation with the addresses at which this appliance is reached.
func (n *node) Invite(_ context.Context, name string, req api.InvitationCreate) (api.Invitation, error) {
	nw, err := n.find(name)
	if err != nil {
		return api.Invitation{}, err
	}
	return invite(nw.authority, nw.membership, req, n.overlay.Addrs())
}

// Invitations lists the invitations that are remembered.
func (n *node) Invitations(_ context.Context, name string) ([]api.IssuedInvitation, error) {
	nw, err := n.find(name)
	if err != nil {
		return nil, err
	}
	return listInvitations(nw.authority, nw.membership)
}

// RevokeInvitation ends an invitation.
func (n *node) RevokeInvitation(_ context.Context, name, id string) (api.IssuedInvitation, error) {
	nw, err := n.find(name)
	if err != nil {
		return api.IssuedInvitation{}, err
	}
	return revokeInvitation(nw.authority, nw.membership, id)
}

// Invite makes an invitation with the addresses of this host's interfaces, as nobody
// has told yet how the appliance is seen from outside.
func (o *Offline) Invite(_ context.Context, name string, req api.InvitationCreate) (api.Invitation, error) {
	a, m, err := o.find(name)
	if err != nil {
		return api.Invitation{}, err
	}
	known, err := o.addresses(m)
	if err != nil {
		return api.Invitation{}, err
	}
	return invite(a, m, req, known)
}

// Invitations lists the invitations that are remembered.
func (o *Offline) Invitations(_ context.Context, name string) ([]api.IssuedInvitation, error) {
	a, m, err := o.find(name)
	if err != nil {
		return nil, err
	}
	return listInvitations(a, m)
}

// RevokeInvitation ends an invitation.
func (o *Offline) RevokeInvitation(_ context.Context, name, id string) (api.IssuedInvitation, error) {
	a, m, err := o.find(name)
	if err != nil {
		return api.IssuedInvitation{}, err
	}
	return revokeInvitation(a, m, id)
}

// addresses returns where the daemon will listen: what is announced, then each
// interface.
func (o *Offline) addresses(m *group.Membership) ([]string, error) {
	places := append([]string(nil), o.cfg.Announce...)
	addrs, err := iface.LocalAddrs(m.Descriptor().Prefix)
	if err != nil {
		return nil, err
	}
	for _, a := range addrs {
		places = append(places, netip.AddrPortFrom(a, o.cfg.Listen.Port()).String())
	}
	return invitationAddrs(m.Self(), places, nil)
}

// invite makes an invitation with the addresses given by the request, or else by the
// caller.
func invite(a *group.Authority, m *group.Membership, req api.InvitationCreate, known []string) (api.Invitation, error) {
	if a == nil {
		return api.Invitation{}, notAuthority(m)
	}
	addrs, err := invitationAddrs(m.Self(), req.Addresses, known)
	if err != nil {
		return api.Invitation{}, err
	}
	ttl := cmp.Or(time.Duration(req.TTLSeconds)*time.Second, defaultInvitationTTL)
	token, made, err := a.Issue(group.Terms{Life: ttl, Uses: req.Uses, Approval: req.Approval, Note: req.Note, Addrs: addrs}, time.Now())
	if err != nil {
		return api.Invitation{}, console.Invalid(err)
	}
	return api.Invitation{
		Token: token, ID: made.ID.String(), Group: m.Group().String(), GroupName: m.Descriptor().Name,
		Expires: made.Expires.UTC(), Uses: made.Limit, Note: made.Note, Approval: made.Approval, Addresses: addrs,
	}, nil
}

// invitationAddrs returns what a newcomer is told to dial: what the person named, or
// what the appliance knows of itself.
func invitationAddrs(self group.MemberID, named, known []string) ([]string, error) {
	addrs := known
	if len(named) > 0 {
		addrs = nil
	}
	for _, name := range named {
		multi, err := config.Multiaddrs(name)
		if err == nil && strings.HasPrefix(multi[0], "/dns/") && !strings.ContainsAny(name, "./") {
			err = fmt.Errorf("%q is no address that a newcomer elsewhere finds: want a whole name, as vpn.example.net, or an IP address", name)
		}
		if err != nil {
			return nil, console.Invalid(err, api.FieldError{Field: "addresses", Detail: err.Error()})
		}
		for _, m := range multi {
			addrs = append(addrs, m+"/p2p/"+self.String())
		}
	}
	return addrs[:min(len(addrs), group.MaxInvitationAddrs)], nil
}

func listInvitations(a *group.Authority, m *group.Membership) ([]api.IssuedInvitation, error) {
	if a == nil {
		return nil, notAuthority(m)
	}
	issued, err := a.Invitations()
	if err != nil {
		return nil, err
	}
	all := make([]api.IssuedInvitation, 0, len(issued))
	for _, i := range issued {
		all = append(all, describeInvitation(i, m.Descriptor(), time.Now()))
	}
	return all, nil
}

func revokeInvitation(a *group.Authority, m *group.Membership, ref string) (api.IssuedInvitation, error) {
	if a == nil {
		return api.IssuedInvitation{}, notAuthority(m)
	}
	now := time.Now()
	id, err := group.ParseInvitationID(ref)
	if err != nil {
		return api.IssuedInvitation{}, console.NotFound(err)
	}
	gone, err := a.Revoke(id, now)
	if errors.Is(err, group.ErrUnknownInvitation) {
		return api.IssuedInvitation{}, console.NotFound(fmt.Errorf("no invitation %s: landbridge group invitations lists them", id))
	}
	return describeInvitation(gone, m.Descriptor(), now), err
}

// describeInvitation tells of an invitation as the API does.
func describeInvitation(i group.Issued, d *group.Descriptor, now time.Time) api.IssuedInvitation {
	v := api.IssuedInvitation{
		ID: i.ID.String(), State: api.InvitationStateOpen, Made: utc(i.Made), Expires: i.Expires.UTC(), Revoked: utc(i.Revoked),
		Uses: i.Limit, Note: i.Note, Approval: i.Approval, Users: []api.InvitationUse{},
	}
	switch {
	case i.Open(now):
	case len(i.Uses) >= i.Limit:
		v.State = api.InvitationStateUsed
	case !i.Revoked.IsZero():
		v.State = api.InvitationStateRevoked
	default:
		v.State = api.InvitationStateExpired
	}
	for _, u := range i.Uses {
		e, _ := d.Entry(u.By)
		v.Users = append(v.Users, api.InvitationUse{MemberID: u.By.String(), Name: e.Name, At: u.At.UTC(), Member: d.Check(u.By) == nil})
	}
	return v
}
