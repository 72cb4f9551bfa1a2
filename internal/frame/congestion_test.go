package frame

import (
	"bytes"
	"encoding/binary"
	"testing"
)

// body is that of a packet that isn't GSO, a copy.
func body(t testing.TB, p Packet) []byte {
	t.Helper()
	return bytes.Clone(bodies(t, p)[0])
}

// withTOS sets the type of service, or the traffic class.
func withTOS(p Packet, tos byte) Packet {
	ip := p.IP()
	if ip[0]>>4 == 6 {
		binary.BigEndian.PutUint16(ip, 0x6000|uint16(tos)<<4)
		return p
	}
	ip[1] = tos
	IPv4(ip).SetChecksum()
	return p
}

func TestOnlyWhatUnderstandsECNIsMarked(t *testing.T) {
	for name, f := range flows() {
		for _, trusted := range []bool{false, true} {
			for tos, want := range map[byte]bool{0x00: false, 0xb8: false, 0x01: true, 0x02: true, 0xba: true, 0x03: true} {
				p := f.packet([]byte("payload"))
				if trusted {
					p = f.trusted([]byte("payload"))
				}
				b := body(t, withTOS(p, tos))
				before := bytes.Clone(b)
				if got := MarkCE(b); got != want {
					t.Fatalf("%s, TOS %#x: %v", name, tos, got)
				}
				if !want {
					if !bytes.Equal(b, before) {
						t.Errorf("%s, TOS %#x: changed", name, tos)
					}
					continue
				}
				j := NewJoiner(1 << 16)
				if err := take(j, b); err != nil {
					t.Fatal(err)
				}
				got := j.Packets()[0]
				got.Complete()
				plain := withTOS(clone(p), tos|3)
				plain.Complete()
				if !bytes.Equal(got.IP(), plain.IP()) {
					t.Errorf("%s, TOS %#x:\n%x, want\n%x", name, tos, got.IP(), plain.IP())
				}
			}
		}
	}
}

func TestAMarkedSegmentIsNotJoinedWithOthers(t *testing.T) {
	for name, f := range flows() {
		p := withTOS(f.super(pattern(4000), 1000), 2)
		j := NewJoiner(1 << 16)
		for i, b := range bodies(t, p) {
			b = bytes.Clone(b)
			if i == 1 && !MarkCE(b) {
				t.Fatal(name)
			}
			if err := take(j, b); err != nil {
				t.Fatal(err)
			}
		}
		var tos []byte
		var payload int
		for _, p := range j.Packets() {
			_, s, _ := plain(p.IP())
			payload += len(p.IP()) - s.headers
			if s.v6 {
				tos = append(tos, p.IP()[1]>>4)
			} else {
				tos = append(tos, p.IP()[1])
			}
		}
		if payload != 4000 || !bytes.Equal(tos, []byte{2, 3, 2}) {
			t.Errorf("%s: %d bytes, in packets with ECN %v", name, payload, tos)
		}
	}
}

func TestBulkIsWhatSlowsDownWhenItIsLost(t *testing.T) {
	tcp, udp := flow{port: 1, flags: TCPAck}, flow{udp: true, port: 1}
	flags := func(more uint8) Packet { f := tcp; f.flags |= more; return f.packet(pattern(1400)) }
	port := func(src, dst uint16) Packet {
		p := udp.packet(pattern(1200))
		binary.BigEndian.PutUint16(p.IP()[20:], src)
		binary.BigEndian.PutUint16(p.IP()[22:], dst)
		return p
	}
	fragment := tcp.packet(pattern(1400))
	fragment.IP()[6] = flagMF >> 8
	IPv4(fragment.IP()).SetChecksum()
	v6 := tcp
	v6.v6 = true
	for name, c := range map[string]struct {
		p    Packet
		want bool
	}{
		"TCP": {flags(0), true}, "TCP over IPv6": {v6.packet(pattern(1400)), true}, "with PSH": {flags(tcpPsh), false},
		"with FIN": {flags(TCPFin), false}, "with SYN": {flags(TCPSyn), false}, "with RST": {flags(TCPRst), false}, "urgent": {flags(tcpUrg), false},
		"little": {tcp.packet(pattern(leastBulk - 1)), false}, "just enough": {tcp.packet(pattern(leastBulk)), true}, "an acknowledgement": {tcp.packet(nil), false},
		"a fragment": {fragment, false}, "UDP": {port(5004, 5004), false}, "QUIC": {port(50_000, 443), true}, "QUIC, back": {port(443, 50_000), true},
	} {
		if got := Bulk(body(t, c.p)); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestCongestionOfHostileBodies(t *testing.T) {
	good := body(t, withTOS(flow{port: 1, flags: TCPAck}.packet(pattern(600)), 2))
	for cut := range good {
		for _, trailer := range []byte{0, 0x40, 0x80, 0xc0, 0xff, 0x8a, 0xca} {
			b := append(bytes.Clone(good[len(good)-cut:]), trailer)
			MarkCE(b)
			Bulk(b)
		}
	}
	if MarkCE(nil) || Bulk(nil) {
		t.Error("nothing is taken for something")
	}
}
