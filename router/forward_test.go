package router

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"landbridge/internal/frame"
	"landbridge/internal/group"
)

func TestPacketsCrossBetweenTwoSegments(t *testing.T) {
	inBubble(t, func(t *testing.T, a *site) {
		b := newSite(t, memberB, gwB)
		a.wire.peers[memberB], b.wire.peers[memberA] = b.router, a.router
		b.run()

		request := udp(hostA, hostB, 100)
		a.sends(a.toGateway(hostA, request))
		got := b.oneFrame(hostB.mac)
		if got.TTL() != 63 || !bytes.Equal(got.Payload(), request.Payload()) || got.Src() != hostA.ip || got.Dst() != hostB.ip {
			t.Errorf("arrived: % x", got)
		}
		b.sends(b.toGateway(hostB, udp(hostB, hostA, 10)))
		if got := a.oneFrame(hostA.mac); got.Src() != hostB.ip || got.TTL() != 63 {
			t.Errorf("arrived: % x", got)
		}
		a.counts(map[counter]uint64{outPackets: 1, outBytes: 128, inPackets: 1, inBytes: 38})
		b.stop()
		<-b.ended
	})
}

func TestEthernetPaddingStaysBehind(t *testing.T) {
	inBubble(t, func(t *testing.T, a *site) {
		a.sends(append(a.toGateway(hostA, udp(hostA, hostB, 1)), make([]byte, 17)...))
		if got := a.onePacket(memberB); len(got) != 29 {
			t.Errorf("%d bytes crossed, want 29", len(got))
		}
	})
}

func TestABatchIsOneSendForEachMember(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newSite(t, memberA, gwA)
		other := host{netip.MustParseAddr("10.9.4.1"), frame.MAC{}}
		a.dir.lease(other.ip, memberC)
		for i := range 30 {
			a.segment.in <- framed(a.toGateway(hostA, udp(hostA, []host{hostB, other}[i%2], i)))
		}
		a.run()
		synctest.Wait()
		sent := a.wire.take()
		if len(sent) != 30 || a.wire.calls != 2 {
			t.Fatalf("%d packets in %d calls, want 30 in 2", len(sent), a.wire.calls)
		}
		for i, p := range sent[:15] {
			if p.to != memberB || len(p.packet) != 28+2*i {
				t.Fatalf("packet %d has %d bytes for %x: out of order", i, len(p.packet), p.to[0])
			}
		}
		a.stop()
		<-a.ended
	})
}

func TestSpoofedSourcesAreDropped(t *testing.T) {
	inBubble(t, func(t *testing.T, a *site) {
		outside := host{netip.MustParseAddr("192.0.2.1"), hostA.mac}
		service := host{svcAddr, hostA.mac}
		for _, from := range []host{nobody, hostB, outside, service} {
			a.sends(a.toGateway(from, udp(from, hostB, 10)))
		}
		a.dir.forget(nobody.ip)
		a.sends(a.toGateway(nobody, udp(nobody, hostB, 10)))
		a.silent()
		a.counts(map[counter]uint64{dropSpoofed: 5, outPackets: 0})
	})
}

func TestWhatMustNotCrossDoesNot(t *testing.T) {
	mac := func(b ...byte) frame.MAC { return frame.MAC(b) }
	raw := func(dst frame.MAC, etherType uint16, payload ...byte) []byte {
		return append(frame.AppendEthernet(nil, dst, hostA.mac, etherType), payload...)
	}
	to := func(addr string) frame.IPv4 {
		return udp(hostA, host{ip: netip.MustParseAddr(addr)}, 10)
	}
	damaged := udp(hostA, hostB, 10)
	damaged[8]++
	lying := udp(hostA, hostB, 10)
	binary.BigEndian.PutUint16(lying[2:], 1400)
	dhcpReply := frame.AppendUDP(nil, netip.AddrPortFrom(nobody.ip, 67), netip.MustParseAddrPort("255.255.255.255:68"), make([]byte, 300))

	inBubble(t, func(t *testing.T, a *site) {
		for name, c := range map[string]struct {
			frame []byte
			want  counter
		}{
			"between two hosts":        {ethernet(hostA.mac, hostA2.mac, udp(hostA, hostA2, 10)), ignoredNative},
			"unknown unicast":          {ethernet(hostA.mac, mac(2, 9, 9, 9, 9, 9), udp(hostA, nobody, 10)), ignoredNative},
			"multicast":                {ethernet(hostA.mac, mac(1, 0, 0x5e, 0, 0, 0xfb), to("224.0.0.251")), ignoredMulticast},
			"multicast to us":          {ethernet(hostA.mac, gwA, to("239.1.2.3")), ignoredMulticast},
			"directed broadcast":       {ethernet(hostA.mac, frame.Broadcast(), to("10.9.255.255")), ignoredMulticast},
			"directed broadcast to us": {ethernet(hostA.mac, gwA, to("10.9.255.255")), ignoredMulticast},
			"network address":          {ethernet(hostA.mac, gwA, to("10.9.0.0")), ignoredMulticast},
			"limited broadcast":        {ethernet(hostA.mac, frame.Broadcast(), to("255.255.255.255")), ignoredMulticast},
			"unicast in broadcast":     {ethernet(hostA.mac, frame.Broadcast(), udp(hostA, hostB, 10)), ignoredMulticast},
			"another DHCP server":      {ethernet(hostA.mac, frame.Broadcast(), dhcpReply), ignoredMulticast},
			"router advertisement":     {raw(mac(0x33, 0x33, 0, 0, 0, 1), frame.EtherTypeIPv6, 0x60, 0, 0, 0), ignoredIPv6},
			"IPv6 unicast":             {raw(gwA, frame.EtherTypeIPv6, 0x60, 0, 0, 0), ignoredIPv6},
			"spanning tree":            {raw(mac(1, 0x80, 0xc2, 0, 0, 0), 38, 0x42, 0x42, 3), ignoredEtherType},
			"LLDP":                     {raw(mac(1, 0x80, 0xc2, 0, 0, 0xe), 0x88cc, 2, 7), ignoredEtherType},
			"VLAN tag":                 {raw(gwA, frame.EtherTypeVLAN, 0, 5, 8, 0), ignoredEtherType},
			"our own frame come back":  {ethernet(gwA, frame.Broadcast(), udp(hostB, hostA, 10)), ignoredLoop},
			"group source":             {ethernet(frame.Broadcast(), gwA, udp(hostA, hostB, 10)), ignoredLoop},
			"outside the prefix":       {a.toGateway(hostA, to("8.8.8.8")), dropOutside},
			"short frame":              {make([]byte, 13), dropMalformed},
			"short packet":             {raw(gwA, frame.EtherTypeIPv4, 0x45, 0), dropMalformed},
			"lying length":             {a.toGateway(hostA, lying), dropMalformed},
			"short ARP":                {raw(gwA, frame.EtherTypeARP, 0, 1, 8, 0), dropMalformed},
			"wrong checksum":           {a.toGateway(hostA, damaged), dropChecksum},
		} {
			before := a.router.counters[c.want].Load()
			a.sends(c.frame)
			if got := a.router.counters[c.want].Load(); got != before+1 {
				t.Errorf("%s: not counted as %s", name, countNames()[c.want][0])
			}
			if len(a.wire.take())+len(a.segment.take()) != 0 {
				t.Errorf("%s: crossed or was answered", name)
			}
		}
	})
}

func TestUnknownDestinationWaitsForOneResolution(t *testing.T) {
	inBubble(t, func(t *testing.T, a *site) {
		a.dir.forget(hostB.ip)
		a.dir.delay = 50 * time.Millisecond
		for i := range 20 {
			a.sends(a.toGateway(hostA, udp(hostA, hostB, i)))
		}
		a.silent()
		time.Sleep(60 * time.Millisecond)
		synctest.Wait()
		sent := a.wire.take()
		if len(sent) != waitPerKey {
			t.Fatalf("%d packets went on, want %d", len(sent), waitPerKey)
		}
		for i, p := range sent {
			if len(p.packet) != 28+i || p.packet.TTL() != 63 {
				t.Errorf("packet %d: %d bytes, TTL %d", i, len(p.packet), p.packet.TTL())
			}
		}
		if asked := a.dir.asked(); !slices.Equal(asked, []netip.Addr{hostB.ip}) {
			t.Errorf("the registry was asked for %v", asked)
		}
		a.counts(map[counter]uint64{waited: waitPerKey, dropQueueFull: 20 - waitPerKey, resolves: 1, outPackets: waitPerKey})
	})
}

func TestAnAbsentHostIsRefusedAtOnce(t *testing.T) {
	inBubble(t, func(t *testing.T, a *site) {
		p := udp(hostA, nobody, 700)
		a.sends(a.toGateway(hostA, p))
		m := isError(t, a.oneFrame(hostA.mac), p, frame.ICMPv4Unreachable, frame.CodeHostUnreachable)
		if len(m) != 576-20 {
			t.Errorf("the error is %d bytes long, want 556 (RFC 1812 4.3.2.3)", len(m))
		}
		a.counts(map[counter]uint64{dropAbsent: 1, icmpSent: 1, resolves: 0})
	})
}

func TestRefusalsAreRememberedForAWhile(t *testing.T) {
	for _, c := range []struct {
		name string
		err  error
		long time.Duration
		want counter
	}{
		{"absent", nil, refuseAbsent, dropAbsent},
		{"failed", errors.New("no replica answers"), refuseFailed, dropUnresolved},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, a *site) {
				a.dir.forget(nobody.ip)
				a.dir.err = c.err
				p := udp(hostA, nobody, 10)
				try := func(wantAsked int) {
					t.Helper()
					a.sends(a.toGateway(hostA, p))
					isError(t, a.oneFrame(hostA.mac), p, frame.ICMPv4Unreachable, frame.CodeHostUnreachable)
					if n := len(a.dir.asked()); n != wantAsked {
						t.Errorf("asked %d times, want %d", n, wantAsked)
					}
				}
				try(1)
				a.counts(map[counter]uint64{c.want: 1})
				time.Sleep(c.long - 200*time.Millisecond)
				try(1)
				time.Sleep(300 * time.Millisecond)
				try(2)
			})
		})
	}
}

func TestADeadRegistryHoldsPacketsForABoundedTime(t *testing.T) {
	inBubble(t, func(t *testing.T, a *site) {
		a.dir.forget(hostB.ip)
		a.dir.delay = time.Hour
		p := udp(hostA, hostB, 10)
		a.sends(a.toGateway(hostA, p))
		time.Sleep(resolveTimeout)
		synctest.Wait()
		isError(t, a.oneFrame(hostA.mac), p, frame.ICMPv4Unreachable, frame.CodeHostUnreachable)
		if n := a.router.waiting.packets; n != 0 {
			t.Errorf("%d packets still wait", n)
		}
	})
}

func TestTimeToLiveRunsOut(t *testing.T) {
	inBubble(t, func(t *testing.T, a *site) {
		for _, ttl := range []byte{0, 1} {
			p := udp(hostA, hostB, 10)
			p[8] = ttl
			p.SetChecksum()
			a.sends(a.toGateway(hostA, p))
			isError(t, a.oneFrame(hostA.mac), p, frame.ICMPv4TimeExceeded, 0)
		}
		a.counts(map[counter]uint64{dropTTL: 2, outPackets: 0})
	})
}

func TestTooLargeWithDFIsRefusedWithTheMTU(t *testing.T) {
	inBubble(t, func(t *testing.T, a *site) {
		a.sends(a.toGateway(hostA, udp(hostA, hostB, 1376-28)))
		if got := a.onePacket(memberB); len(got) != 1376 {
			t.Errorf("a packet of the MTU became %d bytes", len(got))
		}
		p := udp(hostA, hostB, 1377-28)
		a.sends(a.toGateway(hostA, p))
		m := isError(t, a.oneFrame(hostA.mac), p, frame.ICMPv4Unreachable, frame.CodeFragNeeded)
		if m.NextHopMTU() != 1376 {
			t.Errorf("next-hop MTU %d", m.NextHopMTU())
		}
		a.counts(map[counter]uint64{dropTooBig: 1, outPackets: 1})
	})
}

func TestTooLargeWithoutDFIsFragmented(t *testing.T) {
	inBubble(t, func(t *testing.T, a *site) {
		p := udp(hostA, hostB, 1472)
		p[6] = 0
		p.SetChecksum()
		a.sends(a.toGateway(hostA, p))
		var payload []byte
		for _, s := range a.wire.take() {
			f := s.packet
			if len(f) > 1376 || !f.ChecksumOK() || f.TTL() != 63 || f.FragmentOffset() != len(payload) {
				t.Errorf("fragment % x", f[:20])
			}
			payload = append(payload, f.Payload()...)
		}
		if !bytes.Equal(payload, p.Payload()) {
			t.Error("the fragments don't add up to the packet")
		}
		a.counts(map[counter]uint64{outFragmented: 1, outPackets: 2})
	})
}

func TestABatchMayBuildMoreThanItsSlabHolds(t *testing.T) {
	inBubble(t, func(t *testing.T, a *site) {
		b := a.router.newBatch()
		var pkts []frame.Packet
		var want []byte
		for i := range 2 * batchFrames {
			p := udp(hostA, hostB, 1450-i%8)
			p[6], p[100] = 0, byte(i)
			p.SetChecksum()
			want = append(want, p.Payload()...)
			pkts = append(pkts, framed(a.toGateway(hostA, p)))
		}
		a.router.forwardBatch(b, pkts)
		var got []byte
		for _, s := range a.wire.take() {
			got = append(got, s.packet.Payload()...)
		}
		if !bytes.Equal(got, want) {
			t.Error("fragments were overwritten before they were sent")
		}
	})
}

func TestPacketsOfABatchAreOneParcelAMemberInTheirOrder(t *testing.T) {
	inBubble(t, func(t *testing.T, a *site) {
		b := a.router.newBatch()
		for _, to := range [][]byte{{1, 2, 3, 1, 2, 3, 3, 3, 1}, {3, 2, 1, 1, 3}, {2}, {}} { // the second begins where the first ended, behind all
			var want [4][]byte
			for i, m := range to {
				b.sendUncounted(group.MemberID{31: m}, frame.Packet{Buf: []byte{byte(i)}})
				want[m] = append(want[m], byte(i))
			}
			seen := make(map[group.MemberID]bool)
			for _, p := range b.parcels {
				var got []byte
				for _, pkt := range p.Packets {
					got = append(got, pkt.Buf...)
				}
				if seen[p.To] || !bytes.Equal(got, want[p.To[31]]) {
					t.Errorf("%v: to %d go %v (again: %t), want %v", to, p.To[31], got, seen[p.To], want[p.To[31]])
				}
				seen[p.To] = true
			}
			b.parcels = b.parcels[:0]
		}
	})
}

func TestMSSIsClampedBothWays(t *testing.T) {
	inBubble(t, func(t *testing.T, a *site) {
		check := func(p frame.IPv4, want uint16) {
			t.Helper()
			tcp, err := frame.ParseTCP(p.Payload())
			if err != nil {
				t.Fatal(err)
			}
			if mss, _ := tcp.MSS(); mss != want {
				t.Errorf("MSS %d, want %d", mss, want)
			}
			if frame.Checksum(tcp, frame.PseudoSum(p.Src(), p.Dst(), frame.ProtocolTCP, len(tcp))) != 0 {
				t.Error("TCP checksum is wrong")
			}
		}
		a.sends(a.toGateway(hostA, syn(hostA, hostB, 1460)))
		check(a.onePacket(memberB), 1336)
		a.sends(a.toGateway(hostA, syn(hostA, hostB, 1200)))
		check(a.onePacket(memberB), 1200)
		a.router.Deliver(memberB, bareOfAll(syn(hostB, hostA, 1460)))
		check(a.oneFrame(hostA.mac), 1336)
		a.counts(map[counter]uint64{mssClamped: 2})
	})
}

func TestAPacketForAHostThatIsHereGoesBackToTheSegment(t *testing.T) {
	inBubble(t, func(t *testing.T, a *site) {
		a.sends(a.toGateway(hostA, udp(hostA, hostA2, 10)))
		if got := a.oneFrame(hostA2.mac); got.TTL() != 63 {
			t.Errorf("TTL %d", got.TTL())
		}
		a.sends(a.toGateway(hostA, syn(hostA, hostA2, 1460)))
		if mss, _ := frame.TCP(a.oneFrame(hostA2.mac).Payload()).MSS(); mss != 1460 {
			t.Errorf("a SYN that stays on the segment had its MSS made %d", mss)
		}
		a.counts(map[counter]uint64{outHairpin: 2, outPackets: 0, inPackets: 0, mssClamped: 0})
	})
}
