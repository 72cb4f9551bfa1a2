package router

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"landbridge/internal/frame"
)

func TestNeighborSolicitationsAreAnsweredAsARPIs(t *testing.T) {
	probe := func(t *testing.T, target netip.Addr) []byte {
		f := frame.AppendSolicit(nil, hostA.mac, netip.IPv6Unspecified(), target)
		ip := frame.IPv6(f[frame.EthernetHeaderLen : len(f)-8]) // without the option
		binary.BigEndian.PutUint16(ip[4:], 24)
		clear(ip[42:44])
		binary.BigEndian.PutUint16(ip[42:], frame.Checksum(ip[40:], frame.PseudoSum(ip.Src(), ip.Dst(), frame.ProtocolICMPv6, 24)))
		return f[:len(f)-8]
	}
	far := host{nth(0x77), frame.MAC{}}
	for name, c := range map[string]struct {
		ask    func(t *testing.T) []byte
		target netip.Addr
		dst    netip.Addr // invalid: silence
	}{
		"elsewhere": {func(t *testing.T) []byte {
			return frame.AppendSolicit(nil, hostA.mac, hostA.six(t).ip, hostB.six(t).ip)
		}, hostB.six(t).ip, hostA.six(t).ip},
		"elsewhere, from a link-local address": {func(t *testing.T) []byte {
			return frame.AppendSolicit(nil, hostA.mac, frame.LinkLocal(hostA.mac), hostB.six(t).ip)
		}, hostB.six(t).ip, frame.LinkLocal(hostA.mac)},
		"a probe, elsewhere": {func(t *testing.T) []byte { return probe(t, hostB.six(t).ip) }, hostB.six(t).ip, frame.AllNodes()},
		"a probe, its own":   {func(t *testing.T) []byte { return probe(t, hostA.six(t).ip) }, netip.Addr{}, netip.Addr{}},
		"on this segment": {func(t *testing.T) []byte {
			return frame.AppendSolicit(nil, hostA.mac, hostA.six(t).ip, hostA2.six(t).ip)
		}, netip.Addr{}, netip.Addr{}},
		"nobody's": {func(t *testing.T) []byte {
			return frame.AppendSolicit(nil, hostA.mac, hostA.six(t).ip, nobody.six(t).ip)
		}, netip.Addr{}, netip.Addr{}},
		"another network": {func(t *testing.T) []byte {
			return frame.AppendSolicit(nil, hostA.mac, hostA.six(t).ip, netip.MustParseAddr("fd00::a09:214"))
		}, netip.Addr{}, netip.Addr{}},
		"a link-local address": {func(t *testing.T) []byte {
			return frame.AppendSolicit(nil, hostA.mac, hostA.six(t).ip, frame.LinkLocal(hostA2.mac))
		}, netip.Addr{}, netip.Addr{}},
		"ours": {func(t *testing.T) []byte {
			return frame.AppendSolicit(nil, hostA.mac, hostA.six(t).ip, frame.LinkLocal(gwA))
		}, frame.LinkLocal(gwA), hostA.six(t).ip},
		"the service address": {func(t *testing.T) []byte {
			return frame.AppendSolicit(nil, hostA.mac, hostA.six(t).ip, sixNet(t).Net.Of(svcAddr))
		}, sixNet(t).Net.Of(svcAddr), hostA.six(t).ip},
		"not known yet": {func(t *testing.T) []byte { return frame.AppendSolicit(nil, hostA.mac, hostA.six(t).ip, far.six(t).ip) }, far.six(t).ip, hostA.six(t).ip},
		"an advertisement": {func(t *testing.T) []byte {
			return frame.AppendAdvert(nil, gwA, hostA.mac, frame.AdvertFields{Dst: frame.AllNodes(), Target: hostA.six(t).ip, MAC: hostA.mac})
		}, netip.Addr{}, netip.Addr{}},
		"what came by a router": {func(t *testing.T) []byte {
			f := frame.AppendSolicit(nil, hostA.mac, hostA.six(t).ip, hostB.six(t).ip)
			f[21] = 254
			return f
		}, netip.Addr{}, netip.Addr{}},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble6(t, func(t *testing.T, a *site) {
				a.dir.lease(far.ip, memberB)
				a.dir.forget(far.ip)
				a.dir.learns = true
				a.sends(c.ask(t))
				if !c.dst.IsValid() {
					a.silent()
					return
				}
				to := hostA.mac
				if c.dst.IsMulticast() {
					to = frame.MulticastMAC(c.dst)
				}
				ip := a.oneFrame6(to)
				if n := a.neighbor(ip); n.Target != c.target || n.MAC != gwA || !n.Advert || ip.Dst() != c.dst || n.Solicited == c.dst.IsMulticast() {
					t.Errorf("%+v to %v", n, ip.Dst())
				}
			})
		})
	}
}

func TestRoutersAreAdvertised(t *testing.T) {
	inBubble6(t, func(t *testing.T, a *site) {
		solicit := frame.AppendIPv6(nil, frame.IPv6Fields{Src: frame.LinkLocal(hostA.mac), Dst: netip.MustParseAddr("ff02::2"), NextHeader: frame.ProtocolICMPv6, HopLimit: 255}, 8)
		ip := frame.IPv6(append(solicit, frame.ICMPv6RouterSolicit, 0, 0, 0, 0, 0, 0, 0))
		binary.BigEndian.PutUint16(ip[42:], frame.Checksum(ip[40:], frame.PseudoSum(ip.Src(), ip.Dst(), frame.ProtocolICMPv6, 8)))
		f := ethernet6(hostA.mac, frame.MAC{0x33, 0x33, 0, 0, 0, 2}, ip)
		a.sends(f, f) // the second is one too many
		said := a.oneFrame6(hostA.mac)
		if m := said.Payload(); said.Dst() != frame.LinkLocal(hostA.mac) || m[0] != frame.ICMPv6RouterAdvert || m[5] != 0xc0 || m[6]|m[7] != 0 {
			t.Errorf("% x", []byte(said))
		}
		if err := a.router.Advertise(); err != nil {
			t.Fatal(err)
		}
		a.oneFrame6(frame.MAC{0x33, 0x33, 0, 0, 0, 1})
		if err := a.router.SetIPv6(nil); err != nil {
			t.Fatal(err)
		}
		over := a.oneFrame6(frame.MAC{0x33, 0x33, 0, 0, 0, 1}).Payload()
		if valid := binary.BigEndian.Uint64(over[16+8+4:]); over[16+8] != 3 || valid != 0 {
			t.Errorf("the prefix stays good for %d", valid)
		}
		a.sends(f)
		a.silent()
		a.counts(map[counter]uint64{routerAdverts: 3, ndpSilent: 1, ignoredIPv6: 1})
	})
}

// Hosts that don't say who they are, or say it falsely, get all of them one answer in a while.
func TestHostsWithoutAnAddressAreAdvertisedToTogether(t *testing.T) {
	inBubble6(t, func(t *testing.T, a *site) {
		ask := func(mac frame.MAC) []byte {
			ip := frame.IPv6(append(frame.AppendIPv6(nil, frame.IPv6Fields{Src: netip.IPv6Unspecified(), Dst: netip.MustParseAddr("ff02::2"), NextHeader: frame.ProtocolICMPv6, HopLimit: 255}, 8),
				frame.ICMPv6RouterSolicit, 0, 0, 0, 0, 0, 0, 0))
			binary.BigEndian.PutUint16(ip[42:], frame.Checksum(ip[40:], frame.PseudoSum(ip.Src(), ip.Dst(), frame.ProtocolICMPv6, 8)))
			return ethernet6(mac, frame.MAC{0x33, 0x33, 0, 0, 0, 2}, ip)
		}
		for n := range byte(100) {
			a.sends(ask(frame.MAC{2, 0, 0, 0, 9, n}))
		}
		if said := a.oneFrame6(frame.MAC{0x33, 0x33, 0, 0, 0, 1}); said.Dst() != frame.AllNodes() {
			t.Errorf("said to %v", said.Dst())
		}
		time.Sleep(advertisedEvery)
		a.sends(ask(hostA.mac))
		a.oneFrame6(frame.MAC{0x33, 0x33, 0, 0, 0, 1})
	})
}

// A solicitation whose lookup fails leaves nothing behind that would keep the next question waiting, by ARP or by itself.
func TestAFailedLookupForASolicitationKeepsNobodyWaiting(t *testing.T) {
	far := host{nth(0x77), frame.MAC{}}
	for name, ask := range map[string]func(t *testing.T) []byte{
		"then ARP": func(*testing.T) []byte { return arpRequest(hostA, far.ip) },
		"then neighbour discovery": func(t *testing.T) []byte {
			return frame.AppendSolicit(nil, hostA.mac, hostA.six(t).ip, far.six(t).ip)
		},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble6(t, func(t *testing.T, a *site) {
				a.dir.lease(far.ip, memberB)
				a.dir.forget(far.ip)
				a.dir.learns, a.dir.err = true, errors.New("nobody answers")
				a.sends(frame.AppendSolicit(nil, hostA.mac, hostA.six(t).ip, far.six(t).ip))
				a.silent()
				a.dir.mu.Lock()
				a.dir.err = nil
				a.dir.mu.Unlock()
				time.Sleep(refuseFailed + refusalTick)
				a.sends(ask(t))
				if n := len(a.segment.take()); n != 1 {
					t.Errorf("%d answers", n)
				}
			})
		})
	}
}

// A lease that has come to another network card isn't sent to the former one by IPv6, and neither is one that is over.
func TestIPv6FollowsALeaseToAnotherCard(t *testing.T) {
	inBubble6(t, func(t *testing.T, a *site) {
		a.sends(frame.AppendSolicit(nil, hostA.mac, hostA.six(t).ip, hostB.six(t).ip))
		a.segment.take()
		hosts, next := a.router.hosts, frame.MAC{2, 0xa, 0, 0, 9, 9}
		at := func() frame.MAC {
			a.router.Deliver(memberB, bareOfAll(udp6(t, hostB, hostA, 10)))
			synctest.Wait()
			wrote := a.segment.take()
			if len(wrote) != 1 {
				t.Fatalf("%d frames", len(wrote))
			}
			return frame.Ethernet(wrote[0]).Dst()
		}
		if got := at(); got != hostA.mac {
			t.Fatalf("sent to %v", got)
		}
		hosts.Learn(hostA.ip, hostA.mac) // renewed
		if got := at(); got != hostA.mac {
			t.Errorf("renewed: sent to %v", got)
		}
		for what, change := range map[string]func(){"leased to another card": func() { hosts.Learn(hostA.ip, next) }, "over": func() { hosts.Forget(hostA.ip) }} {
			a.sends(frame.AppendAdvert(nil, gwA, hostA.mac, frame.AdvertFields{Dst: frame.AllNodes(), Target: hostA.six(t).ip, MAC: hostA.mac}))
			change()
			if got := at(); got != frame.MulticastMAC(frame.SolicitedNode(hostA.six(t).ip)) {
				t.Errorf("%s: sent to %v", what, got)
			}
			time.Sleep(neighbourTries*neighbourWait + refuseNeighbour + refusalTick)
			synctest.Wait()
			a.segment.take()
		}
	})
}
