package router

import (
	"bytes"
	"context"
	"encoding/binary"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"landbridge/internal/frame"
	"landbridge/internal/group"
	"landbridge/internal/ula"
)

// The segment's IPv6 in tests: fd12:3456:789a::/64.
func sixNet(t testing.TB) *IPv6 {
	t.Helper()
	net, err := ula.Parse(netip.MustParsePrefix("fd12:3456:789a::/64"))
	if err != nil {
		t.Fatal(err)
	}
	return &IPv6{Net: net, Valid: 30 * time.Minute, Search: []string{"test.internal"}, Routed: true}
}

// six is the host with its IPv6 address.
func (h host) six(t testing.TB) host { return host{sixNet(t).Net.Of(h.ip), h.mac} }

// inBubble6 is inBubble for a site that speaks IPv6.
func inBubble6(t *testing.T, body func(t *testing.T, a *site), adjust ...func(*Config)) {
	t.Helper()
	inBubble(t, func(t *testing.T, a *site) {
		if err := a.router.SetIPv6(sixNet(t)); err != nil {
			t.Fatal(err)
		}
		body(t, a)
	}, adjust...)
}

func udp6(t testing.TB, from, to host, size int) frame.IPv6 {
	t.Helper()
	return frame.IPv6(frame.AppendUDP(nil, netip.AddrPortFrom(from.six(t).ip, 5000), netip.AddrPortFrom(to.six(t).ip, 6000), bytes.Repeat([]byte{7}, size)))
}

func ethernet6(from, to frame.MAC, p []byte) []byte {
	return append(frame.AppendEthernet(nil, to, from, frame.EtherTypeIPv6), p...)
}

func (s *site) packet6(f []byte, to frame.MAC) frame.IPv6 {
	s.t.Helper()
	eth := frame.Ethernet(f)
	if eth.Dst() != to || eth.Src() != s.gateway || eth.EtherType() != frame.EtherTypeIPv6 {
		s.t.Fatalf("frame to %v from %v, type %#x", eth.Dst(), eth.Src(), eth.EtherType())
	}
	ip, err := frame.ParseIPv6(eth.Payload())
	if err != nil {
		s.t.Fatalf("packet % x: %v", eth.Payload(), err)
	}
	return ip
}

func (s *site) oneFrame6(to frame.MAC) frame.IPv6 {
	s.t.Helper()
	wrote := s.segment.take()
	if len(wrote) != 1 {
		s.t.Fatalf("%d frames were written to the segment, want 1: % x", len(wrote), wrote)
	}
	return s.packet6(wrote[0], to)
}

func (s *site) neighbor(ip frame.IPv6) frame.Neighbor {
	s.t.Helper()
	n, err := frame.ParseNeighbor(ip)
	if err != nil {
		s.t.Fatalf("% x: %v", []byte(ip), err)
	}
	return n
}

// isError6 checks an ICMPv6 error from the service address about a packet.
func isError6(t *testing.T, ip, about frame.IPv6, icmpType, code uint8, value uint32) {
	t.Helper()
	m, err := frame.ParseICMPv6(ip.Payload())
	if err != nil || ip.Src() != sixNet(t).Net.Of(svcAddr) || ip.Dst() != about.Src() || !m.ChecksumOK(ip.Src(), ip.Dst()) ||
		m.Type() != icmpType || m.Code() != code || binary.BigEndian.Uint32(m[4:]) != value || !bytes.HasPrefix(about, m.Payload()) {
		t.Fatalf("%v to %v: % x, want type %d code %d value %d", ip.Src(), ip.Dst(), ip.Payload(), icmpType, code, value)
	}
}

func TestIPv6CrossesBetweenTwoSegments(t *testing.T) {
	inBubble6(t, func(t *testing.T, a *site) {
		b := newSite(t, memberB, gwB)
		if err := b.router.SetIPv6(sixNet(t)); err != nil {
			t.Fatal(err)
		}
		a.wire.peers[memberB], b.wire.peers[memberA] = b.router, a.router
		b.run()

		request := udp6(t, hostA, hostB, 100)
		a.sends(ethernet6(hostA.mac, gwA, request))
		asked := b.oneFrame6(frame.MulticastMAC(frame.SolicitedNode(hostB.six(t).ip)))
		if n := b.neighbor(asked); n.Target != hostB.six(t).ip || n.Src != frame.LinkLocal(gwB) || n.MAC != gwB {
			t.Fatalf("the segment is asked %+v", n)
		}
		b.sends(frame.AppendAdvert(nil, gwB, hostB.mac, frame.AdvertFields{Dst: frame.LinkLocal(gwB), Target: hostB.six(t).ip, MAC: hostB.mac}))
		got := b.oneFrame6(hostB.mac)
		if got.HopLimit() != 63 || !bytes.Equal(got.Payload(), request.Payload()) || got.Src() != hostA.six(t).ip || got.Dst() != hostB.six(t).ip {
			t.Errorf("arrived: % x", got)
		}
		a.sends(frame.AppendSolicit(nil, hostA.mac, hostA.six(t).ip, hostB.six(t).ip)) // shows where A is
		a.segment.take()
		b.sends(ethernet6(hostB.mac, gwB, udp6(t, hostB, hostA, 10)))
		if got := a.oneFrame6(hostA.mac); got.Src() != hostB.six(t).ip || got.HopLimit() != 63 {
			t.Errorf("arrived: % x", got)
		}
		a.counts(map[counter]uint64{outPackets: 1, outBytes: 148, inPackets: 1, inBytes: 58, ndpReplied: 1})
		b.stop()
		<-b.ended
	})
}

func TestAMemberIsToldOfAHostWithoutIPv6(t *testing.T) {
	inBubble6(t, func(t *testing.T, a *site) {
		request := udp6(t, hostB, hostA, 10)
		a.router.Deliver(memberB, bareOfAll(request))
		time.Sleep(neighbourTries * neighbourWait)
		synctest.Wait()
		isError6(t, a.onePacket6(memberB), request, frame.ICMPv6Unreachable, frame.CodeAddressUnreachable6, 0)
		if n := len(a.segment.take()); n != neighbourTries {
			t.Errorf("it was looked for %d times, want %d", n, neighbourTries)
		}
		a.counts(map[counter]uint64{dropNoNeighbour: 1, icmpSent: 1})
	})
}

// onePacket6 takes the only packet sent to a member.
func (s *site) onePacket6(to group.MemberID) frame.IPv6 {
	s.t.Helper()
	sent := s.wire.take()
	if len(sent) != 1 || sent[0].to != to {
		s.t.Fatalf("sent %v, want one packet to %x", sent, to[0])
	}
	return frame.IPv6(sent[0].packet)
}

func TestIPv6ThatIsRefused(t *testing.T) {
	elsewhere := host{ip: netip.MustParseAddr("192.0.2.1")}
	for name, c := range map[string]struct {
		packet         func(t *testing.T) frame.IPv6
		kind, code     uint8
		value          uint32
		reason         counter
		withoutAnError bool
	}{
		"too big":      {packet: func(t *testing.T) frame.IPv6 { return udp6(t, hostA, hostB, 1376-47) }, kind: frame.ICMPv6TooBig, value: 1376, reason: dropTooBig},
		"absent":       {packet: func(t *testing.T) frame.IPv6 { return udp6(t, hostA, nobody, 9) }, kind: frame.ICMPv6Unreachable, code: frame.CodeAddressUnreachable6, reason: dropAbsent},
		"last hop":     {packet: func(t *testing.T) frame.IPv6 { p := udp6(t, hostA, hostB, 9); p[7] = 1; return p }, kind: frame.ICMPv6TimeExceeded, reason: dropTTL},
		"no such port": {packet: func(t *testing.T) frame.IPv6 { return udp6(t, hostA, host{ip: svcAddr}, 9) }, kind: frame.ICMPv6Unreachable, code: frame.CodePortUnreachable6, reason: dropService},
		"spoofed":      {packet: func(t *testing.T) frame.IPv6 { return udp6(t, hostB, hostA, 9) }, reason: dropSpoofed, withoutAnError: true},
		"outside":      {packet: func(t *testing.T) frame.IPv6 { return udp6(t, hostA, elsewhere, 9) }, reason: dropOutside, withoutAnError: true},
		"from link-local": {packet: func(t *testing.T) frame.IPv6 {
			p := udp6(t, hostA, hostB, 9)
			copy(p[8:], frame.LinkLocal(hostA.mac).AsSlice())
			return p
		}, reason: dropSpoofed, withoutAnError: true},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble6(t, func(t *testing.T, a *site) {
				p := c.packet(t)
				a.sends(ethernet6(hostA.mac, gwA, p))
				a.counts(map[counter]uint64{c.reason: 1})
				if c.withoutAnError {
					a.silent()
					return
				}
				isError6(t, a.oneFrame6(hostA.mac), p, c.kind, c.code, c.value)
			})
		})
	}
}

func TestIPv6OfMembersThatIsDropped(t *testing.T) {
	for name, c := range map[string]struct {
		packet func(t *testing.T) frame.IPv6
		reason counter
	}{
		"another's source": {func(t *testing.T) frame.IPv6 { return udp6(t, hostA2, hostA, 9) }, dropMemberSource},
		"nobody's source":  {func(t *testing.T) frame.IPv6 { return udp6(t, nobody, hostA, 9) }, dropMemberSource},
		"link-local source": {func(t *testing.T) frame.IPv6 {
			p := udp6(t, hostB, hostA, 9)
			copy(p[8:], frame.LinkLocal(gwB).AsSlice())
			return p
		}, dropMemberSource},
		"the service's": {func(t *testing.T) frame.IPv6 { return udp6(t, host{ip: svcAddr}, hostA, 9) }, dropMemberSource},
		"the service's, to who didn't send what it is about": {func(t *testing.T) frame.IPv6 {
			p := frame.AppendICMPv6Error(nil, sixNet(t).Net.Of(svcAddr), udp6(t, hostA2, hostB, 9), frame.ICMPv6TooBig, 0, 1280)
			copy(p[24:], hostA.six(t).ip.AsSlice())
			return p
		}, dropMemberSource},
		"to another segment": {func(t *testing.T) frame.IPv6 { return udp6(t, hostB, hostB, 9) }, dropNotHere},
		"to many": {func(t *testing.T) frame.IPv6 {
			p := udp6(t, hostB, hostA, 9)
			copy(p[24:], frame.AllNodes().AsSlice())
			return p
		}, dropMemberMulticast},
		"to the service": {func(t *testing.T) frame.IPv6 { return udp6(t, hostB, host{ip: svcAddr}, 9) }, dropMemberMulticast},
		"neighbour discovery": {func(t *testing.T) frame.IPv6 {
			return adverts(t, hostB, hostA, hostA2)
		}, dropMemberSource},
		"neighbour discovery behind an extension header": {func(t *testing.T) frame.IPv6 {
			p := adverts(t, hostB, hostA, hostA2)
			q := frame.AppendIPv6(nil, frame.IPv6Fields{Src: p.Src(), Dst: p.Dst(), NextHeader: 60, HopLimit: 255}, 8+len(p.Payload()))
			return append(append(q, frame.ProtocolICMPv6, 0, 1, 4, 0, 0, 0, 0), p.Payload()...)
		}, dropMemberSource},
		"torn": {func(t *testing.T) frame.IPv6 { return udp6(t, hostB, hostA, 9)[:50] }, dropMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble6(t, func(t *testing.T, a *site) {
				a.router.Deliver(memberB, bareOfAll(c.packet(t)))
				time.Sleep(2 * resolveTimeout)
				synctest.Wait()
				a.counts(map[counter]uint64{c.reason: 1})
				a.silent()
			})
		})
	}
}

// adverts is what a host says to another by neighbour discovery about a third: that it is at the first one's MAC.
func adverts(t *testing.T, from, to, about host) frame.IPv6 {
	t.Helper()
	f := frame.AppendAdvert(nil, gwA, from.mac, frame.AdvertFields{Dst: to.six(t).ip, Target: about.six(t).ip, MAC: from.mac, Override: true})
	p := frame.IPv6(f[frame.EthernetHeaderLen:])
	copy(p[8:], from.six(t).ip.AsSlice())
	clear(p[42:44])
	binary.BigEndian.PutUint16(p[42:], frame.Checksum(p[40:], frame.PseudoSum(p.Src(), p.Dst(), frame.ProtocolICMPv6, len(p)-40)))
	return p
}

// A member's appliance may say in the name of its host that a packet was too large.
func TestErrorsOfMembersAboutIPv6(t *testing.T) {
	inBubble6(t, func(t *testing.T, a *site) {
		a.router.LearnIPv6(hostA.ip, hostA.mac)
		about := udp6(t, hostA, hostB, 1300)
		said := frame.AppendICMPv6Error(nil, sixNet(t).Net.Of(svcAddr), about, frame.ICMPv6TooBig, 0, 1280)
		a.router.Deliver(memberB, bareOfAll(said))
		isError6(t, a.oneFrame6(hostA.mac), about, frame.ICMPv6TooBig, 0, 1280)
	})
}

func TestTheServiceAnswersOverIPv6(t *testing.T) {
	dns := &dnsFake{}
	inBubble6(t, func(t *testing.T, a *site) {
		service := sixNet(t).Net.Of(svcAddr)
		a.sends(ethernet6(hostA.mac, gwA, frame.AppendUDP(nil, netip.AddrPortFrom(hostA.six(t).ip, 4000), netip.AddrPortFrom(service, 53), []byte("a query"))))
		ip := a.oneFrame6(hostA.mac)
		u, err := frame.ParseUDP(ip.Payload())
		if err != nil || !u.ChecksumOK(ip.Src(), ip.Dst()) || ip.Src() != service || u.DstPort() != 4000 {
			t.Errorf("% x: %v", []byte(ip), err)
		}
		ping := frame.AppendIPv6(nil, frame.IPv6Fields{Src: hostA.six(t).ip, Dst: service, NextHeader: frame.ProtocolICMPv6}, 8)
		p := frame.IPv6(append(ping, frame.ICMPv6EchoRequest, 0, 0, 0, 0, 1, 0, 1))
		binary.BigEndian.PutUint16(p[42:], frame.Checksum(p[40:], frame.PseudoSum(p.Src(), p.Dst(), frame.ProtocolICMPv6, 8)))
		a.sends(ethernet6(hostA.mac, gwA, p))
		if ip := a.oneFrame6(hostA.mac); ip.Payload()[0] != frame.ICMPv6EchoReply {
			t.Errorf("% x", []byte(ip))
		}
	}, func(c *Config) { c.DNS = dns })
}

type dhcp6Fake struct{ said []byte }

func (d *dhcp6Fake) Handle(_ context.Context, message []byte, _ frame.MAC) ([]byte, error) {
	d.said = message
	return append([]byte("re: "), message...), nil
}

func TestDHCPv6IsHandedOn(t *testing.T) {
	server := &dhcp6Fake{}
	inBubble6(t, func(t *testing.T, a *site) {
		from := netip.AddrPortFrom(frame.LinkLocal(hostA.mac), 546)
		a.sends(ethernet6(hostA.mac, frame.MAC{0x33, 0x33, 0, 1, 0, 2}, frame.AppendUDP(nil, from, netip.AddrPortFrom(dhcp6Servers(), 547), []byte("solicit"))))
		ip := a.oneFrame6(hostA.mac)
		u, err := frame.ParseUDP(ip.Payload())
		if err != nil || string(server.said) != "solicit" || string(u.Payload()) != "re: solicit" || ip.Src() != frame.LinkLocal(gwA) || ip.Dst() != from.Addr() || u.SrcPort() != 547 || u.DstPort() != 546 {
			t.Errorf("% x: %v", []byte(ip), err)
		}
		a.counts(map[counter]uint64{dhcp6Handled: 1, dhcp6Replied: 1})
	}, func(c *Config) { c.DHCP6 = server })
}

func TestIPv6AllocatesNothing(t *testing.T) {
	r, s, remote := bare(t, 3)
	if err := r.SetIPv6(sixNet(t)); err != nil {
		t.Fatal(err)
	}
	r.LearnIPv6(hostA.ip, hostA.mac)
	var out []frame.Packet
	for _, h := range remote {
		out = append(out, framed(ethernet6(hostA.mac, gwA, udp6(t, hostA, h, 1200))), framed(frame.AppendSolicit(nil, hostA.mac, hostA.six(t).ip, h.six(t).ip)))
	}
	in := bareOfAll(udp6(t, remote[0], hostA, 1200))
	b := r.newBatch()
	allocs := testing.AllocsPerRun(100, func() {
		for _, p := range out {
			if p.IP()[6] == frame.ProtocolUDP {
				p.IP()[7] = 64
			}
		}
		r.forwardBatch(b, out)
		r.Deliver(group.MemberID{1}, in)
	})
	if allocs > 0 || s.packets != 101*3 || s.frames != 101*4 {
		t.Errorf("%v allocations, %d packets, %d frames", allocs, s.packets, s.frames)
	}
}
