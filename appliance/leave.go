package appliance

import (
	"context"
	"errors"
	"fmt"
	"time"

	"landbridge/console"
	"landbridge/console/api"
	"landbridge/internal/group"
	"landbridge/internal/overlay"
	"landbridge/internal/registry"
	"landbridge/internal/store"
)

// Bounds of what an appliance that leaves does for those who stay.
const (
	vacateTimeout   = 5 * time.Second // giving blocks back
	farewellTimeout = 8 * time.Second // telling the authority
)

// Leave ends a group here: the devices go, then the blocks, then in one transaction all
// that the state has of it. Only then is the authority told, so that whatever happens
// this node either is a member or isn't.
func (n *node) Leave(_ context.Context, name string, destroyCA bool) (api.Departure, error) {
	n.joining.Lock()
	defer n.joining.Unlock()
	if err := n.settled(); err != nil {
		return api.Departure{}, err
	}
	m, err := n.state.findGroup(name)
	if err != nil {
		return api.Departure{}, err
	}
	if _, err := divide(n.cfg.Groups, n.roll.live(), n.setup(), n.territories(m.Group())); err != nil {
		return api.Departure{}, console.Conflict(fmt.Errorf("without the group %s: %w", m.Descriptor().Name, err))
	}
	d, err := n.state.departure(m, destroyCA)
	if err != nil {
		return api.Departure{}, err
	}
	if nw, ok := n.network(m.Group()); ok {
		nw.parting = func() { d.BlocksReleased = nw.vacate(n.base) }
		if err := nw.stop(); err != nil { // what is left of the devices, the next start puts right
			n.log.Error("group left, and its devices not all taken down", "group", d.GroupName, "err", err)
		}
		n.mu.Lock()
		delete(n.networks, nw.id)
		n.mu.Unlock()
	}
	if d.BlocksLapsing, err = n.state.leave(m.Group(), d.Authority); err != nil {
		return api.Departure{}, errors.Join(err, n.startNetwork(m))
	}
	n.roll.forgetRule(m.Group())
	d.InRoster = d.InRoster && !farewell(n.base, n.overlay, m)
	n.updateMembers()
	n.health.Of(m.Group().Short()).Forget()
	n.log.Info("group left", "group", d.GroupName)
	return d, nil
}

// Leave forgets a group; its authority is told, if it can be reached.
func (o *Offline) Leave(ctx context.Context, name string, destroyCA bool) (api.Departure, error) {
	m, err := o.state.findGroup(name)
	if err != nil {
		return api.Departure{}, err
	}
	d, err := o.state.departure(m, destroyCA)
	if err != nil {
		return api.Departure{}, err
	}
	if d.BlocksLapsing, err = o.state.leave(m.Group(), d.Authority); err != nil {
		return api.Departure{}, err
	}
	if !d.InRoster || d.Authority {
		return d, nil
	}
	ov, done, err := o.overlay(ctx)
	if err != nil {
		o.log.Debug("the authority can't be told", "err", err)
		return d, nil
	}
	defer done()
	d.InRoster = !farewell(ctx, ov, m)
	return d, nil
}

// departure is what there is to tell of a member that is about to leave. Where it would
// destroy the CA key unasked, it refuses.
func (s *state) departure(m *group.Membership, destroyCA bool) (api.Departure, error) {
	a, err := authorityOf(s.db, m.Group())
	if err != nil {
		return api.Departure{}, err
	}
	d := m.Descriptor()
	if a != nil && !destroyCA {
		return api.Departure{}, console.Conflict(fmt.Errorf("this appliance keeps the CA key of the group %s, and leaving destroys it: nobody could be invited, removed or given a new certificate any more. "+
			"If that is what you want, say so: landbridge group leave %s --yes", d.Name, d.Name))
	}
	entry, _ := d.Entry(m.Self())
	return api.Departure{
		Group: d.Group.String(), GroupName: d.Name, Name: entry.Name, Authority: a != nil,
		InRoster:     d.Check(m.Self()) == nil && len(d.Current()) > 1,
		LapseSeconds: int64(registry.LapseTime(d.HoldTime, d.LeaseTime) / time.Second),
	}, nil
}

// leave forgets a group in one transaction, and returns how many blocks were held still. The
// appliance that has the CA key can never come back.
func (s *state) leave(id group.ID, authority bool) (held int, err error) {
	err = s.db.Update(func(tx *store.Tx) error {
		if held, err = registry.Leave(tx, id, authority); err != nil {
			return err
		}
		if err := ruleBucket().Delete(tx, id[:]); err != nil {
			return err
		}
		return group.Forget(tx, id)
	})
	if err != nil {
		return 0, fmt.Errorf("leave group %s: %w", id.Short(), err)
	}
	return held, nil
}

// farewell tells the group's authority that this node has left, and reports whether the
// roster is without it now.
func farewell(ctx context.Context, o *overlay.Overlay, m *group.Membership) bool {
	authority := m.Descriptor().Authority
	if authority == m.Self() {
		return false // a roster without its authority there can't be
	}
	ctx, cancel := context.WithTimeout(ctx, farewellTimeout)
	defer cancel()
	_, err := askAuthority(ctx, o, authority, group.NewLeaveRequest(m.Group()))
	return err == nil || errors.Is(err, group.ErrRemoved) || errors.Is(err, group.ErrNotMember)
}

// vacate gives back what can be given back, once no host here is served any more.
func (n *network) vacate(ctx context.Context) (released int) {
	if n.standing() != nil {
		return 0 // removed: nobody answers
	}
	ctx, cancel := context.WithTimeout(ctx, vacateTimeout)
	defer cancel()
	if own, ok := n.ownLease(); ok { // its device has gone
		if err := n.registry.Release(ctx, n.ownClient(), own.Addr); err != nil {
			n.log.Debug("own address not given back", "err", err)
		}
	}
	return n.registry.Vacate(ctx)
}
