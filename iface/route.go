package iface

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// OverlapsRoute looks for a route of this host, in any table, that shares
// addresses with prefix. It returns the zero prefix if there is none, else the
// route and the device that it leads to ("" for a route without one). Default
// routes, also when written as two halves (0.0.0.0/1, 128.0.0.0/1), don't count:
// they say nothing about who owns the addresses. Nor does what a [Presence] has made.
func OverlapsRoute(prefix netip.Prefix) (route netip.Prefix, dev string, err error) {
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return netip.Prefix{}, "", fmt.Errorf("open netlink: %w", err)
	}
	defer h.Close()
	family := netlink.FAMILY_V4
	if prefix.Addr().Is6() {
		family = netlink.FAMILY_V6
	}
	routes, err := allRoutes(h, family)
	if err != nil {
		return netip.Prefix{}, "", err
	}
	marked, err := markedAddrs(h, 0)
	if err != nil {
		return netip.Prefix{}, "", err
	}
	for _, r := range routes {
		dst, ok := routePrefix(r)
		if !ok || dst.Bits() <= 1 || !dst.Overlaps(prefix) || isPresenceRoute(r) || isPresenceItself(r, marked) {
			continue
		}
		for _, index := range routeDevices(r) {
			if link, err := h.LinkByIndex(index); err == nil {
				dev = link.Attrs().Name
			}
		}
		return dst, dev, nil
	}
	return netip.Prefix{}, "", nil
}

// LocalAddrs returns the addresses at which other machines may reach this one, for
// path candidates: those of devices that are up, without loopback, link-local and
// multicast ones, without addresses still being probed or deprecated, without our
// own devices and virtual addresses, and without what lies in one of the excluded prefixes (the group's).
func LocalAddrs(exclude ...netip.Prefix) ([]netip.Addr, error) {
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("open netlink: %w", err)
	}
	defer h.Close()
	links, err := dump(h.LinkList)
	if err != nil {
		return nil, fmt.Errorf("list devices: %w", err)
	}
	usable := make(map[int]bool, len(links))
	for _, l := range links {
		a := l.Attrs()
		_, ours := parseMarker(a.Alias)
		usable[a.Index] = !ours && a.Flags&net.FlagUp != 0 && a.Flags&net.FlagLoopback == 0
	}
	list, err := dump(func() ([]netlink.Addr, error) { return h.AddrList(nil, netlink.FAMILY_ALL) })
	if err != nil {
		return nil, fmt.Errorf("list addresses: %w", err)
	}
	list = slices.DeleteFunc(list, func(a netlink.Addr) bool { _, virtual := markOf(a); return virtual })
	const unfit = unix.IFA_F_TENTATIVE | unix.IFA_F_DADFAILED | unix.IFA_F_DEPRECATED
	var out []netip.Addr
	for _, a := range list {
		addr, ok := netip.AddrFromSlice(a.IP)
		addr = addr.Unmap()
		if !ok || !usable[a.LinkIndex] || a.Flags&unfit != 0 || !addr.IsGlobalUnicast() ||
			slices.ContainsFunc(exclude, func(p netip.Prefix) bool { return p.Contains(addr) }) {
			continue
		}
		out = append(out, addr)
	}
	return out, nil
}

// AssignAddress gives the TAP this address with its prefix length, and takes away
// any other IPv4 address. The kernel adds the route to the prefix, and removes
// both with the device.
func AssignAddress(t *TAP, addr netip.Prefix) error {
	link, err := netlink.LinkByIndex(t.index)
	if err != nil {
		return fmt.Errorf("TAP %s: %w", t.name, err)
	}
	want := &net.IPNet{IP: addr.Addr().AsSlice(), Mask: net.CIDRMask(addr.Bits(), addr.Addr().BitLen())}
	if err := netlink.AddrReplace(link, &netlink.Addr{IPNet: want}); err != nil {
		return explain(fmt.Sprintf("give %s the address %v", t.name, addr), err)
	}
	return dropAddrs(t, link, want, netlink.FAMILY_V4)
}

// dropAddrs takes all addresses of a family from the TAP but one.
func dropAddrs(t *TAP, link netlink.Link, want *net.IPNet, family int) error {
	have, err := dump(func() ([]netlink.Addr, error) { return netlink.AddrList(link, family) })
	if err != nil {
		return fmt.Errorf("list the addresses of %s: %w", t.name, err)
	}
	for _, a := range have {
		if a.IP.Equal(want.IP) && a.Mask.String() == want.Mask.String() {
			continue
		}
		if err := netlink.AddrDel(link, &a); err != nil && !errors.Is(err, unix.EADDRNOTAVAIL) {
			return explain(fmt.Sprintf("take the address %v from %s", a.IPNet, t.name), err)
		}
	}
	return nil
}

// allRoutes lists the routes of all tables; family is one of netlink's.
func allRoutes(h *netlink.Handle, family int) ([]netlink.Route, error) {
	routes, err := dump(func() ([]netlink.Route, error) {
		return h.RouteListFiltered(family, &netlink.Route{Table: unix.RT_TABLE_UNSPEC}, netlink.RT_FILTER_TABLE)
	})
	if err != nil {
		return nil, fmt.Errorf("list this host's routes: %w", err)
	}
	return routes, nil
}

// dump repeats a netlink listing that a change in the middle made inconsistent.
func dump[T any](list func() ([]T, error)) ([]T, error) {
	for range 5 {
		if out, err := list(); !errors.Is(err, netlink.ErrDumpInterrupted) {
			return out, err
		}
	}
	return list()
}

func routePrefix(r netlink.Route) (netip.Prefix, bool) {
	if r.Dst == nil {
		return netip.Prefix{}, false
	}
	p, err := netip.ParsePrefix(r.Dst.String())
	return p, err == nil
}

func isDefault(r netlink.Route) bool {
	if r.Type != unix.RTN_UNICAST || r.Table == unix.RT_TABLE_LOCAL {
		return false
	}
	return r.Dst == nil || strings.HasSuffix(r.Dst.String(), "/0")
}

func routeDevices(r netlink.Route) []int {
	var out []int
	if r.LinkIndex != 0 {
		out = append(out, r.LinkIndex)
	}
	for _, hop := range r.MultiPath {
		out = append(out, hop.LinkIndex)
	}
	return out
}
