package router

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"time"

	"landbridge/dhcp"
	"landbridge/internal/frame"
	"landbridge/internal/ula"
)

// IPv6 in a group that has a prefix of it. A host's IPv6 address has its IPv4 address in it (package ula):
// who has it, and where, is asked of the Directory by that, so that leases, moves and shares
// are one for both. But a host needn't speak both, so where it is on its segment is found out by neighbour discovery.
//
//	from the segment                              becomes
//	IPv6 unicast to the gateway MAC, from a host   as IPv4: to the member that serves the destination,
//	  of this segment, to a host of the group        or back to the segment
//	… to the service address: echo, DNS            answered here; anything else: ICMPv6 port unreachable
//	neighbour solicitation                         answered where ARP for the IPv4 address would be
//	router solicitation                            answered
//	DHCPv6 to All_DHCP_Relay_Agents_and_Servers    answered
//	all else, link-local above all                 nothing; counted
//
// Without a prefix all of it is nothing, counted.

// IPv6 is what a group's segment has of IPv6. Net isn't zero.
type IPv6 struct {
	Net    ula.Net
	MTU    int           // that hosts are told, bytes; 0: none
	Search []string      // domains, in lower case, without a dot at their end
	Valid  time.Duration // how long hosts believe a router advertisement
	Routed bool          // the segment has hosts that are to be told all this; else it leads to this host alone
}

// DHCP6 answers DHCPv6 messages; dhcp6.Server is one.
type DHCP6 interface {
	// Handle may take as long as ctx allows. It is called for one message of a host at a time, and keeps
	// nothing of it. reply is nil where none is due.
	Handle(ctx context.Context, message []byte, source frame.MAC) (reply []byte, err error)
}

// Ports of DHCPv6 (RFC 8415 section 7.2).
const (
	portDHCP6Client = 546
	portDHCP6Server = 547
)

// dhcp6Servers is All_DHCP_Relay_Agents_and_Servers (RFC 8415 section 7.1).
func dhcp6Servers() netip.Addr { return netip.AddrFrom16([16]byte{0xff, 0x02, 13: 1, 15: 2}) }

// six is the router's state for a prefix.
type six struct {
	IPv6
	service netip.Addr
	hosts   *Hosts // by IPv4 address: what neighbour discovery has shown
}

// SetIPv6 has the router speak IPv6 from now on, or another prefix; nil: no more. Hosts are told that
// the former one is over. It is safe for concurrent use with all but itself.
func (r *Router) SetIPv6(to *IPv6) error {
	former := r.six.Load()
	if former == nil && to == nil || former != nil && to != nil && former.same(*to) {
		return nil
	}
	var next *six
	if to != nil {
		hosts, err := NewHosts(r.classifier.prefix)
		if err != nil {
			return err
		}
		next = &six{IPv6: *to, service: to.Net.Of(r.service), hosts: hosts}
		if former != nil && former.Net == to.Net {
			next.hosts = former.hosts
		}
		r.hosts.by6.Store(next.hosts)
	} else {
		r.hosts.by6.Store(nil)
	}
	r.six.Store(next)
	if former != nil && (next == nil || next.Net != former.Net) {
		over := *former
		over.Valid = 0
		return r.advertise(&over)
	}
	return nil
}

func (s *six) same(to IPv6) bool {
	return s.Net == to.Net && s.MTU == to.MTU && s.Valid == to.Valid && s.Routed == to.Routed && slices.Equal(s.Search, to.Search)
}

// LearnIPv6 records where the host with an IPv4 address is reached by IPv6, as its lease says.
func (r *Router) LearnIPv6(addr netip.Addr, mac frame.MAC) {
	if s := r.six.Load(); s != nil {
		s.hosts.Learn(addr, mac)
	}
}

// host returns the IPv4 address of the host of the group that an IPv6 address is of.
func (r *Router) host(s *six, a netip.Addr) (host netip.Addr, ok bool) {
	host, ok = s.Net.Host(a)
	return host, ok && r.classifier.isHost(host)
}

// header6 is the IPv6 view of a packet that has been parsed, and whose Buf ends where it does.
func header6(p frame.Packet) frame.IPv6 { return frame.IPv6(p.IP()) }

// takeIPv6 takes an IPv6 frame of the segment, to the gateway MAC or to many.
func (r *Router) takeIPv6(b *batch, p frame.Packet, f frame.Ethernet) {
	s := r.six.Load()
	if s == nil {
		r.counters.add(ignoredIPv6, 1)
		return
	}
	ip, err := frame.ParseIPv6(f.Payload())
	if err != nil {
		r.counters.add(dropMalformed, 1)
		return
	}
	p.Buf = p.Buf[:frame.Headroom+len(ip)] // without padding
	mac, dst, toUs := f.Src(), ip.Dst(), !f.Dst().IsGroup()
	switch {
	case frame.IsNDP(ip):
		r.takeNDP(b, s, ip, mac)
	case dst == dhcp6Servers():
		r.finish6(b, p, mac, r.takeDHCP6)
	case !toUs:
		r.counters.add(ignoredIPv6, 1)
	case dst == s.service, dst == frame.LinkLocal(r.gateway):
		r.finish6(b, p, mac, func(ip frame.IPv6, mac frame.MAC) { r.serve6(b, s, ip, mac) })
	default:
		r.forward6(b, p, mac)
	}
}

// finish6 has take see a packet for ourselves with nothing left to be done on it.
func (r *Router) finish6(b *batch, p frame.Packet, mac frame.MAC, take func(frame.IPv6, frame.MAC)) {
	if err := b.finish(p, func(q frame.Packet) { take(header6(q), mac) }); err != nil {
		r.counters.add(dropMalformed, 1)
	}
}

// serve6 handles what a host sent to the service address, or to our link-local one.
func (r *Router) serve6(b *batch, s *six, ip frame.IPv6, mac frame.MAC) {
	src := ip.Src()
	asker, ofGroup := r.host(s, src)
	if !ofGroup && !src.IsLinkLocalUnicast() {
		r.counters.add(dropSpoofed, 1)
		return
	}
	payload := ip.Payload()
	switch ip.NextHeader() {
	case frame.ProtocolICMPv6:
		reply, ok := frame.AppendEchoReply6(b.roomFor(mac, len(ip), src), ip)
		if !ok {
			r.counters.add(dropService, 1)
			return
		}
		r.counters.add(echoReplied, 1)
		b.writeBuilt(reply)
		return
	case frame.ProtocolTCP:
		if t, err := frame.ParseTCP(payload); err == nil && t.DstPort() == portDNS && r.dns != nil {
			r.takeDNSByTCP(b, dnsPeers{ip.Src(), ip.Dst(), asker, mac}, payload)
			return
		}
	case frame.ProtocolUDP:
		if u, err := frame.ParseUDP(payload); err == nil && u.DstPort() == portDNS && r.dns != nil {
			r.takeDNS(dnsPeers{ip.Src(), ip.Dst(), asker, mac}, u)
			return
		}
	}
	r.counters.add(dropService, 1)
	if ofGroup {
		r.tellHost6(b, mac, ip, complaint6{kind: frame.ICMPv6Unreachable, code: frame.CodePortUnreachable6})
	}
}

// takeDHCP6 hands a message to the server, beside the frame path, one of a client at a time.
func (r *Router) takeDHCP6(ip frame.IPv6, mac frame.MAC) {
	u, err := frame.ParseUDP(ip.Payload())
	switch {
	case err != nil || ip.NextHeader() != frame.ProtocolUDP || u.DstPort() != portDHCP6Server:
		r.counters.add(ignoredIPv6, 1)
		return
	case r.dhcp6 == nil || !ip.Src().IsLinkLocalUnicast(): // RFC 8415 section 13.1
		r.counters.add(dropService, 1)
		return
	case !u.ChecksumOK(ip.Src(), ip.Dst()):
		r.counters.add(dropChecksum, 1)
		return
	}
	from := ip.Src().As16()
	message := append(from[:], u.Payload()...) // where to answer, and what
	r.inTurn(r.clients6, mac, message, r.handleDHCP6)
}

func (r *Router) handleDHCP6(ctx context.Context, message []byte, mac frame.MAC) {
	ctx, cancel := context.WithTimeout(ctx, dhcpTimeout)
	defer cancel()
	r.counters.add(dhcp6Handled, 1)
	to := netip.AddrFrom16([16]byte(message[:16]))
	reply, err := r.dhcp6.Handle(ctx, message[16:], mac)
	if err != nil {
		if !errors.Is(err, dhcp.ErrNotServed) && !errors.Is(err, dhcp.ErrOtherServer) {
			r.counters.add(dhcpFailed, 1)
		}
		r.log.Debug("DHCPv6 message not answered", "mac", mac, "err", err)
	}
	if reply == nil {
		return
	}
	r.counters.add(dhcp6Replied, 1)
	r.reply(mac, netip.AddrPortFrom(frame.LinkLocal(r.gateway), portDHCP6Server), netip.AddrPortFrom(to, portDHCP6Client), reply)
}
