package division

import (
	"fmt"
	"iter"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"landbridge/internal/config"
	"landbridge/internal/frame"
	"landbridge/internal/group"
	"landbridge/internal/modes"
)

// Territory is a group as far as the division goes.
type Territory struct {
	ID       group.ID // zero for one that is about to be created
	Name     string
	Prefix   netip.Prefix
	Gateways iter.Seq[frame.MAC] // with which its members answer; nil: none yet
}

// IsCalled reports whether somebody means the group by ref.
func (t Territory) IsCalled(ref string) bool { return ref == t.Name || ref == t.ID.String() }

// PortOf returns the LAN port of a group in router mode.
func PortOf(c config.Groups, s modes.Setup, t Territory) string {
	for _, p := range c.Ports {
		if t.IsCalled(p.Group) {
			return p.Port
		}
	}
	return s.LANPort
}

// PortsOf returns the LAN ports of all groups, each once; without groups that of the setup.
func PortsOf(c config.Groups, s modes.Setup, all []Territory) []string {
	if !s.AttachesLAN() || len(all) == 0 {
		if s.LANPort == "" {
			return nil
		}
		return []string{s.LANPort}
	}
	ports := make(map[string]bool)
	for _, t := range all {
		ports[PortOf(c, s, t)] = true
	}
	return slices.Sorted(maps.Keys(ports))
}

// Division says of which group each station of the LANs is. It doesn't change.
type Division struct {
	gateways map[frame.MAC]group.ID // of the groups' members
	hosts    map[frame.MAC]group.ID // that somebody named; the zero ID is a group that this appliance isn't in
	rest     map[string]group.ID    // by LAN port: of the hosts that nobody named
}

// Live is what was decided while the appliance ran. What the configuration says goes before it.
type Live struct {
	Hosts    Registered
	Defaults []group.ID // that take the hosts on their LAN ports that nobody names; of two on one port the first
}

// Registered are the hosts of groups that were registered while the appliance ran.
type Registered map[frame.MAC]group.ID

// Divide makes the division, nil where there is nothing to divide: one group that all hosts are of.
// It refuses groups of which hosts couldn't tell which is theirs.
//
// A registered host changes nothing for others: whose the hosts are that nobody names is for the
// default groups to say.
func Divide(c config.Groups, live Live, s modes.Setup, all []Territory) (*Division, error) {
	if err := Apart(all); err != nil {
		return nil, err
	}
	if !s.AttachesLAN() || len(all) < 2 && len(c.Hosts)+len(live.Hosts) == 0 {
		return nil, nil
	}
	d := &Division{gateways: make(map[frame.MAC]group.ID), hosts: hostsOf(c, live.Hosts, all), rest: make(map[string]group.ID)}
	sharing := make(map[string][]Territory)
	for _, t := range all {
		port := PortOf(c, s, t)
		sharing[port] = append(sharing[port], t)
		if t.Gateways != nil {
			for mac := range t.Gateways {
				d.gateways[mac] = t.ID
			}
		}
	}
	for port, groups := range sharing {
		isDefault := defaultOf(c, live, groups)
		for _, t := range groups {
			switch {
			case isDefault(t), len(groups) == 1 && !NamesHosts(c, t):
				d.rest[port] = t.ID
			case NamesHosts(c, t), live.Hosts.has(t.ID):
			case !slices.ContainsFunc(groups, isDefault): // else it has none until they are registered
				return nil, unserved(t, port, groups)
			}
		}
	}
	return d, nil
}

// defaultOf recognises which of the groups on one LAN port takes the hosts that nobody names.
func defaultOf(c config.Groups, live Live, groups []Territory) func(Territory) bool {
	configured := func(t Territory) bool { return IsDefault(c, t) }
	if slices.ContainsFunc(groups, configured) {
		return configured
	}
	for _, id := range live.Defaults {
		chosen := func(t Territory) bool { return t.ID == id }
		if slices.ContainsFunc(groups, chosen) {
			return chosen
		}
	}
	return func(Territory) bool { return false }
}

// IsDefault reports whether the configuration has a group take the hosts that nobody names.
func IsDefault(c config.Groups, t Territory) bool { return c.Default != "" && t.IsCalled(c.Default) }

// hostsOf says of which group each host is that somebody named.
func hostsOf(c config.Groups, registered Registered, all []Territory) map[frame.MAC]group.ID {
	hosts := make(map[frame.MAC]group.ID, len(c.Hosts)+len(registered))
	for mac, id := range registered {
		if !slices.ContainsFunc(all, func(t Territory) bool { return t.ID == id }) {
			id = group.ID{}
		}
		hosts[mac] = id
	}
	for _, h := range c.Hosts {
		hosts[h.MAC] = group.ID{}
		for _, t := range all {
			if t.IsCalled(h.Group) {
				hosts[h.MAC] = t.ID
			}
		}
	}
	return hosts
}

// has reports whether a group has hosts.
func (r Registered) has(id group.ID) bool {
	for _, of := range r {
		if of == id {
			return true
		}
	}
	return false
}

// NamesHosts reports whether the configuration has hosts for a group.
func NamesHosts(c config.Groups, t Territory) bool {
	return slices.ContainsFunc(c.Hosts, func(h config.GroupHost) bool { return t.IsCalled(h.Group) })
}

// Apart refuses groups that hosts or people couldn't tell from each other.
func Apart(all []Territory) error {
	for i, t := range all {
		for _, other := range all[:i] {
			if t.Prefix.Overlaps(other.Prefix) {
				return fmt.Errorf("the groups %s (%v) and %s (%v) overlap, so hosts couldn't tell them apart, and this appliance can't be in both: leave one of them (landbridge group leave), or use a second appliance on another machine",
					other.Name, other.Prefix, t.Name, t.Prefix)
			}
			if t.Name == other.Name {
				return fmt.Errorf("this appliance is in a group %s (%v) already, and in two of one name people couldn't tell them apart: leave that one first (landbridge group leave), or choose another name where the group is created",
					t.Name, other.Prefix)
			}
		}
	}
	return nil
}

// unserved is why a group can't share a LAN port.
func unserved(t Territory, port string, groups []Territory) error {
	var others []string
	for _, o := range groups {
		if o.ID != t.ID || o.Name != t.Name {
			others = append(others, o.Name)
		}
	}
	return fmt.Errorf("nothing says which hosts on the LAN port %s are of the group %s, and which of %s: register its hosts (landbridge hosts add MAC --group NAME) or name them in the configuration of this appliance (group-host: [\"%s=52:54:00:12:34:56\"]), "+
		"or have one of them take all that aren't named (landbridge segments set GROUP --default, or default-group: %s), or give it a port or VLAN to itself (group-port: [\"%s=%s.10\"]), and restart the appliance; nothing was done",
		port, t.Name, strings.Join(others, ", "), t.Name, t.Name, t.Name, port)
}

// Of returns the group of a host on a LAN port, the zero ID if it is of none.
func (d *Division) Of(mac frame.MAC, port string) group.ID {
	if id, named := d.hosts[mac]; named {
		return id
	}
	return d.Rest(port)
}

// Rest returns the group of the hosts on a LAN port that nobody named, the zero ID where they are
// of none.
func (d *Division) Rest(port string) group.ID { return d.rest[port] }

// Hosts goes through the hosts that were given to a group by name, in any order.
func (d *Division) Hosts(id group.ID) iter.Seq[frame.MAC] {
	return func(yield func(frame.MAC) bool) {
		for mac, of := range d.hosts {
			if of == id && !yield(mac) {
				return
			}
		}
	}
}

// Gateway returns the group with whose gateway MAC a member answers.
func (d *Division) Gateway(mac frame.MAC) (id group.ID, is bool) {
	id, is = d.gateways[mac]
	return id, is
}

// IsNamed reports whether a host was given to any group by name.
func (d *Division) IsNamed(mac frame.MAC) bool {
	_, named := d.hosts[mac]
	return named
}

// Names reports whether a host was given to a group by name.
func (d *Division) Names(mac frame.MAC, id group.ID) bool { return d.hosts[mac] == id }
