package iface

import (
	"errors"
	"fmt"
	"net"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Recover undoes what a killed run of this owner left: its bridges go, their LAN
// ports are put back as they were. (A TAP goes with its process.) It returns one
// sentence for each thing that it put right. Call it at every start, while the lock on the
// state directory says that no other run of this owner lives; before CreateBridge it isn't
// needed.
func Recover(owner string) ([]string, error) {
	if !validOwner(owner) {
		return nil, fmt.Errorf("owner %q: want a word without spaces", owner)
	}
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("open netlink: %w", err)
	}
	defer h.Close()
	return recoverLeftovers(h, owner, nil)
}

// keep names a leftover that may stay, because the run that starts wants the same.
type keep struct{ bridge, port string }

func recoverLeftovers(h *netlink.Handle, owner string, k *keep) (done []string, err error) {
	links, err := dump(h.LinkList)
	if err != nil {
		return nil, fmt.Errorf("list devices: %w", err)
	}
	for _, l := range links {
		a := l.Attrs()
		m, marked := parseMarker(a.Alias)
		if !marked || m.owner != owner || l.Type() != "bridge" {
			continue
		}
		if k != nil && a.Name == k.bridge && m.port == k.port {
			continue
		}
		if e := undo(h, l); e != nil {
			err = errors.Join(err, fmt.Errorf("remove the bridge %s that a former run left: %w", a.Name, e))
			continue
		}
		done = append(done, fmt.Sprintf("removed the bridge %s that a former run left, and released its LAN port %s", a.Name, m.port))
	}
	return done, err
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
		if err := h.LinkSetNoMaster(p); err != nil && !errors.Is(err, unix.ENODEV) {
			return explain("release "+p.Attrs().Name, err)
		}
		if p.Attrs().Name == m.port && m.wasDown && p.Attrs().Flags&net.FlagUp != 0 {
			if err := h.LinkSetDown(p); err != nil && !errors.Is(err, unix.ENODEV) {
				return explain("set "+m.port+" down again", err)
			}
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
