package config

import (
	"fmt"
	"strings"

	"landbridge/internal/frame"
)

// Groups says which hosts of the LAN are of which group (router mode). A group is called by
// its name or its ID.
type Groups struct {
	// Hosts are the hosts of groups, by MAC.
	Hosts []GroupHost
	// Default is the group of the hosts on its LAN port that Hosts doesn't name. Without it
	// they are of the group that has a LAN port to itself and no host in Hosts, else of none.
	Default string
	// Ports are the LAN ports of groups that don't have LANPort.
	Ports []GroupPort
}

// GroupHost says of which group a host is.
type GroupHost struct {
	Group string
	MAC   frame.MAC
}

// GroupPort says which LAN port is a group's.
type GroupPort struct{ Group, Port string }

// maxGroupHosts bounds the hosts that a file names; maxGroupPorts the groups with a port.
const (
	maxGroupHosts = 1024
	maxGroupPorts = 64
)

func groupSettings() []Setting {
	return []Setting{
		{Key: "group-host", Value: "GROUP=MAC", Kind: List, Usage: "`GROUP=MAC`: the host with this hardware address is of that group (router mode); may be given more than once",
			Default: func(c Config) string {
				return listed(c.Groups.Hosts, func(h GroupHost) string { return h.Group + "=" + h.MAC.String() })
			}, example: "lab=52:54:00:12:34:56",
			set: list(maxGroupHosts, parseGroupHost, func(c *Config) *[]GroupHost { return &c.Groups.Hosts }), item: checked(parseGroupHost)},
		{Key: "default-group", Value: "GROUP", Usage: "the group of all hosts that group-host doesn't name (router mode)",
			Default: func(c Config) string { return c.Groups.Default },
			set:     one(func(c *Config, v string) error { c.Groups.Default = v; return checkGroupRef(v) })},
		{Key: "group-port", Value: "GROUP=IFACE", Kind: List, Usage: "`GROUP=IFACE`: a LAN port for that group instead of lan-port, as lab=eth1.10 for VLAN 10 of eth1; may be given more than once",
			Default: func(c Config) string {
				return listed(c.Groups.Ports, func(p GroupPort) string { return p.Group + "=" + p.Port })
			}, example: "lab=eth1.10",
			set: list(maxGroupPorts, parseGroupPort, func(c *Config) *[]GroupPort { return &c.Groups.Ports }), item: checked(parseGroupPort)},
	}
}

func listed[T any](all []T, text func(T) string) string {
	texts := make([]string, len(all))
	for i, v := range all {
		texts[i] = text(v)
	}
	return strings.Join(texts, " ")
}

// checkGroupRef judges what a group is called by.
func checkGroupRef(v string) error {
	if v == "" || len(v) > 64 || strings.ContainsAny(v, " =\t\n") {
		return fmt.Errorf("%q can't be a group: want its name or its ID, as landbridge group show has them", v)
	}
	return nil
}

// cutGroup reads GROUP=WHAT.
func cutGroup(v, example string) (ref, what string, err error) {
	ref, what, ok := strings.Cut(v, "=")
	if !ok {
		return "", "", fmt.Errorf("%q doesn't say which group: want GROUP=%s", v, example)
	}
	return ref, what, checkGroupRef(ref)
}

func parseGroupHost(v string) (h GroupHost, err error) {
	ref, mac, err := cutGroup(v, "MAC, as lab=52:54:00:12:34:56")
	if err == nil {
		h.Group = ref
		h.MAC, err = ParseHost(mac)
	}
	return h, err
}

func parseGroupPort(v string) (p GroupPort, err error) {
	ref, port, err := cutGroup(v, "IFACE, as lab=eth1 or, for VLAN 10 of eth1, lab=eth1.10")
	if err == nil {
		p = GroupPort{ref, port}
		err = checkInterfaceName(port)
	}
	return p, err
}

// checkGroups finds settings that give a host, or a group a port, twice.
func checkGroups(cfg Config, origin map[string]configValue, bad map[string]bool) (faults []Fault) {
	if !bad["group-host"] {
		group := make(map[frame.MAC]string)
		for _, h := range cfg.Groups.Hosts {
			if other, twice := group[h.MAC]; twice {
				faults = append(faults, origin["group-host"].fault("group-host: %v is of %s and of %s: a host is of one group", h.MAC, other, h.Group))
			}
			group[h.MAC] = h.Group
		}
	}
	if !bad["group-port"] {
		port := make(map[string]string)
		for _, p := range cfg.Groups.Ports {
			if other, twice := port[p.Group]; twice {
				faults = append(faults, origin["group-port"].fault("group-port: %s has %s and %s: a group has one LAN port", p.Group, other, p.Port))
			}
			port[p.Group] = p.Port
		}
	}
	return faults
}
