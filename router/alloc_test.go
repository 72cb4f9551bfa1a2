package router

import (
	"bytes"
	"context"
	"net/netip"
	"testing"

	"landbridge/arp"
	"landbridge/internal/frame"
	"landbridge/internal/group"
)

// sink is a Device and a Sender that keep nothing.
type sink struct{ packets, frames int }

func (s *sink) ReadBatch([]frame.Packet) (int, error) { return 0, nil }
func (s *sink) WriteBatch(p []frame.Packet) error     { s.frames += len(p); return nil }
func (s *sink) Send(parcels []Parcel) {
	for _, p := range parcels {
		s.packets += len(p.Packets)
	}
}

// steady is a Directory without locks or waits.
type steady map[netip.Addr]Route

func (d steady) Lookup(a netip.Addr) (Route, Status) {
	if r, ok := d[a]; ok {
		return r, Known
	}
	return Route{}, Absent
}

func (d steady) Resolve(_ context.Context, _ netip.Addr) (Route, error) { return Route{}, ErrAbsent }

// bare returns a router between sinks, with peers hosts behind as many members.
func bare(t testing.TB, peers int) (*Router, *sink, []host) {
	s := &sink{}
	dir := steady{hostA.ip: {Local: true, Member: memberA}}
	var remote []host
	for i := range peers {
		h := host{ip: nth(0x2000 + i)}
		dir[h.ip] = Route{Member: group.MemberID{1, byte(i >> 8), byte(i)}}
		remote = append(remote, h)
	}
	hosts, err := NewHosts(prefix)
	if err != nil {
		t.Fatal(err)
	}
	hosts.Learn(hostA.ip, hostA.mac)
	r, err := New(Config{
		Device: s, Prefix: prefix, ServiceAddr: svcAddr, GatewayMAC: gwA, MTU: 1376, LinkMTU: 1500,
		Directory: dir, Sender: s, Hosts: hosts,
		ARP: arp.NewResponder(arp.Config{Prefix: prefix, ServiceAddr: svcAddr, GatewayMAC: gwA, Directory: ARPDirectory(dir)}),
	})
	if err != nil {
		t.Fatal(err)
	}
	return r, s, remote
}

// outgoing fills a batch of frames to the remote hosts in turn.
func outgoing(remote []host, size int) (pkts []frame.Packet) {
	for i := range batchFrames {
		pkts = append(pkts, framed(ethernet(hostA.mac, gwA, udp(hostA, remote[i%len(remote)], size))))
	}
	return pkts
}

// rewind gives forwarded frames their TTL back, as a fresh read would.
func rewind(pkts []frame.Packet) {
	for _, p := range pkts {
		p.IP()[8] = 64
		header(p).SetChecksum()
	}
}

func TestForwardingAllocatesNothing(t *testing.T) {
	r, s, remote := bare(t, 3)
	pkts := outgoing(remote, 1200)
	large := udp(hostA, remote[0], 1400) // is fragmented
	large[6] = 0
	large.SetChecksum()
	ping := ethernet(hostA.mac, gwA, echoRequest(hostA, svcAddr))
	for i, f := range [][]byte{
		ethernet(hostA.mac, gwA, large), ethernet(hostA.mac, gwA, syn(hostA, remote[1], 1460)), ping,
		arpRequest(hostA, remote[0].ip), ethernet(hostA.mac, gwA, udp(hostA, host{ip: nth(9)}, 10)),
	} {
		pkts[i] = framed(f)
	}
	pkts[5] = super(hostA, remote[0], 1336)
	pkts[6] = super(hostA, remote[0], 1400) // is cut and fragmented
	pkts[6].IP()[6] = 0
	header(pkts[6]).SetChecksum()
	b := r.newBatch()
	allocs := testing.AllocsPerRun(100, func() {
		rewind(pkts[:2])
		rewind(pkts[5:])
		r.forwardBatch(b, pkts)
	})
	if allocs > 0 {
		t.Errorf("%v allocations a batch", allocs)
	}
	fragments := 2 * (len(pkts[6].IP()) / 1400)                                                 // and what is left is small
	if want := 101 * (batchFrames - 3 + 1 + fragments); s.packets != want || s.frames < 101*2 { // 3 aren't forwarded, one is in two pieces
		t.Errorf("%d packets and %d frames went out", s.packets, s.frames)
	}
}

func TestDeliveringAllocatesNothing(t *testing.T) {
	r, s, remote := bare(t, 1)
	from := group.MemberID{1}
	pkts := bareOfAll(udp(remote[0], hostA, 1300), syn(remote[0], hostA, 1460), udp(remote[0], hostA, 1), udp(host{ip: nth(9)}, nobody, 1))
	pkts = append(pkts, super(remote[0], hostA, 1336))
	allocs := testing.AllocsPerRun(100, func() { r.Deliver(from, pkts) })
	if allocs > 0 {
		t.Errorf("%v allocations a batch", allocs)
	}
	if s.frames != 101*4 {
		t.Errorf("%d frames were written", s.frames)
	}
}

func TestARestTakesTheMemoryOfIdleBatchesAlone(t *testing.T) {
	r, s, remote := bare(t, 1)
	from, pkts := group.MemberID{1}, bareOfAll(udp(remote[0], hostA, 1300))
	r.Deliver(from, pkts)
	idle, busy := r.borrow(), r.borrow()
	r.giveBack(idle)
	for _, b := range []*batch{r.polled, idle, busy} {
		copy(b.slab, bytes.Repeat([]byte{1}, len(b.slab)))
	}
	r.Rest()
	for b, kept := range map[*batch]bool{r.polled: false, idle: false, busy: true} {
		if bytes.ContainsRune(b.slab, 1) != kept {
			t.Errorf("memory is kept: %t, want %t", !kept, kept)
		}
	}
	if r.Deliver(from, pkts); s.frames != 2 {
		t.Errorf("%d of 2 frames were written", s.frames)
	}
}

// benchmarked makes a batch of packets from one host to others in turn; super-frames if
// they are of that size.
func benchmarked(from host, to []host, size int) (pkts []frame.Packet) {
	for i := range batchFrames {
		if size == superSize-28 {
			pkts = append(pkts, super(from, to[i%len(to)], 1336))
			continue
		}
		pkts = append(pkts, framed(ethernet(hostA.mac, gwA, udp(from, to[i%len(to)], size))))
	}
	return pkts
}

func BenchmarkForward(b *testing.B) {
	for _, c := range []struct {
		name        string
		peers, size int
	}{{"1peer64B", 1, 64 - 28}, {"1peer1376B", 1, 1376 - 28}, {"100peers64B", 100, 64 - 28}, {"1peer64KiB", 1, superSize - 28}} {
		b.Run(c.name, func(b *testing.B) {
			r, _, remote := bare(b, c.peers)
			pkts := benchmarked(hostA, remote, c.size)
			out := r.newBatch()
			b.SetBytes(int64(c.size + 28))
			b.ReportAllocs()
			b.ResetTimer()
			for i := 0; i < b.N; i += batchFrames {
				rewind(pkts)
				r.forwardBatch(out, pkts)
			}
		})
	}
}

func BenchmarkDeliver(b *testing.B) {
	for name, size := range map[string]int{"64B": 64 - 28, "1376B": 1376 - 28, "64KiB": superSize - 28} {
		b.Run(name, func(b *testing.B) {
			r, _, remote := bare(b, 1)
			pkts := benchmarked(remote[0], []host{hostA}, size)
			b.SetBytes(int64(size + 28))
			b.ReportAllocs()
			b.ResetTimer()
			for i := 0; i < b.N; i += batchFrames {
				r.Deliver(group.MemberID{1}, pkts)
			}
		})
	}
}

func BenchmarkClassify(b *testing.B) {
	r, _, remote := bare(b, 1)
	f := ethernet(hostA.mac, gwA, udp(hostA, remote[0], 1200))
	b.ReportAllocs()
	for b.Loop() {
		if r.classifier.classify(f).kind != toForward {
			b.Fatal("not to be forwarded")
		}
	}
}
