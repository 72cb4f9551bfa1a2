package appliance

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"time"

	"landbridge/console"
	"landbridge/console/api"
	"landbridge/iface"
	"landbridge/internal/group"
	"landbridge/internal/loop"
	"landbridge/internal/overlay"
	"landbridge/internal/tunnel"
)

// Groups lists the groups that this appliance is in.
func (n *node) Groups(context.Context) ([]api.Group, error) { return n.state.describeGroups() }

// CreateGroup makes a group and takes it up.
func (n *node) CreateGroup(_ context.Context, req api.GroupCreate) (api.Group, error) {
	n.joining.Lock()
	defer n.joining.Unlock()
	p, err := groupParams(req)
	if err != nil {
		return api.Group{}, err
	}
	if err := checkPrefix(p.Prefix); err != nil {
		return api.Group{}, err
	}
	m, err := n.state.createGroup(cmp.Or(req.MemberName, n.cfg.Name), p)
	if err != nil {
		return api.Group{}, err
	}
	if err := n.startNetwork(m); err != nil {
		return api.Group{}, errors.Join(err, group.Forget(n.state.db, m.Group()))
	}
	return describeGroup(m, true), nil
}

// Invite makes an invitation with the addresses at which this appliance is reached.
func (n *node) Invite(_ context.Context, name string, req api.InvitationCreate) (api.Invitation, error) {
	m, err := n.state.findGroup(name)
	if err != nil {
		return api.Invitation{}, err
	}
	nw, ok := n.network(m.Group())
	if !ok {
		return api.Invitation{}, console.Unavailable(fmt.Errorf("the group %s isn't running here: see the appliance's log", m.Descriptor().Name))
	}
	return invite(nw.authority, nw.membership, req, n.overlay.Addrs())
}

// Remove ends a membership. The network's subscription takes the new descriptor to
// this appliance's own Membership before Remove returns, and then to the others.
func (n *node) Remove(_ context.Context, name, member string) (api.Removal, error) {
	m, err := n.state.findGroup(name)
	if err != nil {
		return api.Removal{}, err
	}
	nw, ok := n.network(m.Group())
	if !ok {
		return api.Removal{}, console.Unavailable(fmt.Errorf("the group %s isn't running here: see the appliance's log", m.Descriptor().Name))
	}
	return remove(nw.authority, nw.membership, member)
}

// Join makes this appliance a member by an invitation, and takes the group up.
func (n *node) Join(ctx context.Context, req api.JoinRequest) (api.Group, error) {
	n.joining.Lock()
	defer n.joining.Unlock()
	if err := n.makeRoom(req.Token); err != nil {
		return api.Group{}, err
	}
	m, err := join(ctx, n.state, n.overlay, cmp.Or(req.MemberName, n.cfg.Name), req.Token)
	if err != nil {
		return api.Group{}, err
	}
	if err := n.startNetwork(m); err != nil {
		return api.Group{}, errors.Join(err, group.Forget(n.state.db, m.Group()))
	}
	return describeGroup(m, false), nil
}

// makeRoom ends the work of the invitation's group where this appliance was removed
// from it: its devices would be in the way of their successors.
func (n *node) makeRoom(token string) error {
	inv, err := group.ParseInvitation(token)
	if err != nil {
		return nil // join says what is wrong with it
	}
	nw, ok := n.network(inv.Group)
	if !ok {
		return nil
	}
	if nw.standing() == nil {
		return console.Conflict(fmt.Errorf("this appliance is a member of the group %s already", nw.membership.Descriptor().Name))
	}
	n.mu.Lock()
	delete(n.networks, nw.id)
	n.mu.Unlock()
	return nw.stop()
}

// joinTimeout bounds the way to a group's authority and back.
const joinTimeout = 30 * time.Second

// join uses an invitation: it finds the group's authority by the addresses in it and
// exchanges the secret for a certificate. Nothing is stored unless all is well.
func join(ctx context.Context, s *state, o *overlay.Overlay, name, token string) (*group.Membership, error) {
	inv, err := group.ParseInvitation(token)
	if err != nil {
		return nil, console.Invalid(err, api.FieldError{Field: "token", Detail: err.Error()})
	}
	if err := inv.Check(time.Now()); err != nil {
		return nil, console.Invalid(err, api.FieldError{Field: "token", Detail: err.Error()})
	}
	if err := s.mustBeFree(&inv.Group); err != nil {
		return nil, err
	}
	o.Add(inv.Addrs)
	ctx, cancel := context.WithTimeout(ctx, joinTimeout)
	defer cancel()
	reply, err := askAuthority(ctx, o, inv.Authority, group.NewJoinRequest(inv, group.NodeName(name)))
	if !refusesNewcomer(err) {
		s.keep() // the authority has admitted this node key, or may have
	}
	if err != nil {
		return nil, explainJoin(inv, err)
	}
	d, err := group.ParseDescriptor(reply.Descriptor)
	if err != nil {
		return nil, err
	}
	if err := checkPrefix(d.Prefix); err != nil {
		return nil, fmt.Errorf("%w; then use the same invitation again", err)
	}
	return group.SaveJoin(s.db, s.key, inv, reply, time.Now())
}

// refusesNewcomer reports whether err is the authority's refusal, which is final.
func refusesNewcomer(err error) bool {
	for _, refusal := range []error{
		group.ErrUsed, group.ErrExpired, group.ErrUnknownInvitation, group.ErrOtherGroup,
		group.ErrRemoved, group.ErrFull, group.ErrNotAuthority,
	} {
		if errors.Is(err, refusal) {
			return true
		}
	}
	return false
}

// explainJoin tells a refusal from an authority that can't be reached.
func explainJoin(inv group.Invitation, err error) error {
	if refusesNewcomer(err) {
		return console.Conflict(err)
	}
	return console.Unavailable(fmt.Errorf("no answer from the group's authority within %v: see that it runs, and that one of its addresses %v can be reached from here (%w)",
		joinTimeout, inv.Addrs, err))
}

func (s *state) describeGroups() ([]api.Group, error) {
	all := []api.Group{}
	ms, err := s.memberships()
	if err != nil {
		return nil, err
	}
	for _, m := range ms {
		a, err := authorityOf(s.db, m.Group())
		if err != nil {
			return nil, err
		}
		all = append(all, describeGroup(m, a != nil))
	}
	return all, nil
}

// Offline works on a state directory while no daemon runs on it.
type Offline struct {
	cfg   Config
	state *state
	log   *slog.Logger
}

// OpenOffline opens the state of an appliance that doesn't run. It fails with
// store.ErrInUse (wrapped) where a daemon does.
func OpenOffline(dir string, log *slog.Logger) (*Offline, error) {
	s, err := openState(dir)
	if err != nil {
		return nil, err
	}
	cfg := DefaultConfig()
	return &Offline{cfg: cfg, state: s, log: log}, nil
}

// Close lets go of the state.
func (o *Offline) Close() error { return o.state.close() }

// Groups lists the groups that the state holds.
func (o *Offline) Groups(context.Context) ([]api.Group, error) { return o.state.describeGroups() }

// CreateGroup makes a group, for the next run to take up.
func (o *Offline) CreateGroup(_ context.Context, req api.GroupCreate) (api.Group, error) {
	p, err := groupParams(req)
	if err != nil {
		return api.Group{}, err
	}
	if err := checkPrefix(p.Prefix); err != nil {
		return api.Group{}, err
	}
	m, err := o.state.createGroup(cmp.Or(req.MemberName, o.cfg.Name), p)
	if err != nil {
		return api.Group{}, err
	}
	return describeGroup(m, true), nil
}

// Invite makes an invitation with the addresses of this host's interfaces, as nobody
// has told yet how the appliance is seen from outside.
func (o *Offline) Invite(_ context.Context, name string, req api.InvitationCreate) (api.Invitation, error) {
	m, err := o.state.findGroup(name)
	if err != nil {
		return api.Invitation{}, err
	}
	a, err := authorityOf(o.state.db, m.Group())
	if err != nil {
		return api.Invitation{}, err
	}
	known, err := o.addresses(m)
	if err != nil {
		return api.Invitation{}, err
	}
	return invite(a, m, req, known)
}

// Remove ends a membership; the others hear of it in the next run.
func (o *Offline) Remove(_ context.Context, name, member string) (api.Removal, error) {
	m, err := o.state.findGroup(name)
	if err != nil {
		return api.Removal{}, err
	}
	a, err := authorityOf(o.state.db, m.Group())
	if err != nil {
		return api.Removal{}, err
	}
	return remove(a, m, member)
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

// Join makes this node a member, for the next run to take the group up.
func (o *Offline) Join(ctx context.Context, req api.JoinRequest) (api.Group, error) {
	socket, err := tunnel.OpenSocket(netip.AddrPort{}, o.log)
	if err != nil {
		return api.Group{}, err
	}
	defer socket.Close()
	ov, err := overlay.Open(ctx, overlay.Config{
		Key: o.state.key, Socket: socket.QUIC(), LAN: o.cfg.LANDiscovery, Store: o.state.db, Log: o.log,
	})
	if err != nil {
		return api.Group{}, err
	}
	defer ov.Close()
	m, err := join(ctx, o.state, ov, cmp.Or(req.MemberName, o.cfg.Name), req.Token)
	if err != nil {
		return api.Group{}, err
	}
	return describeGroup(m, false), nil
}
