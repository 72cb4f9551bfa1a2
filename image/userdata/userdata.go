package userdata

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	"landbridge/console/access"
	"landbridge/internal/config"
	"landbridge/internal/group"
)

// Data is what an appliance is given for its first start. The zero value decides nothing.
type Data struct {
	Name       string              // the machine's and the appliance's; empty: none was given
	Settings   map[string][]string // Landbridge's settings by their keys, as flags have them
	Management Management
	NTP        []string // time servers, names or addresses
	// Administrator of the console, and the hash of the password; both or none.
	Administrator, PasswordHash string
	Create                      Group  // the group to create; no Name: none
	Invitation                  string // to the group to join; empty: none
}

// Management is how the machine is reached.
type Management struct {
	Told    bool         // whether the file says anything of port or address
	Port    string       // network interface, or its hardware address; empty: the first
	Address netip.Prefix // invalid: by DHCP
	Gateway netip.Addr   // with Address only; invalid: none
	DNS     []netip.Addr // besides those that DHCP names
	MTU     int          // bytes; 0: the port's own. No file says it: a cloud does
}

// Group is one to be created.
type Group struct {
	Name   string
	Prefix netip.Prefix
	Zone   string // empty: of the name
}

// DefaultPrefix is that of a group to create where none is given.
const DefaultPrefix = "10.9.0.0/16"

// MaxServers bounds lists of servers.
const MaxServers = 8

// Keys returns the keys that are the machine's, and not Landbridge's.
func Keys() (keys []string) {
	for _, s := range settings(&Data{}) {
		keys = append(keys, s.Key)
	}
	return keys
}

// Without returns the keys of Landbridge that are not the operator's to set here.
func Without() []string { return []string{"state", "console-listen"} }

// Parse reads a file; name is what errors call it. The error is a *config.Error with everything
// that is wrong, and then there is no Data. It doesn't look at the machine.
func Parse(name string, content []byte) (Data, error) {
	var d Data
	m := config.Mixed{Own: settings(&d), Without: Without(), Together: func(c config.Config) map[string]string { return d.together(c) }}
	cfg, given, err := m.Load(name, content)
	if err != nil {
		return Data{}, err
	}
	d.Settings = given
	if cfg.NameGiven {
		d.Name = cfg.Name
	}
	return d, nil
}

func settings(d *Data) []config.Setting {
	return []config.Setting{
		config.NewSetting("management-port", config.Text, "", func(v string) error { d.Management.Told = true; return setPort(&d.Management.Port, v) }),
		config.NewSetting("management-address", config.Text, "", func(v string) error { d.Management.Told = true; return setAddress(&d.Management.Address, v) }),
		config.NewSetting("management-gateway", config.Text, "", func(v string) (err error) { d.Management.Gateway, err = parseAddr(v); return err }),
		config.NewSetting("dns", config.List, "192.0.2.53", func(v string) error {
			a, err := parseAddr(v)
			return errors.Join(err, addTo(&d.Management.DNS, a))
		}),
		config.NewSetting("ntp", config.List, "192.0.2.123", func(v string) error {
			return errors.Join(checkServer(v), addTo(&d.NTP, v))
		}),
		config.NewSetting("administrator", config.Text, "", func(v string) error { d.Administrator = v; return access.CheckName(v) }),
		config.NewSetting("password-hash", config.Text, "", func(v string) error { d.PasswordHash = v; return access.CheckHash(v) }),
		config.NewSetting("create-group", config.Text, "", func(v string) error { d.Create.Name = v; return config.CheckLabel(v) }),
		config.NewSetting("create-prefix", config.Text, "", func(v string) error { return setPrefix(&d.Create.Prefix, v) }),
		config.NewSetting("create-zone", config.Text, "", func(v string) error { d.Create.Zone = v; return nil }),
		config.NewSetting("invitation", config.Text, "", func(v string) error {
			d.Invitation = v
			_, err := group.ParseInvitation(v)
			return err
		}),
	}
}

// together finds what is wrong between settings that are right alone.
func (d *Data) together(c config.Config) map[string]string {
	wrong := map[string]string{}
	m := d.Management
	switch {
	case m.Gateway.IsValid() && !m.Address.IsValid():
		wrong["management-gateway"] = "by DHCP the gateway comes from the DHCP server: give management-address too, or leave it out"
	case m.Gateway.IsValid() && (!m.Address.Masked().Contains(m.Gateway) || m.Gateway == m.Address.Addr()):
		wrong["management-gateway"] = fmt.Sprintf("%v is no other station of the network %v", m.Gateway, m.Address.Masked())
	}
	if m.Port != "" && m.Port == c.LANPort {
		wrong["management-port"] = fmt.Sprintf("%s is the LAN port: the machine needs another one to be reached by", m.Port)
	}
	switch {
	case d.Administrator != "" && d.PasswordHash == "":
		wrong["administrator"] = "needs password-hash: landbridge console hash-password makes one"
	case d.Administrator == "" && d.PasswordHash != "":
		wrong["password-hash"] = "needs administrator: whose password is it?"
	}
	switch {
	case d.Create.Name != "" && d.Invitation != "":
		wrong["invitation"] = "an appliance creates a group or joins one at its first start: keep one of create-group and invitation"
	case d.Create.Name == "" && d.Create.Prefix.IsValid():
		wrong["create-prefix"] = "needs create-group: what is the group called?"
	case d.Create.Name == "" && d.Create.Zone != "":
		wrong["create-zone"] = "needs create-group: what is the group called?"
	case d.Create.Name != "":
		if !d.Create.Prefix.IsValid() {
			d.Create.Prefix = netip.MustParsePrefix(DefaultPrefix)
		}
		p := group.Params{Name: d.Create.Name, Prefix: d.Create.Prefix, Zone: d.Create.Zone}.WithDefaults()
		if err := p.Validate(); err != nil {
			wrong["create-group"] = err.Error()
		} else if !p.Private() {
			wrong["create-prefix"] = fmt.Sprintf("%v are public addresses: take a prefix within 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16 or 100.64.0.0/10", p.Prefix)
		}
		if m.Address.IsValid() && p.Prefix.Overlaps(m.Address.Masked()) {
			wrong["create-prefix"] = fmt.Sprintf("%v is in use at the management port (%v): the group needs addresses that are used nowhere else", p.Prefix, m.Address.Masked())
		}
	}
	return wrong
}

func addTo[T any](list *[]T, v T) error {
	if *list = append(*list, v); len(*list) > MaxServers {
		return fmt.Errorf("more than %d", MaxServers)
	}
	return nil
}

// setPort reads the name of a network port, or its hardware address.
func setPort(dst *string, v string) error {
	*dst = v
	if mac, err := net.ParseMAC(v); err == nil && len(mac) == 6 {
		*dst = mac.String()
		return nil
	}
	if v == "" || len(v) > 15 || v == "lo" || strings.ContainsAny(v, "/: \t\n\x00") {
		return fmt.Errorf("%q can't be a network interface: want eth0 or eth1, or the hardware address of one, as the screen lists them", v)
	}
	return nil
}

// setAddress reads dhcp, or an address with its network's length.
func setAddress(dst *netip.Prefix, v string) error {
	if v == "dhcp" {
		*dst = netip.Prefix{}
		return nil
	}
	p, err := netip.ParsePrefix(v)
	if err != nil || p.Addr().IsMulticast() || p.Addr().IsUnspecified() || p.Addr().IsLoopback() {
		return fmt.Errorf("%q is neither dhcp nor an address with the length of its network, as 192.168.1.5/24", v)
	}
	if p.Addr().Is4() && p.Bits() < 31 && p.Addr() == p.Masked().Addr() {
		return fmt.Errorf("%v is the network itself: name one of its addresses, as %v/%d", v, p.Addr().Next(), p.Bits())
	}
	*dst = p
	return nil
}

func parseAddr(v string) (netip.Addr, error) {
	a, err := netip.ParseAddr(v)
	if err != nil || a.Zone() != "" || a.IsUnspecified() || a.IsMulticast() {
		return netip.Addr{}, fmt.Errorf("%q is no address, as 192.168.1.1", v)
	}
	return a, nil
}

func setPrefix(dst *netip.Prefix, v string) (err error) {
	if *dst, err = netip.ParsePrefix(v); err != nil || !dst.Addr().Is4() {
		*dst = netip.Prefix{}
		return fmt.Errorf("%q is no IPv4 network, as %s", v, DefaultPrefix)
	}
	return nil
}

// checkServer judges the name or address of a server.
func checkServer(v string) error {
	if _, err := netip.ParseAddr(v); err == nil {
		return nil
	}
	if len(v) > 253 || slices.ContainsFunc(strings.Split(v, "."), func(label string) bool { return config.CheckLabel(label) != nil }) {
		return fmt.Errorf("%q is neither a host's name nor an address", v)
	}
	return nil
}
