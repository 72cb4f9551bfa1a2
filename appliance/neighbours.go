package appliance

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"landbridge/iface"
	"landbridge/internal/beacon"
	"landbridge/internal/frame"
	"landbridge/internal/group"
	"landbridge/internal/neighbourhood"
	"landbridge/internal/share"
	"landbridge/router"
)

// neighbours is what an attachment knows of the other members on its segment, and how the
// routers among them share the work. What they decide is in routers.go.
type neighbours struct {
	network    *network
	attachment *attachment
	self       group.MemberID
	service    netip.Addr
	beacon     *beacon.Beacon
	guests     *neighbourhood.Guests
	clients    share.Clients

	circle   atomic.Pointer[share.Circle]
	standing atomic.Pointer[map[group.MemberID]struct{}] // for whom we stand in; nil: for nobody
	others   atomic.Pointer[map[group.MemberID]struct{}] // routers that are heard; nil: none
	lanWell  atomic.Bool
	machine  atomic.Pointer[frame.MAC] // with which this host itself speaks on the segment; nil until known
	carrier  neighbourhood.Carrier
	wanWell  atomic.Bool
	uplink   atomic.Bool // this host has a device to the WAN that works
	sharing  atomic.Bool
	wake     chan struct{} // something has changed
}

// newNeighbours makes what speaks on the attachment's segment from mac.
func (n *network) newNeighbours(a *attachment, mac frame.MAC) (s *neighbours, err error) {
	s = &neighbours{
		network: n, attachment: a, self: n.membership.Self(), service: n.membership.Descriptor().ServiceAddr(),
		guests: neighbourhood.NewGuests(a.prober, n.registry.Lookup), wake: make(chan struct{}, 1),
	}
	s.wanWell.Store(true)
	s.circle.Store(share.NewCircle(s.self))
	s.beacon, err = beacon.New(beacon.Config{
		Membership: n.membership, MAC: mac, Send: func(f []byte) error { return a.router.WriteFrame(f) },
		Self: s.says, Changed: s.poke, Log: n.log,
	})
	return s, err
}

// meetNeighbours has the attachment speak on its segment, until ctx ends.
func (n *network) meetNeighbours(ctx context.Context, a *attachment) error {
	port := make(chan iface.PortState, 1)
	watch, err := iface.WatchPort(a.setup.LANPort, n.log, func(p iface.PortState) {
		a.neighbours.portChanged(p)
		latest(port, p)
	})
	if err != nil {
		return errors.Join(err, n.detach())
	}
	a.cancels = append(a.cancels, watch.Close)
	uplink, err := iface.WatchUplink(n.log, a.neighbours.uplinkChanged, a.setup.LANPort)
	if err != nil {
		return errors.Join(err, n.detach())
	}
	a.cancels = append(a.cancels, uplink.Close)
	a.running.Go(func() { n.keepLANPort(ctx, a, port) })
	a.running.Go(func() { a.neighbours.beacon.Run(ctx) })
	a.running.Go(func() { a.neighbours.run(ctx) })
	return nil
}

func (s *neighbours) poke() { latest(s.wake, struct{}{}) }

// portChanged takes up how the LAN port is.
func (s *neighbours) portChanged(p iface.PortState) {
	if mac, ok := frame.MACFrom(p.MAC); ok {
		s.machine.Store(&mac)
	}
	s.carrier.Is(p.Running, time.Now())
	if s.lanWell.Swap(p.Running) == p.Running {
		return
	}
	if p.Running {
		s.beacon.Announce()
	} else {
		s.beacon.LinkLost()
	}
	s.poke()
}

// uplinkChanged takes up whether this host has a way to other members.
func (s *neighbours) uplinkChanged(up bool) {
	s.uplink.Store(up)
	s.poke()
}

// says is what this router says of itself on the segment.
func (s *neighbours) says() beacon.Says {
	return beacon.Says{Router: true, LANWell: s.lanWell.Load(), WANWell: s.wanWell.Load(), Sharing: s.sharing.Load()}
}

// well reports whether both sides of this router work.
func (s *neighbours) well() bool { return s.lanWell.Load() && s.wanWell.Load() }

// has reports whether a member's hosts are on this segment: it is here itself, or we stand in
// for it. It is called for each packet.
func (s *neighbours) has(m group.MemberID) bool {
	if s == nil {
		return false
	}
	if s.beacon.Is(m) {
		return true
	}
	standing := s.standing.Load()
	if standing == nil {
		return false
	}
	_, ok := (*standing)[m]
	return ok
}

// speaksAs reports whether a member on this segment speaks with this MAC.
func (s *neighbours) speaksAs(mac frame.MAC) bool {
	return slices.ContainsFunc(s.beacon.Neighbors(), func(n beacon.Neighbor) bool { return n.MAC == mac })
}

// answers says whether an ARP request is ours to answer: the remote addresses are shared out
// among the routers, and so are the hosts that the service address speaks to. This machine, which
// asks so that it knows that its own router answers, is ours.
func (s *neighbours) answers(mac frame.MAC, _, target netip.Addr) bool {
	if target == s.service {
		if own := s.machine.Load(); own != nil && mac == *own {
			return true
		}
		return s.circle.Load().Ours(share.MACKey(mac))
	}
	return s.circle.Load().Ours(share.AddrKey(target))
}

// turnStrangers leaves to the other routers of the segment the hosts that fall to them, but for those whose packets
// come to this one: the others don't see them.
type turnStrangers struct {
	router.Strangers
	neighbours *neighbours
}

// Stranger is called on the frame path. As long as nobody takes part, as at the start, hosts that
// show themselves once must not be lost.
func (t turnStrangers) Stranger(addr netip.Addr, mac frame.MAC) {
	if owner := t.neighbours.circle.Load().Owner(share.MACKey(mac)); owner.IsZero() || owner == t.neighbours.self {
		t.Strangers.Stranger(addr, mac)
	}
}
