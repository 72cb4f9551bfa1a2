package router

import (
	"net/netip"
	"slices"
	"testing"

	"landbridge/internal/frame"
)

// stations is a group whose hosts are all on the wire but these.
type stations map[frame.MAC]bool

func (s stations) Ours(mac frame.MAC) bool { return !s[mac] }
func (s stations) Left(frame.MAC) bool     { return false }

// leavers are such hosts that were the group's.
type leavers struct{ stations }

func (leavers) Left(frame.MAC) bool { return true }

func TestAHostOfAnotherGroupIsNeitherAnsweredNorForwarded(t *testing.T) {
	other := host{hostA.ip, frame.MAC{2, 0xd, 0, 0, 0, 1}} // with an address of ours, made up
	d := &dhcpFake{let: make(chan struct{})}
	inBubble(t, func(t *testing.T, a *site) {
		frames := [][]byte{
			arpRequest(other, hostB.ip), arpRequest(other, svcAddr),
			a.toGateway(other, udp(other, hostB, 10)),
			a.toGateway(other, udp(other, hostA2, 10)),
			a.toGateway(other, udp(other, host{ip: svcAddr}, 10)),
			discover(other.mac, "1"),
			ethernet(other.mac, nobody.mac, udp(other, hostB, 10)), // to a station that the segment doesn't know
		}
		a.sends(frames...)
		a.silent()
		a.counts(map[counter]uint64{ignoredOtherGroup: uint64(len(frames)), outPackets: 0, dhcpHandled: 0, arpReplied: 0, outHairpin: 0, strangers: 0})
		if mac, _ := a.router.hosts.MAC(hostA.ip); mac != hostA.mac {
			t.Errorf("%v is at %v now", hostA.ip, mac)
		}
		a.sends(a.toGateway(hostA, udp(hostA, hostB, 10)))
		a.onePacket(memberB)
	}, func(c *Config) { c.DHCP, c.Stations = d, stations{other.mac: true} })
}

// Moved to another group while it ran, it goes on renewing here, by unicast and then by broadcast.
func TestAHostThatWasMovedToAnotherGroupIsHeardByDHCPAloneAndFindsIt(t *testing.T) {
	other := host{hostA.ip, frame.MAC{2, 0xd, 0, 0, 0, 1}}
	d := &dhcpFake{let: make(chan struct{})}
	renews := func(addr netip.Addr, to frame.MAC, dst netip.Addr) []byte {
		message := make([]byte, 240)
		copy(message[12:], addr.AsSlice())
		return ethernet(other.mac, to, frame.AppendUDP(nil, netip.AddrPortFrom(other.ip, 68), netip.AddrPortFrom(dst, 67), message))
	}
	everybody := netip.MustParseAddr("255.255.255.255")
	inBubble(t, func(t *testing.T, a *site) {
		d.let = make(chan struct{}) // of this bubble
		close(d.let)
		a.sends(renews(other.ip, gwA, svcAddr), renews(other.ip, frame.Broadcast(), everybody))
		a.counts(map[counter]uint64{ignoredOtherGroup: 0, dhcpHandled: 2, outPackets: 0})
		foreign := netip.MustParseAddr("10.200.0.7")
		a.sends(renews(foreign, frame.Broadcast(), everybody), renews(netip.IPv4Unspecified(), frame.Broadcast(), everybody), discover(other.mac, "1"), a.toGateway(other, udp(other, hostB, 10)))
		a.counts(map[counter]uint64{ignoredOtherGroup: 4, dhcpHandled: 2, outPackets: 0})
		a.sends(arpRequest(other, svcAddr), arpRequest(other, hostB.ip))
		a.counts(map[counter]uint64{ignoredOtherGroup: 6, arpReplied: 1})
	}, func(c *Config) { c.DHCP, c.Stations = d, leavers{stations{other.mac: true}} })
	inBubble(t, func(t *testing.T, a *site) {
		a.sends(renews(other.ip, gwA, svcAddr), arpRequest(other, svcAddr))
		a.counts(map[counter]uint64{ignoredOtherGroup: 2, dhcpHandled: 0, arpReplied: 0})
	}, func(c *Config) { c.DHCP, c.Stations = d, stations{other.mac: true} })
}

func TestWhatAHostOfAnotherGroupShowsOfTheWireIsNoticed(t *testing.T) {
	other := frame.MAC{2, 0xd, 0, 0, 0, 1}
	seen, w := &probesFake{}, &watched{}
	inBubble(t, func(t *testing.T, a *site) {
		a.sends(arpRequest(host{svcAddr, other}, svcAddr))
		if want := []gatewaySeen{{host{svcAddr, other}, SignService}}; !slices.Equal(w.gateways, want) {
			t.Errorf("told %v, want %v", w.gateways, want)
		}
		a.sends(discover(other, "1"), discover(hostA.mac, "2"))
		if !slices.Equal(w.asked, []frame.MAC{other}) {
			t.Errorf("%v are told to ask for addresses", w.asked)
		}
		if !slices.Equal(seen.senders, []netip.Addr{svcAddr}) {
			t.Errorf("the prober saw packets of %v", seen.senders)
		}
	}, func(c *Config) { c.Watch, c.Probes, c.Stations = w, seen, stations{other: true} })
}

type probesFake struct{ senders []netip.Addr }

func (p *probesFake) Observe(a frame.ARP) { p.senders = append(p.senders, a.SenderIP()) }
