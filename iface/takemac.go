package iface

import (
	"errors"
	"fmt"
	"net"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// TakeMAC has the bridge bring frames for another router's MAC to the TAP. It ends as soon as that
// router sends a frame on the LAN, and with GiveMACBack.
func (b *Bridge) TakeMAC(mac net.HardwareAddr) error {
	if err := b.h.NeighSet(b.taken(mac)); err != nil {
		return explain(fmt.Sprintf("enter the MAC %v on the bridge %s", mac, b.name), err)
	}
	return nil
}

// GiveMACBack ends TakeMAC. A MAC that the bridge has learnt elsewhere since stays there.
func (b *Bridge) GiveMACBack(mac net.HardwareAddr) error {
	err := b.h.NeighDel(b.taken(mac)) // of the TAP's entries
	if err != nil && !errors.Is(err, unix.ENOENT) {
		return explain(fmt.Sprintf("take the MAC %v off the bridge %s", mac, b.name), err)
	}
	return nil
}

func (b *Bridge) taken(mac net.HardwareAddr) *netlink.Neigh {
	return &netlink.Neigh{
		LinkIndex: b.tap, Family: unix.AF_BRIDGE, HardwareAddr: mac,
		State: netlink.NUD_NOARP, Flags: netlink.NTF_MASTER,
	}
}

// Hush keeps broadcasts of the LAN from the TAP, as while they go round in a loop, or lets them
// pass again. What is for the gateway MAC passes.
func (b *Bridge) Hush(on bool) error {
	tap, err := b.h.LinkByIndex(b.tap)
	if err != nil {
		return fmt.Errorf("the TAP on the bridge %s: %w", b.name, err)
	}
	flood := []byte{1}
	if on {
		flood[0] = 0
	}
	err = setBridgeData(tap, nl.IFLA_INFO_SLAVE_DATA, map[int][]byte{nl.IFLA_BRPORT_BCAST_FLOOD: flood})
	return explain("set whether broadcasts reach the TAP on the bridge "+b.name, err)
}
