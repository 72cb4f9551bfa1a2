package iface

import (
	"fmt"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// CheckPresence says whether the named device, which this host uses for itself, may be the
// LAN port of hybrid mode. It changes nothing. A refusal is a *PortError around ErrNoPort,
// ErrLoopback, ErrOwnDevice, ErrNotEthernet, ErrEnslaved or ErrNoARP. It may be a bridge, have
// addresses and carry the default route. A port on a bridge that a killed run of owner in router
// mode left behind (see Recover) is fit.
func CheckPresence(name, owner string) error {
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return fmt.Errorf("open netlink: %w", err)
	}
	defer h.Close()
	_, err = checkPresence(h, name, owner)
	return err
}

// CheckPresenceAfter is CheckPresence for a port that is on a bridge of this appliance, and off
// it before it is used.
func CheckPresenceAfter(name string) error {
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return fmt.Errorf("open netlink: %w", err)
	}
	defer h.Close()
	port, err := findPort(h, name)
	if err != nil {
		return err
	}
	if err := checkEthernet(port); err != nil {
		return err
	}
	return checkARP(port)
}

func checkPresence(h *netlink.Handle, name, owner string) (netlink.Link, error) {
	port, err := findPort(h, name)
	if err != nil {
		return nil, err
	}
	if err := checkEthernet(port); err != nil {
		return nil, err
	}
	if err := checkFree(h, port, owner); err != nil {
		return nil, err
	}
	return port, checkARP(port)
}

// checkFree refuses a port of another device: that has the addresses, and gets the frames.
func checkFree(h *netlink.Handle, port netlink.Link, owner string) error {
	a := port.Attrs()
	if a.MasterIndex == 0 {
		return nil
	}
	master, err := h.LinkByIndex(a.MasterIndex)
	if err != nil {
		return fmt.Errorf("look up what LAN port %s belongs to: %w", a.Name, err)
	}
	name := master.Attrs().Name
	if m, marked := parseMarker(master.Attrs().Alias); marked {
		if m.owner == owner && m.port == a.Name {
			ports, err := portsOf(h, a.MasterIndex)
			if err != nil || len(ports) == 1 { // its TAP is gone, and so is the run that made it
				return err
			}
		}
		return refuse(a.Name, ErrEnslaved, "LAN port %s is on %s, the bridge of a Landbridge in router mode (%s); "+
			"stop that one, or remove what it left (ip link del %s)", a.Name, name, m.owner, name)
	}
	return refuse(a.Name, ErrEnslaved, "LAN port %s belongs to %s, which has its addresses; name %s instead", a.Name, name, name)
}

// checkARP refuses a port on which the kernel wouldn't answer for the virtual address.
func checkARP(port netlink.Link) error {
	a := port.Attrs()
	if a.RawFlags&unix.IFF_NOARP != 0 {
		return refuse(a.Name, ErrNoARP, "LAN port %s has ARP turned off, so no host of the LAN would find this one; "+
			"turn it on (ip link set %s arp on) or name another port", a.Name, a.Name)
	}
	for setting, atMost := range map[string]string{"arp_ignore": "1", "arp_filter": "0"} {
		own, err := ipv4Setting(a.Name, setting)
		if err != nil {
			return fmt.Errorf("LAN port %s: %w", a.Name, err)
		}
		all, err := ipv4Setting("all", setting)
		if err != nil {
			return fmt.Errorf("LAN port %s: %w", a.Name, err)
		}
		if value := max(own, all); value > atMost {
			return refuse(a.Name, ErrNoARP, "LAN port %s: with %s=%s the kernel doesn't answer ARP for the virtual address; "+
				"set net.ipv4.conf.%s.%s and net.ipv4.conf.all.%s to %s, or name another port",
				a.Name, setting, value, a.Name, setting, setting, atMost)
		}
	}
	return nil
}
