package pid1

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/dhcpv4/nclient4"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// useDHCP has the port get its address by DHCP (RFC 2131) and keep it, until ctx is done.
func (n *Network) useDHCP(ctx context.Context, port string, resolvers []netip.Addr) {
	const pause = 2 * time.Second
	for ctx.Err() == nil {
		err := n.holdLease(ctx, port, resolvers)
		if err != nil && ctx.Err() == nil {
			n.log.Warn("no address by DHCP", "port", port, "err", err)
			n.say(fmt.Sprintf("The management port %s has no address by DHCP (%v): is it connected? Press Enter to give it one by hand.", port, err))
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
}

// holdLease gets an address and renews it at half its time, until it can't be renewed any more.
func (n *Network) holdLease(ctx context.Context, port string, resolvers []netip.Addr) error {
	link, err := setUp(port)
	if err != nil {
		return err
	}
	client, err := nclient4.New(port, nclient4.WithTimeout(2*time.Second), nclient4.WithRetry(5))
	if err != nil {
		return fmt.Errorf("DHCP on %s: %w", port, err)
	}
	defer client.Close()
	asks := []dhcpv4.Modifier{dhcpv4.WithOption(dhcpv4.OptHostName(n.name)), dhcpv4.WithRequestedOptions(dhcpv4.OptionNTPServers)}
	lease, err := client.Request(ctx, asks...)
	if err != nil {
		return err
	}
	addr, err := n.apply(link, lease.ACK, resolvers)
	if addr != nil {
		defer func() { _ = netlink.AddrDel(link, addr) }()
	}
	if err != nil {
		return err
	}
	n.say("")
	n.log.Info("address by DHCP", "port", port, "addr", addr.IPNet, "wait", untilRenewal(lease.ACK))
	for {
		end := time.Now().Add(lease.ACK.IPAddressLeaseTime(time.Hour))
		if lease, err = renew(ctx, client, lease, end, asks); err != nil || lease == nil {
			return err
		}
		renewed, err := n.apply(link, lease.ACK, resolvers)
		if err != nil {
			return err
		}
		if !renewed.Equal(*addr) {
			_ = netlink.AddrDel(link, addr)
			addr = renewed
		}
	}
}

// renew waits until it is time and renews the lease, again and again until its end. It returns
// nil once ctx is done.
func renew(ctx context.Context, client *nclient4.Client, lease *nclient4.Lease, end time.Time, asks []dhcpv4.Modifier) (*nclient4.Lease, error) {
	wait := untilRenewal(lease.ACK)
	for {
		select {
		case <-ctx.Done():
			return nil, nil
		case <-time.After(wait):
		}
		renewed, err := client.Renew(ctx, lease, asks...)
		if err == nil {
			return renewed, nil
		}
		left := time.Until(end)
		if left <= 0 || ctx.Err() != nil {
			return nil, fmt.Errorf("the lease has ended and wasn't renewed: %w", err)
		}
		wait = min(left, max(left/2, 10*time.Second))
	}
}

// untilRenewal is T1 (RFC 2131, 4.4.5): what the server says, or half of the lease.
func untilRenewal(ack *dhcpv4.DHCPv4) time.Duration {
	whole := ack.IPAddressLeaseTime(time.Hour)
	return max(min(ack.IPAddressRenewalTime(whole/2), whole), 5*time.Second)
}

// apply gives the port what a lease says: address, default route, resolvers, time servers.
func (n *Network) apply(link netlink.Link, ack *dhcpv4.DHCPv4, resolvers []netip.Addr) (*netlink.Addr, error) {
	mask := ack.SubnetMask()
	if ack.YourIPAddr.To4() == nil || ack.YourIPAddr.IsUnspecified() || mask == nil {
		return nil, errors.New("the DHCP server gave no address or no mask")
	}
	addr := &netlink.Addr{IPNet: &net.IPNet{IP: ack.YourIPAddr.To4(), Mask: mask}}
	if err := netlink.AddrReplace(link, addr); err != nil {
		return nil, fmt.Errorf("give %s the address %v: %w", link.Attrs().Name, addr.IPNet, err)
	}
	if routers := ack.Router(); len(routers) > 0 {
		if err := defaultRoute(link, routers[0], unix.RTPROT_DHCP); err != nil {
			return addr, err
		}
	}
	all := slices.Clone(resolvers)
	for _, r := range ack.DNS() {
		if a, ok := netip.AddrFromSlice(r.To4()); ok {
			all = append(all, a)
		}
	}
	var servers []string
	for _, s := range ack.NTPServers() {
		servers = append(servers, s.String())
	}
	n.mu.Lock()
	n.ntp = servers
	n.mu.Unlock()
	return addr, useResolvers(all)
}
