package appliance

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"time"

	"landbridge/console"
	"landbridge/console/api"
	"landbridge/internal/config"
	"landbridge/internal/division"
	"landbridge/internal/frame"
	"landbridge/internal/group"
	"landbridge/internal/modes"
	"landbridge/internal/registry"
)

// What the API shows and takes of registered hosts, and what becomes of one that is of another
// group from now on.

// Hosts lists the registered hosts.
func (n *node) Hosts(context.Context) ([]api.RegisteredHost, error) {
	have := *n.roll.have.Load()
	macs := slices.Clone(n.roll.fixed)
	for _, h := range n.cfg.Groups.Hosts {
		macs = append(macs, h.MAC)
	}
	macs = slices.AppendSeq(macs, maps.Keys(have))
	all, told := make([]api.RegisteredHost, 0, len(macs)), make(map[frame.MAC]bool, len(macs))
	for _, mac := range macs {
		if !told[mac] {
			told[mac] = true
			all = append(all, n.describeHost(mac, have[mac]))
		}
	}
	return all, nil
}

// describeHost tells of a registered host as the API does.
func (n *node) describeHost(mac frame.MAC, r hostRecord) api.RegisteredHost {
	h := api.RegisteredHost{MAC: mac.String(), Note: r.Note, By: r.By}
	id, ref := r.group(), ""
	if fixed, is := n.fixedGroup(mac); is {
		id, ref, h.GroupConfigured = group.ID{}, fixed, true // whatever was registered
		for _, nw := range n.all() {
			if territoryOf(nw.membership).IsCalled(fixed) {
				id = nw.id
			}
		}
	}
	h.Configured = h.GroupConfigured || slices.Contains(n.roll.fixed, mac)
	if h.Configured && len(r.Group) == 0 {
		h.By = ""
	}
	h.GroupName = ref
	if nw, ok := n.network(id); ok {
		h.Group, h.GroupName = id.String(), nw.membership.Descriptor().Name
	} else {
		h.Elsewhere = ref != "" || id != (group.ID{})
	}
	if r.Since != 0 && !h.Configured {
		h.Since = time.Unix(0, r.Since).UTC()
	}
	return h
}

// fixedGroup returns what the configuration calls the group of a host.
func (n *node) fixedGroup(mac frame.MAC) (ref string, is bool) {
	i := slices.IndexFunc(n.cfg.Groups.Hosts, func(h config.GroupHost) bool { return h.MAC == mac })
	if i < 0 {
		return "", false
	}
	return n.cfg.Groups.Hosts[i].Group, true
}

// parseHost reads the hardware address of a host.
func parseHost(text string) (frame.MAC, error) {
	mac, err := config.ParseHost(text)
	if err != nil {
		return mac, console.Invalid(err, api.FieldError{Field: "mac", Detail: err.Error()})
	}
	return mac, nil
}

// readRegistration reads a request to register a host, as a change of what is known of it: what it
// doesn't say stays.
func (n *node) readRegistration(text string, req api.HostRegistration, by string) (mac frame.MAC, change func(*hostRecord), err error) {
	if mac, err = parseHost(text); err != nil {
		return mac, nil, err
	}
	var to group.ID
	if req.Group != nil && *req.Group != "" {
		nw, err := n.find(*req.Group)
		if err != nil {
			return mac, nil, aboutField("group", err)
		}
		to = nw.id
	}
	if fixed, is := n.fixedGroup(mac); is && req.Group != nil {
		nw, running := n.network(to)
		if !running || !territoryOf(nw.membership).IsCalled(fixed) {
			return mac, nil, console.Conflict(fmt.Errorf("%v is of the group %s by the configuration (group-host): change it there, and start the appliance anew", mac, fixed))
		}
	}
	if req.Note != nil {
		if err := checkNote(*req.Note); err != nil {
			return mac, nil, console.Invalid(fmt.Errorf("note: %w", err), api.FieldError{Field: "note", Detail: err.Error()})
		}
	}
	return mac, func(r *hostRecord) {
		if _, is := n.fixedGroup(mac); req.Group != nil && !is {
			r.in(to)
		}
		if req.Note != nil {
			r.Note = *req.Note
		}
		if r.By == "" || req.Group != nil {
			r.By = by
		}
	}, nil
}

// CheckHost says what RegisterHost would refuse.
func (n *node) CheckHost(_ context.Context, text string, req api.HostRegistration) error {
	mac, change, err := n.readRegistration(text, req, "")
	if err != nil {
		return err
	}
	have := *n.roll.have.Load()
	next := divided(have)
	record := have[mac]
	if change(&record); len(record.Group) == 0 {
		delete(next, mac)
	} else {
		next[mac] = record.group()
	}
	return n.fits(division.Live{Hosts: next, Defaults: n.roll.live().Defaults})
}

// fits refuses registrations with which the LAN couldn't be divided.
func (n *node) fits(live division.Live) error {
	_, err := divide(n.cfg.Groups, live, n.setup(), n.territories(group.ID{}))
	return err
}

// RegisterHost has DHCP serve a host from now on, whatever the policy says of others, and have it be
// of a group, or of another one.
func (n *node) RegisterHost(_ context.Context, text string, req api.HostRegistration, by string) (api.RegisteredHost, error) {
	mac, change, err := n.readRegistration(text, req, by)
	if err != nil {
		return api.RegisteredHost{}, err
	}
	if _, inGroup := n.fixedGroup(mac); inGroup && req.Note == nil || slices.Contains(n.roll.fixed, mac) && req == (api.HostRegistration{}) {
		return n.describeHost(mac, (*n.roll.have.Load())[mac]), nil // as it is already
	}
	record, err := n.roll.put(mac, change, n.fits)
	if err != nil {
		return api.RegisteredHost{}, err
	}
	return n.regroup(mac, record, by), nil
}

// ForgetHost ends a host's registration. A lease that it has in a group that it is still of it keeps
// until that ends.
func (n *node) ForgetHost(_ context.Context, text, by string) (api.RegisteredHost, error) {
	mac, err := parseHost(text)
	if err != nil {
		return api.RegisteredHost{}, err
	}
	_, inGroup := n.fixedGroup(mac)
	switch {
	case inGroup:
		return api.RegisteredHost{}, console.Conflict(fmt.Errorf("%v is registered by the configuration (group-host): take it out there, and start the appliance anew", mac))
	case slices.Contains(n.roll.fixed, mac):
		return api.RegisteredHost{}, console.Conflict(fmt.Errorf("%v is registered by the configuration (dhcp-host): take it out there, and start the appliance anew", mac))
	case !n.roll.has(mac):
		return api.RegisteredHost{}, console.NotFound(errors.New(mac.String() + " isn't registered: landbridge hosts lists those that are"))
	}
	was, err := n.roll.remove(mac, n.fits)
	if err != nil {
		return api.RegisteredHost{}, err
	}
	return n.regroup(mac, was, by), nil
}

// regroup takes up that a host may be of another group now. Where it is, what it has leased in the
// former one ends, and it is refused that as soon as it asks to renew it.
func (n *node) regroup(mac frame.MAC, r hostRecord, by string) api.RegisteredHost {
	n.divide()
	h := n.describeHost(mac, r)
	h.Ended = n.endMoved(by, func(l registry.Lease) bool { return l.MAC == mac })
	return h
}

// endMoved ends those of the leases that which names whose hosts aren't of their group any more.
func (n *node) endMoved(by string, which func(registry.Lease) bool) (ended []api.EndedLease) {
	for _, nw := range n.running() {
		if a := nw.attachment.Load(); a != nil && a.setup.Mode == modes.Router {
			ended = append(ended, nw.endOthers(a, which, func(frame.MAC) string { return by })...)
		}
	}
	return ended
}

// endOthers ends those leases that are of hosts of other groups now, or of none, and has the hosts refused
// them as they ask to renew. by tells who gave a host to another group.
func (n *network) endOthers(a *attachment, which func(registry.Lease) bool, by func(frame.MAC) string) (ended []api.EndedLease) {
	for l := range n.registry.Leases() {
		if !which(l) || !n.node.isHosts(l) || a.takes(l.MAC) {
			continue
		}
		notice := n.registry.Notice(l)
		switch _, err := n.registry.End(l.Addr, true, by(l.MAC)); {
		case err == nil:
			ended = append(ended, api.EndedLease{Address: l.Addr, Group: n.id.String(), GroupName: n.membership.Descriptor().Name, NoticedBy: notice.UTC()})
		case !errors.Is(err, registry.ErrNoLease):
			n.log.Warn("a lease of a host that is of another group now doesn't end yet", "addr", l.Addr, "mac", net.HardwareAddr(l.MAC[:]), "err", err)
		}
	}
	a.stations.noteLeft()
	return ended
}

// endFormer ends the leases of hosts that have become another group's while nobody was here to end them: the
// appliance stopped in the midst of moving a host, or its configuration divides the LAN otherwise now.
func (n *network) endFormer(ctx context.Context, a *attachment) {
	have := *n.node.roll.have.Load()
	n.endOthers(a, func(registry.Lease) bool { return ctx.Err() == nil }, func(mac frame.MAC) string { return have[mac].By })
}
