package router

import (
	"bytes"
	"context"
	"errors"
	"net/netip"
	"time"

	"landbridge/arp"
	"landbridge/dhcp"
	"landbridge/internal/frame"
)

// DHCP answers DHCP messages; dhcp.Server is one.
type DHCP interface {
	// Handle may take as long as ctx allows. It is called for one message of a client
	// at a time, and keeps nothing of it. ok says that there is a reply.
	Handle(ctx context.Context, message []byte, source frame.MAC) (reply dhcp.Reply, ok bool, err error)
}

// DNS answers DNS messages; dns.Handler is one.
type DNS interface {
	// Handle returns the reply to the host at an address, nil for none. udp says that the reply
	// must fit a datagram.
	Handle(ctx context.Context, from netip.Addr, query []byte, udp bool) (reply []byte)
}

// answerARP shows an ARP packet to those who learn from it, and answers it if the
// responder says so.
func (r *Router) answerARP(b *batch, a frame.ARP) {
	if r.probes != nil {
		r.probes.Observe(a)
	}
	d := r.arp.Answer(a, b.now)
	if d.Observed {
		r.observe(a.SenderIP(), a.SenderMAC(), b.now)
	}
	if a.SenderIP() == r.service {
		r.otherGateway(r.service, a.SenderMAC(), SignService, b.now)
	}
	switch d.Action {
	case arp.Reply:
		r.counters.add(arpReplied, 1)
		b.writeBuilt(r.arp.AppendReply(b.room(frame.ARPLen), a))
	case arp.Resolve:
		r.counters.add(arpResolving, 1)
		r.resolveARP(b, d.Target, r.askRegistry)
	default:
		r.counters.add(arpSilent, 1)
	}
}

// takeBeacon hands on what a member on this segment says to others.
func (r *Router) takeBeacon(b *batch, f frame.Ethernet) {
	if r.beacons == nil {
		r.counters.add(ignoredEtherType, 1)
		return
	}
	r.counters.add(beaconsTaken, 1)
	r.beacons.Receive(f, b.now)
}

// observe notes where a host of this segment is. An address that isn't leased here is
// a stranger's, whatever a packet says.
func (r *Router) observe(addr netip.Addr, mac frame.MAC, now time.Time) {
	if route, status := r.directory.Lookup(addr); status != Known || !route.here() {
		if status == Unknown {
			r.learnSource(addr, now)
		}
		r.stranger(addr, mac, now)
		return
	}
	if known, ok := r.hosts.MAC(addr); ok && known != mac { // a host's new card, or a second host
		r.stranger(addr, mac, now)
	}
	r.hosts.Observe(addr, mac)
	r.waiting.signal(waitKey{question: whichMAC, addr: addr})
}

// resolveARP asks the registry for an ARP request's target; the job calls
// arp.Resolved. It shares the question with packets that wait for the same address.
func (r *Router) resolveARP(b *batch, target netip.Addr, ask func(context.Context, waitKey)) {
	key := waitKey{question: whoServes, addr: target}
	if r.refused.holds(key, b.now) {
		r.arp.Resolved(target, arp.Unknown, func([]byte) {})
		return
	}
	switch r.waiting.ask(key) {
	case refusedFull:
		r.counters.add(dropQueueFull, 1)
		r.arp.Resolved(target, arp.Unknown, func([]byte) {})
	case first:
		r.ask(key, ask)
	}
}

// serve handles what a host sent to the service address, its checksums complete.
func (r *Router) serve(b *batch, ip frame.IPv4, mac frame.MAC) {
	if !isUnicastSource(ip.Src()) {
		r.counters.add(dropSpoofed, 1)
		return
	}
	switch ip.Protocol() {
	case frame.ProtocolICMP:
		r.echo(b, ip, mac)
		return
	case frame.ProtocolTCP:
		if t, err := frame.ParseTCP(ip.Payload()); err == nil && !ip.IsFragment() && t.DstPort() == portDNS && r.dns != nil {
			r.takeDNSByTCP(b, dnsPeers{ip.Src(), ip.Dst(), ip.Src(), mac}, ip.Payload())
			return
		}
	case frame.ProtocolUDP:
		if u, err := frame.ParseUDP(ip.Payload()); err == nil && !ip.IsFragment() && u.DstPort() == portDNS && r.dns != nil {
			r.takeDNS(dnsPeers{ip.Src(), ip.Dst(), ip.Src(), mac}, u)
			return
		}
	}
	r.counters.add(dropService, 1)
	r.tellHost(b, mac, ip, portUnreachable, 0)
}

func (r *Router) echo(b *batch, ip frame.IPv4, mac frame.MAC) {
	f, ok := frame.AppendEchoReply(b.roomTo(mac, len(ip)), ip)
	if !ok {
		r.counters.add(dropService, 1)
		return
	}
	r.counters.add(echoReplied, 1)
	b.writeBuilt(f)
}

// dnsPeers are both ends of a DNS exchange with a host of the segment.
type dnsPeers struct {
	host, us netip.Addr // of one version
	asker    netip.Addr // the host by its IPv4 address, if it has one of the group
	mac      frame.MAC
}

// takeDNS hands a query to the handler, beside the frame path.
func (r *Router) takeDNS(p dnsPeers, u frame.UDP) {
	if !u.ChecksumOK(p.host, p.us) {
		r.counters.add(dropChecksum, 1)
		return
	}
	if r.jobs.dns.Add(1) > dnsQueries {
		r.jobs.dns.Add(-1)
		r.counters.add(dropBusy, 1)
		return
	}
	r.counters.add(dnsHandled, 1)
	query := bytes.Clone(u.Payload())
	from := netip.AddrPortFrom(p.host, u.SrcPort())
	started := r.jobs.start(func(ctx context.Context) {
		defer r.jobs.dns.Add(-1)
		ctx, cancel := context.WithTimeout(ctx, dnsTimeout)
		defer cancel()
		if reply := r.dns.Handle(ctx, p.asker, query, true); reply != nil {
			r.reply(p.mac, netip.AddrPortFrom(p.us, portDNS), from, reply)
		}
	})
	if !started {
		r.jobs.dns.Add(-1)
		r.counters.add(dropClosed, 1)
	}
}

// takeDHCP hands a message to the server, beside the frame path, one of a client at a
// time.
func (r *Router) takeDHCP(ip frame.IPv4, mac frame.MAC) {
	u, err := frame.ParseUDP(ip.Payload())
	if err != nil || r.dhcp == nil {
		r.counters.add(dropService, 1)
		return
	}
	if !u.ChecksumOK(ip.Src(), ip.Dst()) {
		r.counters.add(dropChecksum, 1)
		return
	}
	r.inTurn(r.clients, mac, bytes.Clone(u.Payload()), r.handleDHCP)
}

// inTurn has a client's messages handled one after the other, beside the frame path.
func (r *Router) inTurn(clients *serializer, mac frame.MAC, message []byte, handle func(context.Context, []byte, frame.MAC)) {
	switch clients.enter(mac, message) {
	case noRoom:
		r.counters.add(dropBusy, 1)
		return
	case superseded:
		r.counters.add(dhcpSuperseded, 1)
		return
	case queued:
		return
	}
	started := r.jobs.start(func(ctx context.Context) {
		for more := true; more; message, more = clients.next(mac) {
			handle(ctx, message, mac)
		}
	})
	if !started {
		r.counters.add(dropClosed, 1)
	}
}

func (r *Router) handleDHCP(ctx context.Context, message []byte, mac frame.MAC) {
	ctx, cancel := context.WithTimeout(ctx, dhcpTimeout)
	defer cancel()
	r.counters.add(dhcpHandled, 1)
	reply, ok, err := r.dhcp.Handle(ctx, message, mac)
	if err != nil {
		if !errors.Is(err, dhcp.ErrNotServed) && !errors.Is(err, dhcp.ErrOtherServer) {
			r.counters.add(dhcpFailed, 1)
		}
		r.log.Debug("DHCP message not answered", "mac", mac, "err", err)
	}
	if !ok {
		return
	}
	r.counters.add(dhcpReplied, 1)
	ports := r.classifier.ports.Load()
	r.reply(reply.DstMAC, netip.AddrPortFrom(r.service, ports.Server), netip.AddrPortFrom(reply.Dst, ports.Client), reply.Payload)
}

// reply sends one datagram to a host of the segment. One that is larger than the link
// is dropped: handlers know the MTU.
func (r *Router) reply(mac frame.MAC, from, to netip.AddrPort, payload []byte) {
	size := frame.IPHeaderLen(to.Addr()) + frame.UDPHeaderLen + len(payload)
	if size > r.linkMTU || !to.Addr().IsValid() {
		r.counters.add(dropTooBig, 1)
		return
	}
	b := r.borrow()
	defer r.giveBack(b)
	b.writeBuilt(frame.AppendUDP(b.roomFor(mac, size, to.Addr()), from, to, payload))
}

// isUnicastSource says whether a packet from a can be answered.
func isUnicastSource(a netip.Addr) bool {
	return a.IsValid() && !a.IsUnspecified() && !a.IsMulticast() && !a.IsLoopback() && !isLimitedBroadcast(a)
}
