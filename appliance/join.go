package appliance

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"landbridge/console"
	"landbridge/console/api"
	"landbridge/internal/division"
	"landbridge/internal/group"
	"landbridge/internal/overlay"
)

// Join makes this appliance a member by an invitation, and takes the group up. Where the
// invitation demands approval it goes on asking by itself.
func (n *node) Join(ctx context.Context, req api.JoinRequest) (api.Joined, error) {
	n.joining.Lock()
	defer n.joining.Unlock()
	if err := n.settled(); err != nil {
		return api.Joined{}, err
	}
	inv, err := parseInvitation(req.Token)
	if err != nil {
		return api.Joined{}, err
	}
	if g, already, err := n.state.alreadyIn(inv.Group); already || err != nil {
		return api.Joined{Group: g, Already: already}, err
	}
	if err := n.checkInvited(inv); err != nil {
		return api.Joined{}, err
	}
	name := cmp.Or(req.MemberName, n.name())
	reply, waiting, err := n.state.knock(ctx, n.overlay, req.Token, name, inv)
	if err != nil {
		return api.Joined{}, errors.Join(err, n.pursueKept(inv.Group))
	}
	if waiting != nil {
		n.pursue(inv.Group, waiting)
		return n.state.waits(waiting), nil
	}
	m, err := n.enter(inv, reply)
	if err != nil {
		return api.Joined{}, err
	}
	n.pursue(inv.Group, nil)
	return api.Joined{Group: describeJoined(m, name)}, nil
}

// enter stores what the authority gave to a newcomer, and takes the group up. Where this
// appliance ran the group before, as no good member, that ends first, since its devices
// would be in the way of their successors; and goes on where nothing comes of it.
func (n *node) enter(inv group.Invitation, reply group.JoinReply) (*group.Membership, error) {
	if err := n.checkReply(inv, reply); err != nil {
		return nil, err
	}
	again, err := n.makeRoom(inv.Group)
	var m *group.Membership
	if err == nil {
		m, err = n.state.admitted(inv, reply)
	}
	if err != nil {
		return nil, errors.Join(err, n.resume(inv.Group, again))
	}
	if err := n.startNetwork(m); err != nil {
		if again { // a member again it is, whatever the devices say
			return nil, fmt.Errorf("this appliance is a member of the group %s again, but can't take part in it now: %w; mend that and restart the appliance", m.Descriptor().Name, err)
		}
		_, forgotten := n.state.leave(m.Group(), false)
		return nil, errors.Join(err, forgotten)
	}
	return m, nil
}

// checkReply says whether the group that a newcomer was let into can be taken up.
func (n *node) checkReply(inv group.Invitation, reply group.JoinReply) error {
	d, err := group.ParseDescriptor(reply.Descriptor)
	if err != nil {
		return err
	}
	err = n.checkNewcomer(division.Territory{ID: inv.Group, Name: d.Name, Prefix: d.Prefix, Gateways: gatewaysOf(d)})
	if err != nil {
		return console.Conflict(fmt.Errorf("%w; then use the same invitation again", err))
	}
	return nil
}

// makeRoom ends the work of a group, and reports whether it was at work.
func (n *node) makeRoom(id group.ID) (was bool, err error) {
	nw, ok := n.network(id)
	if !ok {
		return false, nil
	}
	n.mu.Lock()
	delete(n.networks, nw.id)
	n.mu.Unlock()
	n.divide()
	return true, nw.stop()
}

// resume takes up again, as the state has it, a group for which makeRoom made room.
func (n *node) resume(id group.ID, was bool) error {
	if !was {
		return nil
	}
	m, err := group.OpenMembership(n.state.db, n.state.key, id)
	if err == nil {
		err = n.startNetwork(m)
	}
	if err != nil {
		return fmt.Errorf("the group doesn't run here any more, until the appliance is restarted: %w", err)
	}
	return nil
}

// parseInvitation reads a token.
func parseInvitation(token string) (group.Invitation, error) {
	inv, err := group.ParseInvitation(token)
	if err != nil {
		return group.Invitation{}, console.Invalid(err, api.FieldError{Field: "token", Detail: err.Error()})
	}
	return inv, nil
}

// alreadyIn returns the group where this node is a member in good standing: not removed,
// and with a certificate that is good now.
func (s *state) alreadyIn(id group.ID) (g api.Group, already bool, err error) {
	m, err := group.OpenMembership(s.db, s.key, id)
	if errors.Is(err, group.ErrNoMembership) {
		return api.Group{}, false, nil
	}
	if err != nil {
		return api.Group{}, false, err
	}
	if m.Authorized(m.Self(), time.Now()) != nil {
		return api.Group{}, false, nil
	}
	g, err = s.describe(m)
	return g, err == nil, err
}

// joinTimeout bounds the way to a group's authority and back.
const joinTimeout = 30 * time.Second

// apply uses an invitation: it finds the group's authority by the addresses in it and
// exchanges the secret for a certificate. Nothing is stored, and whatever runs goes on.
func apply(ctx context.Context, s *state, o *overlay.Overlay, name string, inv group.Invitation) (group.JoinReply, error) {
	o.Add(inv.Addrs)
	ctx, cancel := context.WithTimeout(ctx, joinTimeout)
	defer cancel()
	request := group.NewJoinRequest(inv, group.NodeName(name))
	reply, err := askAuthority(ctx, o, inv.Authority, request)
	if unreachable := new(overlay.UnreachableError); errors.As(err, &unreachable) {
		// The attempt may have been one with a dial that the overlay began as it started, to
		// addresses of an earlier try.
		reply, err = askAuthority(ctx, o, inv.Authority, request)
	}
	if !refusesNewcomer(err) {
		s.keep() // the authority has admitted this node key, or may have
	}
	if err != nil {
		return group.JoinReply{}, explainJoin(err)
	}
	return reply, nil
}

// checkInvited says whether there is room here for the group of an invitation, before anybody is asked to decide.
func (s *state) checkInvited(inv group.Invitation) error {
	if !inv.Prefix.IsValid() || inv.Check(time.Now()) != nil {
		return nil // of a time when no prefix was in it; or over, which knock says
	}
	err := s.mustBeApart(division.Territory{ID: inv.Group, Name: "that of the invitation", Prefix: inv.Prefix})
	if err == nil {
		err = checkPrefix(inv.Prefix)
	}
	if err != nil {
		return console.Conflict(fmt.Errorf("%w; nobody was asked to let this appliance in: afterwards use the same invitation again", err))
	}
	return nil
}

// checkInvited does what the state's does, where the group doesn't run here already: its own route isn't in its way.
func (n *node) checkInvited(inv group.Invitation) error {
	if _, again := n.network(inv.Group); again {
		return nil
	}
	return n.state.checkInvited(inv)
}

// admitted stores the membership that apply was given.
func (s *state) admitted(inv group.Invitation, reply group.JoinReply) (*group.Membership, error) {
	d, err := group.ParseDescriptor(reply.Descriptor)
	if err != nil {
		return nil, err
	}
	err = s.mustBeApart(division.Territory{ID: inv.Group, Name: d.Name, Prefix: d.Prefix})
	if err == nil {
		err = checkPrefix(d.Prefix)
	}
	if err != nil {
		return nil, console.Conflict(fmt.Errorf("%w; then use the same invitation again", err))
	}
	m, err := group.SaveJoin(s.db, s.key, inv, reply, time.Now())
	if err != nil {
		return nil, err
	}
	return m, s.forgetApplication(inv.Group)
}

// refusesNewcomer reports whether err is the authority's refusal, which is final.
func refusesNewcomer(err error) bool {
	for _, refusal := range []error{
		group.ErrUsed, group.ErrExpired, group.ErrUnknownInvitation, group.ErrOtherGroup,
		group.ErrRemoved, group.ErrFull, group.ErrNotAuthority, group.ErrRevoked, group.ErrDenied,
	} {
		if errors.Is(err, refusal) {
			return true
		}
	}
	return false
}

// explainJoin tells a refusal from an authority that can't be reached.
func explainJoin(err error) error {
	if refusesNewcomer(err) {
		return console.Conflict(err)
	}
	if awaitsApproval(err) {
		return err
	}
	const advice = "see that the appliance that created the group runs, and that one of its addresses can be reached from here: where it is behind a NAT, its port must be forwarded, UDP and TCP"
	var away *overlay.UnreachableError
	switch {
	case errors.As(err, &away) && len(away.Tried) > 0:
		return console.Unavailable(fmt.Errorf("the group's authority can't be reached (%s): %s", away.Where(), advice))
	case errors.Is(err, context.DeadlineExceeded):
		return console.Unavailable(fmt.Errorf("no answer from the group's authority within %v: %s", joinTimeout, advice))
	}
	return console.Unavailable(fmt.Errorf("no answer from the group's authority (%w): %s", err, advice))
}

// Join makes this node a member, for the next run to take the group up. Where the
// invitation demands approval, Applications and the next run ask again.
func (o *Offline) Join(ctx context.Context, req api.JoinRequest) (api.Joined, error) {
	inv, err := parseInvitation(req.Token)
	if err != nil {
		return api.Joined{}, err
	}
	if g, already, err := o.state.alreadyIn(inv.Group); already || err != nil {
		return api.Joined{Group: g, Already: already}, err
	}
	if err := o.state.checkInvited(inv); err != nil {
		return api.Joined{}, err
	}
	name := cmp.Or(req.MemberName, o.cfg.Name)
	m, waiting, err := o.ask(ctx, req.Token, name, inv)
	if err != nil || waiting != nil {
		return o.state.waits(waiting), err
	}
	return api.Joined{Group: describeJoined(m, name)}, nil
}

// ask uses an invitation, once.
func (o *Offline) ask(ctx context.Context, token, name string, inv group.Invitation) (*group.Membership, *application, error) {
	ov, done, err := o.overlay(ctx)
	if err != nil {
		return nil, nil, err
	}
	defer done()
	reply, waiting, err := o.state.knock(ctx, ov, token, name, inv)
	if err != nil || waiting != nil {
		return nil, waiting, err
	}
	m, err := o.state.admitted(inv, reply)
	return m, nil, err
}
