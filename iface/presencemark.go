package iface

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

const (
	presenceSuffix = ":lb"
	maxLabel       = unix.IFNAMSIZ - 1
)

// presenceLabel is the mark of a Presence's address: the port's name, the suffix, and the
// value that rp_filter had, if it was changed. See the package comment.
func presenceLabel(port, filter string) string {
	suffix := presenceSuffix + filter
	return port[:min(len(port), maxLabel-len(suffix))] + suffix
}

// markedAddr is an address that a Presence has given to a port.
type markedAddr struct {
	addr   netip.Addr
	index  int    // of the port
	filter string // the value that rp_filter had; "" if it was left alone
}

// markOf reads the mark; ok is false if the address isn't a Presence's.
func markOf(a netlink.Addr) (m markedAddr, ok bool) {
	at := strings.LastIndex(a.Label, presenceSuffix)
	if at < 0 || a.IPNet == nil || a.Scope != unix.RT_SCOPE_LINK {
		return m, false
	}
	m.filter = a.Label[at+len(presenceSuffix):]
	addr, ok := netip.AddrFromSlice(a.IP.To4())
	ones, _ := a.Mask.Size()
	if !ok || ones != 32 || (m.filter != "" && m.filter != "0" && m.filter != "1") {
		return m, false
	}
	m.addr, m.index = addr, a.LinkIndex
	return m, true
}

// markedAddrs lists the addresses that Presences have given to a port; 0 is all ports.
func markedAddrs(h *netlink.Handle, index int) ([]markedAddr, error) {
	all, err := dump(func() ([]netlink.Addr, error) { return h.AddrList(nil, netlink.FAMILY_V4) })
	if err != nil {
		return nil, fmt.Errorf("list addresses: %w", err)
	}
	var out []markedAddr
	for _, a := range all {
		if m, ok := markOf(a); ok && (index == 0 || index == m.index) {
			out = append(out, m)
		}
	}
	return out, nil
}

// orphans lists the marked addresses whose appliance has gone: no TAP of any Landbridge
// has them.
func orphans(h *netlink.Handle) ([]markedAddr, error) {
	marked, err := markedAddrs(h, 0)
	if err != nil || len(marked) == 0 {
		return nil, err
	}
	alive, err := tapAddrs(h)
	if err != nil {
		return nil, err
	}
	var out []markedAddr
	for _, m := range marked {
		if !alive[m.addr] {
			out = append(out, m)
		}
	}
	return out, nil
}

// tapAddrs returns the addresses on devices that a Landbridge has made.
func tapAddrs(h *netlink.Handle) (map[netip.Addr]bool, error) {
	links, err := dump(h.LinkList)
	if err != nil {
		return nil, fmt.Errorf("list devices: %w", err)
	}
	ours := make(map[int]bool)
	for _, l := range links {
		if _, ok := parseMarker(l.Attrs().Alias); ok {
			ours[l.Attrs().Index] = true
		}
	}
	all, err := dump(func() ([]netlink.Addr, error) { return h.AddrList(nil, netlink.FAMILY_V4) })
	if err != nil {
		return nil, fmt.Errorf("list addresses: %w", err)
	}
	addrs := make(map[netip.Addr]bool)
	for _, a := range all {
		if addr, ok := netip.AddrFromSlice(a.IP.To4()); ok && ours[a.LinkIndex] {
			addrs[addr] = true
		}
	}
	return addrs, nil
}

// recoverPresences removes what killed runs have left on ports that hosts use for
// themselves.
func recoverPresences(h *netlink.Handle, log *slog.Logger) error {
	left, err := orphans(h)
	if err != nil {
		return err
	}
	for _, m := range left {
		link, e := h.LinkByIndex(m.index)
		if missing := (netlink.LinkNotFoundError{}); errors.As(e, &missing) {
			continue // it has gone meanwhile
		}
		if e == nil {
			e = removePresence(h, link, m.addr)
		}
		if e != nil {
			err = errors.Join(err, fmt.Errorf("remove the address %v that a former run left: %w", m.addr, e))
			continue
		}
		log.Info("removed the virtual address that a former run left on a port", "addr", m.addr, "port", link.Attrs().Name)
	}
	alive, e := tapAddrs(h)
	if e != nil {
		return errors.Join(err, e)
	}
	return errors.Join(err, removeRoutes(h, func(src netip.Addr) bool { return !alive[src] }))
}

// removePresence restores what the mark says, and takes the address away. The mark goes
// last, so that a kill in between leaves it for Recover.
func removePresence(h *netlink.Handle, port netlink.Link, addr netip.Addr) error {
	a := port.Attrs()
	marked, err := markedAddrs(h, a.Index)
	if err != nil {
		return err
	}
	for _, m := range marked {
		if m.addr != addr {
			continue
		}
		if len(marked) == 1 { // else another group's presence needs it
			err = restoreFilter(a.Name, m.filter)
		}
		e := h.AddrDel(port, &netlink.Addr{IPNet: hostNet(addr)})
		if e != nil && !errors.Is(e, unix.EADDRNOTAVAIL) && !errors.Is(e, unix.ENODEV) {
			err = errors.Join(err, explain(fmt.Sprintf("take the address %v from %s", addr, a.Name), e))
		}
	}
	return err
}

// removeRoutes removes those of our routes whose source which is true of.
func removeRoutes(h *netlink.Handle, which func(src netip.Addr) bool) error {
	routes, err := dump(func() ([]netlink.Route, error) {
		return h.RouteListFiltered(netlink.FAMILY_V4, &netlink.Route{Protocol: routeProtocol}, netlink.RT_FILTER_PROTOCOL)
	})
	if err != nil {
		return fmt.Errorf("list this host's routes: %w", err)
	}
	for _, r := range routes {
		src, ok := netip.AddrFromSlice(r.Src.To4())
		if !ok || !isPresenceRoute(r) || !which(src) {
			continue
		}
		if e := h.RouteDel(&r); e != nil && !errors.Is(e, unix.ESRCH) && !errors.Is(e, unix.ENODEV) {
			err = errors.Join(err, explain(fmt.Sprintf("remove the route to %v", r.Dst), e))
		}
	}
	return err
}

// isPresenceRoute reports whether a Presence has made the route.
func isPresenceRoute(r netlink.Route) bool {
	p, ok := routePrefix(r)
	return ok && r.Protocol == routeProtocol && p.IsSingleIP() && r.Src != nil
}

// isPresenceItself reports whether a route is the kernel's own to a marked address.
func isPresenceItself(r netlink.Route, marked []markedAddr) bool {
	p, ok := routePrefix(r)
	return ok && r.Table == unix.RT_TABLE_LOCAL && p.IsSingleIP() &&
		slices.ContainsFunc(marked, func(m markedAddr) bool { return m.addr == p.Addr() && m.index == r.LinkIndex })
}
