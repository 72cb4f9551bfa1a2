package iface

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// DefaultRouteDevices returns the indexes of the devices by which this host has a default
// route, IPv4 or IPv6, in any table: where the Internet is, as a rule.
func DefaultRouteDevices() ([]int, error) {
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("open netlink: %w", err)
	}
	defer h.Close()
	var all []int
	for _, family := range []int{netlink.FAMILY_V4, netlink.FAMILY_V6} {
		routes, err := allRoutes(h, family)
		if err != nil {
			return nil, err
		}
		for _, r := range routes {
			if !isDefault(r) {
				continue
			}
			for _, index := range routeDevices(r) {
				if !slices.Contains(all, index) {
					all = append(all, index)
				}
			}
		}
	}
	return all, nil
}

// DefaultGateway returns the next hop of this host's default route over IPv4, that of the least metric in the main
// table; the zero Addr where there is none.
func DefaultGateway() (gateway netip.Addr, err error) {
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return gateway, fmt.Errorf("open netlink: %w", err)
	}
	defer h.Close()
	routes, err := allRoutes(h, netlink.FAMILY_V4)
	if err != nil {
		return gateway, err
	}
	least := 0
	for _, r := range routes {
		gw, ok := netip.AddrFromSlice(r.Gw)
		if ok && isDefault(r) && r.Table == unix.RT_TABLE_MAIN && (!gateway.IsValid() || r.Priority < least) {
			gateway, least = gw.Unmap(), r.Priority
		}
	}
	return gateway, nil
}
