package config

import (
	"errors"
	"log/slog"
	"net/netip"
	"net/url"
	"os"

	"landbridge/dhcp"
	"landbridge/internal/group"
	"landbridge/internal/modes"
)

// DefaultPort is the UDP and TCP port on which an appliance listens. IANA has assigned
// 4852 to 4866 to nobody.
const DefaultPort = 4860

// DefaultState is the state directory where none is given.
const DefaultState = "/var/lib/landbridge"

// LogFormat is how log lines look.
type LogFormat string

// The log formats.
const (
	LogText LogFormat = "text" // slog.TextHandler: key=value
	LogJSON LogFormat = "json" // slog.JSONHandler: one object a line
)

// Config is what an operator decides about one appliance. Load makes one that has
// all that Run needs.
type Config struct {
	// State is the directory of the node key, the groups and the leases. One
	// appliance at a time may use it.
	State string
	// Name is what people call the appliance: a DNS label in lower case.
	Name string
	// Mode is how the appliance is attached.
	Mode modes.Mode
	// LANPort is the network interface of the LAN (router and hybrid mode only).
	LANPort string
	// DHCP says which hosts of the LAN get addresses (router mode).
	DHCP DHCP
	// DNS says which other DNS servers are asked for hosts.
	DNS DNS
	// Groups says which hosts of the LAN are of which group (router mode).
	Groups Groups
	// Console says where persons find the console, and which.
	Console Console
	// NameGiven says that Name was decided, and isn't the default. It is no setting.
	NameGiven bool
	// ModeGiven says that Mode was decided, and isn't the default. It is no setting.
	ModeGiven bool
	// Listen is the UDP address of the data socket and QUIC. Port 0 lets the kernel
	// choose.
	Listen netip.AddrPort
	// TCP is the address of the TCP listener, for networks that block UDP. Where it
	// isn't valid, TCP listens at Listen's address.
	TCP netip.AddrPort
	// Announce holds addresses at which other members can reach this one though it
	// can't see that itself, as behind a port forwarding: HOST:PORT or multiaddresses.
	// Multiaddrs turns them into what the overlay wants.
	Announce []string
	// Proxy is the HTTP proxy for TCP that doesn't get out directly; nil: none. Unless it is given it is the
	// environment's HTTPS_PROXY.
	Proxy *url.URL
	// LANDiscovery makes the appliance look for members on its own LAN by multicast.
	LANDiscovery bool
	// PortMapping makes the appliance ask the router before it to map its ports.
	PortMapping bool
	// LogLevel is the least level that is logged.
	LogLevel slog.Level
	// LogFormat is how log lines look.
	LogFormat LogFormat

	// Version is the program's version, as the status tells it. It is no setting.
	Version string
}

// Default returns the configuration of an appliance of which nobody has decided
// anything: interface mode, port 4860, named as the host is.
func Default() Config {
	return Config{
		State:        DefaultState,
		Name:         group.NodeName(hostName()),
		Mode:         modes.Interface,
		DHCP:         DHCP{Serve: dhcp.ServeOpen, Ports: dhcp.StandardPorts(), MTU: MTUOfLAN},
		Listen:       netip.AddrPortFrom(netip.IPv6Unspecified(), DefaultPort),
		Console:      defaultConsole(),
		Proxy:        proxyOf(os.Getenv),
		LANDiscovery: true,
		PortMapping:  true,
		LogLevel:     slog.LevelInfo,
		LogFormat:    LogText,
	}
}

// TCPListen returns the address of the TCP listener.
func (c Config) TCPListen() netip.AddrPort {
	if c.TCP.IsValid() {
		return c.TCP
	}
	return c.Listen
}

// Load returns the defaults, overridden by the YAML file at path (none where path
// is empty), overridden by flags: values by key, as Settings names them.
//
// The error is a *Error that lists everything that is wrong, each with its line or
// flag; no part of a faulty configuration is returned.
func Load(path string, flags map[string][]string) (Config, error) {
	var values []configValue
	var faults []Fault
	if path != "" {
		values, faults = readFile(path)
	}
	values = append(values, flagValues(flags)...)
	return merge(values, faults, Settings())
}

// configValue is what a file or a flag says about one key.
type configValue struct {
	key    string
	values []string
	where  string // "landbridge.yaml:3" or "--mode"
	line   int    // in the file; 0 for a flag
}

// merge applies values in order, the later over the earlier, and checks what they
// make together. faults are those found before.
func merge(values []configValue, faults []Fault, known table) (Config, error) {
	cfg := Default()
	origin := make(map[string]configValue)
	for _, v := range values {
		s, ok := known.of(v.key)
		if !ok {
			faults = append(faults, v.fault("there is no setting %q%s", v.key, known.suggest(v.key)))
			continue
		}
		// What a flag overrides need not be right, only known: but a person
		// wants to hear of it, so it is parsed all the same.
		if err := s.set(&cfg, v.values); err != nil {
			faults = append(faults, v.fault("%s: %v", v.key, err))
			continue
		}
		origin[v.key] = v
	}
	faults = append(faults, checkTogether(cfg, origin, faults)...)
	if len(faults) > 0 {
		return Config{}, newError(faults)
	}
	_, cfg.ModeGiven = origin["mode"]
	_, cfg.NameGiven = origin["name"]
	_, cfg.DHCP.ServeGiven = origin["dhcp"]
	_, cfg.DHCP.PortsGiven = origin["dhcp-ports"]
	return cfg, nil
}

// checkTogether finds settings that are right alone and wrong together. It says nothing
// of settings that are wrong already.
func checkTogether(cfg Config, origin map[string]configValue, known []Fault) []Fault {
	bad := make(map[string]bool)
	for _, f := range known {
		bad[f.Key] = true
	}
	var faults []Fault
	if !bad["mode"] && !bad["lan-port"] {
		switch {
		case cfg.Mode == modes.Router && cfg.LANPort == "":
			faults = append(faults, origin["mode"].fault("mode: router mode needs lan-port: name the network interface of the LAN, as lan-port: eth1"))
		case cfg.Mode == modes.Hybrid && cfg.LANPort == "":
			faults = append(faults, origin["mode"].fault("mode: hybrid mode needs lan-port: name the network interface by which this host is on its LAN, as lan-port: eth0"))
		case cfg.Mode == modes.Interface && cfg.LANPort != "":
			faults = append(faults, origin["lan-port"].fault("lan-port: interface mode has no LAN port: set mode: router or mode: hybrid, or leave lan-port out"))
		}
	}
	faults = append(faults, checkDHCP(cfg, origin, bad)...)
	return append(faults, checkGroups(cfg, origin, bad)...)
}

// hostName returns the name of this host.
func hostName() string {
	name, err := os.Hostname()
	if err != nil {
		return "" // group.NodeName makes do
	}
	return name
}

// CheckLabel reports whether s can be a host's name in DNS: a label of letters, digits and
// hyphens (RFC 1123 section 2.1), at most 63 bytes.
func CheckLabel(s string) error {
	if s == "" || len(s) > 63 {
		return errors.New("want 1 to 63 letters, digits and hyphens")
	}
	for _, r := range s {
		if !(r == '-' || '0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z') {
			return errors.New("want letters, digits and hyphens only, as in site-a")
		}
	}
	if s[0] == '-' || s[len(s)-1] == '-' {
		return errors.New("a hyphen may not be first or last")
	}
	return nil
}

// Configured returns what the configuration says of the mode, nil where it says nothing.
func (c Config) Configured() *modes.Setup {
	if !c.ModeGiven {
		return nil
	}
	return &modes.Setup{Mode: c.Mode, LANPort: c.LANPort}
}
