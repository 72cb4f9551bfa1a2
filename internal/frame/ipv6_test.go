package frame

import (
	"bytes"
	"encoding/hex"
	"net/netip"
	"strings"
	"testing"
	"time"
)

var (
	sixA = netip.MustParseAddr("fd12:3456:789a::a4d:a")
	sixB = netip.MustParseAddr("fd12:3456:789a::a4d:b")

	advertOfB = RouterAdvert{
		MAC: macB, Prefix: netip.MustParsePrefix("fd12:3456:789a::/64"), Valid: 30 * time.Minute, MTU: 1380,
		DNS: []netip.Addr{sixB}, Search: []string{"e2e.internal"},
	}
)

// linuxNeighbors are messages of Linux 6.18, captured on a veth pair.
var linuxNeighbors = []struct {
	name, frame string
	want        Neighbor
}{
	{"duplicate address detection, with a nonce (RFC 7527)",
		"3333ff4d000b 02005e00000b 86dd 6000000000203aff 00000000000000000000000000000000 ff0200000000000000000001ff4d000b 8700b7f200000000fd123456789a0000000000000a4d000b0e01474d49fa6eb1",
		Neighbor{Target: sixB, Src: netip.IPv6Unspecified()}},
	{"advertisement",
		"02005e00000a 02005e00000b 86dd 6000000000203aff fd123456789a0000000000000a4d000b fd123456789a0000000000000a4d000a 8800988660000000fd123456789a0000000000000a4d000b020102005e00000b",
		Neighbor{Src: sixB, Target: sixB, MAC: MAC{2, 0, 0x5e, 0, 0, 0x0b}, Advert: true, Solicited: true}},
	{"unicast solicitation from a link-local address",
		"02005e00000a 02005e00000b 86dd 6000000000203aff fe8000000000000000005efffe00000b fd123456789a0000000000000a4d000a 8700535700000000fd123456789a0000000000000a4d000a010102005e00000b",
		Neighbor{Src: netip.MustParseAddr("fe80::5eff:fe00:b"), Target: sixA, MAC: MAC{2, 0, 0x5e, 0, 0, 0x0b}}},
	{"advertisement without a MAC",
		"02005e00000a 02005e00000b 86dd 6000000000183aff fe8000000000000000005efffe00000b fe8000000000000000005efffe00000a 8800250940000000fe8000000000000000005efffe00000b",
		Neighbor{Src: netip.MustParseAddr("fe80::5eff:fe00:b"), Target: netip.MustParseAddr("fe80::5eff:fe00:b"), Advert: true, Solicited: true}},
}

// packetIn returns the IPv6 packet of a frame.
func packetIn(t *testing.T, f []byte) IPv6 {
	t.Helper()
	e, err := ParseEthernet(f)
	if err != nil || e.EtherType() != EtherTypeIPv6 {
		t.Fatalf("%x: %v", f, err)
	}
	p, err := ParseIPv6(e.Payload())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// RFC 4291 section 2.7.1 and RFC 2464 section 7 give these.
func TestMulticastOfAnAddress(t *testing.T) {
	t.Parallel()
	node := SolicitedNode(netip.MustParseAddr("4037::1:800:200e:8c6c"))
	if node != netip.MustParseAddr("ff02::1:ff0e:8c6c") {
		t.Errorf("solicited-node address %v", node)
	}
	if m := MulticastMAC(node); m != (MAC{0x33, 0x33, 0xff, 0x0e, 0x8c, 0x6c}) {
		t.Errorf("MAC %v", m)
	}
	if a := LinkLocal(MAC{0x34, 0x56, 0x78, 0x9a, 0xbc, 0xde}); a != netip.MustParseAddr("fe80::3656:78ff:fe9a:bcde") {
		t.Errorf("link-local address %v", a)
	}
}

func TestNeighborsOfLinuxAreRead(t *testing.T) {
	t.Parallel()
	for _, c := range linuxNeighbors {
		raw, err := hex.DecodeString(strings.ReplaceAll(c.frame, " ", ""))
		if err != nil {
			t.Fatal(err)
		}
		got, err := ParseNeighbor(packetIn(t, raw))
		if err != nil || got != c.want {
			t.Errorf("%s: %+v, %v; want %+v", c.name, got, err, c.want)
		}
	}
}

func TestWhatIsBuiltIsRead(t *testing.T) {
	t.Parallel()
	n, err := ParseNeighbor(packetIn(t, AppendSolicit(nil, macA, sixA, sixB)))
	if want := (Neighbor{Src: sixA, Target: sixB, MAC: macA}); err != nil || n != want {
		t.Errorf("solicitation: %+v, %v", n, err)
	}
	n, err = ParseNeighbor(packetIn(t, AppendAdvert(nil, macB, macA, AdvertFields{Dst: sixB, Target: sixA, MAC: macA})))
	if want := (Neighbor{Src: sixA, Target: sixA, MAC: macA, Advert: true, Solicited: true}); err != nil || n != want {
		t.Errorf("advertisement: %+v, %v", n, err)
	}
	f := Ethernet(AppendAdvert(nil, macB, macA, AdvertFields{Dst: AllNodes(), Target: sixA, MAC: macA, Override: true}))
	n, err = ParseNeighbor(packetIn(t, f))
	if want := (Neighbor{Src: sixA, Target: sixA, MAC: macA, Advert: true}); err != nil || n != want || f.Dst() != (MAC{0x33, 0x33, 0, 0, 0, 1}) {
		t.Errorf("to all: %+v to %v, %v", n, f.Dst(), err)
	}
}

// Each of RFC 4861 sections 7.1.1 and 7.1.2's reasons to discard.
func TestNeighborsThatAreDiscarded(t *testing.T) {
	t.Parallel()
	seal := func(p IPv6) []byte { return sealICMPv6(p, IPv6HeaderLen, p.Src(), p.Dst()) }
	solicit := func() IPv6 { return bytes.Clone(packetIn(t, AppendSolicit(nil, macA, sixA, sixB))) }
	probe := func() IPv6 {
		dst := SolicitedNode(sixB)
		return sealed(AppendIPv6(nil, IPv6Fields{Dst: dst, NextHeader: ProtocolICMPv6, HopLimit: 255}, 24), ICMPv6Solicit, sixB)
	}
	if n, err := ParseNeighbor(probe()); err != nil || !n.IsProbe() || n.Target != sixB {
		t.Fatalf("a probe: %+v, %v", n, err)
	}
	for name, spoil := range map[string]func() []byte{
		"through a router":        func() []byte { p := solicit(); p[7] = 254; return p },
		"checksum":                func() []byte { p := solicit(); p[60] ^= 1; return p },
		"code":                    func() []byte { p := solicit(); p[41] = 1; return seal(p) },
		"option without a length": func() []byte { p := solicit(); p[65] = 0; return seal(p) },
		"option beyond the end":   func() []byte { p := solicit(); p[65] = 2; return seal(p) },
		"multicast target":        func() []byte { p := solicit(); p[48] = 0xff; return seal(p) },
		"multicast source":        func() []byte { p := solicit(); p[8] = 0xff; return seal(p) },
		"probe with a MAC":        func() []byte { p := solicit(); clear(p[8:24]); return seal(p) },
		"probe of one":            func() []byte { p := probe(); copy(p[24:40], sixB.AsSlice()); return seal(p) },
		"solicited, to all": func() []byte {
			p := bytes.Clone(packetIn(t, AppendAdvert(nil, macB, macA, AdvertFields{Dst: AllNodes(), Target: sixA, MAC: macA, Override: true})))
			p[44] |= 0x40
			return seal(p)
		},
		"short": func() []byte {
			return sealed(AppendIPv6(nil, IPv6Fields{Src: sixA, Dst: sixB, NextHeader: ProtocolICMPv6, HopLimit: 255}, 8), ICMPv6Solicit, netip.Addr{})
		},
	} {
		p, err := ParseIPv6(spoil())
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if n, err := ParseNeighbor(p); err == nil {
			t.Errorf("%s is taken: %+v", name, n)
		}
	}
}

// sealed appends a message without options to a header.
func sealed(p []byte, icmpType byte, target netip.Addr) IPv6 {
	p = append(p, icmpType, 0, 0, 0, 0, 0, 0, 0)
	if target.IsValid() {
		p = appendIPv6(p, target)
	}
	ip := IPv6(p)
	return sealICMPv6(p, IPv6HeaderLen, ip.Src(), ip.Dst())
}

func TestRouterSolicitations(t *testing.T) {
	t.Parallel()
	all := netip.MustParseAddr("ff02::2")
	build := func(src netip.Addr, hops uint8, options ...byte) IPv6 {
		return sealed2(AppendIPv6(nil, IPv6Fields{Src: src, Dst: all, NextHeader: ProtocolICMPv6, HopLimit: hops}, 8+len(options)), options)
	}
	mac := append([]byte{1, 1}, macA[:]...)
	if err := ParseRouterSolicit(build(LinkLocal(macA), 255, mac...)); err != nil {
		t.Error(err)
	}
	if err := ParseRouterSolicit(build(netip.IPv6Unspecified(), 255)); err != nil {
		t.Error(err)
	}
	for name, p := range map[string]IPv6{
		"through a router":          build(LinkLocal(macA), 64, mac...),
		"from nobody, with its MAC": build(netip.IPv6Unspecified(), 255, mac...),
		"option without a length":   build(LinkLocal(macA), 255, 1, 0, 0, 0, 0, 0, 0, 0),
	} {
		if ParseRouterSolicit(p) == nil {
			t.Errorf("%s is taken", name)
		}
	}
}

func sealed2(p, options []byte) IPv6 {
	p = append(append(p, ICMPv6RouterSolicit, 0, 0, 0, 0, 0, 0, 0), options...)
	ip := IPv6(p)
	return sealICMPv6(p, IPv6HeaderLen, ip.Src(), ip.Dst())
}

func TestARouterAdvertisementByteByByte(t *testing.T) {
	t.Parallel()
	p := packetIn(t, AppendRouterAdvert(nil, macA, sixA, advertOfB))
	m, err := ParseICMPv6(p.Payload())
	if err != nil || !m.ChecksumOK(p.Src(), p.Dst()) || p.HopLimit() != 255 || p.Src() != LinkLocal(macB) {
		t.Fatalf("%x: %v", []byte(p), err)
	}
	want := "8600 0000 40c00000 00000000 00000000" + // hop limit 64, M and O, router lifetime 0
		"0101" + hex.EncodeToString(macB[:]) +
		"0304 40 80 00000708 00000708 00000000 fd123456789a00000000000000000000" +
		"0501 0000 00000564" +
		"1903 0000 00000708 fd123456789a00000000 00000a4d000b" +
		"1f03 0000 00000708 03653265 08696e7465726e616c 00 0000"
	got := bytes.Clone(m)
	got[2], got[3] = 0, 0
	if hex.EncodeToString(got) != strings.ReplaceAll(want, " ", "") {
		t.Errorf("got  %x\nwant %s", got, strings.ReplaceAll(want, " ", ""))
	}
}

func TestErrorsAboutIPv6(t *testing.T) {
	t.Parallel()
	about := IPv6(AppendUDP(nil, netip.AddrPortFrom(sixA, 1), netip.AddrPortFrom(sixB, 2), make([]byte, 1400)))
	e, err := ParseIPv6(AppendICMPv6Error(nil, sixB, about, ICMPv6TooBig, 0, 1380))
	if err != nil || len(e) != MaxICMPv6Error || e.Dst() != sixA {
		t.Fatalf("%d bytes to %v: %v", len(e), e.Dst(), err)
	}
	m, _ := ParseICMPv6(e.Payload())
	if !m.ChecksumOK(e.Src(), e.Dst()) || m.Type() != 2 || !bytes.Equal(m[4:8], []byte{0, 0, 0x05, 0x64}) || !bytes.HasPrefix(about, m.Payload()) {
		t.Errorf("%x", []byte(m[:8]))
	}
	if !MayError6(about) || MayError6(e) {
		t.Error("about a datagram there may be an error, about an error none")
	}
	many := IPv6(AppendUDP(nil, netip.AddrPortFrom(sixA, 1), netip.AddrPortFrom(AllNodes(), 2), nil))
	nobody := IPv6(AppendUDP(nil, netip.AddrPortFrom(netip.IPv6Unspecified(), 1), netip.AddrPortFrom(sixB, 2), nil))
	fragment := AppendIPv6(nil, IPv6Fields{Src: sixA, Dst: sixB, NextHeader: protocolFragment}, 8)
	later := IPv6(append(bytes.Clone(fragment), ProtocolUDP, 0, 0, 8, 0, 0, 0, 1))
	first := IPv6(append(bytes.Clone(fragment), ProtocolUDP, 0, 0, 1, 0, 0, 0, 1))
	if MayError6(many) || MayError6(nobody) || MayError6(later) || !MayError6(first) {
		t.Errorf("to many %t, from nobody %t, later fragment %t, first %t", MayError6(many), MayError6(nobody), MayError6(later), MayError6(first))
	}
}

func TestEchoOverIPv6(t *testing.T) {
	t.Parallel()
	ping := AppendIPv6(nil, IPv6Fields{Src: sixA, Dst: sixB, NextHeader: ProtocolICMPv6}, 12)
	ping = sealICMPv6(append(ping, ICMPv6EchoRequest, 0, 0, 0, 0, 7, 0, 1, 'p', 'i', 'n', 'g'), IPv6HeaderLen, sixA, sixB)
	b, ok := AppendEchoReply6(nil, ping)
	if !ok {
		t.Fatal("no reply")
	}
	reply := IPv6(b)
	m, _ := ParseICMPv6(reply.Payload())
	if reply.Src() != sixB || reply.Dst() != sixA || m.Type() != ICMPv6EchoReply || !m.ChecksumOK(sixB, sixA) || string(m.Payload()) != "ping" {
		t.Errorf("%x", b)
	}
	ping[50] ^= 1
	if _, ok := AppendEchoReply6(nil, ping); ok {
		t.Error("a broken request is answered")
	}
}

func TestTransportOverIPv6(t *testing.T) {
	t.Parallel()
	from, to := netip.AddrPortFrom(sixA, 40000), netip.AddrPortFrom(sixB, 53)
	ip := IPv6(AppendUDP(nil, from, to, []byte("query")))
	u, err := ParseUDP(ip.Payload())
	if err != nil || !u.ChecksumOK(sixA, sixB) || string(u.Payload()) != "query" {
		t.Errorf("%x: %v", []byte(ip), err)
	}
	u[6], u[7] = 0, 0
	if u.ChecksumOK(sixA, sixB) {
		t.Error("UDP over IPv6 without a checksum passes")
	}
	p := Packet{Buf: append(make([]byte, Headroom), AppendTCP(nil, from, to, TCPFields{Flags: TCPSyn, MSS: 1440}, nil)...)}
	if !ClampMSS6(p, 1320) || ClampMSS6(p, 1320) || ClampMSS(p, 1200) {
		t.Error("the MSS is to be clamped once, by ClampMSS6")
	}
	s, err := ParseTCP(IPv6(p.IP()).Payload())
	if mss, ok := s.MSS(); err != nil || !ok || mss != 1320 || !s.ChecksumOK(sixA, sixB) {
		t.Errorf("MSS %d: %v", mss, err)
	}
}

func TestIPv6AllocatesNothing(t *testing.T) {
	f := AppendSolicit(nil, macA, sixA, sixB)
	buf := make([]byte, 0, 2048)
	if n := testing.AllocsPerRun(100, func() {
		p, _ := ParseIPv6(f[EthernetHeaderLen:])
		n, _ := ParseNeighbor(p)
		buf = AppendAdvert(buf[:0], n.MAC, macB, AdvertFields{Dst: n.Src, Target: n.Target, MAC: macB})
		buf = AppendICMPv6Error(buf[:0], sixB, p, ICMPv6Unreachable, CodeAddressUnreachable6, 0)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
