package appliance

import (
	"context"
	"crypto/rand"
	"log/slog"
	"net/netip"
	"slices"
	"time"

	"landbridge/arp"
	"landbridge/dhcp"
	"landbridge/dhcp/dhcp6"
	"landbridge/internal/config"
	"landbridge/internal/division"
	"landbridge/internal/frame"
	"landbridge/internal/group"
	"landbridge/internal/health"
	"landbridge/internal/neighbourhood"
	"landbridge/internal/registry"
	"landbridge/internal/strangers"
)

// segment is the LAN of router mode: whom DHCP serves there, and what there is besides
// the appliance's hosts. It is the router's Watch.
type segment struct {
	port   string // the LAN port
	group  *group.Membership
	mac    frame.MAC // the gateway MAC
	rule   func() config.DHCP
	roll   *roll
	send   func([]byte) error
	health health.Part
	log    *slog.Logger

	named     func(frame.MAC) bool // the host was given to this group by name
	hasNamed  bool                 // the configuration gives it any
	isNobodys func(frame.MAC) bool // the host is of no group that this appliance is in
	isGateway func(frame.MAC) bool // a router of another group that this appliance is in

	registry  *registry.Registry
	prober    *arp.Prober
	rivals    gatewayWatch
	strangers *strangers.Strangers

	dhcp     *dhcp.Server
	dhcp6    *dhcp6.Server // answers nothing where the group has no IPv6 prefix
	asking   asking        // in vain
	others   *dhcp.Others
	heard    chan heardReply
	again    chan struct{} // look for others anew: capacity 1
	siblings neighbourhood.Siblings
}

// heardReply is a message of another DHCP server, copied.
type heardReply struct {
	message []byte
	source  frame.MAC
}

// maxHeard is how many messages of other DHCP servers wait to be looked at; the next are
// lost, and as good as never heard.
const maxHeard = 64

// newSegment makes a segment that does nothing yet. dhcp wants what is yet missing in it:
// whom to serve.
func (n *network) newSegment(a *attachment, mac frame.MAC, server dhcp.Config) *segment {
	s := &segment{
		port: a.setup.LANPort, group: n.membership, mac: mac, rule: n.dhcp, roll: n.node.roll,
		send:     func(f []byte) error { return a.router.WriteFrame(f) },
		registry: n.registry, prober: a.prober, siblings: neighbourhood.Siblings{Neighbors: a.neighbours.beacon.Neighbors, Gateway: a.neighbours.macOf},
		health: n.health(), named: n.named, hasNamed: division.NamesHosts(n.node.cfg.Groups, territoryOf(n.membership)), isGateway: n.isGateway, isNobodys: func(mac frame.MAC) bool { return n.isNobodys(mac, a.setup.LANPort) }, log: n.log, heard: make(chan heardReply, maxHeard), again: make(chan struct{}, 1),
	}
	id := n.membership.Group()
	s.others, s.rivals.isOurs = dhcp.NewOthers(s.isOurs), s.isOurs
	server.ProbeClass = dhcp.ProbeClass(id[:])
	server.Policy = dhcp.Policy{
		Rule: ruleOf(s.rule()), Registered: s.registered, Others: s.others,
		Known:  func(c dhcp.Client) bool { return n.registry.Serves(c.ID) },
		Denied: s.denied, OnlyListed: s.onlyListed,
		Left:    func(mac frame.MAC) bool { return !a.takes(mac) },
		Evicted: func(c dhcp.Client, addr netip.Addr) bool { return n.registry.Evicted(c.ID, addr) },
		Ours:    a.neighbours.serves,
	}
	s.dhcp = dhcp.NewServer(server)
	s.dhcp6 = dhcp6.NewServer(dhcp6.Config{ID: [16]byte(id[:]), Zone: server.Zone, Leaser: s.dhcp, Holdings: holdings{n.registry, n.log}, Ours: a.neighbours.serves6})
	return s
}

// isOurs recognises the gateway MAC of a router of the group that is on this LAN, which is
// neither another DHCP server nor another gateway. Any station can take the MAC of a router
// that is elsewhere.
func (s *segment) isOurs(mac frame.MAC) bool { return mac == s.mac || s.siblings.Has(mac, time.Now()) }

// registered reports whether a host is served whatever the policy says.
func (s *segment) registered(mac frame.MAC) bool {
	return s.roll.has(mac) || s.named(mac) || s.group.Settings().Allows(group.MAC(mac))
}

// denied reports whether the group's settings have a host served nowhere.
func (s *segment) denied(mac frame.MAC) bool { return s.group.Settings().Denies(group.MAC(mac)) }

// onlyListed reports whether the group's settings have registered hosts alone served.
func (s *segment) onlyListed() bool {
	settings := s.group.Settings()
	return settings != nil && settings.OnlyAllowed
}

// DHCPReply takes what another DHCP server has said to a host. It is called on the frame path.
func (s *segment) DHCPReply(message []byte, _ netip.Addr, source frame.MAC) {
	if source == s.mac || len(s.heard) == cap(s.heard) {
		return
	}
	select {
	case s.heard <- heardReply{slices.Clone(message), source}:
	default:
	}
}

// When the LAN is asked for other DHCP servers: as the port comes up, in case the first
// frame is lost or a switch isn't forwarding yet, and then again and again, well within the
// time after which a server that isn't heard is forgotten.
const (
	settleAfter   = 500 * time.Millisecond // most servers answer sooner
	probeInterval = 3 * time.Minute
)

func firstProbes() []time.Duration {
	return []time.Duration{0, 200 * time.Millisecond, 4 * time.Second, 30 * time.Second}
}

// run looks after the segment until ctx ends: at what other DHCP servers say, and at what is
// to be told.
func (s *segment) run(ctx context.Context) {
	begun := time.Now()
	settled := time.NewTimer(settleAfter)
	defer settled.Stop()
	next, firsts := time.NewTimer(0), firstProbes()[1:]
	defer next.Stop()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	troubles := make(map[string]health.Trouble)
	defer s.tell(troubles, nil)
	for {
		select {
		case <-ctx.Done():
			return
		case h := <-s.heard:
			s.others.Observe(h.message, h.source, time.Now(), s.registered)
		case <-settled.C:
			s.others.Settle()
		case <-s.again:
			begun, firsts = time.Now(), firstProbes()[1:]
			next.Reset(0)
		case <-next.C:
			s.lookForServers()
			wait := probeInterval
			if len(firsts) > 0 {
				wait, firsts = time.Until(begun.Add(firsts[0])), firsts[1:]
			}
			next.Reset(wait)
		case <-tick.C:
			s.siblings.Refresh(time.Now())
		}
		s.tell(troubles, s.wrong(time.Now()))
	}
}

// lookAgain has the segment looked at anew, as after its port has come up: it may lead to
// another LAN now.
func (s *segment) lookAgain() {
	select {
	case s.again <- struct{}{}:
	default:
	}
}

// lookForServers broadcasts a DISCOVER whose OFFERs are never taken up.
func (s *segment) lookForServers() {
	var xid [4]byte
	_, _ = rand.Read(xid[:]) // it never fails
	id, ports := s.group.Group(), s.rule().Ports
	f := frame.AppendEthernet(nil, frame.Broadcast(), s.mac, frame.EtherTypeIPv4)
	f = frame.AppendUDP(f, netip.AddrPortFrom(netip.IPv4Unspecified(), ports.Client),
		netip.AddrPortFrom(netip.AddrFrom4([4]byte{255, 255, 255, 255}), ports.Server), dhcp.Discover(s.mac, dhcp.ProbeClass(id[:]), xid))
	if err := s.send(f); err != nil {
		s.log.Debug("other DHCP servers not looked for", "port", s.port, "err", err)
	}
}
