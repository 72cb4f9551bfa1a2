package router

import (
	"bytes"
	"errors"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"landbridge/internal/frame"
	"landbridge/internal/group"
)

var memberC = group.MemberID{0xc}

func (s *site) arrives(from group.MemberID, p ...[]byte) {
	s.router.Deliver(from, bareOfAll(p...))
	synctest.Wait()
}

func TestWhatAMemberMayNotSendIsDropped(t *testing.T) {
	at := func(addr string) host { return host{ip: netip.MustParseAddr(addr)} }
	damaged := udp(hostB, hostA, 10)
	damaged[8]++
	dead := udp(hostB, hostA, 10)
	dead[8] = 0
	dead.SetChecksum()
	inBubble(t, func(t *testing.T, a *site) {
		orphan := at("10.9.5.5")
		a.dir.lease(orphan.ip, group.MemberID{})
		for name, c := range map[string]struct {
			from   group.MemberID
			packet []byte
			want   counter
		}{
			"another member's source":   {memberC, udp(hostB, hostA, 10), dropMemberSource},
			"a source nobody holds":     {memberB, udp(nobody, hostA, 10), dropMemberSource},
			"a source of this segment":  {memberB, udp(hostA2, hostA, 10), dropMemberSource},
			"a source outside":          {memberB, udp(at("192.0.2.1"), hostA, 10), dropMemberSource},
			"the service address":       {memberB, udp(at("10.9.0.1"), hostA, 10), dropMemberSource},
			"no member":                 {group.MemberID{}, udp(orphan, hostA, 10), dropMemberSource},
			"to a host that isn't here": {memberB, udp(hostB, nobody, 10), dropNotHere},
			"to its own host":           {memberB, udp(hostB, hostB, 10), dropNotHere},
			"to our service address":    {memberB, udp(hostB, at("10.9.0.1"), 10), dropMemberMulticast},
			"to multicast":              {memberB, udp(hostB, at("224.0.0.251"), 10), dropMemberMulticast},
			"to directed broadcast":     {memberB, udp(hostB, at("10.9.255.255"), 10), dropMemberMulticast},
			"to the outside":            {memberB, udp(hostB, at("192.0.2.1"), 10), dropMemberMulticast},
			"IPv6":                      {memberB, append([]byte{0x60}, make([]byte, 39)...), ignoredIPv6},
			"nothing":                   {memberB, nil, dropMalformed},
			"rubbish":                   {memberB, bytes.Repeat([]byte{0x4f}, 30), dropMalformed},
			"a wrong checksum":          {memberB, damaged, dropChecksum},
			"a dead packet":             {memberB, dead, dropTTL},
		} {
			before := a.router.counters[c.want].Load()
			a.arrives(c.from, c.packet)
			time.Sleep(moveNews)
			synctest.Wait()
			if got := a.router.counters[c.want].Load(); got != before+1 {
				t.Errorf("%s: not counted as %s", name, countNames()[c.want][0])
			}
			if w := a.segment.take(); len(w) != 0 {
				t.Errorf("%s: reached the segment", name)
			}
		}
		a.counts(map[counter]uint64{inPackets: 0})
	})
}

func TestAYoungLeaseElsewhereIsAskedAfterOnce(t *testing.T) {
	inBubble(t, func(t *testing.T, a *site) {
		a.dir.forget(hostB.ip)
		a.dir.delay = 30 * time.Millisecond
		a.arrives(memberB, udp(hostB, hostA, 1), udp(hostB, hostA, 2))
		a.arrives(memberC, udp(hostB, hostA, 3)) // a liar meanwhile
		a.silent()
		time.Sleep(40*time.Millisecond + moveNews)
		synctest.Wait()
		wrote := a.segment.take()
		if len(wrote) != 2 || len(a.packet(wrote[0], hostA.mac)) != 29 || len(a.packet(wrote[1], hostA.mac)) != 30 {
			t.Errorf("delivered % x", wrote)
		}
		a.counts(map[counter]uint64{waited: 3, dropMemberSource: 1, inPackets: 2})
		a.arrives(memberC, udp(hostB, hostA, 3))
		if n := len(a.dir.asked()); n != 2 {
			t.Errorf("the registry was asked %d times, want 2: the liar's refusal is remembered", n)
		}
	})
}

// A host has moved from here to B, and B forwards for it already: its first packets come before
// the record that says so.
func TestThePacketsOfAHostThatHasMovedWaitForTheNewsOfIt(t *testing.T) {
	inBubble(t, func(t *testing.T, a *site) {
		a.arrives(memberC, udp(hostB, hostA, 10), udp(hostB, hostA, 11))
		time.Sleep(moveNews / 2)
		a.silent()
		a.dir.lease(hostB.ip, memberC)
		time.Sleep(moveNews / 4)
		synctest.Wait()
		wrote := a.segment.take()
		if len(wrote) != 2 || len(a.packet(wrote[0], hostA.mac)) != 38 {
			t.Errorf("delivered % x", wrote)
		}
		a.counts(map[counter]uint64{waited: 2, dropMemberSource: 0, inPackets: 2})
	})
}

func TestAnUnknownMACIsAskedForByARP(t *testing.T) {
	inBubble(t, func(t *testing.T, a *site) {
		a.router.hosts.Forget(hostA.ip)
		a.arrives(memberB, udp(hostB, hostA, 10), udp(hostB, hostA, 11))
		wrote := a.segment.take()
		if len(wrote) != 1 {
			t.Fatalf("%d frames written, want one ARP request", len(wrote))
		}
		eth := frame.Ethernet(wrote[0])
		q, err := frame.ParseARP(eth.Payload())
		if err != nil || eth.Dst() != frame.Broadcast() || q.Op() != frame.ARPRequest || q.TargetIP() != hostA.ip ||
			q.SenderIP() != svcAddr || q.SenderMAC() != gwA {
			t.Fatalf("asked by % x", wrote[0])
		}
		a.sends(frame.AppendARP(nil, gwA, hostA.mac, frame.ARPFields{
			Op: frame.ARPReply, SenderMAC: hostA.mac, SenderIP: hostA.ip, TargetMAC: gwA, TargetIP: svcAddr,
		}))
		wrote = a.segment.take()
		if len(wrote) != 2 || len(a.packet(wrote[0], hostA.mac)) != 38 || len(a.packet(wrote[1], hostA.mac)) != 39 {
			t.Errorf("delivered % x", wrote)
		}
		a.counts(map[counter]uint64{inPackets: 2})
	})
}

func TestAHostThatDoesNotAnswerARPIsUnreachable(t *testing.T) {
	inBubble(t, func(t *testing.T, a *site) {
		a.router.hosts.Forget(hostA.ip)
		p := udp(hostB, hostA, 10)
		a.arrives(memberB, p)
		time.Sleep(neighbourTries*neighbourWait + time.Millisecond)
		synctest.Wait()
		if n := len(a.segment.take()); n != neighbourTries {
			t.Errorf("%d ARP requests, want %d", n, neighbourTries)
		}
		isError(t, a.onePacket(memberB), p, frame.ICMPv4Unreachable, frame.CodeHostUnreachable)
		a.arrives(memberB, p)
		if n := len(a.segment.take()); n != 0 {
			t.Error("ARP was asked again at once")
		}
		isError(t, a.onePacket(memberB), p, frame.ICMPv4Unreachable, frame.CodeHostUnreachable)
		a.counts(map[counter]uint64{dropNoNeighbour: 2})
	})
}

func TestAMembersApplianceSpeaksForItsHosts(t *testing.T) {
	inBubble(t, func(t *testing.T, a *site) {
		about := udp(hostA, hostB, 10)
		unreachable := func(about frame.IPv4) []byte {
			return frame.AppendUnreachable(nil, svcAddr, about, frame.CodeHostUnreachable)
		}
		a.arrives(memberB, unreachable(about))
		if got := a.oneFrame(hostA.mac); got.Src() != svcAddr {
			t.Errorf("from %v", got.Src())
		}
		a.arrives(memberC, unreachable(about))                      // not its host
		a.arrives(memberB, unreachable(udp(hostA, nobody, 10)))     // nobody's
		a.arrives(memberB, unreachable(udp(hostA, hostB, 10))[:44]) // cut short
		elsewhere := udp(hostA2, hostB, 10)
		readdressed := frame.IPv4(unreachable(elsewhere))
		copy(readdressed[16:20], hostA.ip.AsSlice())
		readdressed.SetChecksum()
		a.arrives(memberB, readdressed) // about another host's packet
		outside := udp(hostA, host{ip: netip.MustParseAddr("192.0.2.1")}, 10)
		before := len(a.dir.asked())
		a.arrives(memberB, unreachable(outside))
		if len(a.dir.asked()) != before {
			t.Error("the registry was asked about an address outside the prefix")
		}
		redirect := unreachable(about)
		redirect[20] = frame.ICMPv4Redirect
		a.arrives(memberB, redirect)
		if w := a.segment.take(); len(w) != 0 {
			t.Errorf("%d forged errors reached the segment", len(w))
		}
	})
}

func TestASegmentWithASmallerMTU(t *testing.T) {
	inBubble(t, func(t *testing.T, a *site) {
		p := udp(hostB, hostA, 1200)
		a.arrives(memberB, p)
		m := isError(t, a.onePacket(memberB), p, frame.ICMPv4Unreachable, frame.CodeFragNeeded)
		if m.NextHopMTU() != 1000 {
			t.Errorf("next-hop MTU %d", m.NextHopMTU())
		}
		p[6] = 0
		p.SetChecksum()
		a.arrives(memberB, p)
		var payload []byte
		for _, f := range a.segment.take() {
			payload = append(payload, a.packet(f, hostA.mac).Payload()...)
		}
		if !bytes.Equal(payload, p.Payload()) {
			t.Error("the fragments don't add up to the packet")
		}
		a.counts(map[counter]uint64{dropTooBig: 1, inFragmented: 1})
	}, func(c *Config) { c.LinkMTU = 1000 })
}

func TestRunEndsWithItsContextOrItsDevice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newSite(t, memberA, gwA)
		a.run()
		a.dir.forget(hostB.ip)
		a.dir.delay = time.Hour
		a.sends(a.toGateway(hostA, udp(hostA, hostB, 10))) // a job is in flight
		a.stop()
		if err := <-a.ended; err != nil {
			t.Errorf("cancelled Run: %v", err)
		}
		a.segment.take()
		a.router.Deliver(memberB, bareOfAll(udp(hostB, hostA, 10)))
		a.silent()
		a.counts(map[counter]uint64{dropClosed: 1})

		b := newSite(t, memberB, gwB)
		b.segment.readErr = errors.New("device gone")
		b.run()
		close(b.segment.in)
		if err := <-b.ended; !errors.Is(err, b.segment.readErr) {
			t.Errorf("Run without a device: %v", err)
		}
		b.stop()
	})
}
