package appliance

import (
	"iter"
	"sync"
	"sync/atomic"

	"landbridge/console"
	"landbridge/iface"
	"landbridge/internal/config"
	"landbridge/internal/division"
	"landbridge/internal/frame"
	"landbridge/internal/group"
	"landbridge/internal/modes"
)

func territoryOf(m *group.Membership) division.Territory {
	d := m.Descriptor()
	return division.Territory{ID: m.Group(), Name: d.Name, Prefix: d.Prefix, Gateways: gatewaysOf(d)}
}

// gatewaysOf goes through the MACs with which the members of a group answer.
func gatewaysOf(d *group.Descriptor) iter.Seq[frame.MAC] {
	return func(yield func(frame.MAC) bool) {
		for _, m := range d.Current() {
			if !yield(frame.MAC(gatewayMAC(d.Group, m))) {
				return
			}
		}
	}
}

// divide is division.Divide for people: what can't be divided is a conflict.
func divide(c config.Groups, live division.Live, s modes.Setup, all []division.Territory) (*division.Division, error) {
	d, err := division.Divide(c, live, s, all)
	if err != nil {
		return nil, console.Conflict(err)
	}
	return d, nil
}

// stations is the division as an attachment's router sees it.
type stations struct {
	network    *network
	port       string
	bridge     frame.MAC // with which the appliance itself asks the LAN, as when a switch of the mode is verified
	neighbours *neighbours
	left       atomic.Pointer[map[frame.MAC]struct{}] // hosts that were evicted; nil: none
	noting     sync.Mutex                             // who sets left
}

func (n *network) newStations(a *attachment) (*stations, error) {
	hw, err := a.bridge.MAC()
	if err != nil {
		return nil, err
	}
	mac, _ := frame.MACFrom(hw)
	return &stations{network: n, port: a.setup.LANPort, bridge: mac, neighbours: a.neighbours}, nil
}

// Ours reports whether frames of a station are this group's business: those of its hosts, of its
// routers, and of members that are proven to be on this wire.
func (s *stations) Ours(mac frame.MAC) bool {
	d := s.network.node.division.Load()
	if d == nil {
		return true
	}
	if id, gateway := d.Gateway(mac); gateway {
		return id == s.network.id
	}
	return d.Of(mac, s.port) == s.network.id || mac == s.bridge || s.neighbours.speaksAs(mac)
}

// Left reports whether a host that isn't the group's was, and may not know it yet.
func (s *stations) Left(mac frame.MAC) bool {
	left := s.left.Load()
	if left == nil {
		return false
	}
	_, is := (*left)[mac]
	return is
}

// noteLeft takes up who was evicted.
func (s *stations) noteLeft() {
	s.noting.Lock()
	defer s.noting.Unlock()
	left := make(map[frame.MAC]struct{})
	for _, mac := range s.network.registry.Evictions() {
		left[frame.MAC(mac)] = struct{}{}
	}
	s.left.Store(&left)
}

// named reports whether a host was given to the group by name.
func (n *network) named(mac frame.MAC) bool {
	d := n.node.division.Load()
	return d != nil && d.Names(mac, n.id)
}

// isGateway recognises the gateway MAC of a member of another group that this appliance is in.
func (n *network) isGateway(mac frame.MAC) bool {
	d := n.node.division.Load()
	if d == nil {
		return false
	}
	_, is := d.Gateway(mac)
	return is
}

// territories lists the groups at work here, and those that are about to be, but the one of this ID.
func (n *node) territories(but group.ID) (all []division.Territory) {
	for _, nw := range n.all() {
		if nw.id != but {
			all = append(all, territoryOf(nw.membership))
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, t := range n.coming {
		if t.ID != but && n.networks[t.ID] == nil {
			all = append(all, t)
		}
	}
	return all
}

// divide brings the division up to date: groups or their members have changed, or the mode, or who is
// registered.
func (n *node) divide() {
	n.dividing.Lock()
	defer n.dividing.Unlock()
	d, err := divide(n.cfg.Groups, n.roll.live(), n.setup(), n.territories(group.ID{}))
	if err != nil { // it was found out before
		n.log.Error("hosts of the LAN can't be divided among the groups", "err", err)
		return
	}
	n.division.Store(d)
}

// checkNewcomer says whether a group can be taken up beside those that are, changing nothing.
func (n *node) checkNewcomer(t division.Territory) error {
	s, others := n.setup(), n.territories(t.ID)
	if _, err := divide(n.cfg.Groups, n.roll.live(), s, append(others, t)); err != nil {
		return err
	}
	if port := division.PortOf(n.cfg.Groups, s, t); s.Mode == modes.Router && n.bridgeOn(port) == nil {
		return iface.CheckPort(port, n.state.owner())
	}
	return nil
}

// bridgeOn returns the bridge that a group has on a LAN port, for another to share.
func (n *node) bridgeOn(port string) *iface.Bridge {
	for _, nw := range n.all() {
		if a := nw.attachment.Load(); a != nil && a.bridge != nil && a.setup.LANPort == port {
			return a.bridge
		}
	}
	return nil
}

// placed is the setup with the group's own LAN port.
func (n *network) placed(s modes.Setup) modes.Setup {
	if s.AttachesLAN() {
		s.LANPort = division.PortOf(n.node.cfg.Groups, s, territoryOf(n.membership))
	}
	return s
}
