package frame

import (
	"bytes"
	"encoding/binary"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
)

// A sent body, and what it must be at the end.
type sent struct{ body, want []byte }

// sender is a flow that goes on.
type sender struct {
	flow
	raw     Packet // sent again and again instead of segments, if set
	trusted bool
	fixedID bool
}

// next makes the next packet of the flow, whatever kernels send.
func (s *sender) next(t testing.TB, random *rand.Rand) []sent {
	if s.raw.Buf != nil {
		return deliveries(t, s.raw)
	}
	sizes := []int{1, 18, 100, 536, 1448}
	size := sizes[random.IntN(len(sizes))]
	length := size
	switch random.IntN(4) {
	case 0:
		length = random.IntN(3 * size)
	case 1:
		length = random.IntN(min(60_000, 60*size))
	}
	f := s.flow
	if !s.udp {
		for _, flag := range []uint8{tcpPsh, TCPFin, tcpCwr, 0x40, tcpUrg, TCPSyn, TCPRst} {
			if random.IntN(12) == 0 {
				f.flags |= flag
			}
		}
	}
	payload := make([]byte, length)
	for i := range payload {
		payload[i] = byte(random.Uint32())
	}
	p := f.super(payload, size)
	if !s.trusted {
		if p.GSO != GSONone {
			p = f.super(payload[:size], size)
		}
		p.Complete()
		p.Trusted = false
		p.IP()[len(p.IP())-1] ^= byte(random.IntN(2)) // sometimes the checksum is wrong
	}
	out := deliveries(t, p)
	s.seq += uint32(len(p.IP()) - 40 - len(s.options))
	if !s.fixedID {
		s.id += uint16(len(out))
	}
	return out
}

// deliveries cuts p and says what each body must become.
func deliveries(t testing.TB, p Packet) (out []sent) {
	want := finished(t, p)
	for i, b := range bodies(t, p) {
		out = append(out, sent{b, want[i]})
	}
	if len(out) != len(want) {
		t.Fatalf("%d bodies, but %d packets", len(out), len(want))
	}
	return out
}

// senders are flows of all kinds.
func senders(random *rand.Rand) []*sender {
	var all []*sender
	kinds := flows()
	for _, name := range slices.Sorted(maps.Keys(kinds)) {
		f := kinds[name]
		f.flags, f.id, f.seq = TCPAck, uint16(random.Uint32()), random.Uint32()
		all = append(all, &sender{flow: f, trusted: true}, &sender{flow: f, trusted: true, fixedID: true}, &sender{flow: f})
	}
	for _, s := range all {
		s.df = s.fixedID
	}
	fragment := flow{udp: true, port: 3, id: 3}.packet(pattern(99))
	fragment.IP()[6] = flagMF >> 8
	IPv4(fragment.IP()).SetChecksum()
	noChecksum := flow{udp: true, port: 3, id: 3}.packet(pattern(99))
	noChecksum.IP()[26], noChecksum.IP()[27] = 0, 0
	return append(all, &sender{raw: fragment}, &sender{raw: noChecksum})
}

// network sends from some of the flows: packets interleaved, bodies lost, doubled and out of order.
func network(t testing.TB, random *rand.Rand) (arrived []sent) {
	all := senders(random)
	random.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	all = all[:1+random.IntN(4)]
	for range 1 + random.IntN(20) {
		arrived = append(arrived, all[random.IntN(len(all))].next(t, random)...)
	}
	bad := random.IntN(3) * random.IntN(30)
	for i := len(arrived) - 1; i >= 0; i-- {
		if random.IntN(100) >= bad {
			continue
		}
		switch j := random.IntN(len(arrived)); random.IntN(3) {
		case 0:
			arrived = append(arrived[:i], arrived[i+1:]...)
		case 1:
			arrived = append(arrived, arrived[i])
		case 2:
			if random.IntN(2) == 0 {
				j = max(0, i-1)
			}
			arrived[i], arrived[j] = arrived[j], arrived[i]
		}
	}
	return arrived
}

// sameButID compares; with DF the ID says nothing (RFC 6864) and may differ.
func sameButID(a, b []byte) bool {
	if len(a) > 20 && len(a) == len(b) && a[0]>>4 == 4 && IPv4(a).DontFragment() {
		return bytes.Equal(a[:4], b[:4]) && bytes.Equal(a[6:10], b[6:10]) && bytes.Equal(a[12:], b[12:])
	}
	return bytes.Equal(a, b)
}

// FuzzNetwork: whatever becomes of bodies on the way, those that arrive become
// exactly the packets that they were, in the order in which they arrived.
func FuzzNetwork(f *testing.F) {
	for seed := range uint64(300) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) {
		random := rand.New(rand.NewPCG(seed, 0))
		arrived := network(t, random)
		j := NewJoiner(70_000 + random.IntN(200_000))
		j.JoinTCP, j.JoinUDP = random.IntN(9) > 0, random.IntN(9) > 0
		n := 0
		collect := func() {
			for _, p := range j.Packets() {
				checkPacket(t, p)
				for _, got := range finished(t, p) {
					if n == len(arrived) || !sameButID(got, arrived[n].want) {
						t.Fatalf("packet %d of %d:\n%x, want\n%x", n, len(arrived), got, arrived[n].want)
					}
					n++
				}
			}
			j.Reset()
		}
		for _, a := range arrived {
			if j.Room(len(a.body)) == nil || random.IntN(200) == 0 {
				collect()
			}
			if random.IntN(50) == 0 {
				j.End()
			}
			if random.IntN(20) == 0 { // a forgery: a room that nothing comes to
				clear(j.Room(1 + random.IntN(2000)))
			}
			if err := take(j, a.body); err != nil {
				t.Fatal(err)
			}
		}
		if collect(); n != len(arrived) {
			t.Fatalf("%d packets of %d", n, len(arrived))
		}
	})
}

// checkPacket fails unless p is as Packet says and a kernel would take it.
func checkPacket(t testing.TB, p Packet) {
	t.Helper()
	ip, err := parseIP(p.IP())
	if err != nil || len(ip) != len(p.IP()) || cap(p.Buf)-len(p.Buf) < Tailroom {
		t.Fatalf("%v, %d of %d bytes, capacity %d: %x", err, len(ip), len(p.IP()), cap(p.Buf), p.Buf)
	}
	etherType := EtherTypeIPv4
	if ip[0]>>4 == 6 {
		etherType = EtherTypeIPv6
	}
	AppendEthernet(p.Ethernet()[:0], macB, macA, etherType)
	p.PutVirtio()
	if o, err := ParseVirtio(p.Buf); err != nil || o != p.Offload {
		t.Fatalf("header %x: %+v, %v, want %+v", p.Buf[:VirtioHeaderLen], o, err, p.Offload)
	}
}

// FuzzJoiner takes bodies from a hostile member: length 2, body, and so on.
func FuzzJoiner(f *testing.F) {
	for _, kind := range flows() {
		kind.flags = TCPAck
		var stream []byte
		for _, b := range append(bodies(f, kind.super(pattern(35), 10)), bodies(f, kind.packet(pattern(9)))...) {
			stream = binary.BigEndian.AppendUint16(stream, uint16(len(b)))
			stream = append(stream, b...)
		}
		f.Add(stream)
	}
	f.Add([]byte{0, 0, 0, 1, 0x40, 0, 1, 0x80, 0, 1, 0xff, 0, 2, 0x45, 0x40})
	f.Fuzz(func(t *testing.T, stream []byte) {
		if len(stream) > 4096 {
			return // longer ones find nothing new, and slow the rest down
		}
		j := NewJoiner(2048)
		for len(stream) >= 2 {
			n := min(int(binary.BigEndian.Uint16(stream)), len(stream)-2)
			body := stream[2 : 2+n]
			stream = stream[2+n:]
			room := j.Room(n)
			if room == nil {
				for _, p := range j.Packets() {
					checkPacket(t, p)
				}
				j.Reset()
				if room = j.Room(n); room == nil {
					continue
				}
			}
			copy(room, body)
			hostile(t, j, room)
		}
		for _, p := range j.Packets() {
			checkPacket(t, p)
		}
	})
}

// hostile takes a body and fails if something else than the packet in progress and
// what is behind it has changed, or anything at all in spite of an error.
func hostile(t testing.TB, j *Joiner, body []byte) {
	before, count, was := bytes.Clone(j.arena), len(j.packets), j.run
	var finished [][]byte
	for _, p := range j.packets {
		finished = append(finished, bytes.Clone(p.Buf[:cap(p.Buf)]))
	}
	if was.set {
		finished = finished[:count-1]
	}
	err := j.Take(body)
	if cap(j.packets) != len(j.arena)/packetRoom {
		t.Fatal("the list of packets has grown")
	}
	if err != nil && (!bytes.Equal(before, j.arena) || len(j.packets) != count || j.run != was) {
		t.Fatalf("changed in spite of %v", err)
	}
	for i, b := range finished {
		if p := j.packets[i]; !bytes.Equal(b, p.Buf[:cap(p.Buf)]) {
			t.Fatalf("finished packet %d has changed", i)
		}
	}
	if !bytes.Equal(before[was.first:was.end], j.arena[was.first:was.end]) {
		t.Fatal("the payload of the packet in progress has changed")
	}
}
