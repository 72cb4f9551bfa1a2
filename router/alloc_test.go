package router

import (
	"context"
	"net/netip"
	"testing"

	"landbridge/arp"
	"landbridge/internal/frame"
	"landbridge/internal/group"
)

// sink is a Device and a Sender that keep nothing.
type sink struct{ packets, frames int }

func (s *sink) ReadBatch([][]byte, []int) (int, error) { return 0, nil }
func (s *sink) WriteBatch(f [][]byte) error            { s.frames += len(f); return nil }
func (s *sink) Send(_ group.MemberID, p [][]byte)      { s.packets += len(p) }

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
func outgoing(remote []host, size int) (bufs [][]byte, sizes []int) {
	for i := range batchFrames {
		f := ethernet(hostA.mac, gwA, udp(hostA, remote[i%len(remote)], size))
		bufs, sizes = append(bufs, f), append(sizes, len(f))
	}
	return bufs, sizes
}

// rewind gives forwarded frames their TTL back, as a fresh read would.
func rewind(bufs [][]byte) {
	for _, f := range bufs {
		f[frame.EthernetHeaderLen+8] = 64
		frame.IPv4(f[frame.EthernetHeaderLen:]).SetChecksum()
	}
}

func TestForwardingAllocatesNothing(t *testing.T) {
	r, s, remote := bare(t, 3)
	bufs, sizes := outgoing(remote, 1200)
	large := udp(hostA, remote[0], 1400) // is fragmented
	large[6] = 0
	large.SetChecksum()
	ping := ethernet(hostA.mac, gwA, echoRequest(hostA, svcAddr))
	for i, f := range [][]byte{
		ethernet(hostA.mac, gwA, large), ethernet(hostA.mac, gwA, syn(hostA, remote[1], 1460)), ping,
		arpRequest(hostA, remote[0].ip), ethernet(hostA.mac, gwA, udp(hostA, host{ip: nth(9)}, 10)),
	} {
		bufs[i], sizes[i] = f, len(f)
	}
	b := r.newBatch()
	allocs := testing.AllocsPerRun(100, func() {
		rewind(bufs[:2])
		rewind(bufs[5:])
		r.forwardBatch(b, bufs, sizes)
	})
	if allocs > 0 {
		t.Errorf("%v allocations a batch", allocs)
	}
	if s.packets != 101*(batchFrames-3+1) || s.frames < 101*2 { // 3 aren't forwarded, one is in two pieces
		t.Errorf("%d packets and %d frames went out", s.packets, s.frames)
	}
}

func TestDeliveringAllocatesNothing(t *testing.T) {
	r, s, remote := bare(t, 1)
	from := group.MemberID{1}
	pkts := [][]byte{udp(remote[0], hostA, 1300), syn(remote[0], hostA, 1460), udp(remote[0], hostA, 1), udp(host{ip: nth(9)}, nobody, 1)}
	allocs := testing.AllocsPerRun(100, func() { r.Deliver(from, pkts) })
	if allocs > 0 {
		t.Errorf("%v allocations a batch", allocs)
	}
	if s.frames != 101*3 {
		t.Errorf("%d frames were written", s.frames)
	}
}

func BenchmarkForward(b *testing.B) {
	for _, c := range []struct {
		name        string
		peers, size int
	}{{"1peer64B", 1, 64 - 28}, {"1peer1376B", 1, 1376 - 28}, {"100peers64B", 100, 64 - 28}} {
		b.Run(c.name, func(b *testing.B) {
			r, _, remote := bare(b, c.peers)
			bufs, sizes := outgoing(remote, c.size)
			out := r.newBatch()
			b.SetBytes(int64(c.size + 28))
			b.ReportAllocs()
			for i := 0; i < b.N; i += batchFrames {
				rewind(bufs)
				r.forwardBatch(out, bufs, sizes)
			}
		})
	}
}

func BenchmarkDeliver(b *testing.B) {
	for _, size := range []int{64 - 28, 1376 - 28} {
		b.Run(map[bool]string{true: "64B", false: "1376B"}[size < 100], func(b *testing.B) {
			r, _, remote := bare(b, 1)
			pkts := make([][]byte, batchFrames)
			for i := range pkts {
				pkts[i] = udp(remote[0], hostA, size)
			}
			b.SetBytes(int64(size + 28))
			b.ReportAllocs()
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
