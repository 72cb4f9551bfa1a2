package frame

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"testing"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
)

// tcpPacket builds a segment with these raw options (padded with zeros).
func tcpPacket(t testing.TB, flags uint8, options []byte, payload string) IPv4 {
	t.Helper()
	for len(options)%4 != 0 {
		options = append(options, 0)
	}
	b := AppendIPv4(nil, IPv4Fields{Src: ipA, Dst: ipB, Protocol: ProtocolTCP}, TCPHeaderLen+len(options)+len(payload))
	segment := make([]byte, TCPHeaderLen, TCPHeaderLen+len(options)+len(payload))
	binary.BigEndian.PutUint16(segment[0:], 40000)
	binary.BigEndian.PutUint16(segment[2:], 22)
	segment[12], segment[13] = byte(5+len(options)/4)<<4, flags
	segment = append(append(segment, options...), payload...)
	binary.BigEndian.PutUint16(segment[16:], Checksum(segment, PseudoSum(ipA, ipB, ProtocolTCP, len(segment))))
	return mustIPv4(t, append(b, segment...))
}

// clamp is ClampMSS for a packet whose checksum has been computed.
func clamp(p IPv4, most uint16) bool {
	q := Packet{Buf: append(make([]byte, Headroom), p...)}
	changed := ClampMSS(q, most)
	copy(p, q.IP())
	return changed
}

func tcpChecksumOK(p IPv4) bool {
	return Checksum(p.Payload(), PseudoSum(p.Src(), p.Dst(), ProtocolTCP, len(p.Payload()))) == 0
}

func TestClampMSSOfALinuxSYN(t *testing.T) {
	ip := otherIPv4(layers.IPProtocolTCP)
	tcp := &layers.TCP{SrcPort: 40000, DstPort: 22, Seq: 7, SYN: true, Window: 64240, Options: []layers.TCPOption{
		{OptionType: layers.TCPOptionKindMSS, OptionLength: 4, OptionData: []byte{0x05, 0xb4}},
		{OptionType: layers.TCPOptionKindSACKPermitted, OptionLength: 2},
		{OptionType: layers.TCPOptionKindTimestamps, OptionLength: 10, OptionData: make([]byte, 8)},
		{OptionType: layers.TCPOptionKindNop},
		{OptionType: layers.TCPOptionKindWindowScale, OptionLength: 3, OptionData: []byte{7}},
	}}
	if err := tcp.SetNetworkLayerForChecksum(ip); err != nil {
		t.Fatal(err)
	}
	p := mustIPv4(t, serialize(t, ip, tcp))
	if !clamp(p, 1336) {
		t.Fatal("not clamped")
	}
	tcp.Options[0].OptionData = []byte{0x05, 0x38}
	if want := serialize(t, ip, tcp, gopacket.Payload(nil)); !bytes.Equal(p, want) {
		t.Fatalf("clamped\n%x, want\n%x", []byte(p), want)
	}
	if clamp(p, 1336) {
		t.Fatal("clamped twice")
	}
}

func TestClampMSSKeepsTheChecksumAtAnyOffset(t *testing.T) {
	for nops := range 8 {
		options := append(bytes.Repeat([]byte{tcpOptionNop}, nops), tcpOptionMSS, 4, 0x05, 0xb4)
		p := tcpPacket(t, TCPSyn|TCPAck, options, "")
		if !clamp(p, 1000) || !tcpChecksumOK(p) {
			t.Fatalf("%d NOPs: checksum ok %v", nops, tcpChecksumOK(p))
		}
		if mss, ok := TCP(p.Payload()).MSS(); !ok || mss != 1000 {
			t.Fatalf("%d NOPs: MSS %d", nops, mss)
		}
	}
}

func TestClampMSSLowersEveryMSSOption(t *testing.T) {
	p := tcpPacket(t, TCPSyn, []byte{tcpOptionMSS, 4, 0x03, 0x00, tcpOptionNop, tcpOptionMSS, 4, 0x05, 0xb4}, "")
	if !clamp(p, 1000) || !tcpChecksumOK(p) || binary.BigEndian.Uint16(p[20+20+7:]) != 1000 || binary.BigEndian.Uint16(p[20+20+2:]) != 0x300 {
		t.Fatalf("%x", []byte(p))
	}
}

// What the kernel leaves to be computed is right once it is.
func TestClampMSSLeavesAPartialChecksumThePseudoHeadersSum(t *testing.T) {
	f := flow{flags: TCPSyn, options: []byte{tcpOptionMSS, 4, 0x05, 0xb4}}
	for _, size := range []int{0, 10} {
		p := f.super(pattern(size), 1000)
		if !ClampMSS(p, 1000) || !p.Complete() || !tcpChecksumOK(mustIPv4(t, p.IP())) {
			t.Errorf("%d bytes of payload: %x", size, p.IP())
		}
	}
}

func TestClampMSSLeavesTheRestAlone(t *testing.T) {
	mss := []byte{tcpOptionMSS, 4, 0x05, 0xb4}
	fragment := tcpPacket(t, TCPSyn, mss, "")
	fragment[7] = 1
	udp := tcpPacket(t, TCPSyn, mss, "")
	udp[9] = ProtocolUDP
	short := tcpPacket(t, TCPSyn, nil, "")
	short[20+12] = 0xf0 // claims 60 bytes of header
	for name, p := range map[string]IPv4{
		"no SYN":               tcpPacket(t, TCPAck, mss, "hello"),
		"smaller already":      tcpPacket(t, TCPSyn, []byte{tcpOptionMSS, 4, 0x02, 0x00}, ""),
		"no MSS option":        tcpPacket(t, TCPSyn, []byte{tcpOptionNop, 3, 3, 7}, ""),
		"MSS behind the end":   tcpPacket(t, TCPSyn, append([]byte{tcpOptionEnd}, mss...), ""),
		"option of length 0":   tcpPacket(t, TCPSyn, append([]byte{8, 0}, mss...), ""),
		"option of length 1":   tcpPacket(t, TCPSyn, append([]byte{8, 1}, mss...), ""),
		"option past the end":  tcpPacket(t, TCPSyn, []byte{8, 200, 2, 4}, "\x05\xb4"),
		"MSS of three bytes":   tcpPacket(t, TCPSyn, []byte{tcpOptionMSS, 3, 0xff, 0}, ""),
		"later fragment":       fragment,
		"another protocol":     udp,
		"header past the data": short,
	} {
		before := bytes.Clone(p)
		if clamp(p, 1000) || !bytes.Equal(p, before) {
			t.Errorf("%s: changed", name)
		}
	}
}

func TestICMPErrorsAgreeWithGopacket(t *testing.T) {
	about := tcpPacket(t, TCPAck, nil, "hello")
	service := netip.MustParseAddr("10.9.0.1")
	build := func(typ, code uint8, mtu uint16) []byte {
		ip := otherIPv4(layers.IPProtocolICMPv4)
		ip.SrcIP, ip.DstIP, ip.TOS = service.AsSlice(), ipA.AsSlice(), 0xc0
		return serialize(t, ip, &layers.ICMPv4{TypeCode: layers.CreateICMPv4TypeCode(typ, code), Seq: mtu}, gopacket.Payload(about))
	}
	for _, c := range []struct {
		name      string
		got, want []byte
	}{
		{"fragmentation needed", AppendFragNeeded(nil, service, about, 1376), build(3, 4, 1376)},
		{"time exceeded", AppendTimeExceeded(nil, service, about), build(11, 0, 0)},
		{"host unreachable", AppendUnreachable(nil, service, about, CodeHostUnreachable), build(3, 1, 0)},
	} {
		if !bytes.Equal(c.got, c.want) {
			t.Errorf("%s: built\n%x, want\n%x", c.name, c.got, c.want)
		}
		if MayError(mustIPv4(t, c.got)) {
			t.Errorf("%s: an error about an error would be sent", c.name)
		}
	}
	m, err := ParseICMPv4(mustIPv4(t, AppendFragNeeded(nil, service, about, 1376)).Payload())
	if err != nil || m.Type() != 3 || m.Code() != 4 || m.NextHopMTU() != 1376 || !m.ChecksumOK() || !bytes.Equal(m.Payload(), about) {
		t.Errorf("read back %x: %v", []byte(m), err)
	}
}

func TestICMPErrorQuotesAtMost576Bytes(t *testing.T) {
	about := tcpPacket(t, TCPAck, nil, string(make([]byte, 1400)))
	if got := AppendTimeExceeded(nil, ipB, about); len(got) != 576 || !mustIPv4(t, got).ChecksumOK() {
		t.Fatalf("%d bytes", len(got))
	}
}

func TestMayError(t *testing.T) {
	edit := func(f func(p IPv4)) IPv4 {
		p := tcpPacket(t, TCPAck, nil, "hello")
		f(p)
		return p
	}
	for _, c := range []struct {
		name string
		p    IPv4
		want bool
	}{
		{"TCP", edit(func(IPv4) {}), true},
		{"first fragment", edit(func(p IPv4) { p[6] = 0x20 }), true},
		{"later fragment", edit(func(p IPv4) { p[7] = 1 }), false},
		{"from 0.0.0.0", edit(func(p IPv4) { copy(p[12:], []byte{0, 0, 0, 0}) }), false},
		{"from loopback", edit(func(p IPv4) { p[12] = 127 }), false},
		{"from multicast", edit(func(p IPv4) { p[12] = 224 }), false},
		{"to multicast", edit(func(p IPv4) { p[16] = 239 }), false},
		{"to broadcast", edit(func(p IPv4) { copy(p[16:], []byte{255, 255, 255, 255}) }), false},
		{"about an echo request", edit(func(p IPv4) { p[9], p[20] = ProtocolICMP, ICMPv4EchoRequest }), true},
		{"about time exceeded", edit(func(p IPv4) { p[9], p[20] = ProtocolICMP, ICMPv4TimeExceeded }), false},
		{"about empty ICMP", mustIPv4(t, AppendIPv4(nil, IPv4Fields{Src: ipA, Dst: ipB, Protocol: ProtocolICMP}, 0)), false},
	} {
		if got := MayError(c.p); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}

func TestEchoReplyAgreesWithGopacket(t *testing.T) {
	ip := otherIPv4(layers.IPProtocolICMPv4)
	icmp := &layers.ICMPv4{TypeCode: layers.CreateICMPv4TypeCode(8, 0), Id: 77, Seq: 3}
	request := mustIPv4(t, serialize(t, ip, icmp, gopacket.Payload("abcdefg")))

	ip.SrcIP, ip.DstIP = ip.DstIP, ip.SrcIP
	icmp.TypeCode = layers.CreateICMPv4TypeCode(0, 0)
	want := serialize(t, ip, icmp, gopacket.Payload("abcdefg"))
	got, ok := AppendEchoReply(nil, request)
	if !ok || !bytes.Equal(got, want) {
		t.Fatalf("%v: built\n%x, want\n%x", ok, got, want)
	}
	if _, ok := AppendEchoReply(nil, mustIPv4(t, got)); ok {
		t.Error("a reply was answered")
	}
	request[30]++
	if _, ok := AppendEchoReply(nil, request); ok {
		t.Error("a request with a wrong checksum was answered")
	}
}

// reassemble puts fragments together as RFC 791 says, checking each.
func reassemble(t *testing.T, fragments [][]byte, mtu int) (header, payload []byte) {
	t.Helper()
	for i, f := range fragments {
		p := mustIPv4(t, f)
		if len(p) != len(f) || len(p) > mtu || !p.ChecksumOK() {
			t.Fatalf("fragment %d: %d bytes of %d, checksum ok %v", i, len(p), len(f), p.ChecksumOK())
		}
		if p.FragmentOffset() != len(payload) {
			t.Fatalf("fragment %d: offset %d, want %d", i, p.FragmentOffset(), len(payload))
		}
		if p.MoreFragments() != (i < len(fragments)-1) {
			t.Fatalf("fragment %d of %d: MF %v", i, len(fragments), p.MoreFragments())
		}
		if i == 0 {
			header = p.Header()
		}
		payload = append(payload, p.Payload()...)
	}
	return header, payload
}

func fragments(t *testing.T, p IPv4, mtu int) [][]byte {
	t.Helper()
	var out [][]byte
	if err := Fragment(p, mtu, nil, func(f []byte) { out = append(out, bytes.Clone(f)) }); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestFragmentsAddUpToThePacket(t *testing.T) {
	for _, size := range []int{0, 1356, 1357, 2703, 2704, 2705, 9000, 65515} {
		data := make([]byte, size)
		for i := range data {
			data[i] = byte(i * 7)
		}
		p := mustIPv4(t, append(AppendIPv4(nil, IPv4Fields{Src: ipA, Dst: ipB, Protocol: ProtocolUDP}, size), data...))
		p[6] = 0
		p.SetChecksum()
		got := fragments(t, p, 1376)
		_, payload := reassemble(t, got, 1376)
		if !bytes.Equal(payload, data) {
			t.Fatalf("%d bytes: payload differs", size)
		}
		if want := max(1, (size+1351)/1352); size != 1356 && len(got) > want {
			t.Fatalf("%d bytes: %d fragments, want %d", size, len(got), want)
		}
	}
}

func TestFragmentOfAFragmentKeepsItsPlace(t *testing.T) {
	p := mustIPv4(t, append(AppendIPv4(nil, IPv4Fields{Src: ipA, Dst: ipB, Protocol: ProtocolUDP}, 2000), make([]byte, 2000)...))
	p[6], p[7] = 0x20, 100 // MF, 800 bytes in
	got := fragments(t, p, 1000)
	want := 800
	for i, f := range got {
		q := mustIPv4(t, f)
		if q.FragmentOffset() != want || !q.MoreFragments() {
			t.Fatalf("fragment %d: offset %d, MF %v", i, q.FragmentOffset(), q.MoreFragments())
		}
		want += len(q.Payload())
	}
}

func TestFragmentCopiesOnlyTheOptionsThatTravel(t *testing.T) {
	// Record route (7, not copied), then a NOP, then router alert (148, copied).
	options := []byte{7, 3, 4, 1, 148, 4, 0, 0}
	b := AppendIPv4(nil, IPv4Fields{Src: ipA, Dst: ipB, Protocol: ProtocolUDP}, len(options)+3000)
	b = append(append(b, options...), make([]byte, 3000)...)
	b[0], b[6] = 0x47, 0
	got := fragments(t, mustIPv4(t, b), 1376)
	header, payload := reassemble(t, got, 1376)
	if !bytes.Equal(header[20:], options) || len(payload) != 3000 {
		t.Fatalf("first header %x, %d bytes", header, len(payload))
	}
	if later := mustIPv4(t, got[1]).Header(); !bytes.Equal(later[20:], []byte{148, 4, 0, 0}) {
		t.Fatalf("later header %x", later)
	}
}

func TestFragmentRefuses(t *testing.T) {
	build := func(flags, offset byte) IPv4 {
		p := mustIPv4(t, append(AppendIPv4(nil, IPv4Fields{Src: ipA, Dst: ipB}, 100), make([]byte, 100)...))
		p[6], p[7] = flags, offset
		return p
	}
	for name, c := range map[string]struct {
		p   IPv4
		mtu int
	}{
		"DF":                    {build(0x40, 0), 68},
		"no room":               {build(0, 0), 27},
		"past the last address": {build(0x1f, 0xff), 68},
	} {
		if err := Fragment(c.p, c.mtu, nil, func([]byte) { t.Errorf("%s: emitted", name) }); err != ErrCannotFragment {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestViewsAndBuildersAllocateNothing(t *testing.T) {
	arp := AppendARP(nil, Broadcast(), macA, ARPFields{Op: ARPRequest, SenderMAC: macA, SenderIP: ipA, TargetIP: ipB})
	udp := AppendUDP(nil, netip.AddrPortFrom(ipA, 1), netip.AddrPortFrom(ipB, 2), []byte("abc"))
	syn := tcpPacket(t, TCPSyn, []byte{tcpOptionMSS, 4, 0xff, 0xff}, "")
	big := mustIPv4(t, append(AppendIPv4(nil, IPv4Fields{Src: ipA, Dst: ipB}, 4000), make([]byte, 4000)...))
	big[6] = 0
	scratch := make([]byte, 0, 2048)
	synAround := Packet{Buf: append(make([]byte, Headroom), syn...)}
	sink := 0
	for name, f := range map[string]func(){
		"ARP": func() {
			e, _ := ParseEthernet(arp)
			a, _ := ParseARP(e.Payload())
			if a.SenderIP() == a.TargetIP() || a.SenderMAC() == a.TargetMAC() || a.IsProbe() {
				sink++
			}
		},
		"UDP": func() {
			p, _ := ParseIPv4(udp)
			u, _ := ParseUDP(p.Payload())
			if !p.ChecksumOK() || !u.ChecksumOK(p.Src(), p.Dst()) {
				sink++
			}
		},
		"TTL and MSS": func() {
			p, _ := ParseIPv4(synAround.IP())
			p[8] = 64
			p.DecrementTTL()
			ClampMSS(synAround, 1000)
		},
		"build": func() {
			b := AppendARP(scratch, macA, macB, ARPFields{Op: ARPReply, SenderMAC: macB, SenderIP: ipB, TargetMAC: macA, TargetIP: ipA})
			b = AppendFragNeeded(b, ipB, syn, 1376)
			sink += len(AppendUDP(b, netip.AddrPortFrom(ipA, 1), netip.AddrPortFrom(ipB, 2), nil)) & 1
		},
		"fragment": func() { _ = Fragment(big, 1376, scratch, func(b []byte) { sink += len(b) }) },
		"errors": func() {
			if _, err := ParseIPv4(arp[:3]); err == nil {
				sink++
			}
		},
	} {
		if n := testing.AllocsPerRun(100, f); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}
