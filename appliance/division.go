package appliance

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"landbridge/console"
	"landbridge/iface"
	"landbridge/internal/config"
	"landbridge/internal/frame"
	"landbridge/internal/group"
	"landbridge/internal/modes"
)

// Where the appliance is in several groups, each has its own TAP, gateway MAC, services and
// host table, and those whose LAN port is the same share its bridge. Which group a host is of
// is decided by its MAC, by the configuration alone: a host is of one group at most.

// territory is a group as far as the division goes.
type territory struct {
	id      group.ID // zero for one that is about to be created
	name    string
	prefix  netip.Prefix
	members []group.MemberID
}

func territoryOf(m *group.Membership) territory {
	d := m.Descriptor()
	return territory{id: m.Group(), name: d.Name, prefix: d.Prefix, members: d.Current()}
}

// isCalled reports whether somebody means the group by ref.
func (t territory) isCalled(ref string) bool { return ref == t.name || ref == t.id.String() }

// portOf returns the LAN port of a group in router mode.
func portOf(c config.Groups, s modes.Setup, t territory) string {
	for _, p := range c.Ports {
		if t.isCalled(p.Group) {
			return p.Port
		}
	}
	return s.LANPort
}

// portsOf returns the LAN ports of all groups, each once; without groups that of the setup.
func portsOf(c config.Groups, s modes.Setup, all []territory) []string {
	if !s.AttachesLAN() || len(all) == 0 {
		if s.LANPort == "" {
			return nil
		}
		return []string{s.LANPort}
	}
	ports := make(map[string]bool)
	for _, t := range all {
		ports[portOf(c, s, t)] = true
	}
	return slices.Sorted(maps.Keys(ports))
}

// division says of which group each station of the LANs is. It doesn't change.
type division struct {
	gateways map[frame.MAC]group.ID // of the groups' members
	hosts    map[frame.MAC]group.ID // as configured; the zero ID is a group that this appliance isn't in
	rest     map[string]group.ID    // by LAN port: of the hosts that the configuration doesn't name
}

// divide makes the division, nil where there is nothing to divide: one group that all hosts are of.
// It refuses groups of which hosts couldn't tell which is theirs.
func divide(c config.Groups, s modes.Setup, all []territory) (*division, error) {
	if err := apart(all); err != nil {
		return nil, err
	}
	if !s.AttachesLAN() || len(all) < 2 && len(c.Hosts) == 0 {
		return nil, nil
	}
	d := &division{gateways: make(map[frame.MAC]group.ID), hosts: make(map[frame.MAC]group.ID), rest: make(map[string]group.ID)}
	for _, h := range c.Hosts {
		d.hosts[h.MAC] = group.ID{}
	}
	sharing := make(map[string][]territory)
	for _, t := range all {
		port := portOf(c, s, t)
		sharing[port] = append(sharing[port], t)
		for _, m := range t.members {
			d.gateways[frame.MAC(gatewayMAC(t.id, m))] = t.id
		}
		for _, h := range c.Hosts {
			if t.isCalled(h.Group) {
				d.hosts[h.MAC] = t.id
			}
		}
	}
	for port, groups := range sharing {
		for _, t := range groups {
			switch {
			case c.Default != "" && t.isCalled(c.Default), len(groups) == 1 && !namesHosts(c, t):
				d.rest[port] = t.id
			case !namesHosts(c, t):
				return nil, unserved(t, port, groups)
			}
		}
	}
	return d, nil
}

// namesHosts reports whether the configuration has hosts for a group.
func namesHosts(c config.Groups, t territory) bool {
	return slices.ContainsFunc(c.Hosts, func(h config.GroupHost) bool { return t.isCalled(h.Group) })
}

// apart refuses groups that hosts or people couldn't tell from each other.
func apart(all []territory) error {
	for i, t := range all {
		for _, other := range all[:i] {
			if t.prefix.Overlaps(other.prefix) {
				return console.Conflict(fmt.Errorf("the groups %s (%v) and %s (%v) overlap, so hosts couldn't tell them apart, and this appliance can't be in both: leave one of them (landbridge group leave), or use a second appliance on another machine",
					other.name, other.prefix, t.name, t.prefix))
			}
			if t.name == other.name {
				return console.Conflict(fmt.Errorf("this appliance is in a group %s (%v) already, and in two of one name people couldn't tell them apart: leave that one first (landbridge group leave), or choose another name where the group is created",
					t.name, other.prefix))
			}
		}
	}
	return nil
}

// unserved is why a group can't share a LAN port.
func unserved(t territory, port string, groups []territory) error {
	var others []string
	for _, o := range groups {
		if o.id != t.id || o.name != t.name {
			others = append(others, o.name)
		}
	}
	return console.Conflict(fmt.Errorf("nothing says which hosts on the LAN port %s are of the group %s, and which of %s: in the configuration of this appliance name its hosts (group-host: [\"%s=52:54:00:12:34:56\"]), "+
		"or have it take all that aren't named (default-group: %s), or give it a port or VLAN to itself (group-port: [\"%s=%s.10\"]), and restart the appliance; nothing was done",
		port, t.name, strings.Join(others, ", "), t.name, t.name, t.name, port))
}

// of returns the group of a host on a LAN port, the zero ID if it is of none.
func (d *division) of(mac frame.MAC, port string) group.ID {
	if id, named := d.hosts[mac]; named {
		return id
	}
	return d.rest[port]
}

// stations is the division as an attachment's router sees it.
type stations struct {
	network    *network
	port       string
	bridge     frame.MAC // with which the appliance itself asks the LAN, as when a switch of the mode is verified
	neighbours *neighbours
}

func (n *network) newStations(a *attachment) (*stations, error) {
	hw, err := a.bridge.MAC()
	if err != nil {
		return nil, err
	}
	mac, _ := frame.MACFrom(hw)
	return &stations{n, a.setup.LANPort, mac, a.neighbours}, nil
}

// Ours reports whether frames of a station are this group's business: those of its hosts, of its
// routers, and of members that are proven to be on this wire.
func (s stations) Ours(mac frame.MAC) bool {
	d := s.network.node.division.Load()
	if d == nil {
		return true
	}
	if id, gateway := d.gateways[mac]; gateway {
		return id == s.network.id
	}
	return d.of(mac, s.port) == s.network.id || mac == s.bridge || s.neighbours.speaksAs(mac)
}

// named reports whether the configuration gives a host to the group.
func (n *network) named(mac frame.MAC) bool {
	d := n.node.division.Load()
	return d != nil && d.hosts[mac] == n.id
}

// isGateway recognises the gateway MAC of a member of another group that this appliance is in.
func (n *network) isGateway(mac frame.MAC) bool {
	d := n.node.division.Load()
	if d == nil {
		return false
	}
	_, is := d.gateways[mac]
	return is
}

// territories lists the groups at work here, but the one of this ID.
func (n *node) territories(but group.ID) (all []territory) {
	for _, nw := range n.all() {
		if nw.id != but {
			all = append(all, territoryOf(nw.membership))
		}
	}
	return all
}

// divide brings the division up to date: groups or their members have changed, or the mode.
func (n *node) divide() {
	n.dividing.Lock()
	defer n.dividing.Unlock()
	d, err := divide(n.cfg.Groups, n.setup(), n.territories(group.ID{}))
	if err != nil { // it was found out before
		n.log.Error("hosts of the LAN can't be divided among the groups", "err", err)
		return
	}
	n.division.Store(d)
}

// checkNewcomer says whether a group can be taken up beside those that are, changing nothing.
func (n *node) checkNewcomer(t territory) error {
	s, others := n.setup(), n.territories(t.id)
	if _, err := divide(n.cfg.Groups, s, append(others, t)); err != nil {
		return err
	}
	if port := portOf(n.cfg.Groups, s, t); s.Mode == modes.Router && n.bridgeOn(port) == nil {
		return iface.CheckPort(port, n.state.owner())
	}
	return nil
}

// bridgeOn returns the bridge that a group has on a LAN port, for another to share.
func (n *node) bridgeOn(port string) *iface.Bridge {
	for _, nw := range n.all() {
		if a := nw.attachment.Load(); a != nil && a.bridge != nil && a.setup.LANPort == port {
			return a.bridge
		}
	}
	return nil
}

// placed is the setup with the group's own LAN port.
func (n *network) placed(s modes.Setup) modes.Setup {
	if s.AttachesLAN() {
		s.LANPort = portOf(n.node.cfg.Groups, s, territoryOf(n.membership))
	}
	return s
}
