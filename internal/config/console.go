package config

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// DefaultConsolePort is the TCP port of the console's HTTPS door.
const DefaultConsolePort = 4861

// Bounds of the console's lists.
const (
	maxConsoleListen = 16
	maxConsoleAllow  = 64
	maxConsoleNames  = 16
)

// noConsole is the value of console-listen that says that there is no HTTPS door. In the
// file, the empty list says so too.
const noConsole = "none"

// privateNetworks is the value of console-allow that lets in whoever isn't of the Internet.
const privateNetworks = "private"

// Console says where persons find the console, and which.
type Console struct {
	// Listen is the addresses of the HTTPS door. There is no door where it is empty.
	Listen []netip.AddrPort
	// Allow is the networks that may connect. Where it is empty, those are loopback and the
	// private networks on the interfaces listened on; the appliance judges that.
	Allow []netip.Prefix
	// AllowPrivate says that private networks may connect besides, by whatever interface they come,
	// unless that is the overlay.
	AllowPrivate bool
	// Names are those by which persons may open the console, besides addresses and the appliance's own:
	// in lower case.
	Names []string
}

func defaultConsole() Console {
	return Console{Listen: []netip.AddrPort{
		netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), DefaultConsolePort),
		netip.AddrPortFrom(netip.IPv6Loopback(), DefaultConsolePort),
	}}
}

func consoleSettings() []Setting {
	return []Setting{
		{Key: "console-listen", Value: "ADDR:PORT", Kind: List, Usage: "`ADDR:PORT` at which persons find the console by HTTPS, or none; may be given more than once (default 127.0.0.1:4861 and [::1]:4861)",
			Default: func(c Config) string { return listed(c.Console.Listen, netip.AddrPort.String) },
			example: "192.168.1.5:4861", item: checkConsoleListen, set: setConsoleListen},
		{Key: "console-allow", Value: "PREFIX", Kind: List, Usage: "`PREFIX` whose hosts may connect to the console, or private for all private networks but the overlay; may be given more than once (default: loopback, and the private networks of the interfaces listened on)",
			Default: func(c Config) string { return c.Console.allowed() },
			example: "192.168.1.0/24", item: checkAllowed, set: setAllowed},
		{Key: "console-names", Value: "NAME", Kind: List, Usage: "`NAME` by which persons may open the console, besides addresses and the appliance's own names; may be given more than once",
			Default: func(c Config) string { return listed(c.Console.Names, strings.Clone) },
			example: "console.example.com", item: checked(parseConsoleName),
			set: list(maxConsoleNames, parseConsoleName, func(c *Config) *[]string { return &c.Console.Names })},
	}
}

// parseConsoleName reads a DNS name.
func parseConsoleName(v string) (string, error) {
	v = strings.TrimSuffix(strings.ToLower(v), ".")
	for _, label := range strings.Split(v, ".") {
		if err := CheckLabel(label); err != nil || len(v) > 253 {
			return "", fmt.Errorf("%q is no name, as console.example.com", v)
		}
	}
	return v, nil
}

func setConsoleListen(c *Config, values []string) error {
	if len(values) == 1 && values[0] == noConsole {
		c.Console.Listen = nil
		return nil
	}
	return list(maxConsoleListen, parseListen, func(c *Config) *[]netip.AddrPort { return &c.Console.Listen })(c, values)
}

func checkConsoleListen(v string) error {
	if v == noConsole {
		return nil // judged with the others, if there are any
	}
	_, err := parseListen(v)
	return err
}

func parseListen(v string) (addr netip.AddrPort, err error) {
	if err := setListen(&addr, v); err != nil {
		return netip.AddrPort{}, fmt.Errorf("%q is not an IP address with a port, as 192.168.1.5:%d or [::]:%d; none alone is for no console", v, DefaultConsolePort, DefaultConsolePort)
	}
	return addr, nil
}

// allowed returns the value of console-allow.
func (c Console) allowed() string {
	named := listed(c.Allow, netip.Prefix.String)
	if c.AllowPrivate {
		return strings.TrimSpace(named + " " + privateNetworks)
	}
	return named
}

func checkAllowed(v string) error {
	if v == privateNetworks {
		return nil
	}
	return checked(parseAllowed)(v)
}

func setAllowed(c *Config, values []string) error {
	private := func(v string) bool { return v == privateNetworks }
	c.Console.AllowPrivate = slices.ContainsFunc(values, private)
	values = slices.DeleteFunc(slices.Clone(values), private)
	return list(maxConsoleAllow, parseAllowed, func(c *Config) *[]netip.Prefix { return &c.Console.Allow })(c, values)
}

// parseAllowed reads a prefix, or an address for one host.
func parseAllowed(v string) (netip.Prefix, error) {
	if !strings.Contains(v, "/") {
		if a, err := netip.ParseAddr(v); err == nil && a.Zone() == "" {
			return netip.PrefixFrom(a, a.BitLen()), nil
		}
	}
	p, err := netip.ParsePrefix(v)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("%q is no network, as 192.168.1.0/24 or fd00::/8", v)
	}
	return p.Masked(), nil
}
