package tunnel

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"landbridge/internal/frame"
	"landbridge/internal/group"
)

// pipe is an underlay that hands datagrams to the other ends at once, in the
// sender's goroutine. Without a far end it swallows them.
type pipe struct {
	addr netip.AddrPort
	dmx  *demux
	ends map[netip.AddrPort]*pipe
	bufs [maxSegments][]byte
	dgs  []datagram

	writes int
}

func newPipe(n byte, ends map[netip.AddrPort]*pipe) *pipe {
	p := &pipe{addr: netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, 51, 100, n}), 7000), ends: ends}
	for i := range p.bufs {
		p.bufs[i] = make([]byte, maxDatagram)
	}
	p.dgs = make([]datagram, 0, maxSegments)
	p.dmx = newDemux(newBatch(), p.write)
	ends[p.addr] = p
	return p
}

func (p *pipe) demux() *demux              { return p.dmx }
func (p *pipe) allowFragments()            {}
func (p *pipe) pathMTU(netip.AddrPort) int { return 0 }
func (p *pipe) port() uint16               { return p.addr.Port() }
func (p *pipe) links() *links              { return nil }
func (p *pipe) newBatch() *batch           { return newBatch() }

func (p *pipe) write(b *batch) {
	p.writes++
	for i := range b.runs[:b.n] {
		r := &b.runs[i]
		end := p.ends[r.addr]
		if end == nil {
			continue
		}
		end.dgs = end.dgs[:0]
		for k := range r.n {
			buf := end.bufs[k]
			n := copy(buf, b.datagram(r, k))
			end.dgs = append(end.dgs, datagram{addr: p.addr, data: buf[:n]})
		}
		end.dmx.receive(end.dgs, false)
	}
	b.reset()
}

// sealedPair is two sessions that share keys, for the AEAD alone.
func sealedPair(t testing.TB, c Cipher) (a, b *session) {
	i, _ := newEphemeral()
	r, _ := newEphemeral()
	ki, err := deriveKeys(i, r.PublicKey().Bytes(), nil, []byte("transcript"))
	if err != nil {
		t.Fatal(err)
	}
	kr, err := deriveKeys(r, i.PublicKey().Bytes(), nil, []byte("transcript"))
	if err != nil || ki != kr {
		t.Fatal("the two ends derive different keys", err)
	}
	a, err = newSession(nil, c, ki, true, 1, 2, 0)
	if err != nil {
		t.Fatal(err)
	}
	b, err = newSession(nil, c, kr, false, 2, 1, 0)
	if err != nil {
		t.Fatal(err)
	}
	return a, b
}

// wire makes n tunnels over pipes, each with a session and a direct path to each
// other, whose machines have been stopped: only the frame path runs.
func wire(t testing.TB, n int, deliver func(group.MemberID, []frame.Packet)) []*Tunnel {
	ends := make(map[netip.AddrPort]*pipe)
	var list []*Tunnel
	for i := range n {
		p := newPipe(byte(i+1), ends)
		tun, err := open(Config{
			Membership: newFakeMember(group.ID{1}, uint64(i)), Deliver: deliver,
			Signal: callFunc(func(context.Context, group.MemberID, []byte) ([]byte, error) {
				return nil, errors.New("no signal")
			}),
			Interfaces: func() []netip.Addr { return []netip.Addr{p.addr.Addr()} },
		}, p)
		if err != nil {
			t.Fatal(err)
		}
		tun.cancel() // the machines don't run
		tun.work.Wait()
		list = append(list, tun)
	}
	index := uint32(0)
	for i, a := range list {
		for _, b := range list[:i] {
			sa, sb := sealedPair(t, AES256GCM)
			index += 2
			sa.in.index, sb.out.index = index, index
			sb.in.index, sa.out.index = index+1, index+1
			plug(a, b, sa)
			plug(b, a, sb)
		}
	}
	return list
}

// plug gives a tunnel a session with another.
func plug(t, other *Tunnel, s *session) {
	p := t.peer(other.self)
	s.in.peer = p
	s.in.confirmed.Store(true)
	t.demux.table.put(s.in)
	p.current = s
	addr := other.under.(*pipe).addr
	r := &route{out: s.out, kind: PathDirect, path: pathID{addr: addr}, addr: addr}
	r.heard.Store(int64(time.Hour)) // as if it answered all along: no machine runs that would
	p.route.Store(r)
}

// detour sends a tunnel's packets for another through a third.
func detour(a, b, relay *Tunnel) {
	for _, ends := range [][2]*Tunnel{{a, b}, {b, a}} {
		p := ends[0].peer(ends[1].self)
		via := ends[0].peer(relay.self)
		p.route.Store(&route{out: p.current.out, kind: PathRelay, path: pathID{via: relay.self}, via: via})
	}
}

func packets(n, size int) []frame.Packet {
	pkts := make([]frame.Packet, n)
	for i := range pkts {
		pkts[i] = packet(string(make([]byte, size-20)))
	}
	return pkts
}

func TestSealAndOpenAllocateNothing(t *testing.T) {
	for _, c := range []Cipher{AES256GCM, ChaCha20Poly1305} {
		a, b := sealedPair(t, c)
		pkt, buf := make([]byte, DefaultMTU), make([]byte, 2048)
		if n := testing.AllocsPerRun(1000, func() {
			counter, _ := a.out.reserve(1)
			size := a.out.seal(buf, typeData, counter, pkt)
			if _, err := b.in.open(buf[headerSize:], buf[:size], counter); err != nil {
				t.Fatal(err)
			}
		}); n != 0 {
			t.Errorf("%v: %v allocations", c, n)
		}
	}
}

// watched has the machines know the session and the path that plug has made, as with packets going both ways.
func (p *peer) watched(now time.Duration) {
	r := p.route.Load()
	r.sent.Store(int64(now))
	r.heard.Store(int64(now))
	p.data.Store(int64(now))
	p.life.up, p.life.alive, p.life.installed, p.life.opened = true, true, now, now
	p.paths.up, p.paths.chosen, p.paths.kind = true, r.path, r.kind
	p.paths.paths[0] = candidate{id: r.path, kind: r.kind, proven: true, width: widthFull, next: never, lastProbe: now, heard: now}
	p.paths.n = 1
}

func TestWatchingPathsInUseAllocatesNothing(t *testing.T) {
	const others = 8
	hub := wire(t, others+1, func(group.MemberID, []frame.Packet) {})[0]
	ticks := 0
	tick := func() {
		now := hub.now()
		for _, p := range hub.peers.Load().byID {
			p.watched(now)
			p.deadline.Store(0)
		}
		hub.tickPeers()
		for _, p := range hub.peers.Load().byID {
			if at := time.Duration(p.deadline.Load()); at > now && at <= hub.now()+tickActive {
				ticks++
			}
		}
	}
	if n := testing.AllocsPerRun(100, tick); n != 0 {
		t.Errorf("%v allocations for a tick of %d paths", n, others)
	}
	if want := 101 * others; ticks != want {
		t.Errorf("%d of %d ticks of a path in use", ticks, want)
	}
}

func TestTheFramePathAllocatesNothing(t *testing.T) {
	for _, relayed := range []bool{false, true} {
		got := 0
		list := wire(t, 3, func(_ group.MemberID, pkts []frame.Packet) { got += len(pkts) })
		a, b, relay := list[0], list[1], list[2]
		if relayed {
			detour(a, b, relay)
			relay.relayed.rate, relay.peer(a.self).relayed.rate = 1e12, 1e12
		}
		pkts := packets(48, DefaultMTU)
		run := func() { a.Send(b.self, pkts) }
		run()
		if n := testing.AllocsPerRun(500, run); n != 0 {
			t.Errorf("relayed %v: %v allocations for %d packets", relayed, n, len(pkts))
		}
		if want := 502 * len(pkts); got != want {
			t.Errorf("relayed %v: %d of %d packets came", relayed, got, want)
		}
		if relayed != (relay.Counters()["forwarded"] == uint64(got)) {
			t.Errorf("relayed %v: %v", relayed, relay.Counters())
		}
	}
}

func BenchmarkSeal(b *testing.B) {
	for _, c := range []Cipher{AES256GCM, ChaCha20Poly1305} {
		for _, size := range []int{64, DefaultMTU, 9000} {
			b.Run(fmt.Sprintf("%v/%d", c, size), func(b *testing.B) {
				s, _ := sealedPair(b, c)
				pkt, buf := make([]byte, size), make([]byte, size+sealOverhead)
				b.SetBytes(int64(size))
				b.ReportAllocs()
				for i := 0; b.Loop(); i++ {
					s.out.seal(buf, typeData, uint64(i), pkt)
				}
			})
		}
	}
}

func BenchmarkOpen(b *testing.B) {
	for _, c := range []Cipher{AES256GCM, ChaCha20Poly1305} {
		for _, size := range []int{64, DefaultMTU, 9000} {
			b.Run(fmt.Sprintf("%v/%d", c, size), func(b *testing.B) {
				s, r := sealedPair(b, c)
				sealed, buf := make([]byte, size+sealOverhead), make([]byte, size+sealOverhead)
				s.out.seal(sealed, typeData, 1, make([]byte, size))
				b.SetBytes(int64(size))
				b.ReportAllocs()
				for b.Loop() {
					copy(buf, sealed)
					r.in.window = replayFilter{}
					if _, err := r.in.open(buf[headerSize:], buf, 1); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

func BenchmarkSealRelayed(b *testing.B) {
	s, _ := sealedPair(b, AES256GCM)
	relay, _ := sealedPair(b, AES256GCM)
	pkt, buf := make([]byte, DefaultMTU), make([]byte, DefaultMTU+sealOverhead+relayOverhead)
	b.SetBytes(DefaultMTU)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		sealRelayed(buf, relay.out, uint64(i), s.out, typeData, uint64(i), memberHash{}, pkt)
	}
}

// BenchmarkFramePath is Send to Deliver without a kernel between.
func BenchmarkFramePath(b *testing.B) {
	for _, size := range []int{64, DefaultMTU} {
		for _, relayed := range []bool{false, true} {
			b.Run(fmt.Sprintf("%d/relayed=%v", size, relayed), func(b *testing.B) {
				list := wire(b, 3, func(group.MemberID, []frame.Packet) {})
				if relayed {
					detour(list[0], list[1], list[2])
					list[2].relayed.rate, list[2].peer(list[0].self).relayed.rate = 1e12, 1e12
				}
				pkts := packets(32, size)
				b.SetBytes(int64(size * len(pkts)))
				b.ReportAllocs()
				for b.Loop() {
					list[0].Send(list[1].self, pkts)
				}
			})
		}
	}
}

// BenchmarkLoopback sends packets between two sockets of this machine, in batches,
// without pause; what counts is what arrives.
func BenchmarkLoopback(b *testing.B) {
	for _, size := range []int{64, DefaultMTU} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			var got atomic.Int64
			x, y := loopbackPair(b, "[::]:0", netip.MustParseAddr("127.0.0.1"),
				func(group.MemberID, []frame.Packet) {},
				func(_ group.MemberID, pkts []frame.Packet) { got.Add(int64(len(pkts))) })
			pkts := packets(32, size)
			x.Send(y.id, pkts)
			await(b, 5*time.Second, "connected", func() bool { return x.Peers()[0].State == StateConnected && got.Load() > 0 })
			got.Store(0)
			b.ReportAllocs()
			start := time.Now()
			sent := 0
			for b.Loop() {
				x.Send(y.id, pkts)
				sent += len(pkts)
			}
			took := time.Since(start).Seconds()
			b.ReportMetric(float64(got.Load())*float64(size)*8/took/1e6, "Mbit/s")
			b.ReportMetric(float64(got.Load())/took, "packets/s")
			b.ReportMetric(100*float64(int64(sent)-got.Load())/float64(sent), "%lost")
		})
	}
}

// BenchmarkLoopbackRoundTrip is one packet there and one back, at a time.
func BenchmarkLoopbackRoundTrip(b *testing.B) {
	back := make(chan struct{}, 1)
	reply := make(chan struct{}, 1)
	var x, y loopbackEnd
	pong := []frame.Packet{packet("pong")}
	x, y = loopbackPair(b, "[::]:0", netip.MustParseAddr("127.0.0.1"),
		func(group.MemberID, []frame.Packet) { back <- struct{}{} },
		func(from group.MemberID, _ []frame.Packet) {
			select {
			case <-reply:
				y.Send(from, pong)
			default:
			}
		})
	ping := []frame.Packet{packet("ping")}
	x.Send(y.id, ping)
	await(b, 5*time.Second, "connected", func() bool {
		return x.Peers()[0].State == StateConnected && len(y.Peers()) == 1 && y.Peers()[0].State == StateConnected
	})
	b.ReportAllocs()
	for b.Loop() {
		reply <- struct{}{}
		x.Send(y.id, ping)
		<-back
	}
}
