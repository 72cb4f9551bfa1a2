package appliance

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net/netip"

	"landbridge/console/api"
	"landbridge/internal/config"
	"landbridge/internal/division"
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
	if err := n.settled(); err != nil {
		return api.Group{}, err
	}
	p, err := groupParams(req)
	if err != nil {
		return api.Group{}, err
	}
	if err := n.checkNewcomer(division.Territory{Name: p.Name, Prefix: p.Prefix}); err != nil {
		return api.Group{}, err
	}
	if err := checkPrefix(p.Prefix); err != nil {
		return api.Group{}, err
	}
	m, err := n.state.createGroup(cmp.Or(req.MemberName, n.name()), p)
	if err != nil {
		return api.Group{}, err
	}
	if err := n.startNetwork(m); err != nil {
		_, forgotten := n.state.leave(m.Group(), true)
		return api.Group{}, errors.Join(err, forgotten)
	}
	return describeGroup(m, true), nil
}

// Remove ends a membership. The network's subscription takes the new descriptor to
// this appliance's own Membership before Remove returns, and then to the others.
func (n *node) Remove(_ context.Context, name, member, reason string) (api.Removal, error) {
	nw, err := n.find(name)
	if err != nil {
		return api.Removal{}, err
	}
	return remove(nw.authority, nw.membership, member, reason)
}

func (s *state) describeGroups() ([]api.Group, error) {
	all := []api.Group{}
	ms, err := s.memberships()
	if err != nil {
		return nil, err
	}
	for _, m := range ms {
		g, err := s.describe(m)
		if err != nil {
			return nil, err
		}
		all = append(all, g)
	}
	return all, nil
}

func (s *state) describe(m *group.Membership) (api.Group, error) {
	a, err := authorityOf(s.db, m.Group())
	return describeGroup(m, a != nil), err
}

// Offline works on a state directory while no daemon runs on it.
type Offline struct {
	cfg   config.Config
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
	cfg := config.Default()
	if cfg.Name, err = s.calledName(cfg); err != nil {
		return nil, errors.Join(err, s.close())
	}
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

// Remove ends a membership; the others hear of it in the next run.
func (o *Offline) Remove(_ context.Context, name, member, reason string) (api.Removal, error) {
	a, m, err := o.find(name)
	if err != nil {
		return api.Removal{}, err
	}
	return remove(a, m, member, reason)
}

// overlay opens an overlay for a question or two; done closes it.
func (o *Offline) overlay(ctx context.Context) (ov *overlay.Overlay, done func(), err error) {
	l, err := loop.Open(false)
	if err != nil {
		return nil, nil, err
	}
	socket, err := tunnel.OpenSocket(l, netip.AddrPort{}, o.log)
	if err != nil {
		return nil, nil, errors.Join(err, l.Close())
	}
	ov, err = overlay.Open(ctx, overlay.Config{
		Key: o.state.key, Socket: socket.QUIC(), Proxy: o.cfg.Proxy, LAN: o.cfg.LANDiscovery, Store: o.state.db, Log: o.log,
	})
	if err != nil {
		return nil, nil, errors.Join(err, socket.Close(), l.Close())
	}
	return ov, func() {
		if err := errors.Join(ov.Close(), socket.Close(), l.Close()); err != nil {
			o.log.Debug("overlay not closed cleanly", "err", err)
		}
	}, nil
}
