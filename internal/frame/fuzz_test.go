package frame

import (
	"bytes"
	"net/netip"
	"testing"
)

// FuzzFrame walks a frame as the router would and calls everything that a view
// offers: nothing may panic, and what is built must parse.
func FuzzFrame(f *testing.F) {
	ether := func(etherType uint16, payload []byte) []byte {
		return append(AppendEthernet(nil, macA, macB, etherType), payload...)
	}
	options := tcpPacket(f, TCPSyn, []byte{1, 2, 4, 5, 0xb4, 8, 10, 0, 0, 0, 0, 0, 0, 0, 0}, "x")
	ping := AppendIPv4(nil, IPv4Fields{Src: ipA, Dst: ipB, Protocol: ProtocolICMP}, 12)
	f.Add(AppendARP(nil, Broadcast(), macA, ARPFields{Op: ARPRequest, SenderMAC: macA, SenderIP: ipA, TargetIP: ipB}))
	f.Add(ether(EtherTypeIPv4, AppendUDP(nil, netip.AddrPortFrom(ipA, 68), netip.AddrPortFrom(ipB, 67), make([]byte, 60))))
	f.Add(ether(EtherTypeIPv4, options))
	f.Add(ether(EtherTypeIPv4, append(ping, 8, 0, 0xf7, 0xff, 0, 0, 0, 0, 0, 0, 0, 0)))
	f.Add(ether(EtherTypeIPv6, append([]byte{0x60, 0, 0, 0, 0, 0, 59, 1}, make([]byte, 32)...)))
	f.Add(AppendSolicit(nil, macA, sixA, sixB))
	f.Add(AppendAdvert(nil, macB, macA, AdvertFields{Dst: sixB, Target: sixA, MAC: macA, Override: true}))
	f.Add(AppendRouterAdvert(nil, MAC{}, AllNodes(), advertOfB))
	f.Add(ether(EtherTypeIPv6, AppendUDP(nil, netip.AddrPortFrom(sixA, 546), netip.AddrPortFrom(sixB, 547), make([]byte, 60))))
	f.Add(ether(EtherTypeIPv6, AppendTCP(nil, netip.AddrPortFrom(sixA, 1), netip.AddrPortFrom(sixB, 2), TCPFields{Flags: TCPSyn, MSS: 1440}, nil)))
	f.Add(ether(EtherTypeIPv4, append([]byte{0x4f, 0, 0, 80, 0, 0, 0, 0, 9, 17}, make([]byte, 70)...)))
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := ParseEthernet(b)
		if err != nil {
			return
		}
		fuzzARP(t, e)
		if p, err := ParseIPv6(bytes.Clone(e.Payload())); err == nil {
			fuzzIPv6(t, p)
		}
		p, err := ParseIPv4(bytes.Clone(e.Payload()))
		if err != nil {
			return
		}
		_, _, _, _ = p.Src(), p.Dst(), p.Header(), p.ChecksumOK()
		fuzzTransport(t, p)
		fuzzErrors(t, p)
		fuzzFragments(t, p)
	})
}

func fuzzARP(t *testing.T, e Ethernet) {
	a, err := ParseARP(e.Payload())
	if err != nil {
		return
	}
	built := AppendARP(nil, e.Dst(), e.Src(), ARPFields{Op: a.Op(), SenderMAC: a.SenderMAC(), SenderIP: a.SenderIP(), TargetMAC: a.TargetMAC(), TargetIP: a.TargetIP()})
	if e.EtherType() == EtherTypeARP && !bytes.Equal(built, e[:len(built)]) {
		t.Fatalf("built %x from %x", built, []byte(e))
	}
}

func fuzzTransport(t *testing.T, p IPv4) {
	if u, err := ParseUDP(p.Payload()); err == nil {
		_, _ = u.Payload(), u.ChecksumOK(p.Src(), p.Dst())
	}
	if s, err := ParseTCP(p.Payload()); err == nil {
		_, _ = s.Payload(), s.Options()
		before := p.Protocol() == ProtocolTCP && tcpChecksumOK(p)
		if clamp(p, 536) && before && !tcpChecksumOK(p) {
			t.Fatalf("checksum broken: %x", []byte(p))
		}
	}
	before := p.ChecksumOK()
	if p.DecrementTTL() && before && !p.ChecksumOK() {
		t.Fatalf("header checksum broken: %x", []byte(p))
	}
}

func fuzzErrors(t *testing.T, p IPv4) {
	if MayError(p) {
		q, err := ParseIPv4(AppendFragNeeded(nil, ipA, p, 1376))
		if err != nil || !q.ChecksumOK() || !ICMPv4(q.Payload()).ChecksumOK() || MayError(q) || len(q) > maxICMPv4Error {
			t.Fatalf("error about %x: %x, %v", []byte(p), []byte(q), err)
		}
	}
	if reply, ok := AppendEchoReply(nil, p); ok {
		if q, err := ParseIPv4(reply); err != nil || !ICMPv4(q.Payload()).ChecksumOK() {
			t.Fatalf("reply to %x: %x, %v", []byte(p), reply, err)
		}
	}
}

func fuzzFragments(t *testing.T, p IPv4) {
	total := 0
	err := Fragment(p, 68, nil, func(f []byte) {
		q, err := ParseIPv4(f)
		if err != nil || (len(p) > 68 && !q.ChecksumOK()) || len(q) != len(f) {
			t.Fatalf("fragment %x of %x: %v", f, []byte(p), err)
		}
		total += len(q.Payload())
	})
	if err == nil && total != len(p.Payload()) {
		t.Fatalf("fragments of %x hold %d bytes", []byte(p), total)
	}
}

func fuzzIPv6(t *testing.T, p IPv6) {
	_, _, _ = p.Src(), p.Dst(), p.Payload()
	_, _ = p.Upper()
	if n, err := ParseNeighbor(p); err == nil {
		if n.Target.IsMulticast() || n.Src.IsMulticast() || p.HopLimit() != 255 {
			t.Fatalf("%+v", n)
		}
		if n.IsProbe() && !p.Dst().IsMulticast() {
			t.Fatalf("a probe of one: %+v", n)
		}
	}
	if ParseRouterSolicit(p) == nil && !IsNDP(p) {
		t.Fatal("a router solicitation that is no neighbour discovery")
	}
	if MayError6(p) {
		e, err := ParseIPv6(AppendICMPv6Error(nil, sixB, p, ICMPv6TooBig, 0, 1280))
		if err != nil || len(e) > MaxICMPv6Error {
			t.Fatalf("%d bytes: %v", len(e), err)
		}
		if m, err := ParseICMPv6(e.Payload()); err != nil || !m.ChecksumOK(e.Src(), e.Dst()) || MayError6(e) {
			t.Fatalf("an error that isn't one: %x, %v", []byte(e), err)
		}
	}
	if reply, ok := AppendEchoReply6(nil, p); ok {
		if e, err := ParseIPv6(reply); err != nil || e.Src() != p.Dst() || e.Dst() != p.Src() {
			t.Fatalf("%x: %v", reply, err)
		}
	}
	packet := Packet{Buf: append(make([]byte, Headroom), p...)}
	ClampMSS6(packet, 1220)
	if ClampMSS6(packet, 1220) {
		t.Fatal("clamped twice")
	}
	p.DecrementHopLimit()
}
