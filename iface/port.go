package iface

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// CheckPort says whether the named device may become the LAN port of router mode.
// It changes nothing. A refusal is a *PortError around ErrNoPort, ErrLoopback,
// ErrOwnDevice, ErrNotEthernet, ErrEnslaved, ErrDefaultRoute, ErrHasAddress or ErrNoVLAN. A
// port on a bridge that a killed run of owner left behind (see Recover) is fit; so is the
// name of a VLAN, as eth1.10, that CreateBridge can make.
func CheckPort(name, owner string) error {
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return fmt.Errorf("open netlink: %w", err)
	}
	defer h.Close()
	_, err = checkPort(h, name, owner)
	return err
}

// checkPort returns the port, nil where it is a VLAN that is yet to be made.
func checkPort(h *netlink.Handle, name, owner string) (netlink.Link, error) {
	port, err := findPort(h, name)
	if parent, id, vlan := splitVLAN(name); vlan && errors.Is(err, ErrNoPort) {
		return nil, checkVLAN(h, name, parent, id)
	}
	if err != nil {
		return nil, err
	}
	if !isOwnVLAN(port, owner) { // else it is what a killed run left, or this run's
		if err := checkKind(port); err != nil {
			return nil, err
		}
	}
	if err := checkMaster(h, port, owner); err != nil {
		return nil, err
	}
	if err := checkRoutes(h, port); err != nil {
		return nil, err
	}
	return port, checkAddresses(h, port)
}

// findPort returns the device of that name.
func findPort(h *netlink.Handle, name string) (netlink.Link, error) {
	port, err := h.LinkByName(name)
	if missing := (netlink.LinkNotFoundError{}); errors.As(err, &missing) {
		return nil, refuse(name, ErrNoPort, "LAN port %q: this host has no such device; it has %s", name, candidates(h))
	}
	if err != nil {
		return nil, fmt.Errorf("look for the LAN port %s: %w", name, err)
	}
	return port, nil
}

// checkKind refuses what isn't a plain Ethernet device of somebody else.
func checkKind(port netlink.Link) error {
	if err := checkEthernet(port); err != nil {
		return err
	}
	if name := port.Attrs().Name; port.Type() == "bridge" {
		return refuse(name, ErrNotEthernet, "LAN port %s is a bridge, and a bridge can't be put on another; "+
			"name a port of it after taking it off (ip link set PORT nomaster)", name)
	}
	return nil
}

// checkEthernet refuses what isn't an Ethernet device of somebody else.
func checkEthernet(port netlink.Link) error {
	a := port.Attrs()
	if a.Flags&net.FlagLoopback != 0 {
		return refuse(a.Name, ErrLoopback, "LAN port %s is the loopback device; name the network card that leads to the LAN", a.Name)
	}
	if _, ours := parseMarker(a.Alias); ours {
		return refuse(a.Name, ErrOwnDevice, "LAN port %s was made by Landbridge itself; name the network card that leads to the LAN", a.Name)
	}
	if a.EncapType != "ether" {
		return refuse(a.Name, ErrNotEthernet, "LAN port %s is no Ethernet device (it is %q)", a.Name, a.EncapType)
	}
	return nil
}

func checkMaster(h *netlink.Handle, port netlink.Link, owner string) error {
	a := port.Attrs()
	if a.MasterIndex == 0 {
		return nil
	}
	master, err := h.LinkByIndex(a.MasterIndex)
	if err != nil {
		return fmt.Errorf("look up what LAN port %s belongs to: %w", a.Name, err)
	}
	name := master.Attrs().Name
	m, marked := parseMarker(master.Attrs().Alias)
	if marked && m.owner == owner && m.port == a.Name {
		ports, err := portsOf(h, a.MasterIndex)
		if err != nil {
			return err
		}
		if len(ports) == 1 { // its TAP is gone, and so is the run that made it
			return nil
		}
		return refuse(a.Name, ErrEnslaved, "LAN port %s already serves another group of this appliance (bridge %s); name another port", a.Name, name)
	}
	if marked {
		return refuse(a.Name, ErrEnslaved, "LAN port %s is on %s, the bridge of another Landbridge (%s); "+
			"stop that one, or remove what it left (ip link del %s)", a.Name, name, m.owner, name)
	}
	return refuse(a.Name, ErrEnslaved, "LAN port %s already belongs to %s; take it off first (ip link set %s nomaster) or name another port",
		a.Name, name, a.Name)
}

// checkRoutes refuses a port by which this host reaches the rest of the world:
// bridging it would cut the operator off.
func checkRoutes(h *netlink.Handle, port netlink.Link) error {
	routes, err := allRoutes(h, netlink.FAMILY_ALL)
	if err != nil {
		return err
	}
	a := port.Attrs()
	for _, r := range routes {
		if isDefault(r) && slices.Contains(routeDevices(r), a.Index) {
			return refuse(a.Name, ErrDefaultRoute, "LAN port %s carries this host's default route; bridging it would cut the host off: "+
				"name the port that leads to the LAN only", a.Name)
		}
	}
	return nil
}

// checkAddresses refuses a port whose addresses would stop working on a bridge.
// IPv6 addresses that the kernel gave by itself don't count.
func checkAddresses(h *netlink.Handle, port netlink.Link) error {
	a := port.Attrs()
	addrs, err := h.AddrList(port, netlink.FAMILY_ALL)
	if err != nil {
		return fmt.Errorf("list the addresses of LAN port %s: %w", a.Name, err)
	}
	left, err := orphans(h)
	if err != nil {
		return err
	}
	for _, addr := range addrs {
		if m, marked := markOf(addr); marked && slices.Contains(left, m) {
			continue // Recover takes it away
		}
		byHand := addr.Flags&unix.IFA_F_PERMANENT != 0
		if addr.Scope == unix.RT_SCOPE_UNIVERSE && (addr.IP.To4() != nil || byHand) {
			return refuse(a.Name, ErrHasAddress, "LAN port %s carries this host's address %v, which would stop working while it is bridged; "+
				"remove it (ip addr del %v dev %s) or name another port", a.Name, addr.IPNet, addr.IPNet, a.Name)
		}
	}
	return nil
}

// candidates lists the devices that an operator may have meant.
func candidates(h *netlink.Handle) string {
	links, err := h.LinkList()
	if err != nil {
		return "(the list can't be read: " + err.Error() + ")"
	}
	var names []string
	for _, l := range links {
		a := l.Attrs()
		if checkKind(l) == nil && a.MasterIndex == 0 {
			names = append(names, a.Name)
		}
	}
	if len(names) == 0 {
		return "no Ethernet device at all"
	}
	return strings.Join(names, ", ")
}
