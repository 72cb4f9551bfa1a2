package iface

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Recover undoes what a killed run of this owner left: its bridges and VLAN devices go, their LAN
// ports are put back as they were, and log hears of each. (A TAP goes with its process,
// but for one that was killed while OpenTAP made it: that goes here.)
// The address and the routes of a [Presence] go whoever's they are, as its TAP has gone with
// its process: that is how they are told from those of a live one.
// Bridges around a port in keepPorts stay for CreateBridge to take over, which spares the
// LAN port the detour. Call it at every start, while the lock on the state directory
// says that no other run of this owner lives.
func Recover(owner string, log *slog.Logger, keepPorts ...string) error {
	if !validOwner(owner) {
		return fmt.Errorf("owner %q: want a word without spaces", owner)
	}
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return fmt.Errorf("open netlink: %w", err)
	}
	defer h.Close()
	return errors.Join(recoverDevices(h, owner, log, keepPorts), recoverPresences(h, log))
}

// recoverDevices removes the devices that killed runs of an owner have left.
func recoverDevices(h *netlink.Handle, owner string, log *slog.Logger, keepPorts []string) error {
	links, err := dump(h.LinkList)
	if err != nil {
		return fmt.Errorf("list devices: %w", err)
	}
	for _, l := range links {
		a := l.Attrs()
		m, marked := parseMarker(a.Alias)
		if !marked || m.owner != owner {
			continue
		}
		if tap, ok := l.(*netlink.Tuntap); ok && !tap.NonPersist {
			if e := h.LinkDel(l); e != nil && !errors.Is(e, unix.ENODEV) {
				err = errors.Join(err, explain(fmt.Sprintf("remove the TAP %s that a former run left half made", a.Name), e))
				continue
			}
			log.Info("removed the TAP that a former run left half made", "device", a.Name)
		}
		if isOwnVLAN(l, owner) && a.MasterIndex == 0 && !slices.Contains(keepPorts, a.Name) {
			if e := removeVLAN(h, l); e != nil {
				err = errors.Join(err, fmt.Errorf("remove the VLAN device that a former run left: %w", e))
				continue
			}
			log.Info("removed the VLAN device that a former run left", "device", a.Name)
		}
		if l.Type() != "bridge" {
			continue
		}
		if slices.Contains(keepPorts, m.port) && isOn(h, m.port, a.Index) {
			continue // and not one that was left as its port was off already
		}
		if e := undo(h, l); e != nil {
			err = errors.Join(err, fmt.Errorf("remove the bridge %s that a former run left: %w", a.Name, e))
			continue
		}
		log.Info("removed the bridge that a former run left, and released its LAN port", "bridge", a.Name, "port", m.port)
	}
	return err
}

// isOn reports whether a port is on a bridge.
func isOn(h *netlink.Handle, port string, bridge int) bool {
	link, err := h.LinkByName(port)
	return err == nil && link.Attrs().MasterIndex == bridge
}

// undo releases the ports of one of our bridges, restores what its marker says and
// removes it.
func undo(h *netlink.Handle, bridge netlink.Link) error {
	a := bridge.Attrs()
	m, _ := parseMarker(a.Alias)
	ports, err := portsOf(h, a.Index)
	if err != nil {
		return err
	}
	for _, p := range ports {
		if err := release(h, p, m); err != nil {
			return err
		}
	}
	if err := h.LinkDel(bridge); err != nil && !errors.Is(err, unix.ENODEV) {
		return explain("remove "+a.Name, err)
	}
	if err := restoreNetfilter(m.nfCall); err != nil {
		return fmt.Errorf("set %s back to %s: %w", nfCallIPTables, m.nfCall, err)
	}
	return nil
}

// release takes a port off one of our bridges, whose marker is m, and puts it back as it was.
func release(h *netlink.Handle, p netlink.Link, m marker) error {
	a := p.Attrs()
	needed, err := carriesVLAN(h, p) // by a group that goes on
	if err != nil {
		return err
	}
	// Down first: killed between the two, it is found on the bridge again.
	if a.Name == m.port && m.wasDown && a.Flags&net.FlagUp != 0 && !needed {
		if err := h.LinkSetDown(p); err != nil && !errors.Is(err, unix.ENODEV) {
			return explain("set "+m.port+" down again", err)
		}
	}
	if err := h.LinkSetNoMaster(p); err != nil && !errors.Is(err, unix.ENODEV) {
		return explain("release "+a.Name, err)
	}
	if isOwnVLAN(p, m.owner) {
		return removeVLAN(h, p)
	}
	return nil
}

func portsOf(h *netlink.Handle, bridge int) ([]netlink.Link, error) {
	links, err := dump(h.LinkList)
	if err != nil {
		return nil, fmt.Errorf("list devices: %w", err)
	}
	var out []netlink.Link
	for _, l := range links {
		if l.Attrs().MasterIndex == bridge {
			out = append(out, l)
		}
	}
	return out, nil
}
