package router

import (
	"context"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"landbridge/arp"
	"landbridge/internal/frame"
	"landbridge/internal/group"
)

// nativeB makes hostB one of this segment, whom member B serves.
func nativeB(a *site) {
	a.dir.mu.Lock()
	defer a.dir.mu.Unlock()
	a.dir.native = map[group.MemberID]bool{memberB: true}
}

func TestHostsOfAnotherRouterOnTheSegmentAreLeftToThemselves(t *testing.T) {
	inBubble(t, func(t *testing.T, a *site) {
		nativeB(a)
		a.sends(arpRequest(hostA, hostB.ip), arpRequest(hostB, hostA.ip), ethernet(hostA.mac, hostB.mac, udp(hostA, hostB, 10)))
		a.silent()
		a.counts(map[counter]uint64{arpSilent: 2, ignoredNative: 1, arpReplied: 0})
	})
}

func TestARPForAHostThatTurnsOutToBeNativeStaysSilent(t *testing.T) {
	inBubble(t, func(t *testing.T, a *site) {
		nativeB(a)
		a.dir.forget(hostB.ip)
		a.sends(arpRequest(hostA, hostB.ip))
		a.silent()
		if n := len(a.dir.asked()); n != 1 {
			t.Errorf("asked %d times", n)
		}
	})
}

func TestAHostOfAnotherRouterMaySendByThisOne(t *testing.T) {
	inBubble(t, func(t *testing.T, a *site) {
		other := host{ip: netip.MustParseAddr("10.9.4.4")}
		a.dir.lease(other.ip, memberC)
		a.sends(a.toGateway(hostB, udp(hostB, other, 10)))
		a.silent()
		a.counts(map[counter]uint64{dropSpoofed: 1})
		nativeB(a)
		a.sends(a.toGateway(hostB, udp(hostB, other, 10)))
		if p := a.onePacket(memberC); p.Src() != hostB.ip || p.TTL() != 63 {
			t.Errorf("% x", p)
		}
	})
}

func TestAPacketForANativeHostGoesBackToTheSegmentAndNotByTunnel(t *testing.T) {
	inBubble(t, func(t *testing.T, a *site) {
		nativeB(a)
		a.sends(a.toGateway(hostA, udp(hostA, hostB, 10)))
		if len(a.wire.take()) != 0 {
			t.Fatal("went by tunnel")
		}
		asks := a.segment.take()
		if len(asks) != 1 || frame.Ethernet(asks[0]).EtherType() != frame.EtherTypeARP {
			t.Fatalf("want one ARP request for the host: % x", asks)
		}
		a.sends(frame.AppendARP(nil, gwA, hostB.mac, frame.ARPFields{
			Op: frame.ARPReply, SenderMAC: hostB.mac, SenderIP: hostB.ip, TargetMAC: gwA, TargetIP: svcAddr,
		}))
		if p := a.oneFrame(hostB.mac); p.TTL() != 63 {
			t.Errorf("% x", p)
		}
		a.counts(map[counter]uint64{outHairpin: 1, outPackets: 0})
	})
}

// bypass is a Bypass that notes what is wanted.
type bypass struct{ wanted []netip.Addr }

func (b *bypass) Want(a netip.Addr) { b.wanted = append(b.wanted, a) }

func TestUntilTheBypassStandsNativePacketsOfThisHostGoByTunnel(t *testing.T) {
	var opened bypass
	inBubble(t, func(t *testing.T, a *site) {
		nativeB(a)
		a.sends(arpRequest(hostA, hostB.ip))
		a.oneARP(hostA, hostB.ip)
		a.sends(a.toGateway(hostA, udp(hostA, hostB, 10)))
		a.onePacket(memberB)
		if !slices.Equal(opened.wanted, []netip.Addr{hostB.ip}) {
			t.Errorf("wanted %v", opened.wanted)
		}
		a.counts(map[counter]uint64{outBypass: 1, outPackets: 1})

		a.dir.forget(hostB.ip) // also where it had to be asked
		a.sends(arpRequest(hostA, hostB.ip))
		a.oneARP(hostA, hostB.ip)
	}, func(c *Config) {
		c.Bypass = &opened
		c.ARP = arp.NewResponder(arp.Config{
			Prefix: prefix, ServiceAddr: svcAddr, GatewayMAC: c.GatewayMAC, Directory: HostARPDirectory(c.Directory),
		})
	})
}

// beacons is a Beacons that notes what came.
type beacons struct {
	got [][]byte
	at  time.Time
}

func (b *beacons) Receive(f []byte, now time.Time) {
	b.got, b.at = append(b.got, slices.Clone(f)), now
}

func TestBeaconsAreHandedOnOwnOnesToo(t *testing.T) {
	var heard beacons
	var from []frame.MAC
	inBubble(t, func(t *testing.T, a *site) {
		for _, src := range []frame.MAC{gwB, gwA} {
			for _, dst := range []frame.MAC{frame.Broadcast(), gwA} {
				f := append(frame.AppendEthernet(nil, dst, src, frame.EtherTypeBeacon), "beacon"...)
				a.sends(f)
				from = append(from, src)
			}
		}
		synctest.Wait()
		for i, f := range heard.got {
			if eth := frame.Ethernet(f); eth.Src() != from[i] || string(eth.Payload()) != "beacon" || heard.at.IsZero() {
				t.Errorf("% x", f)
			}
		}
		if len(heard.got) != 4 {
			t.Errorf("%d of 4 came", len(heard.got))
		}
		a.silent()
		a.counts(map[counter]uint64{beaconsTaken: 4})
	}, func(c *Config) { c.Beacons = &heard })
	inBubble(t, func(t *testing.T, a *site) {
		a.sends(append(frame.AppendEthernet(nil, frame.Broadcast(), gwB, frame.EtherTypeBeacon), "beacon"...))
		a.counts(map[counter]uint64{beaconsTaken: 0, ignoredEtherType: 1})
	})
}

// speakers is a Speakers of pairs.
type speakers struct {
	known, shown map[[2]group.MemberID]bool // from and owner
	asked        int
}

func (s *speakers) Speaks(from, owner group.MemberID) bool {
	return s.known[[2]group.MemberID{from, owner}]
}

func (s *speakers) Ask(_ context.Context, from, owner group.MemberID) bool {
	s.asked++
	return s.shown[[2]group.MemberID{from, owner}]
}

func TestAMemberMaySendForTheHostsOfAnotherThatHasSaidSo(t *testing.T) {
	allowed := [2]group.MemberID{memberC, memberB}
	s := &speakers{known: map[[2]group.MemberID]bool{}, shown: map[[2]group.MemberID]bool{}}
	inBubble(t, func(t *testing.T, a *site) {
		send := func(n int) {
			a.router.Deliver(memberC, bareOfAll(udp(hostB, hostA, n)))
			synctest.Wait()
		}
		send(1)
		time.Sleep(moveNews)
		synctest.Wait()
		a.silent()
		a.counts(map[counter]uint64{dropMemberSource: 1})
		time.Sleep(refuseFailed + time.Second)
		s.shown[allowed] = true
		send(2)
		a.oneFrame(hostA.mac)
		if s.asked != 2 {
			t.Errorf("asked %d times", s.asked)
		}
		s.known[allowed] = true
		send(3)
		a.oneFrame(hostA.mac)
		if s.asked != 2 {
			t.Error("asked for what is known")
		}
		a.router.Deliver(memberB, bareOfAll(udp(hostB, hostA, 4)))
		a.oneFrame(hostA.mac)
	}, func(c *Config) { c.Speakers = s })
}

func TestPacketsOfMembersReachHostsOfAnotherRouterOnTheSegment(t *testing.T) {
	inBubble(t, func(t *testing.T, a *site) {
		remote := host{ip: netip.MustParseAddr("10.9.4.4")}
		a.dir.lease(remote.ip, memberC)
		a.router.Deliver(memberC, bareOfAll(udp(remote, hostB, 10)))
		a.silent()
		nativeB(a)
		a.sends(arpRequest(hostB, hostA.ip)) // shows its MAC
		a.router.Deliver(memberC, bareOfAll(udp(remote, hostB, 10)))
		a.oneFrame(hostB.mac)
		a.counts(map[counter]uint64{dropNotHere: 1})
	})
}

func TestFramesForAMACThatWasTakenAreTakenAsOurs(t *testing.T) {
	inBubble(t, func(t *testing.T, a *site) {
		f := ethernet(hostA.mac, gwB, udp(hostA, hostB, 10))
		a.sends(f)
		a.segment.take() // the host may be told where to send
		a.router.TakeMACs(gwB)
		a.sends(f)
		a.onePacket(memberB)
		a.router.TakeMACs()
		a.sends(f)
		a.silent()
		a.counts(map[counter]uint64{ignoredNative: 2, outPackets: 1})
	})
}

func TestWhatCannotBeSentIsHandedToTheReliefOverTheLAN(t *testing.T) {
	inBubble(t, func(t *testing.T, a *site) {
		a.router.HandOver(gwB)
		a.dir.forget(nobody.ip)
		for _, to := range []host{hostB, nobody} { // also what the registry would have to be asked about
			a.sends(a.toGateway(hostA, udp(hostA, to, 10)))
			if p := a.oneFrame(gwB); p.Dst() != to.ip || p.TTL() != 63 {
				t.Errorf("% x", p)
			}
		}
		if len(a.dir.asked()) != 0 {
			t.Error("the registry was asked")
		}
		a.sends(a.toGateway(hostA, udp(hostA, hostA2, 10)))
		a.oneFrame(hostA2.mac)
		a.sends(a.toGateway(nobody, udp(nobody, hostB, 10)))
		a.silent()
		last := udp(hostA, hostB, 10)
		last[8] = 1
		last.SetChecksum()
		a.sends(a.toGateway(hostA, last))
		isError(t, a.oneFrame(hostA.mac), last, frame.ICMPv4TimeExceeded, 0)
		a.router.HandOver(frame.MAC{})
		a.sends(a.toGateway(hostA, udp(hostA, hostB, 10)))
		a.onePacket(memberB)
		a.counts(map[counter]uint64{outRelief: 2, outPackets: 1, outHairpin: 1})
	})
}

func TestASourceThatIsNotKnownYetIsAskedAboutWhereOtherRoutersMayStand(t *testing.T) {
	remote := host{ip: netip.MustParseAddr("10.9.4.4")}
	send := func(a *site) {
		a.dir.lease(remote.ip, memberC)
		a.dir.forget(hostB.ip)
		a.sends(a.toGateway(hostB, udp(hostB, remote, 10)))
	}
	inBubble(t, func(t *testing.T, a *site) {
		send(a)
		a.silent()
		a.counts(map[counter]uint64{dropSpoofed: 1})
		if len(a.dir.asked()) != 0 {
			t.Error("asked though no other router can be here")
		}
	})
	var heard beacons
	inBubble(t, func(t *testing.T, a *site) {
		nativeB(a)
		a.dir.learns = true
		send(a)
		a.onePacket(memberC)
		for n := range 3 * sourceQuestions { // made-up sources cost a bounded number of questions
			from := host{netip.AddrFrom4([4]byte{10, 9, 7, byte(n)}), hostB.mac}
			a.dir.forget(from.ip)
			a.sends(a.toGateway(from, udp(from, remote, 10)))
		}
		if n := len(a.dir.asked()); n != sourceQuestions {
			t.Errorf("%d questions in a second, want %d", n, sourceQuestions)
		}
		if len(a.wire.take()) != 0 {
			t.Error("packets with made-up sources crossed")
		}
	}, func(c *Config) { c.Beacons = &heard })
}
