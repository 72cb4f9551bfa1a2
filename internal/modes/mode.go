package modes

// Mode is how an appliance is attached.
type Mode string

// The modes.
const (
	// Interface attaches this host alone, by a TAP with an address of its own.
	Interface Mode = "interface"
	// Router attaches the LAN behind the LAN port; its hosts have nothing installed.
	Router Mode = "router"
	// Hybrid attaches this host, by a TAP and on the wire of the LAN port, which the host goes
	// on using for itself: hosts on that wire are reached natively.
	Hybrid Mode = "hybrid"
)

// All returns the modes.
func All() []Mode { return []Mode{Interface, Router, Hybrid} }

// HasLANPort says that the mode needs a LAN port.
func (m Mode) HasLANPort() bool { return m != Interface }

// Setup is a mode with what it needs.
type Setup struct {
	Mode    Mode   `cbor:"1,keyasint"`
	LANPort string `cbor:"2,keyasint,omitempty"` // empty where the mode has none
}

// AttachesLAN says that hosts of a LAN are attached, and this host isn't.
func (s Setup) AttachesLAN() bool { return s.Mode == Router }

// String names a setup in a sentence: "router mode on eth1".
func (s Setup) String() string {
	if s.LANPort == "" {
		return string(s.Mode) + " mode"
	}
	return string(s.Mode) + " mode on " + s.LANPort
}
