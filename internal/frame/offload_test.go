package frame

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"testing"
)

var (
	ip6A = netip.MustParseAddr("fd00::a")
	ip6B = netip.MustParseAddr("fd00::b")
)

// flow describes the packets of one flow for building them.
type flow struct {
	v6, udp bool
	port    uint16
	id      uint16
	df      bool
	seq     uint32
	flags   uint8
	options []byte // TCP's, a multiple of 4
	between []byte // IPv6 extension headers: hop-by-hop first, the last one's next header unset
}

// packet builds a packet of the flow with room around it and all checksums right.
func (f flow) packet(payload []byte) Packet {
	var transport []byte
	if f.udp {
		transport = binary.BigEndian.AppendUint16(nil, f.port)
		transport = append(transport, 0, 53, 0, 0, 0, 0)
		binary.BigEndian.PutUint16(transport[4:], uint16(8+len(payload)))
	} else {
		transport = binary.BigEndian.AppendUint16(nil, f.port)
		transport = append(transport, 0, 22)
		transport = binary.BigEndian.AppendUint32(transport, f.seq)
		transport = append(transport, 1, 2, 3, 4, byte(5+len(f.options)/4)<<4, f.flags, 0x10, 0x20, 0, 0, 0, 0)
		transport = append(transport, f.options...)
	}
	b := make([]byte, Headroom, Headroom+len(payload)+2*Tailroom)
	copy(b[VirtioHeaderLen:], AppendEthernet(nil, macB, macA, f.etherType()))
	protocol := ProtocolTCP
	if f.udp {
		protocol = ProtocolUDP
	}
	if f.v6 {
		b = append(b, 0x60, 0, 0, 7)
		b = binary.BigEndian.AppendUint16(b, uint16(len(f.between)+len(transport)+len(payload)))
		b = append(b, protocol, 64)
		b = append(append(b, ip6A.AsSlice()...), ip6B.AsSlice()...)
		if len(f.between) > 0 {
			b[Headroom+6] = protocolHopByHop
			b = append(b, f.between...)
			b[len(b)-8] = protocol // the last one has eight bytes
		}
	} else {
		b = AppendIPv4(b, IPv4Fields{Src: ipA, Dst: ipB, Protocol: protocol}, len(transport)+len(payload))
		ip := b[Headroom:]
		binary.BigEndian.PutUint16(ip[4:], f.id)
		if !f.df {
			ip[6] = 0
		}
		IPv4(ip).SetChecksum()
	}
	b = append(append(b, transport...), payload...)
	ip, s, ok := plain(b[Headroom:])
	if !ok {
		panic("not plain")
	}
	s.setChecksum(ip)
	return Packet{Buf: b}
}

func (f flow) etherType() uint16 {
	if f.v6 {
		return EtherTypeIPv6
	}
	return EtherTypeIPv4
}

// super builds a GSO packet of the flow, as a kernel hands it over.
func (f flow) super(payload []byte, size int) Packet {
	p := f.packet(payload)
	ip, s, _ := plain(p.IP())
	s.setPartial(ip, len(ip))
	p.Trusted, p.Partial = true, true
	if len(payload) > size {
		p.Size = uint16(size)
		switch {
		case f.udp:
			p.GSO = GSOUDP
		case f.v6:
			p.GSO = GSOTCPv6
		default:
			p.GSO = GSOTCPv4
		}
	}
	return p
}

// clone copies p with its room.
func clone(p Packet) Packet {
	b := make([]byte, len(p.Buf), len(p.Buf)+Tailroom)
	copy(b, p.Buf)
	p.Buf = b
	return p
}

// bodies cuts a copy of p and returns copies of the bodies, in order.
func bodies(t testing.TB, p Packet) [][]byte {
	t.Helper()
	c, err := Cut(clone(p))
	if err != nil {
		t.Fatalf("Cut: %v", err)
	}
	out := make([][]byte, c.Len())
	for i := c.Len() - 1; i >= 0; i-- {
		out[i] = bytes.Clone(c.Body(i))
		if len(out[i]) != c.Size(i) {
			t.Fatalf("body %d has %d bytes, Size says %d", i, len(out[i]), c.Size(i))
		}
	}
	return out
}

// take opens a body in the joiner as the tunnel does.
func take(j *Joiner, body []byte) error {
	room := j.Room(len(body))
	if room == nil {
		return ErrRoom
	}
	copy(room, body)
	return j.Take(room)
}

// finished returns what Finish makes of a copy of p, IP packets only.
func finished(t testing.TB, p Packet) [][]byte {
	t.Helper()
	var out [][]byte
	if err := Finish(clone(p), nil, func(q Packet) {
		if q.GSO != GSONone || q.Partial || q.Trusted != p.Trusted || cap(q.Buf)-len(q.Buf) < Tailroom {
			t.Fatalf("Finish left %+v, %d bytes of tailroom", q.Offload, cap(q.Buf)-len(q.Buf))
		}
		out = append(out, bytes.Clone(q.IP()))
	}); err != nil {
		t.Fatalf("Finish: %v", err)
	}
	return out
}

func pattern(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i*7 + i>>8)
	}
	return b
}

// flows are one of each kind.
func flows() map[string]flow {
	timestamps := []byte{1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8}
	hopByHop := []byte{protocolDestination, 0, 5, 2, 0, 0, 1, 0} // router alert, PadN of none
	destination := []byte{0, 0, 1, 4, 0, 0, 0, 0}                // PadN
	return map[string]flow{
		"TCPv4": {port: 4000, id: 0xfffe, df: true, seq: 0xffff_f000, flags: TCPAck | tcpPsh | tcpCwr, options: timestamps},
		"TCPv6": {v6: true, port: 4000, seq: 7, flags: TCPAck | TCPFin, options: timestamps},
		"UDPv4": {udp: true, port: 4000, id: 9},
		"UDPv6": {v6: true, udp: true, port: 4000},

		"TCPv6 with options": {v6: true, port: 4000, seq: 7, flags: TCPAck, between: hopByHop},
		"UDPv6 with options": {v6: true, udp: true, port: 4000, between: append(bytes.Clone(hopByHop), destination...)},
	}
}

func TestASuperFrameArrivesAsItWas(t *testing.T) {
	for name, f := range flows() {
		for _, length := range []int{1, 999, 1000, 1001, 2000, 2001, 50_001} {
			p := f.super(pattern(length), 1000)
			j := NewJoiner(1 << 17)
			for i, b := range bodies(t, p) {
				if err := take(j, b); err != nil {
					t.Fatalf("%s, %d bytes, body %d: %v", name, length, i, err)
				}
			}
			got := j.Packets()
			if len(got) != 1 || got[0].Offload != p.Offload || !bytes.Equal(got[0].IP(), p.IP()) {
				t.Fatalf("%s, %d bytes: %d packets, first %+v\n%x, want %+v\n%x", name, length, len(got), got[0].Offload, got[0].IP()[:60], p.Offload, p.IP()[:60])
			}
			if cap(got[0].Buf)-len(got[0].Buf) < Tailroom {
				t.Fatalf("%d bytes of tailroom", cap(got[0].Buf)-len(got[0].Buf))
			}
		}
	}
}

func TestFinishCutsAsTheKernelDoes(t *testing.T) {
	for name, f := range flows() {
		payload := pattern(2500)
		got := finished(t, f.super(payload, 1000))
		for i := range 3 {
			g := f
			g.id, g.seq = f.id+uint16(i), f.seq+uint32(1000*i)
			if i > 0 {
				g.flags &^= tcpCwr
			}
			if i < 2 {
				g.flags &^= tcpPsh | TCPFin
			}
			want := g.packet(payload[1000*i : min(len(payload), 1000*i+1000)]).IP()
			if len(got) != 3 || !bytes.Equal(got[i], want) {
				t.Fatalf("%s: piece %d of %d\n%x, want\n%x", name, i, len(got), got[i][:60], want[:60])
			}
		}
	}
}

func TestVirtioHeaderReadsWhatItWrites(t *testing.T) {
	for name, f := range flows() {
		for _, length := range []int{100, 5000} {
			p := f.super(pattern(length), 1000)
			p.PutVirtio()
			if o, err := ParseVirtio(p.Buf); err != nil || o != p.Offload {
				t.Fatalf("%s: %+v, %v, want %+v", name, o, err, p.Offload)
			}
		}
	}
}

func TestCompleteMakesThePartialChecksumWhole(t *testing.T) {
	for name, f := range flows() {
		want := f.packet(pattern(777))
		p := f.super(pattern(777), 1000)
		if !p.Complete() || p.Partial || !p.Trusted || !bytes.Equal(p.IP(), want.IP()) {
			t.Fatalf("%s: %+v\n%x, want\n%x", name, p.Offload, p.IP(), want.IP())
		}
		if p = f.super(pattern(2000), 1000); p.Complete() {
			t.Fatalf("%s: a GSO packet was completed", name)
		}
	}
}
