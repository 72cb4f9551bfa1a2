package appliance

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"landbridge/console/api"
	"landbridge/iface"
	"landbridge/internal/beacon"
	"landbridge/internal/config"
	"landbridge/internal/division"
	"landbridge/internal/group"
	"landbridge/internal/share"
	"landbridge/internal/sorting"
)

// What the API shows of the groups' segments, and of the other appliances there.

// Segments lists what the groups are attached to.
func (n *node) Segments(context.Context) ([]api.Segment, error) {
	d, err := divide(n.cfg.Groups, n.roll.live(), n.setup(), n.territories(group.ID{}))
	if err != nil {
		return nil, err
	}
	var all []api.Segment
	for _, nw := range n.running() {
		s, err := nw.describeSegment(d)
		if err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	return all, nil
}

func (n *network) describeSegment(d *division.Division) (api.Segment, error) {
	g := n.membership.Descriptor()
	s := api.Segment{
		Group: n.id.String(), GroupName: g.Name, Prefix: g.Prefix, ServiceAddress: g.ServiceAddr(),
		Attachment: n.attached(), Neighbours: []api.Neighbour{},
	}
	own, _ := n.ownLease()
	for l := range n.registry.Leases() {
		if l.Addr != own.Addr {
			s.Hosts++
		}
	}
	a := n.attachment.Load()
	if a == nil || a.setup.LANPort == "" {
		return s, nil
	}
	s.Remainder = d == nil && a.setup.AttachesLAN()
	if d != nil {
		s.Remainder = d.Rest(a.setup.LANPort) == n.id
		for mac := range d.Hosts(n.id) {
			s.Assigned = append(s.Assigned, mac.String())
		}
		slices.Sort(s.Assigned)
	}
	s.Neighbours = n.describeNeighbours(a)
	if a.segment != nil {
		s.Unregistered = n.unregistered(a.segment, d)
		s.Dhcp = n.describeRule()
		s.RemainderConfigured = n.remainderConfigured(a.setup.LANPort)
	}
	var err error
	s.Trunk, s.Vlan, err = iface.VLANOf(a.setup.LANPort)
	return s, err
}

// describeRule tells whom DHCP serves on the group's segment.
func (n *network) describeRule() api.SegmentDhcp {
	is, set := n.dhcp(), (*n.node.roll.rules.Load())[n.id]
	d := api.SegmentDhcp{
		Serve: api.ServeRule(is.Serve), VendorClasses: append([]string{}, is.VendorClasses...), Ports: config.PortsText(is.Ports),
		ServeConfigured: is.ServeGiven, PortsConfigured: is.PortsGiven, Version: set.Version,
	}
	if set.Since != 0 {
		d.SetBy, d.SetAt = set.By, time.Unix(0, set.Since).UTC()
	}
	return d
}

// remainderConfigured reports whether the configuration says whose the hosts of a LAN port are that nobody names.
func (n *network) remainderConfigured(port string) bool {
	return slices.ContainsFunc(n.node.territories(group.ID{}), func(t division.Territory) bool {
		return division.IsDefault(n.node.cfg.Groups, t) && division.PortOf(n.node.cfg.Groups, n.node.setup(), t) == port
	})
}

// describeNeighbours tells who is on the segment, by name.
func (n *network) describeNeighbours(a *attachment) []api.Neighbour {
	all := []api.Neighbour{}
	switch {
	case a.neighbours != nil:
		r := a.neighbours
		view := company{self: beacon.Neighbor{Member: r.self, MAC: r.macOf(r.self), Says: r.says()}, others: r.beacon.Neighbors(), circle: r.circle.Load()}
		if standing := r.standing.Load(); standing != nil {
			view.standing = slices.Collect(maps.Keys(*standing))
		}
		all = view.describe(n.memberName)
	case a.hybrid != nil:
		if b := a.hybrid.beacon.Load(); b != nil {
			all = company{others: b.Neighbors(), circle: share.NewCircle(n.membership.Self())}.describe(n.memberName)
		}
	}
	sorting.By(all, func(x, y api.Neighbour) int {
		return cmp.Or(strings.Compare(x.Name, y.Name), strings.Compare(x.MemberID, y.MemberID))
	})
	return all
}

// company is who is on a segment, as one of them sees it.
type company struct {
	self     beacon.Neighbor // zero where this appliance is no router
	others   []beacon.Neighbor
	standing []group.MemberID // for whom this appliance stands in
	circle   *share.Circle    // who takes part
}

// describe tells of each. Members whose work this appliance does, though they aren't heard
// at all any more, are told of as silent.
func (c company) describe(name func(group.MemberID) string) []api.Neighbour {
	present := slices.Clone(c.others)
	if !c.self.Member.IsZero() {
		present = append(present, c.self)
	}
	for _, m := range c.standing {
		if !slices.ContainsFunc(present, func(n beacon.Neighbor) bool { return n.Member == m }) {
			present = append(present, beacon.Neighbor{Member: m, Says: beacon.Says{Router: true}, Silent: true})
		}
	}
	takePart := 0
	for _, n := range present {
		if c.circle.Has(n.Member) {
			takePart++
		}
	}
	all := []api.Neighbour{}
	for _, n := range present {
		d := api.Neighbour{MemberID: n.Member.String(), Name: name(n.Member), Self: n.Member == c.self.Member, Router: n.Says.Router, Since: utc(n.Since), State: c.state(n)}
		if !n.MAC.IsZero() {
			d.MAC = n.MAC.String()
		}
		switch {
		case d.State == api.NeighbourStateServing:
			d.Percent = (100 + takePart/2) / takePart
		case slices.Contains(c.standing, n.Member):
			d.StandIn = name(c.self.Member)
		case n.Says.Router && takePart > 0:
			d.StandIn = name(c.circle.Owner(share.MemberKey(n.Member)))
		}
		all = append(all, d)
	}
	return all
}

// state says in a word how a neighbour is.
func (c company) state(n beacon.Neighbor) api.NeighbourState {
	switch {
	case !n.Says.Router:
		return api.NeighbourStateHost
	case n.Silent:
		return api.NeighbourStateSilent
	case !n.Says.LANWell:
		return api.NeighbourStateLanDown
	case !n.Says.WANWell:
		return api.NeighbourStateWanDown
	case c.circle.Has(n.Member):
		return api.NeighbourStateServing
	default:
		return api.NeighbourStateReady
	}
}
