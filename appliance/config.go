package appliance

import (
	"log/slog"
	"net/netip"
)

// DefaultPort is the UDP and TCP port on which an appliance listens. IANA has assigned
// 4852 to 4866 to nobody.
const DefaultPort = 4860

// DefaultState is the state directory where none is given.
const DefaultState = "/var/lib/landbridge"

// Mode is how an appliance is attached.
type Mode string

// The modes.
const (
	// ModeInterface attaches this host alone, by a TAP with an address of its own.
	ModeInterface Mode = "interface"
	// ModeRouter attaches the LAN behind LANPort; its hosts have nothing installed.
	ModeRouter Mode = "router"
)

// LogFormat is how log lines look.
type LogFormat string

// The log formats.
const (
	LogText LogFormat = "text" // slog.TextHandler: key=value
	LogJSON LogFormat = "json" // slog.JSONHandler: one object a line
)

// Config is what an operator decides about one appliance. The zero value is not usable:
// start from DefaultConfig. One that Validate accepts has all that Run needs.
type Config struct {
	// State is the directory of the node key, the groups and the leases. One
	// appliance at a time may use it.
	State string
	// Name is what people call the appliance: a DNS label. The host's name where none
	// is given.
	Name string
	// Mode is how the appliance is attached.
	Mode Mode
	// LANPort is the network interface of the LAN (router mode only).
	LANPort string
	// Listen is the UDP address of the data socket and QUIC.
	Listen netip.AddrPort
	// TCP is the address of the TCP listener, for networks that block UDP. The zero
	// value is Listen's.
	TCP netip.AddrPort
	// Announce holds addresses at which other members can reach this one though it
	// can't see that itself, as behind a port forwarding: HOST:PORT or multiaddresses.
	Announce []string
	// LANDiscovery makes the appliance look for members on its own LAN by multicast.
	LANDiscovery bool
	// LogLevel is the least level that is logged.
	LogLevel slog.Level
	// LogFormat is how log lines look.
	LogFormat LogFormat
}

// TCPListen returns the address of the TCP listener.
func (c Config) TCPListen() netip.AddrPort {
	if c.TCP.IsValid() {
		return c.TCP
	}
	return c.Listen
}
