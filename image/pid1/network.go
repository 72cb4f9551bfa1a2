package pid1

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"landbridge/image/userdata"
	"landbridge/internal/sorting"
)

// resolvConf names the resolvers, as every program reads them: /etc/resolv.conf is a link to it.
const resolvConf = "/run/resolv.conf"

// Network is the management port. Its methods are safe for concurrent use.
type Network struct {
	log     *slog.Logger
	name    string // the machine's
	changes chan userdata.Management

	mu      sync.Mutex
	now     userdata.Management
	trouble string   // for people; empty: none
	ntp     []string // time servers by DHCP
}

func newNetwork(first userdata.Management, name string, log *slog.Logger) *Network {
	return &Network{log: log, name: name, now: first, changes: make(chan userdata.Management, 1)}
}

// Run keeps the port as it is to be, until ctx is done.
func (n *Network) Run(ctx context.Context) {
	if lo, err := netlink.LinkByName("lo"); err == nil {
		_ = netlink.LinkSetUp(lo)
	}
	for ctx.Err() == nil {
		inner, stop := context.WithCancel(ctx)
		var kept sync.WaitGroup
		kept.Go(func() { n.keep(inner, n.Now()) })
		select {
		case <-ctx.Done():
		case m := <-n.changes:
			n.mu.Lock()
			n.now, n.trouble, n.ntp = m, "", nil
			n.mu.Unlock()
		}
		stop()
		kept.Wait()
	}
}

// Now returns how the port is to be.
func (n *Network) Now() userdata.Management {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.now
}

// Change has the port be otherwise from now on.
func (n *Network) Change(ctx context.Context, m userdata.Management) {
	select {
	case n.changes <- m:
	case <-ctx.Done():
	}
}

// Trouble returns what isn't well, for people, or nothing.
func (n *Network) Trouble() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.trouble
}

// TimeServers returns those that DHCP has named.
func (n *Network) TimeServers() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.ntp
}

func (n *Network) say(trouble string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.trouble = trouble
}

// keep gives the port its address, as soon as there is such a port, until ctx is done.
func (n *Network) keep(ctx context.Context, m userdata.Management) {
	port, ok := n.await(ctx, m.Port)
	if !ok {
		return
	}
	if link, err := netlink.LinkByName(port); err == nil && m.MTU != 0 {
		if err := netlink.LinkSetMTU(link, m.MTU); err != nil {
			n.log.Warn("the management port keeps its MTU", "port", port, "err", err)
		}
	}
	if !m.Address.IsValid() {
		n.useDHCP(ctx, port, m.DNS)
		return
	}
	addr, err := useStatic(port, m)
	if err != nil {
		n.log.Error("the management port has no address", "port", port, "err", err)
		n.say(fmt.Sprintf("The management port %s has no address: %v.", port, err))
	}
	<-ctx.Done()
	if addr != nil {
		if link, err := netlink.LinkByName(port); err == nil {
			_ = netlink.AddrDel(link, addr)
		}
	}
}

// await returns the port with this name or hardware address, or the first one, once it is there.
func (n *Network) await(ctx context.Context, wanted string) (string, bool) {
	for {
		all, err := ports()
		i := slices.IndexFunc(all, func(p port) bool { return wanted == "" || p.name == wanted || p.mac == wanted })
		switch {
		case err != nil:
			n.say(fmt.Sprintf("The network ports can't be listed: %v.", err))
		case i >= 0:
			n.say("")
			return all[i].name, true
		case len(all) == 0:
			n.say("This machine has no network port that the appliance has a driver for: add one (virtio, VMXNET3).")
		default:
			n.say(fmt.Sprintf("This machine has no network port %s; it has %s.", wanted, listed(all)))
		}
		select {
		case <-ctx.Done():
			return "", false
		case <-time.After(time.Second):
		}
	}
}

// port is a network port.
type port struct{ name, mac string }

// ports returns the machine's network ports, in the order of their names.
func ports() ([]port, error) {
	links, err := netlink.LinkList()
	if err != nil {
		return nil, fmt.Errorf("list the network ports: %w", err)
	}
	var all []port
	for _, l := range links {
		if a := l.Attrs(); l.Type() == "device" && a.Flags&net.FlagLoopback == 0 {
			all = append(all, port{a.Name, a.HardwareAddr.String()})
		}
	}
	sorting.By(all, func(a, b port) int { return strings.Compare(a.name, b.name) })
	return all, nil
}

// listed names ports to people.
func listed(all []port) string {
	var texts []string
	for _, p := range all {
		texts = append(texts, fmt.Sprintf("%s (%s)", p.name, p.mac))
	}
	return strings.Join(texts, ", ")
}

// setUp sets a port up.
func setUp(port string) (netlink.Link, error) {
	link, err := netlink.LinkByName(port)
	if err != nil {
		return nil, fmt.Errorf("port %s: %w", port, err)
	}
	return link, netlink.LinkSetUp(link)
}

// useStatic gives the port an address.
func useStatic(port string, m userdata.Management) (*netlink.Addr, error) {
	link, err := setUp(port)
	if err != nil {
		return nil, err
	}
	a := m.Address.Addr()
	addr := &netlink.Addr{IPNet: &net.IPNet{IP: a.AsSlice(), Mask: net.CIDRMask(m.Address.Bits(), a.BitLen())}}
	if err := netlink.AddrReplace(link, addr); err != nil {
		return nil, fmt.Errorf("give %s the address %v: %w", port, m.Address, err)
	}
	if m.Gateway.IsValid() {
		if err := defaultRoute(link, m.Gateway.AsSlice(), unix.RTPROT_STATIC); err != nil {
			return addr, err
		}
	}
	return addr, useResolvers(m.DNS)
}

func defaultRoute(link netlink.Link, via net.IP, from netlink.RouteProtocol) error {
	route := &netlink.Route{LinkIndex: link.Attrs().Index, Gw: via, Protocol: from}
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

// urls returns where a browser finds the console, and by which port.
func urls() []string {
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
		host := ip.String()
		if ip.Is6() {
			host = "[" + host + "]"
		}
		texts = append(texts, fmt.Sprintf("https://%s/ (%s)", host, link.Attrs().Name))
	}
	slices.Sort(texts)
	return texts
}
