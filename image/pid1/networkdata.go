package pid1

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"landbridge/image/userdata"
)

// networkData is the part of OpenStack's network_data.json that is read
// (https://docs.openstack.org/nova/latest/user/metadata.html, openstack/latest/network_data.json).
type networkData struct {
	Links []struct {
		ID, Type string
		MAC      string `json:"ethernet_mac_address"`
		MTU      int
	}
	Networks []cloudNetwork
	Services []cloudService
}

type cloudNetwork struct {
	Type, Link string
	Address    string `json:"ip_address"` // with the network's length, or without
	Netmask    string
	Routes     []struct{ Network, Netmask, Gateway string }
	Services   []cloudService
}

type cloudService struct{ Type, Address string }

// Bounds of a link's MTU in bytes: an IPv6 link has 1280 at least (RFC 8200, 5), a jumbo frame 9216.
const (
	leastMTU   = 1280
	largestMTU = 9216
)

var errNoNetwork = errors.New("network_data.json names no network that the management port could be in: none is of a port of its own, and IPv4 or static IPv6")

// managementOf returns how the machine is to be reached by what its cloud says: in the first network with a
// default route, or else in the first one. What is of a bond or a VLAN is passed over, as are routes but the
// default one: this machine has one port to be reached by.
func managementOf(text []byte) (userdata.Management, error) {
	var d networkData
	if err := json.Unmarshal(text, &d); err != nil {
		return userdata.Management{}, fmt.Errorf("network_data.json can't be read: %w", err)
	}
	var all []userdata.Management
	for _, n := range d.Networks {
		m, ok, err := d.management(n)
		if err != nil {
			return userdata.Management{}, fmt.Errorf("network_data.json: %w", err)
		}
		if ok {
			all = append(all, m)
		}
	}
	if len(all) == 0 {
		return userdata.Management{}, errNoNetwork
	}
	// By DHCP there is a default route as a rule.
	first := slices.IndexFunc(all, func(m userdata.Management) bool { return m.Gateway.IsValid() || !m.Address.IsValid() })
	return all[max(first, 0)], nil
}

// management returns how a machine is reached in a network, unless it is in that by no port of its own.
func (d networkData) management(n cloudNetwork) (m userdata.Management, ok bool, err error) {
	for _, l := range d.Links {
		if mac, err := net.ParseMAC(l.MAC); err == nil && len(mac) == 6 && l.ID == n.Link && l.Type != "bond" && l.Type != "vlan" {
			m.Port = mac.String()
			if l.MTU >= leastMTU && l.MTU <= largestMTU {
				m.MTU = l.MTU
			}
		}
	}
	if m.Port == "" {
		return m, false, nil
	}
	switch n.Type {
	case "ipv4_dhcp":
	case "ipv4", "ipv6":
		if m.Address, err = prefixOf(n.Address, n.Netmask); err != nil {
			return m, false, err
		}
		m.Gateway = n.gateway(m.Address)
	default:
		return m, false, nil
	}
	for _, s := range slices.Concat(n.Services, d.Services) {
		a, err := netip.ParseAddr(s.Address)
		if s.Type == "dns" && err == nil && len(m.DNS) < userdata.MaxServers && !slices.Contains(m.DNS, a) {
			m.DNS = append(m.DNS, a)
		}
	}
	return m, true, nil
}

// gateway returns that of the default route, if it is a station of the network.
func (n cloudNetwork) gateway(in netip.Prefix) netip.Addr {
	for _, r := range n.Routes {
		to, err := prefixOf(r.Network, r.Netmask)
		via, wrong := netip.ParseAddr(r.Gateway)
		if err == nil && wrong == nil && to.Bits() == 0 && to.Addr().IsUnspecified() && in.Masked().Contains(via) && via != in.Addr() {
			return via
		}
	}
	return netip.Addr{}
}

// prefixOf reads an address with its network's length behind it, or beside it as a mask.
func prefixOf(address, netmask string) (netip.Prefix, error) {
	if p, err := netip.ParsePrefix(address); err == nil {
		return p, nil
	}
	a, err := netip.ParseAddr(address)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("%.100q is no address", address)
	}
	mask, err := netip.ParseAddr(netmask)
	if err != nil || mask.BitLen() != a.BitLen() {
		return netip.Prefix{}, fmt.Errorf("%.100q is no mask for %v", netmask, a)
	}
	ones, bits := net.IPMask(mask.AsSlice()).Size()
	if bits == 0 {
		return netip.Prefix{}, fmt.Errorf("%v is no mask: its ones aren't in one run", mask)
	}
	return netip.PrefixFrom(a, ones), nil
}
