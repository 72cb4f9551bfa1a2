package appliance

import (
	"context"
	"fmt"
	"net/netip"
	"sync/atomic"
	"time"

	"landbridge/arp"
	"landbridge/console/api"
	"landbridge/dhcp"
	"landbridge/dns"
	"landbridge/iface"
	"landbridge/internal/frame"
	"landbridge/internal/group"
	"landbridge/internal/registry"
	"landbridge/internal/tunnel"
	"landbridge/router"
)

// attachment is how hosts are attached to a group: the devices and the forwarder
// between them and the tunnel.
type attachment struct {
	tap    *iface.TAP
	bridge *iface.Bridge // router mode
	hosts  *router.Hosts
	router *router.Router
	prober *arp.Prober

	address atomic.Pointer[netip.Prefix] // interface mode: this host's own; nil until leased
}

// attach makes the devices of the configured mode, and sets the forwarder and the
// tunnel to work.
func (n *network) attach(ctx context.Context) error {
	a := &attachment{}
	n.attachment = a
	if err := n.openDevices(a); err != nil {
		return err
	}
	if err := n.openRouter(a); err != nil {
		return err
	}
	if err := n.openTunnel(); err != nil {
		return err
	}
	n.trackHosts(a)
	n.closers = append(n.closers, func() error { a.router.Close(); return nil })
	source, err := n.node.loop.Add(a.tap.FD(), a.router.Poll, func(err error) {
		n.node.fail(fmt.Errorf("group %s: nothing can be forwarded any more: %w", n.membership.Descriptor().Name, err))
	})
	if err != nil {
		return err
	}
	n.closers = append(n.closers, func() error { source.Remove(); return nil })
	if n.node.cfg.Mode == ModeInterface {
		n.background(func() { n.keepAddress(ctx) })
	}
	return nil
}

// openDevices makes the TAP and, in router mode, the bridge to the LAN port.
func (n *network) openDevices(a *attachment) (err error) {
	d, self, owner := n.membership.Descriptor(), n.membership.Self(), n.node.state.owner()
	a.tap, err = iface.OpenTAP("", iface.TAPOptions{MAC: hostMAC(self), MTU: d.MTU, Owner: owner, Log: n.log})
	if err != nil {
		return err
	}
	n.closers = append(n.closers, a.tap.Close)
	if n.node.cfg.Mode != ModeRouter {
		return nil
	}
	a.bridge, err = iface.CreateBridge(iface.BridgeConfig{
		LANPort: n.node.cfg.LANPort, TAP: a.tap, GatewayMAC: gatewayMAC(self), Owner: owner, Log: n.log,
	})
	if err != nil {
		return err
	}
	n.closers = append(n.closers, a.bridge.Close)
	return nil
}

// openRouter makes the forwarder with the services that answer locally.
func (n *network) openRouter(a *attachment) (err error) {
	d := n.membership.Descriptor()
	mac, _ := frame.MACFrom(gatewayMAC(n.membership.Self()))
	if a.hosts, err = router.NewHosts(d.Prefix); err != nil {
		return err
	}
	directory := directory{n.registry}
	cfg := router.Config{
		Device: a.tap, Prefix: d.Prefix, ServiceAddr: d.ServiceAddr(), GatewayMAC: mac, MTU: d.MTU,
		Directory: directory, Sender: (*sender)(n), Hosts: a.hosts, Log: n.log,
		ARP: arp.NewResponder(arp.Config{
			Prefix: d.Prefix, ServiceAddr: d.ServiceAddr(), GatewayMAC: mac, Directory: router.ARPDirectory(directory),
		}),
		DNS: dns.NewHandler(dns.Config{
			Zone: d.Zone, Prefix: d.Prefix, ServiceAddr: d.ServiceAddr(), Directory: names{n.registry},
		}),
	}
	// The prober writes by the router and the router shows it what comes back.
	a.prober = arp.NewProber(mac, func(f []byte) error { return a.router.WriteFrame(f) })
	cfg.Probes, cfg.LinkMTU = a.prober, a.tap.MTU()
	if a.bridge != nil {
		cfg.DHCP = dhcp.NewServer(dhcp.Config{
			Prefix: d.Prefix, ServiceAddr: d.ServiceAddr(), LeaseTime: d.LeaseTime, MTU: min(d.MTU, a.bridge.MTU()),
			Zone: d.Zone, Search: []string{d.Zone},
			Leaser: &leaser{registry: n.registry, hosts: a.hosts}, Prober: a.prober, Log: n.log,
		})
	}
	a.router, err = router.New(cfg)
	return err
}

// openTunnel opens the group's data plane.
func (n *network) openTunnel() (err error) {
	prefix := n.membership.Descriptor().Prefix
	joinTCP, joinUDP := n.attachment.tap.Takes()
	n.tunnel, err = tunnel.Open(tunnel.Config{
		Socket:     n.node.socket,
		Membership: n.membership,
		Signal:     transport{n, protocolConnect},
		Observed:   n.node.overlay.Observed,
		Interfaces: func() []netip.Addr {
			addrs, err := iface.LocalAddrs(prefix)
			if err != nil {
				n.log.Debug("no interface addresses", "err", err)
			}
			return addrs
		},
		Exclude: prefix.Contains,
		Keep:    n.relays,
		Deliver: n.attachment.router.Deliver,
		JoinTCP: joinTCP,
		JoinUDP: joinUDP,
		MTU:     n.membership.Descriptor().MTU,
		Log:     n.log,
	})
	if err != nil {
		return err
	}
	n.closers = append(n.closers, n.tunnel.Close)
	return nil
}

// maxRelays is how many relays a member keeps a session with.
const maxRelays = 3

// relays returns the members with which a session is held so that they can relay: those
// that the overlay reaches directly, the oldest members first.
func (n *network) relays() []group.MemberID {
	links := n.node.overlay.Links()
	d := n.membership.Descriptor()
	var all []group.MemberID
	for _, e := range d.Members {
		if len(all) < maxRelays && e.In(d.Version) && links[e.ID].Direct {
			all = append(all, e.ID)
		}
	}
	return all
}

// trackHosts keeps the host table of the segment in step with the leases.
func (n *network) trackHosts(a *attachment) {
	n.onStop(n.registry.Subscribe(func(c registry.Change) {
		if c.Kind != registry.LeaseChanged {
			return
		}
		at, status := n.registry.Lookup(c.Addr)
		if status == registry.Known && at.Local {
			return // the leaser has told the table
		}
		if _, was := a.hosts.MAC(c.Addr); !was {
			return
		}
		a.hosts.Forget(c.Addr)
		if status == registry.Known { // it moved: its neighbours here must hear where it is
			if err := a.router.Announce(c.Addr); err != nil {
				n.log.Warn("move not announced", "addr", c.Addr, "err", err)
			}
		}
	}))
	for l := range n.registry.Leases() {
		a.hosts.Learn(l.Addr, frame.MAC(l.MAC))
	}
}

// ownClient is this host as the registry sees it, in interface mode.
func (n *network) ownClient() registry.Client {
	self := n.membership.Self()
	return registry.Client{
		ID:   append([]byte{255}, self[:]...), // RFC 2132 section 9.14: type 255 is no hardware address
		MAC:  hostMAC(self),
		Name: group.NodeName(n.node.cfg.Name),
	}
}

// keepAddress gives this host its address in interface mode, and renews the lease.
func (n *network) keepAddress(ctx context.Context) {
	client := n.ownClient()
	var addr netip.Addr
	for {
		wait, err := n.leaseOwn(ctx, client, &addr)
		if err != nil {
			if ctx.Err() != nil {
				return
			}
			wait = 500 * time.Millisecond
			n.log.Debug("no address of our own yet", "err", err)
			n.node.health.report(api.HealthLevelWarning, "registry", "address",
				fmt.Sprintf("This host has no address yet: %v. It goes on trying.", err), time.Now())
		} else {
			n.node.health.clear("registry", "address")
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

// leaseOwn leases the host's address, or renews the lease, and says when to come
// again.
func (n *network) leaseOwn(ctx context.Context, client registry.Client, addr *netip.Addr) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, introduceTimeout)
	defer cancel()
	if !addr.IsValid() {
		offer, err := n.registry.Offer(ctx, client, netip.Addr{})
		if err != nil {
			return 0, err
		}
		*addr = offer.Addr
	}
	lease, err := n.registry.Commit(ctx, client, *addr)
	if err != nil {
		*addr = netip.Addr{} // it is another's now: ask for a new one
		return 0, err
	}
	a := n.attachment
	mac, _ := frame.MACFrom(client.MAC)
	a.hosts.Learn(lease.Addr, mac)
	own := netip.PrefixFrom(lease.Addr, n.membership.Descriptor().Prefix.Bits())
	if former := a.address.Load(); former == nil || *former != own {
		if err := iface.AssignAddress(a.tap, own); err != nil {
			return 0, err
		}
		a.address.Store(&own)
		n.log.Info("address leased", "addr", lease.Addr, "device", a.tap.Name())
	}
	return renewAfter(lease, time.Now()), nil
}
