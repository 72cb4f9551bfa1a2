package appliance

import (
	"bytes"
	"context"
	"errors"
	"net/netip"

	"landbridge/arp"
	"landbridge/dhcp"
	"landbridge/iface"
	"landbridge/internal/frame"
	"landbridge/internal/group"
	"landbridge/internal/modes"
	"landbridge/internal/registry"
	"landbridge/internal/tunnel"
	"landbridge/router"
)

// attach makes the attachment that the appliance's mode wants, opens the tunnel, and sets
// both to work. The attachment may be replaced later (attachment.go); the tunnel stands.
func (n *network) attach(ctx context.Context) error {
	a, err := n.openAttachment(n.placed(n.node.setup()))
	if err != nil {
		return err
	}
	if err := n.openTunnel(a.tap.Takes()); err != nil {
		return errors.Join(err, a.close())
	}
	n.closers = append(n.closers, n.detach)
	return n.enliven(ctx, a)
}

// openDevices makes the TAP and, in router mode, the bridge to the LAN port, which groups share.
func (n *network) openDevices(a *attachment) (err error) {
	d, self, owner := n.membership.Descriptor(), n.membership.Self(), n.node.state.owner()
	a.tap, err = iface.OpenTAP("", iface.TAPOptions{MAC: hostMAC(n.id, self), MTU: d.MTU, Owner: owner, Log: n.log})
	if err != nil {
		return err
	}
	a.closers = append(a.closers, a.tap.Close)
	if a.setup.Mode != modes.Router {
		return nil
	}
	gateway := gatewayMAC(n.id, self)
	if shared := n.node.bridgeOn(a.setup.LANPort); shared != nil {
		a.bridge, err = shared.Share(a.tap, gateway, n.log)
	} else {
		a.bridge, err = iface.CreateBridge(iface.BridgeConfig{
			LANPort: a.setup.LANPort, TAP: a.tap, GatewayMAC: gateway, Owner: owner, Log: n.log,
		})
	}
	if err != nil {
		return err
	}
	a.closers = append(a.closers, a.bridge.Close)
	return nil
}

// openRouter makes the forwarder with the services that answer locally.
func (n *network) openRouter(a *attachment) (err error) {
	d := n.membership.Descriptor()
	mac, _ := frame.MACFrom(gatewayMAC(n.id, n.membership.Self()))
	if a.hosts, err = router.NewHosts(d.Prefix); err != nil {
		return err
	}
	// The prober writes by the router and the router shows it what comes back.
	a.service = d.ServiceAddr()
	a.prober = arp.NewProber(mac, func(f []byte) error { return a.router.WriteFrame(f) })
	directory, show := directory{registry: n.registry}, router.ARPDirectory
	switch {
	case a.bridge != nil:
		if a.neighbours, err = n.newNeighbours(a, mac); err != nil {
			return err
		}
		directory.near = a.neighbours.has
		if a.stations, err = n.newStations(a); err != nil {
			return err
		}
	case a.setup.Mode == modes.Hybrid:
		a.hybrid = newHybrid(n, a.setup.LANPort, a.tap)
		directory.near = a.hybrid.near
	}
	if !a.setup.AttachesLAN() {
		show = router.HostARPDirectory
	}
	responder := arp.Config{
		Prefix: d.Prefix, ServiceAddr: d.ServiceAddr(), GatewayMAC: mac, Directory: show(directory), Leased: a.leased,
	}
	cfg := router.Config{
		Speakers: n.standins,
		Device:   capturedDevice{a.tap, &n.captured}, Prefix: d.Prefix, ServiceAddr: d.ServiceAddr(), GatewayMAC: mac, MTU: d.MTU,
		Directory: directory, Sender: (*sender)(n), Hosts: a.hosts, Log: n.log,
		DNS: n.resolver(),
	}
	if a.hybrid != nil {
		cfg.Bypass = a.hybrid.bypass
	}
	cfg.Probes, cfg.LinkMTU = a.prober, a.tap.MTU()
	if a.bridge != nil {
		a.segment = n.newSegment(a, mac, dhcp.Config{
			Prefix: d.Prefix, ServiceAddr: d.ServiceAddr(), Zone: d.Zone, MTU: n.node.cfg.DHCP.MTU.Option26(d.MTU, a.bridge.MTU()), Options: n.hostOptions(),
			Leaser: &leaser{registry: n.registry, hosts: a.hosts}, Prober: a.prober, Log: n.log,
		})
		cfg.DHCP, cfg.DHCP6, cfg.DHCPPorts, cfg.Watch = a.segment, a.segment.dhcp6, n.dhcp().Ports, a.segment
		a.segment.strangers = n.newStrangers(a, func(addr netip.Addr) bool { route, _ := directory.Lookup(addr); return route.Native })
		cfg.Strangers = turnStrangers{a.segment.strangers, a.neighbours}
		cfg.Probes, cfg.Stations = a.neighbours.guests, a.stations
		cfg.Beacons, responder.Ours = a.neighbours.beacon, a.neighbours.answers
	}
	cfg.ARP = arp.NewResponder(responder)
	if a.router, err = router.New(cfg); err != nil {
		return err
	}
	a.closers = append(a.closers, func() error { a.router.Close(); return nil })
	return nil
}

// openTunnel opens the group's data plane. That the TAP takes joined segments is the
// kernel's ability, so each TAP after the first takes them too.
func (n *network) openTunnel(joinTCP, joinUDP bool) (err error) {
	prefix := n.membership.Descriptor().Prefix
	n.tunnel, err = tunnel.Open(tunnel.Config{
		Socket:     n.node.socket,
		Membership: n.membership,
		Signal:     transport{n, protocolConnect},
		Streams:    streams{n},
		Observed:   n.node.overlay.Reached,
		Interfaces: func() []netip.Addr {
			addrs, err := iface.LocalAddrs(prefix, n.ipv6Net().Prefix())
			if err != nil {
				n.log.Debug("no interface addresses", "err", err)
			}
			return addrs
		},
		Exclude: n.isWithin,
		Keep:    n.relays,
		Deliver: n.deliver,
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

// trackHosts keeps the host table of the segment in step with the leases. Leases of hosts
// that aren't on this segment, as those of a LAN that is detached, stay out of it.
func (n *network) trackHosts(a *attachment) {
	a.cancels = append(a.cancels, n.registry.Subscribe(func(c registry.Change) {
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
		if status == registry.Known && !a.neighbours.has(at.Member) { // it moved: its neighbours here must hear where it is
			if err := a.router.Announce(c.Addr); err != nil {
				n.log.Warn("move not announced", "addr", c.Addr, "err", err)
			}
		}
	}))
	self := n.ownClient()
	for l := range n.registry.Leases() {
		if own := bytes.Equal(l.Client, self.ID); own != a.setup.AttachesLAN() && a.takes(l.MAC) {
			a.hosts.Learn(l.Addr, frame.MAC(l.MAC))
		}
	}
}
