package iface

import (
	"errors"
	"net"
)

// Rejoin puts the LAN port on the bridge again after the device had gone and one of its name
// is there, as when a USB adapter was pulled out and put in again, and reports whether it
// did. Where the port is on the bridge it changes nothing. A port that isn't fit any more is refused as
// CheckPort does.
func (b *Bridge) Rejoin() (joined bool, err error) {
	b.seats.mu.Lock()
	defer b.seats.mu.Unlock()
	bridge, err := b.h.LinkByName(b.name)
	if err != nil {
		return false, explain("find the bridge "+b.name, err)
	}
	m, _ := parseMarker(bridge.Attrs().Alias)
	port, err := findPort(b.h, m.port)
	if _, _, vlan := splitVLAN(m.port); errors.Is(err, ErrNoPort) && vlan { // it went with what it was a VLAN of
		if _, err = checkPort(b.h, m.port, m.owner); err == nil {
			port, err = makeVLAN(b.h, m.port, m.owner)
		}
	}
	if err != nil {
		return false, err
	}
	if port.Attrs().MasterIndex == bridge.Attrs().Index {
		return false, nil
	}
	if port, err = checkPort(b.h, m.port, m.owner); err != nil {
		return false, err
	}
	// What Close is to restore is how the port is now.
	m.wasDown = port.Attrs().Flags&net.FlagUp == 0
	if err := b.h.LinkSetAlias(bridge, m.String()); err != nil {
		return false, explain("mark the bridge "+b.name, err)
	}
	if err := b.h.LinkSetMaster(port, bridge); err != nil {
		return false, explainEnslave(m.port, err)
	}
	return true, explain("set the LAN port "+m.port+" up", b.h.LinkSetUp(port))
}
