package frame

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
)

var (
	macA = MAC{0x02, 0, 0, 0, 0, 0x0a}
	macB = MAC{0x02, 0, 0, 0, 0, 0x0b}
	ipA  = netip.MustParseAddr("10.9.1.2")
	ipB  = netip.MustParseAddr("10.9.2.3")
)

// unhex reads hexadecimal digits, white space between them ignored.
func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// serialize builds a packet with gopacket, the other implementation of these tests.
func serialize(t testing.TB, l ...gopacket.SerializableLayer) []byte {
	t.Helper()
	buf := gopacket.NewSerializeBuffer()
	if err := gopacket.SerializeLayers(buf, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}, l...); err != nil {
		t.Fatal(err)
	}
	return bytes.Clone(buf.Bytes())
}

func otherIPv4(protocol layers.IPProtocol) *layers.IPv4 {
	return &layers.IPv4{
		Version: 4, IHL: 5, TTL: 64, Protocol: protocol, Flags: layers.IPv4DontFragment,
		SrcIP: net.IP(ipA.AsSlice()), DstIP: net.IP(ipB.AsSlice()),
	}
}

func mustIPv4(t testing.TB, b []byte) IPv4 {
	t.Helper()
	p, err := ParseIPv4(b)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestEthernetReadsWhatItWrites(t *testing.T) {
	b := append(AppendEthernet(nil, macA, macB, EtherTypeIPv4), 1, 2, 3)
	e, err := ParseEthernet(b)
	if err != nil {
		t.Fatal(err)
	}
	if e.Dst() != macA || e.Src() != macB || e.EtherType() != EtherTypeIPv4 || !bytes.Equal(e.Payload(), []byte{1, 2, 3}) {
		t.Fatalf("read back %v %v %#x %v", e.Dst(), e.Src(), e.EtherType(), e.Payload())
	}
	e.SetDst(macB)
	e.SetSrc(macA)
	if e.Dst() != macB || e.Src() != macA {
		t.Fatalf("setters: %v %v", e.Dst(), e.Src())
	}
	if _, err := ParseEthernet(b[:13]); err != ErrTruncated {
		t.Fatalf("13 bytes: %v", err)
	}
}

func TestMACClasses(t *testing.T) {
	for _, c := range []struct {
		mac     MAC
		unicast bool
	}{{macA, true}, {MAC{}, false}, {Broadcast(), false}, {MAC{1, 0, 0x5e, 0, 0, 1}, false}} {
		if c.mac.IsUnicast() != c.unicast {
			t.Errorf("%v: unicast %v", c.mac, c.mac.IsUnicast())
		}
	}
	if m, ok := MACFrom(macA.HardwareAddr()); !ok || m != macA {
		t.Errorf("MACFrom: %v %v", m, ok)
	}
	if _, ok := MACFrom(make(net.HardwareAddr, 8)); ok {
		t.Error("MACFrom took eight bytes")
	}
}

// The request and its padding as Linux sent them for "ping 10.9.2.3".
func TestARPGolden(t *testing.T) {
	b := unhex(t, `ffffffffffff 02000000000a 0806
		0001 0800 06 04 0001 02000000000a 0a090102 000000000000 0a090203
		000000000000000000000000000000000000`)
	a, err := ParseARP(Ethernet(b).Payload())
	if err != nil {
		t.Fatal(err)
	}
	if a.Op() != ARPRequest || a.SenderMAC() != macA || a.SenderIP() != ipA || !a.TargetMAC().IsZero() || a.TargetIP() != ipB {
		t.Fatalf("%v %v %v %v %v", a.Op(), a.SenderMAC(), a.SenderIP(), a.TargetMAC(), a.TargetIP())
	}
	if a.IsProbe() || a.IsAnnouncement() {
		t.Fatal("a plain request taken for a probe or an announcement")
	}
	got := AppendARP(nil, Broadcast(), macA, ARPFields{Op: ARPRequest, SenderMAC: macA, SenderIP: ipA, TargetIP: ipB})
	if !bytes.Equal(got, b[:42]) {
		t.Fatalf("built\n%x, want\n%x", got, b[:42])
	}
}

func TestARPProbeAndAnnouncement(t *testing.T) {
	probe := ARP(AppendARP(nil, Broadcast(), macA, ARPFields{Op: ARPRequest, SenderMAC: macA, TargetIP: ipA})[14:])
	if !probe.IsProbe() || probe.IsAnnouncement() {
		t.Error("probe not known")
	}
	for _, op := range []uint16{ARPRequest, ARPReply} {
		a := ARP(AppendARP(nil, Broadcast(), macA, ARPFields{Op: op, SenderMAC: macA, SenderIP: ipA, TargetIP: ipA})[14:])
		if a.IsProbe() || !a.IsAnnouncement() {
			t.Errorf("announcement with op %d not known", op)
		}
	}
}

func TestARPRefusesOtherNetworks(t *testing.T) {
	good := AppendARP(nil, Broadcast(), macA, ARPFields{Op: ARPRequest, SenderMAC: macA, SenderIP: ipA, TargetIP: ipB})[14:]
	for at, name := range map[int]string{1: "hardware type", 2: "protocol", 4: "hardware length", 5: "protocol length"} {
		b := bytes.Clone(good)
		b[at]++
		if _, err := ParseARP(b); err != ErrProtocol {
			t.Errorf("another %s: %v", name, err)
		}
	}
	if _, err := ParseARP(good[:27]); err != ErrTruncated {
		t.Errorf("27 bytes: %v", err)
	}
}

func TestIPv4BoundsAreChecked(t *testing.T) {
	good := serialize(t, otherIPv4(layers.IPProtocolUDP), gopacket.Payload("12345678"))
	for _, c := range []struct {
		name string
		edit func(b []byte) []byte
		want error
	}{
		{"good", func(b []byte) []byte { return b }, nil},
		{"padding behind", func(b []byte) []byte { return append(b, make([]byte, 18)...) }, nil},
		{"empty", func(b []byte) []byte { return nil }, ErrTruncated},
		{"short header", func(b []byte) []byte { return b[:19] }, ErrTruncated},
		{"version 6", func(b []byte) []byte { b[0] = 0x65; return b }, ErrVersion},
		{"IHL 4", func(b []byte) []byte { b[0] = 0x44; return b }, ErrLength},
		{"IHL 15 in 28 bytes", func(b []byte) []byte { b[0] = 0x4f; return b }, ErrLength},
		{"total length below header", func(b []byte) []byte { b[3] = 19; return b }, ErrLength},
		{"total length past the end", func(b []byte) []byte { b[3]++; return b }, ErrTruncated},
	} {
		p, err := ParseIPv4(c.edit(bytes.Clone(good)))
		if err != c.want {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
		if err == nil && !bytes.Equal(p, good) {
			t.Errorf("%s: view is %x, want %x", c.name, p, good)
		}
	}
}

func TestIPv4HeaderAgreesWithGopacket(t *testing.T) {
	want := serialize(t, otherIPv4(layers.IPProtocolUDP), gopacket.Payload("12345678"))
	got := append(AppendIPv4(nil, IPv4Fields{Src: ipA, Dst: ipB, Protocol: ProtocolUDP}, 8), "12345678"...)
	if !bytes.Equal(got, want) {
		t.Fatalf("built\n%x, want\n%x", got, want)
	}
	p := mustIPv4(t, got)
	if p.Src() != ipA || p.Dst() != ipB || p.TTL() != 64 || !p.DontFragment() || p.IsFragment() || string(p.Payload()) != "12345678" {
		t.Fatalf("read back %v %v %v", p.Src(), p.Dst(), p.TTL())
	}
}

func TestDecrementTTLKeepsTheChecksum(t *testing.T) {
	for ttl := 255; ttl >= 0; ttl-- {
		for id := range 64 {
			b := AppendIPv4(nil, IPv4Fields{Src: ipA, Dst: ipB, TTL: 1, Protocol: uint8(id * 5)}, 0)
			b[8] = byte(ttl)
			p := mustIPv4(t, b)
			binary.BigEndian.PutUint16(p[4:], uint16(id*1021))
			p.SetChecksum()
			before := bytes.Clone(p)
			if ttl <= 1 {
				if p.DecrementTTL() || !bytes.Equal(p, before) {
					t.Fatalf("TTL %d was decremented", ttl)
				}
				continue
			}
			if !p.DecrementTTL() || int(p.TTL()) != ttl-1 || !p.ChecksumOK() {
				t.Fatalf("TTL %d -> %d, checksum ok %v", ttl, p.TTL(), p.ChecksumOK())
			}
		}
	}
}

// plainChecksum is RFC 1071 word by word.
func plainChecksum(b []byte) uint16 {
	var sum uint32
	for i, c := range b {
		if i%2 == 0 {
			sum += uint32(c) << 8
		} else {
			sum += uint32(c)
		}
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}

func TestChecksumEqualsTheWordByWordSum(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for n := range 300 {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(random.Uint32() | uint32(n&1)*0xf0)
		}
		if got, want := Checksum(b, 0), plainChecksum(b); got != want {
			t.Fatalf("%d bytes: %04x, want %04x", n, got, want)
		}
	}
	ones := bytes.Repeat([]byte{0xff}, 65536)
	if got := Checksum(ones, 0); got != 0 {
		t.Errorf("all ones: %04x", got)
	}
	// RFC 1071 section 3
	if got := Checksum([]byte{0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7}, 0); got != ^uint16(0xddf2) {
		t.Errorf("example of RFC 1071: %04x", got)
	}
}

func TestUpdateChecksumRFC1624(t *testing.T) {
	// The example of RFC 1624 section 4, which RFC 1141's equation gets wrong.
	if got := UpdateChecksum(0xdd2f, 0x5555, 0x3285); got != 0x0000 {
		t.Fatalf("%04x, want 0000", got)
	}
}

func TestUDPAgreesWithGopacket(t *testing.T) {
	for _, payload := range []string{"", "a", "ab", strings.Repeat("x", 1001)} {
		ip := otherIPv4(layers.IPProtocolUDP)
		udp := &layers.UDP{SrcPort: 67, DstPort: 68}
		if err := udp.SetNetworkLayerForChecksum(ip); err != nil {
			t.Fatal(err)
		}
		want := serialize(t, ip, udp, gopacket.Payload(payload))
		got := AppendUDP(nil, netip.AddrPortFrom(ipA, 67), netip.AddrPortFrom(ipB, 68), []byte(payload))
		if !bytes.Equal(got, want) {
			t.Fatalf("%d bytes: built\n%x, want\n%x", len(payload), got, want)
		}
		u, err := ParseUDP(mustIPv4(t, got).Payload())
		if err != nil || u.SrcPort() != 67 || u.DstPort() != 68 || string(u.Payload()) != payload || !u.ChecksumOK(ipA, ipB) {
			t.Fatalf("read back: %v", err)
		}
		if u[6]++; u.ChecksumOK(ipA, ipB) {
			t.Fatal("a wrong checksum passes")
		}
	}
}

func TestUDPChecksumZeroIsSentAsOnes(t *testing.T) {
	var got []byte
	for v := range 1 << 16 { // some payload sums to exactly 0xffff
		got = AppendUDP(got[:0], netip.AddrPortFrom(ipA, 1), netip.AddrPortFrom(ipB, 2), []byte{byte(v >> 8), byte(v)})
		sum := binary.BigEndian.Uint16(got[26:])
		if sum == 0 {
			t.Fatalf("payload %04x: checksum 0 on the wire", v)
		}
		if sum == 0xffff {
			if !UDP(got[20:]).ChecksumOK(ipA, ipB) {
				t.Fatal("0xffff refused")
			}
			return
		}
	}
	t.Fatal("no payload gave 0xffff")
}

func TestUDPBoundsAreChecked(t *testing.T) {
	good := AppendUDP(nil, netip.AddrPortFrom(ipA, 1), netip.AddrPortFrom(ipB, 2), []byte("abc"))[20:]
	if _, err := ParseUDP(good[:7]); err != ErrTruncated {
		t.Errorf("7 bytes: %v", err)
	}
	if _, err := ParseUDP(good[:10]); err != ErrTruncated {
		t.Errorf("cut payload: %v", err)
	}
	if u, err := ParseUDP(append(bytes.Clone(good), 0, 0)); err != nil || len(u) != len(good) {
		t.Errorf("padding: %v, %d bytes", err, len(u))
	}
	good[5] = 7
	if _, err := ParseUDP(good); err != ErrLength {
		t.Errorf("length 7: %v", err)
	}
}

func TestIPv6AgreesWithGopacket(t *testing.T) {
	src, dst := netip.MustParseAddr("fd00::1"), netip.MustParseAddr("fd00::2")
	b := serialize(t, &layers.IPv6{
		Version: 6, NextHeader: layers.IPProtocolUDP, HopLimit: 3,
		SrcIP: net.IP(src.AsSlice()), DstIP: net.IP(dst.AsSlice()),
	}, gopacket.Payload("12345678"))
	p, err := ParseIPv6(append(b, 0, 0))
	if err != nil || p.Src() != src || p.Dst() != dst || p.NextHeader() != ProtocolUDP || p.HopLimit() != 3 || string(p.Payload()) != "12345678" {
		t.Fatalf("%v: %x", err, []byte(p))
	}
	for n := range b {
		if _, err := ParseIPv6(b[:n]); err != ErrTruncated {
			t.Fatalf("%d bytes: %v", n, err)
		}
	}
	if _, err := ParseIPv6([]byte{0x45}); err != ErrVersion {
		t.Fatalf("version 4: %v", err)
	}
}
