package tunnel

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"landbridge/internal/codel"
	"landbridge/internal/frame"
	"landbridge/internal/group"
)

// transfer is a segment of TCP with that much payload, or a UDP packet from a port.
func transfer(tos byte, payload int, udp uint16) frame.Packet {
	from, to := netip.MustParseAddrPort("10.9.0.2:7"), netip.MustParseAddrPort("10.9.0.3:8")
	if udp > 0 {
		return wrap(frame.AppendUDP(nil, netip.AddrPortFrom(from.Addr(), udp), to, make([]byte, payload)))
	}
	ip := frame.AppendIPv4(nil, frame.IPv4Fields{Src: from.Addr(), Dst: to.Addr(), Protocol: frame.ProtocolTCP, TOS: tos}, 20+payload)
	tcp := make([]byte, 20+payload)
	tcp[12], tcp[13] = 0x50, frame.TCPAck
	p := wrap(append(ip, tcp...))
	p.Trusted = true
	binary.BigEndian.PutUint16(p.IP()[36:], 1) // vouched for, so it isn't looked at
	return p
}

// arrive has a packet arrive from one tunnel at another, sent so long ago.
func arrive(t *testing.T, from, to *Tunnel, addr netip.AddrPort, delay time.Duration, pkt frame.Packet) {
	t.Helper()
	arriveAt(t, from, to, addr, delay, pkt, false)
}

// arriveAt is arrive at a member that may be behind with its reading.
func arriveAt(t *testing.T, from, to *Tunnel, addr netip.AddrPort, delay time.Duration, pkt frame.Packet, behind bool) {
	t.Helper()
	p := from.peer(to.self)
	cuts, err := frame.Cut(pkt)
	if err != nil {
		t.Fatal(err)
	}
	body := cuts.Body(0)
	counter, _ := p.current.out.reserve(1)
	buf := make([]byte, len(body)+sealOverhead+relayOverhead)
	lead := dataAt(from.now() - delay)
	r := p.route.Load()
	if r.via == nil {
		n := p.current.out.seal(buf, lead, counter, body)
		to.demux.receive([]datagram{{addr: addr, data: buf[:n]}}, behind)
		return
	}
	hop := r.via.route.Load()
	outer, _ := hop.out.reserve(1)
	n := sealRelayed(buf, hop.out, outer, p.current.out, lead, counter, p.hash, body)
	relay := from.under.(*pipe).ends[hop.addr]
	relay.dmx.receive([]datagram{{addr: addr, data: buf[:n]}}, false)
}

// stand has packets arrive, one a millisecond, first for a second without and then for a
// second with a queue.
func stand(t *testing.T, from, to *Tunnel, queue time.Duration, pkts ...frame.Packet) (sent int) {
	t.Helper()
	addr := from.under.(*pipe).addr
	for i := range 2000 {
		delay := 10 * ms
		if i >= 1000 {
			delay += queue
		}
		for _, p := range pkts {
			arrive(t, from, to, addr, delay, copyOf(p))
			sent++
		}
		time.Sleep(ms)
	}
	return sent
}

func TestWhatStandsInAQueueIsDroppedOrMarked(t *testing.T) {
	small, other := packet("ping"), transfer(0, 1200, 5004)
	for name, c := range map[string]struct {
		pkts            []frame.Packet
		queue           time.Duration
		dropped, marked bool
		relayed         bool
	}{
		"TCP":                  {pkts: []frame.Packet{transfer(0, 1300, 0)}, queue: 30 * ms, dropped: true},
		"TCP without a queue":  {pkts: []frame.Packet{transfer(0, 1300, 0)}},
		"TCP with ECN":         {pkts: []frame.Packet{transfer(2, 1300, 0)}, queue: 30 * ms, marked: true},
		"QUIC":                 {pkts: []frame.Packet{transfer(0, 1200, 443)}, queue: 30 * ms, dropped: true},
		"other UDP":            {pkts: []frame.Packet{other}, queue: 30 * ms},
		"small packets":        {pkts: []frame.Packet{small, transfer(0, 0, 0), transfer(0, 100, 0)}, queue: 30 * ms},
		"TCP, through a relay": {pkts: []frame.Packet{transfer(0, 1300, 0)}, queue: 30 * ms, dropped: true, relayed: true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				got, ce := 0, 0
				list := wire(t, 3, func(_ group.MemberID, pkts []frame.Packet) {
					for _, p := range pkts {
						got++
						ip, err := frame.ParseIPv4(p.IP())
						if err != nil || p.IP()[9] != 253 && !ip.ChecksumOK() {
							t.Fatalf("not a good packet: %v", err)
						}
						if ip.TOS()&3 == 3 {
							ce++
						}
					}
				})
				if c.relayed {
					detour(list[0], list[1], list[2])
				}
				sent := stand(t, list[0], list[1], c.queue, c.pkts...)
				counts := list[1].Counters()
				dropped, marked := counts["congestion_dropped"], counts["congestion_marked"]
				if (dropped > 0) != c.dropped || (marked > 0) != c.marked || got+int(dropped) != sent || ce != int(marked) {
					t.Errorf("%d sent, %d came, %d of them marked; %v", sent, got, ce, counts)
				}
			})
		})
	}
}

// Small packets between those of a transfer come through, whatever happens to it.
func TestAQueueCostsNoPingAndNoOtherPeer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pings, bulk := 0, make(map[group.MemberID]int)
		list := wire(t, 4, func(from group.MemberID, pkts []frame.Packet) {
			for _, p := range pkts {
				if p.IP()[9] == 253 {
					pings++
				} else {
					bulk[from]++
				}
			}
		})
		random := rand.New(rand.NewPCG(1, 2))
		for i := range 2000 {
			delay := 10 * ms
			if i >= 1000 {
				delay = 40 * ms
			}
			addr := list[0].under.(*pipe).addr
			arrive(t, list[0], list[1], addr, delay, transfer(0, 1300, 0))
			arrive(t, list[0], list[1], addr, delay, packet("ping"))
			arrive(t, list[2], list[1], list[2].under.(*pipe).addr, time.Duration(random.Int64N(1<<36)), transfer(0, 1300, 0))
			arrive(t, list[3], list[1], list[3].under.(*pipe).addr, 10*ms, transfer(0, 1300, 0))
			time.Sleep(ms)
		}
		if pings != 2000 {
			t.Errorf("%d of 2000 pings", pings)
		}
		queued, mad, other := bulk[list[0].self], bulk[list[2].self], bulk[list[3].self]
		if queued == 2000 || queued < 1900 || mad < 1900 || other != 2000 {
			t.Errorf("of 2000 each %d came out of the queue, %d with mad stamps and %d of another peer", queued, mad, other)
		}
	})
}

func TestAnotherWayIsAnotherQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		list := wire(t, 2, func(group.MemberID, []frame.Packet) {})
		stand(t, list[0], list[1], 0, transfer(0, 1300, 0))
		for range 1000 { // a longer way
			arrive(t, list[0], list[1], netip.MustParseAddrPort("203.0.113.9:7"), 60*ms, transfer(0, 1300, 0))
			time.Sleep(ms)
		}
		if c := list[1].Counters()["congestion_dropped"]; c > 0 {
			t.Errorf("%d dropped", c)
		}
	})
}

func TestKeysThatRenewOthersKnowTheQueue(t *testing.T) {
	list := wire(t, 2, func(group.MemberID, []frame.Packet) {})
	p := list[0].peer(list[1].self)
	ours, _ := newEphemeral()
	theirs, _ := newEphemeral()
	next, err := p.rekeyed(p.current, ours, theirs.PublicKey().Bytes(), nil, nil, true, 8, 9)
	if err != nil {
		t.Fatal(err)
	}
	if next.in.inflow != p.current.in.inflow {
		t.Error("what is known of the queue is lost with the old keys")
	}
	if other, _ := sealedPair(t, AES256GCM); other.in.inflow == p.current.in.inflow {
		t.Error("a session of another clock goes on from the same state")
	}
}

func TestRelievingAllocatesNothing(t *testing.T) {
	list := wire(t, 2, func(group.MemberID, []frame.Packet) {})
	p := list[0].peer(list[1].self)
	cuts, err := frame.Cut(transfer(2, 1300, 0))
	if err != nil {
		t.Fatal(err)
	}
	body, now := cuts.Body(0), time.Minute
	f, addr := p.current.in.inflow, netip.MustParseAddrPort("203.0.113.9:7")
	if n := testing.AllocsPerRun(5000, func() {
		delay := 10 * ms
		if now > 61*time.Second {
			delay = 40 * ms
		}
		f.relieve(p, codel.At(now-delay), now, body, addr, nil)
		now += ms
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
	if list[0].Counters()["congestion_marked"] == 0 {
		t.Error("nothing was marked")
	}
}

// A member that can't keep up has the delay at home: to drop what has come makes nothing faster.
func TestWhatWaitedForUsIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		got := 0
		list := wire(t, 2, func(_ group.MemberID, pkts []frame.Packet) { got += len(pkts) })
		const n = 3000
		for i := range n {
			delay := 10 * ms
			if i >= n/3 {
				delay = 40 * ms
			}
			arriveAt(t, list[0], list[1], list[0].under.(*pipe).addr, delay, transfer(0, 1300, 0), i%50 == 0)
			time.Sleep(ms)
		}
		if counts := list[1].Counters(); got != n {
			t.Errorf("%d of %d came; %v", got, n, counts)
		}
	})
}
