package config

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	"landbridge/dhcp"
	"landbridge/internal/frame"
)

// DHCP says which hosts of the LAN get addresses by DHCP (router mode).
type DHCP struct {
	// Serve says which hosts are served besides Hosts.
	Serve dhcp.Serve
	// Hosts are the hardware addresses of hosts that are served whatever Serve says.
	Hosts []frame.MAC
	// VendorClasses are beginnings of vendor classes (DHCP option 60); for dhcp.ServeVendorClass.
	VendorClasses []string
	// Ports are the UDP ports of server and clients.
	Ports dhcp.Ports
	// MTU says which MTU hosts are told to have.
	MTU HostMTU
	// ServeGiven and PortsGiven say that Serve, or Ports, was decided, and isn't the default. They are no settings.
	ServeGiven, PortsGiven bool
}

// HostMTU says which MTU the hosts of a LAN are told by DHCP (option 26) to have.
type HostMTU string

// The MTUs of hosts.
const (
	// MTUOfLAN leaves them that of their LAN, and the router fits what crosses the tunnel.
	MTUOfLAN HostMTU = "lan"
	// MTUOfGroup gives them the group's, for all that they send.
	MTUOfGroup HostMTU = "group"
)

// Option26 returns the MTU to be told, in bytes, in a group of that MTU on a LAN of that; 0 for none.
func (m HostMTU) Option26(group, lan int) int {
	if m == MTUOfGroup {
		return min(group, lan)
	}
	return 0
}

// Bounds of what a file can list.
const (
	maxDHCPHosts     = 1024
	MaxVendorClasses = 16
)

func dhcpSettings() []Setting {
	return []Setting{
		{Key: "dhcp", Value: "WHOM", Usage: "which hosts of the LAN get addresses: open, vendor-class or registered (router mode)",
			Default: func(c Config) string { return string(c.DHCP.Serve) },
			set: one(func(c *Config, v string) error {
				return oneOf(&c.DHCP.Serve, v, dhcp.ServeOpen, dhcp.ServeVendorClass, dhcp.ServeRegistered)
			})},
		{Key: "dhcp-host", Value: "MAC", Kind: List, Usage: "`MAC` of a host that gets an address whatever dhcp says; may be given more than once",
			Default: func(c Config) string { return strings.Join(texts(c.DHCP.Hosts), " ") }, example: "52:54:00:12:34:56",
			set: list(maxDHCPHosts, ParseHost, func(c *Config) *[]frame.MAC { return &c.DHCP.Hosts }), item: checked(ParseHost)},
		{Key: "dhcp-vendor-class", Value: "TEXT", Kind: List, Usage: "beginning, `TEXT`, of the vendor classes (option 60) of hosts that get addresses; may be given more than once",
			Default: func(c Config) string { return strings.Join(c.DHCP.VendorClasses, " ") }, example: "PXEClient",
			set: list(MaxVendorClasses, ParseVendorClass, func(c *Config) *[]string { return &c.DHCP.VendorClasses }), item: checked(ParseVendorClass)},
		{Key: "dhcp-ports", Value: "SERVER/CLIENT", Usage: "UDP ports of DHCP, others where the LAN has a DHCP server of its own",
			Default: func(c Config) string { return PortsText(c.DHCP.Ports) },
			set:     one(func(c *Config, v string) (err error) { c.DHCP.Ports, err = ParsePorts(v); return err })},
		{Key: "dhcp-mtu", Value: "WHICH", Usage: "MTU of the LAN's hosts: lan: as it is, the router fits what leaves; group: the group's, told by DHCP (router mode)",
			Default: func(c Config) string { return string(c.DHCP.MTU) },
			set:     one(func(c *Config, v string) error { return oneOf(&c.DHCP.MTU, v, MTUOfLAN, MTUOfGroup) })},
	}
}

func texts(macs []frame.MAC) []string {
	all := make([]string, len(macs))
	for i, m := range macs {
		all[i] = m.String()
	}
	return all
}

// list makes a setter of a list of at most so many values.
func list[T comparable](most int, parse func(string) (T, error), field func(*Config) *[]T) func(*Config, []string) error {
	return func(c *Config, values []string) error {
		if len(values) > most {
			return fmt.Errorf("%d values are more than %d", len(values), most)
		}
		var all []T
		var errs []string
		for _, v := range values {
			one, err := parse(v)
			if err != nil {
				errs = append(errs, err.Error())
			} else if !slices.Contains(all, one) {
				all = append(all, one)
			}
		}
		if len(errs) > 0 {
			return errors.New(strings.Join(errs, "; "))
		}
		*field(c) = all
		return nil
	}
}

// checked makes of a parser a check.
func checked[T any](parse func(string) (T, error)) func(string) error {
	return func(v string) error { _, err := parse(v); return err }
}

// ParseHost reads the hardware address of one host.
func ParseHost(v string) (frame.MAC, error) {
	hw, err := net.ParseMAC(v)
	mac, ok := frame.MACFrom(hw)
	if err != nil || !ok {
		return mac, fmt.Errorf("%q is not a hardware address, as 52:54:00:12:34:56", v)
	}
	if !mac.IsUnicast() {
		return mac, fmt.Errorf("%v is no single host's hardware address: it stands for a group, or for none", mac)
	}
	return mac, nil
}

// ParseVendorClass judges how vendor classes begin.
func ParseVendorClass(v string) (string, error) {
	if v == "" || len(v) > 255 {
		return "", errors.New("want 1 to 255 bytes: the beginning of what hosts say in DHCP option 60, as PXEClient")
	}
	return v, nil
}

// PortsText writes SERVER/CLIENT.
func PortsText(p dhcp.Ports) string { return fmt.Sprintf("%d/%d", p.Server, p.Client) }

// ParsePorts reads SERVER/CLIENT.
func ParsePorts(v string) (p dhcp.Ports, err error) {
	server, client, ok := strings.Cut(v, "/")
	s, err := strconv.ParseUint(server, 10, 16)
	c, err2 := strconv.ParseUint(client, 10, 16)
	switch {
	case !ok || err != nil || err2 != nil || s == 0 || c == 0:
		return p, fmt.Errorf("%q is not two UDP ports, the server's and the clients', as 67/68 or 1067/1068", v)
	case s == c:
		return p, fmt.Errorf("server and clients can't both have port %d", s)
	case s == 53:
		return p, errors.New("port 53 is the DNS server's")
	}
	return dhcp.Ports{Server: uint16(s), Client: uint16(c)}, nil
}

// checkDHCP finds DHCP settings that don't fit together.
func checkDHCP(cfg Config, origin map[string]configValue, bad map[string]bool) (faults []Fault) {
	if bad["dhcp"] || bad["dhcp-vendor-class"] {
		return nil
	}
	classes := len(cfg.DHCP.VendorClasses) > 0
	switch {
	case cfg.DHCP.Serve == dhcp.ServeVendorClass && !classes:
		faults = append(faults, origin["dhcp"].fault("dhcp: vendor-class needs dhcp-vendor-class: say how the vendor classes of the hosts begin, as dhcp-vendor-class: [PXEClient]"))
	case cfg.DHCP.Serve != dhcp.ServeVendorClass && classes:
		faults = append(faults, origin["dhcp-vendor-class"].fault("dhcp-vendor-class: it counts only with dhcp: vendor-class, and dhcp is %s: set that, or leave dhcp-vendor-class out", cfg.DHCP.Serve))
	}
	return faults
}
