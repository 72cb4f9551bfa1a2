package pid1

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/dhcpv4/nclient4"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// resolvConf names the resolvers, as every program reads them.
const resolvConf = "/etc/resolv.conf"

// ports returns the machine's network ports, in the order of their names.
func ports() ([]string, error) {
	links, err := netlink.LinkList()
	if err != nil {
		return nil, fmt.Errorf("list the network ports: %w", err)
	}
	var names []string
	for _, l := range links {
		if a := l.Attrs(); l.Type() == "device" && a.Flags&net.FlagLoopback == 0 {
			names = append(names, a.Name)
		}
	}
	slices.Sort(names)
	return names, nil
}

// setUp sets a port up.
func setUp(port string) (netlink.Link, error) {
	link, err := netlink.LinkByName(port)
	if err != nil {
		return nil, fmt.Errorf("port %s: %w", port, err)
	}
	return link, netlink.LinkSetUp(link)
}

// useDHCP has the port get its address by DHCP (RFC 2131) and keep it, until ctx is done.
func useDHCP(ctx context.Context, port string, hostName func() string, log *slog.Logger) {
	const pause = 2 * time.Second
	for ctx.Err() == nil {
		err := holdLease(ctx, port, hostName(), log)
		if err != nil && ctx.Err() == nil {
			log.Warn("no address by DHCP", "port", port, "err", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
}

// holdLease gets an address and renews it at half its time, until it can't be renewed any more.
func holdLease(ctx context.Context, port, hostName string, log *slog.Logger) error {
	link, err := setUp(port)
	if err != nil {
		return err
	}
	client, err := nclient4.New(port, nclient4.WithTimeout(2*time.Second), nclient4.WithRetry(5))
	if err != nil {
		return fmt.Errorf("DHCP on %s: %w", port, err)
	}
	defer client.Close()
	lease, err := client.Request(ctx, dhcpv4.WithOption(dhcpv4.OptHostName(hostName)))
	if err != nil {
		return err
	}
	addr, err := apply(link, lease.ACK)
	if err != nil {
		return err
	}
	log.Info("address by DHCP", "port", port, "addr", addr, "wait", lease.ACK.IPAddressLeaseTime(time.Hour)/2)
	defer func() { _ = netlink.AddrDel(link, addr) }()
	for {
		whole := lease.ACK.IPAddressLeaseTime(time.Hour)
		end := time.Now().Add(whole)
		wait := whole / 2 // T1
		for {
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(wait):
			}
			renewed, err := client.Renew(ctx, lease, dhcpv4.WithOption(dhcpv4.OptHostName(hostName)))
			if err == nil {
				lease = renewed
				break
			}
			if wait = time.Until(end) / 2; wait < 5*time.Second {
				return fmt.Errorf("the lease ends and isn't renewed: %w", err)
			}
		}
		if _, err := apply(link, lease.ACK); err != nil {
			return err
		}
	}
}

// apply gives the port what a lease says: address, default route, resolvers.
func apply(link netlink.Link, ack *dhcpv4.DHCPv4) (*netlink.Addr, error) {
	mask := ack.SubnetMask()
	if ack.YourIPAddr.To4() == nil || mask == nil {
		return nil, errors.New("the DHCP server gave no address or no mask")
	}
	addr := &netlink.Addr{IPNet: &net.IPNet{IP: ack.YourIPAddr.To4(), Mask: mask}}
	if err := netlink.AddrReplace(link, addr); err != nil {
		return nil, fmt.Errorf("give %s the address %v: %w", link.Attrs().Name, addr.IPNet, err)
	}
	if routers := ack.Router(); len(routers) > 0 {
		if err := defaultRoute(link, routers[0]); err != nil {
			return addr, err
		}
	}
	var resolvers []netip.Addr
	for _, r := range ack.DNS() {
		if a, ok := netip.AddrFromSlice(r.To4()); ok {
			resolvers = append(resolvers, a)
		}
	}
	return addr, useResolvers(resolvers)
}

func defaultRoute(link netlink.Link, via net.IP) error {
	route := &netlink.Route{LinkIndex: link.Attrs().Index, Gw: via, Protocol: unix.RTPROT_DHCP}
	if err := netlink.RouteReplace(route); err != nil {
		return fmt.Errorf("route by %v: %w", via, err)
	}
	return nil
}

func useResolvers(all []netip.Addr) error {
	var b strings.Builder
	for _, r := range all {
		fmt.Fprintf(&b, "nameserver %v\n", r)
	}
	return os.WriteFile(resolvConf, []byte(b.String()), 0o644)
}

// addresses returns what the ports have, as a person would type it.
func addresses() []string {
	all, err := netlink.AddrList(nil, netlink.FAMILY_ALL)
	if err != nil {
		return nil
	}
	var texts []string
	for _, a := range all {
		ip, ok := netip.AddrFromSlice(a.IP)
		if ip = ip.Unmap(); !ok || ip.IsLoopback() || ip.IsLinkLocalUnicast() {
			continue
		}
		link, err := netlink.LinkByIndex(a.LinkIndex)
		if err != nil || link.Type() != "device" {
			continue
		}
		texts = append(texts, fmt.Sprintf("%v on %s", ip, link.Attrs().Name))
	}
	slices.Sort(texts)
	return texts
}
