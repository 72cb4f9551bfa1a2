package appliance

import (
	"context"
	"errors"
	"net/netip"
	"sync/atomic"
	"time"

	"landbridge/dhcp"
	"landbridge/iface"
	"landbridge/internal/beacon"
	"landbridge/internal/frame"
	"landbridge/internal/group"
	"landbridge/internal/registry"
	"landbridge/internal/share"
	"landbridge/router"
)

// neighbours is what an attachment knows of the other members on its segment, and how the
// routers among them share the work.
type neighbours struct {
	network *network
	self    group.MemberID
	beacon  *beacon.Beacon
	circle  atomic.Pointer[share.Circle]
	clients share.Clients
	lanWell atomic.Bool
	guests  *guests
	tell    func(netip.Addr) // the hosts, that an address is reached by us
}

// newNeighbours makes what speaks on the attachment's segment from mac by send.
func (n *network) newNeighbours(a *attachment, mac frame.MAC) (s *neighbours, err error) {
	send := func(f []byte) error { return a.router.WriteFrame(f) }
	s = &neighbours{network: n, self: n.membership.Self(), guests: newGuests(a.prober, n.registry.Lookup)}
	s.tell = func(addr netip.Addr) {
		if err := a.router.Announce(addr); err != nil {
			n.log.Warn("move not announced", "addr", addr, "err", err)
		}
	}
	s.beacon, err = beacon.New(beacon.Config{
		Membership: n.membership, MAC: mac, Send: send, Self: s.says, Changed: s.changed, Log: n.log,
	})
	if err != nil {
		return nil, err
	}
	s.changed()
	return s, nil
}

// meetNeighbours has the attachment speak on its segment, until ctx ends.
func (n *network) meetNeighbours(ctx context.Context, a *attachment) error {
	watch, err := iface.WatchPort(a.setup.LANPort, n.log, a.neighbours.portChanged)
	if err != nil {
		return errors.Join(err, n.detach())
	}
	a.cancels = append(a.cancels, watch.Close)
	a.running.Go(func() { a.neighbours.beacon.Run(ctx) })
	return nil
}

// portChanged takes up how the LAN port is.
func (s *neighbours) portChanged(p iface.PortState) {
	if well := p.Running; s.lanWell.Swap(well) != well && !well {
		s.beacon.LinkLost()
	}
}

// says is what this router says of itself on the segment.
func (s *neighbours) says() beacon.Says {
	return beacon.Says{Router: true, LANWell: s.lanWell.Load(), WANWell: true, Sharing: true}
}

// changed takes up who shares now.
func (s *neighbours) changed() {
	sharing := []group.MemberID{s.self}
	for _, n := range s.beacon.Neighbors() {
		if n.Says.Router && n.Says.Sharing {
			sharing = append(sharing, n.Member)
		}
	}
	s.circle.Store(share.NewCircle(s.self, sharing...))
	for _, addr := range s.guests.review(s.beacon.Neighbors()) {
		if s.circle.Load().Ours(share.AddrKey(addr)) {
			s.tell(addr)
		}
	}
}

// has reports whether a member is on this segment. It is called for each packet.
func (s *neighbours) has(m group.MemberID) bool { return s != nil && s.beacon.Is(m) }

// answers says whether an ARP request is ours to answer: that of a host that is served
// here, and that of a stranger if it falls to us.
func (s *neighbours) answers(mac frame.MAC, sender, _ netip.Addr) bool {
	if at, status := s.network.registry.Lookup(sender); status == registry.Known {
		if at.Local {
			return true
		}
		if s.circle.Load().Has(at.Member) {
			return false
		}
	}
	return s.circle.Load().Ours(share.MACKey(mac))
}

// turnDHCP leaves to the other routers of the segment the clients that are theirs.
type turnDHCP struct {
	router.DHCP
	neighbours *neighbours
}

// Handle answers a client that is ours, or that its own router neglects.
func (d turnDHCP) Handle(ctx context.Context, message []byte, source frame.MAC) (dhcp.Reply, bool, error) {
	if m, ok := share.ParseMessage(message); ok && !d.neighbours.serves(m) && !d.neighbours.clients.Neglected(m, time.Now()) {
		return dhcp.Reply{}, false, nil
	}
	return d.DHCP.Handle(ctx, message, source)
}

// serves says whether a DHCP client is ours: the one that has its address from us, and a
// new one if it falls to us.
func (s *neighbours) serves(m share.Message) bool {
	circle := s.circle.Load()
	if m.Addr.IsValid() {
		if at, status := s.network.registry.Lookup(m.Addr); status == registry.Known {
			if at.Local {
				return true
			}
			if circle.Has(at.Member) {
				return false
			}
		}
	}
	return circle.Ours(share.MACKey(m.Client))
}
