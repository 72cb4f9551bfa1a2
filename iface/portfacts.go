package iface

import (
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// PortFacts is what an operator knows a port by, besides its name.
type PortFacts struct {
	BitsPerSecond int64          // of its link; 0: not known
	Addresses     []netip.Prefix // of this host there, without link-local ones
	Default       bool           // a default route of this host leads there
	Gateways      []netip.Addr   // of those routes
}

// FactsOfPorts returns what there is to know of the ports of this host, by name.
func FactsOfPorts() (map[string]*PortFacts, error) {
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("open netlink: %w", err)
	}
	defer h.Close()
	links, err := dump(h.LinkList)
	if err != nil {
		return nil, fmt.Errorf("list devices: %w", err)
	}
	facts, byIndex := make(map[string]*PortFacts), make(map[int]*PortFacts)
	for _, l := range links {
		f := &PortFacts{BitsPerSecond: speed(l.Attrs().Name)}
		facts[l.Attrs().Name], byIndex[l.Attrs().Index] = f, f
	}
	addrs, err := dump(func() ([]netlink.Addr, error) { return h.AddrList(nil, netlink.FAMILY_ALL) })
	if err != nil {
		return nil, fmt.Errorf("list addresses: %w", err)
	}
	for _, a := range addrs {
		f := byIndex[a.LinkIndex]
		if ip, ok := netip.AddrFromSlice(a.IP); ok && f != nil && !ip.Unmap().IsLinkLocalUnicast() {
			bits, _ := a.Mask.Size()
			f.Addresses = append(f.Addresses, netip.PrefixFrom(ip.Unmap(), bits))
		}
	}
	return facts, addDefaults(h, byIndex)
}

// addDefaults notes where the default routes lead.
func addDefaults(h *netlink.Handle, byIndex map[int]*PortFacts) error {
	for _, family := range []int{netlink.FAMILY_V4, netlink.FAMILY_V6} {
		routes, err := allRoutes(h, family)
		if err != nil {
			return err
		}
		for _, r := range routes {
			if !isDefault(r) {
				continue
			}
			hops := append([]*netlink.NexthopInfo{{LinkIndex: r.LinkIndex, Gw: r.Gw}}, r.MultiPath...)
			for _, hop := range hops {
				f := byIndex[hop.LinkIndex]
				if f == nil {
					continue
				}
				f.Default = true
				if gw, ok := netip.AddrFromSlice(hop.Gw); ok && !slices.Contains(f.Gateways, gw.Unmap()) {
					f.Gateways = append(f.Gateways, gw.Unmap())
				}
			}
		}
	}
	return nil
}

// speed returns the speed of a link, 0 where the driver doesn't tell or there is no link.
func speed(device string) int64 {
	text, err := os.ReadFile("/sys/class/net/" + device + "/speed") // in Mbit/s; -1: unknown
	if err != nil {
		return 0
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 32)
	if err != nil || n <= 0 {
		return 0
	}
	return n * 1_000_000
}
