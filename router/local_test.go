package router

import (
	"bytes"
	"context"
	"errors"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"landbridge/dhcp"
	"landbridge/internal/frame"
)

func arpRequest(from host, target netip.Addr) []byte {
	return frame.AppendARP(nil, frame.Broadcast(), from.mac, frame.ARPFields{
		Op: frame.ARPRequest, SenderMAC: from.mac, SenderIP: from.ip, TargetIP: target,
	})
}

// oneARP takes the only frame written, an ARP reply to h from the gateway MAC.
func (s *site) oneARP(h host, target netip.Addr) {
	s.t.Helper()
	wrote := s.segment.take()
	if len(wrote) != 1 {
		s.t.Fatalf("%d frames written, want one ARP reply", len(wrote))
	}
	eth := frame.Ethernet(wrote[0])
	a, err := frame.ParseARP(eth.Payload())
	if err != nil || eth.Dst() != h.mac || a.Op() != frame.ARPReply || a.SenderMAC() != s.gateway ||
		a.SenderIP() != target || a.TargetIP() != h.ip {
		s.t.Fatalf("answered % x", wrote[0])
	}
}

func TestARPIsAnsweredForRemoteHostsOnly(t *testing.T) {
	inBubble(t, func(t *testing.T, a *site) {
		a.sends(arpRequest(hostA, hostB.ip))
		a.oneARP(hostA, hostB.ip)
		a.sends(arpRequest(hostA, svcAddr))
		a.oneARP(hostA, svcAddr)
		a.sends(arpRequest(hostA, hostA2.ip), arpRequest(hostA, nobody.ip), arpRequest(hostA, netip.MustParseAddr("192.0.2.1")))
		a.silent()
		a.counts(map[counter]uint64{arpReplied: 2, arpSilent: 3})
	})
}

func TestARPForAnUnknownAddressSharesTheQuestionWithPackets(t *testing.T) {
	inBubble(t, func(t *testing.T, a *site) {
		a.dir.forget(hostB.ip)
		a.dir.delay = 20 * time.Millisecond
		a.sends(arpRequest(hostA, hostB.ip), a.toGateway(hostA2, udp(hostA2, hostB, 10)))
		a.silent()
		time.Sleep(30 * time.Millisecond)
		synctest.Wait()
		a.oneARP(hostA, hostB.ip)
		a.onePacket(memberB)
		if n := len(a.dir.asked()); n != 1 {
			t.Errorf("the registry was asked %d times", n)
		}
		a.counts(map[counter]uint64{resolves: 1, arpResolving: 1, arpReplied: 1})
	})
}

func TestARPForAnAbsentAddressStaysSilentAndIsAskedOnce(t *testing.T) {
	inBubble(t, func(t *testing.T, a *site) {
		a.dir.forget(nobody.ip)
		for range 5 {
			a.sends(arpRequest(hostA, nobody.ip))
		}
		a.silent()
		if n := len(a.dir.asked()); n != 1 {
			t.Errorf("the registry was asked %d times", n)
		}
	})
}

func TestARPShowsWhereALocalHostIs(t *testing.T) {
	inBubble(t, func(t *testing.T, a *site) {
		moved := host{hostA.ip, frame.MAC{2, 0xa, 9, 9, 9, 9}}
		thief := host{hostB.ip, hostA2.mac}
		a.sends(arpRequest(moved, moved.ip), arpRequest(thief, thief.ip))
		a.arrives(memberB, udp(hostB, hostA, 10))
		a.oneFrame(moved.mac)
		if _, ok := a.router.hosts.MAC(hostB.ip); ok {
			t.Error("an address leased elsewhere was taken into the host table")
		}
	})
}

type observer struct{ seen []frame.ARP }

func (o *observer) Observe(a frame.ARP) { o.seen = append(o.seen, bytes.Clone(a)) }

func TestTheProberSeesEveryARPPacket(t *testing.T) {
	o := &observer{}
	inBubble(t, func(t *testing.T, a *site) {
		a.sends(arpRequest(hostA, hostB.ip), arpRequest(nobody, nobody.ip))
		if len(o.seen) != 2 || o.seen[1].SenderMAC() != nobody.mac {
			t.Errorf("seen % x", o.seen)
		}
	}, func(c *Config) { c.Probes = o })
}

func TestAnnounceTellsTheSegmentThatAHostIsElsewhere(t *testing.T) {
	inBubble(t, func(t *testing.T, a *site) {
		if err := a.router.Announce(hostB.ip); err != nil {
			t.Fatal(err)
		}
		wrote := a.segment.take()
		got, err := frame.ParseARP(frame.Ethernet(wrote[0]).Payload())
		if err != nil || !got.IsAnnouncement() || got.SenderMAC() != gwA || got.SenderIP() != hostB.ip {
			t.Errorf("announced % x", wrote)
		}
	})
}

func TestTheServiceAddressAnswersPings(t *testing.T) {
	inBubble(t, func(t *testing.T, a *site) {
		q := echoRequest(hostA, svcAddr)
		a.sends(a.toGateway(hostA, q))
		got := a.oneFrame(hostA.mac)
		m, err := frame.ParseICMPv4(got.Payload())
		if err != nil || got.Src() != svcAddr || m.Type() != frame.ICMPv4EchoReply || !m.ChecksumOK() ||
			!bytes.Equal(got.Payload()[4:], q.Payload()[4:]) {
			t.Errorf("answered % x", got)
		}
		q[20+12]++ // damaged on the way
		a.sends(a.toGateway(hostA, q))
		a.silent()
		a.counts(map[counter]uint64{echoReplied: 1, dropService: 1})
	})
}

func TestNothingElseListensAtTheServiceAddress(t *testing.T) {
	inBubble(t, func(t *testing.T, a *site) {
		service := host{ip: svcAddr}
		for _, p := range []frame.IPv4{udp(hostA, service, 20), syn(hostA, service, 1460)} {
			a.sends(a.toGateway(hostA, p))
			isError(t, a.oneFrame(hostA.mac), p, frame.ICMPv4Unreachable, frame.CodePortUnreachable)
		}
		a.sends(a.toGateway(hostA, udp(host{ip: netip.MustParseAddr("224.0.0.1")}, service, 20)))
		a.silent()
		a.counts(map[counter]uint64{dropService: 2, dropSpoofed: 1})
	})
}

// dhcpFake answers each message with itself, when let.
type dhcpFake struct {
	mu      sync.Mutex
	handled []string
	running int
	most    int
	let     chan struct{}
	err     error
}

func (d *dhcpFake) Handle(ctx context.Context, message []byte, source frame.MAC) (dhcp.Reply, bool, error) {
	d.mu.Lock()
	d.handled = append(d.handled, string(message))
	d.running++
	d.most = max(d.most, d.running)
	d.mu.Unlock()
	select {
	case <-d.let:
	case <-ctx.Done():
	}
	d.mu.Lock()
	d.running--
	d.mu.Unlock()
	return dhcp.Reply{Payload: message, Dst: netip.MustParseAddr("255.255.255.255"), DstMAC: source}, d.err == nil, d.err
}

func discover(from frame.MAC, payload string) []byte {
	return ethernet(from, frame.Broadcast(), frame.AppendUDP(nil,
		netip.MustParseAddrPort("0.0.0.0:68"), netip.MustParseAddrPort("255.255.255.255:67"), []byte(payload)))
}

func TestDHCPIsHandledOneMessageOfAClientAtATime(t *testing.T) {
	d := &dhcpFake{let: make(chan struct{})}
	inBubble(t, func(t *testing.T, a *site) {
		d.let = make(chan struct{}) // of this bubble
		a.sends(discover(hostA.mac, "1"), discover(hostA.mac, "2"), discover(hostA.mac, "3"), discover(hostA2.mac, "x"))
		a.silent()
		if d.most != 2 {
			t.Errorf("%d messages at a time, want one of each client", d.most)
		}
		close(d.let)
		synctest.Wait()
		var got []string
		for _, f := range a.segment.take() {
			ip := a.packet(f, frame.Ethernet(f).Dst())
			u, err := frame.ParseUDP(ip.Payload())
			if err != nil || ip.Src() != svcAddr || u.SrcPort() != 67 || u.DstPort() != 68 || !u.ChecksumOK(ip.Src(), ip.Dst()) {
				t.Fatalf("reply % x", f)
			}
			if frame.Ethernet(f).Dst() == hostA.mac {
				got = append(got, string(u.Payload()))
			}
		}
		if len(got) != 2 || got[0] != "1" || got[1] != "3" {
			t.Errorf("the first client was answered %q, want 1 and 3 (the newest)", got)
		}
		a.counts(map[counter]uint64{dhcpHandled: 3, dhcpReplied: 3, dhcpSuperseded: 1})
		if n := len(a.router.clients.clients); n != 0 {
			t.Errorf("%d clients are still on the books", n)
		}
	}, func(c *Config) { c.DHCP = d })
}

func TestDHCPClientsAtATimeAreBounded(t *testing.T) {
	d := &dhcpFake{err: errors.New("no")}
	inBubble(t, func(t *testing.T, a *site) {
		d.let = make(chan struct{})
		for i := range dhcpClients + 5 {
			a.sends(discover(frame.MAC{2, 0xd, 0, 0, byte(i >> 8), byte(i)}, "x"))
		}
		a.counts(map[counter]uint64{dropBusy: 5})
		time.Sleep(dhcpTimeout + time.Millisecond)
		synctest.Wait()
		a.silent()
		a.counts(map[counter]uint64{dhcpFailed: dhcpClients, dhcpReplied: 0})
	}, func(c *Config) { c.DHCP = d })
}

func TestDHCPReachesTheServiceAddressByUnicast(t *testing.T) {
	d := &dhcpFake{}
	inBubble(t, func(t *testing.T, a *site) {
		d.let = make(chan struct{})
		close(d.let)
		a.sends(a.toGateway(hostA, frame.AppendUDP(nil, netip.AddrPortFrom(hostA.ip, 68), netip.AddrPortFrom(svcAddr, 67), []byte("renew"))))
		a.oneFrame(hostA.mac)
		// Another host's DHCP server is none of our business.
		a.sends(a.toGateway(hostA, frame.AppendUDP(nil, netip.AddrPortFrom(hostA.ip, 68), netip.AddrPortFrom(hostB.ip, 67), []byte("x"))))
		if a.onePacket(memberB); len(d.handled) != 1 {
			t.Errorf("handled %q", d.handled)
		}
	}, func(c *Config) { c.DHCP = d })
}

type dnsFake struct{}

func (d *dnsFake) Handle(ctx context.Context, _ netip.Addr, query []byte, udp bool) []byte {
	if string(query) == "wait" {
		<-ctx.Done()
		return nil
	}
	switch {
	case !udp && string(query) == "much":
		return bytes.Repeat([]byte("0123456789"), 300)
	case !udp && string(query) == "nothing":
		return nil
	case !udp:
		return append([]byte("by TCP:"), query...)
	}
	return append([]byte("re:"), query...)
}

func query(from host, payload string) frame.IPv4 {
	return frame.AppendUDP(nil, netip.AddrPortFrom(from.ip, 5353), netip.AddrPortFrom(svcAddr, 53), []byte(payload))
}

func TestDNSIsAnsweredFromTheServiceAddress(t *testing.T) {
	inBubble(t, func(t *testing.T, a *site) {
		a.sends(a.toGateway(hostA, query(hostA, "who?")))
		got := a.oneFrame(hostA.mac)
		u, err := frame.ParseUDP(got.Payload())
		if err != nil || got.Src() != svcAddr || got.Dst() != hostA.ip || u.SrcPort() != 53 || u.DstPort() != 5353 ||
			string(u.Payload()) != "re:who?" || !u.ChecksumOK(got.Src(), got.Dst()) {
			t.Errorf("answered % x", got)
		}
		damaged := query(hostA, "who?")
		damaged[28]++
		a.sends(a.toGateway(hostA, damaged))
		a.silent()
		a.counts(map[counter]uint64{dnsHandled: 1, dropChecksum: 1})
	}, func(c *Config) { c.DNS = &dnsFake{} })
}

func TestDNSQueriesAtATimeAreBounded(t *testing.T) {
	inBubble(t, func(t *testing.T, a *site) {
		for range dnsQueries + 3 {
			a.sends(a.toGateway(hostA, query(hostA, "wait")))
		}
		a.counts(map[counter]uint64{dnsHandled: dnsQueries, dropBusy: 3})
		time.Sleep(dnsTimeout + time.Millisecond)
		a.sends(a.toGateway(hostA, query(hostA, "who?")))
		a.oneFrame(hostA.mac)
	}, func(c *Config) { c.DNS = &dnsFake{} })
}

// watched keeps what a Watch was shown.
type watched struct {
	mu       sync.Mutex
	replies  []string
	gateways []gatewaySeen
	asked    []frame.MAC
}

func (w *watched) OthersAsk(mac frame.MAC) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked = append(w.asked, mac)
}

type gatewaySeen struct {
	host
	sign GatewaySign
}

func (w *watched) Gateway(addr netip.Addr, mac frame.MAC, sign GatewaySign) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.gateways = append(w.gateways, gatewaySeen{host{addr, mac}, sign})
}

func (w *watched) DHCPReply(message []byte, from netip.Addr, source frame.MAC) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.replies = append(w.replies, from.String()+" "+source.String()+" "+string(message))
}

func TestDHCPOfAnotherServerIsOverheard(t *testing.T) {
	w, d := &watched{}, &dhcpFake{}
	server := frame.MAC{2, 0xe, 0, 0, 0, 1}
	reply := func(to frame.MAC, from, dst string, text string) []byte {
		return ethernet(server, to, frame.AppendUDP(nil, netip.MustParseAddrPort(from), netip.MustParseAddrPort(dst), []byte(text)))
	}
	inBubble(t, func(t *testing.T, a *site) {
		d.let = make(chan struct{})
		close(d.let)
		a.sends(
			reply(frame.Broadcast(), "192.168.7.1:67", "255.255.255.255:68", "OFFER"),
			reply(gwA, "192.168.7.1:67", "192.168.7.99:68", "OFFER to our probe"),
			reply(hostA.mac, "192.168.7.1:67", "192.168.7.50:68", "to another station"),
			reply(frame.Broadcast(), "192.168.7.1:68", "255.255.255.255:68", "no server's port"),
		)
		a.silent()
		want := []string{"192.168.7.1 02:0e:00:00:00:01 OFFER", "192.168.7.1 02:0e:00:00:00:01 OFFER to our probe"}
		if got := w.replies; len(got) != 2 || got[0] != want[0] || got[1] != want[1] {
			t.Errorf("overheard %q, want %q", got, want)
		}
		if len(d.handled) != 0 {
			t.Errorf("handled %q", d.handled)
		}
		a.counts(map[counter]uint64{dhcpOverheard: 2, ignoredNative: 1, ignoredMulticast: 1})

		// What a host sends to another site is forwarded, whatever its ports.
		a.sends(a.toGateway(hostA, frame.AppendUDP(nil, netip.AddrPortFrom(hostA.ip, 67), netip.AddrPortFrom(hostB.ip, 68), []byte("x"))))
		a.onePacket(memberB)
	}, func(c *Config) { c.DHCP, c.Watch = d, w })
}

func TestDHCPAtOtherPorts(t *testing.T) {
	d := &dhcpFake{}
	inBubble(t, func(t *testing.T, a *site) {
		d.let = make(chan struct{})
		close(d.let)
		a.sends(discover(hostA.mac, "at the standard ports"))
		a.silent()
		a.sends(ethernet(hostA.mac, frame.Broadcast(), frame.AppendUDP(nil,
			netip.MustParseAddrPort("0.0.0.0:1068"), netip.MustParseAddrPort("255.255.255.255:1067"), []byte("x"))))
		ip := a.oneFrame(hostA.mac)
		if u, err := frame.ParseUDP(ip.Payload()); err != nil || u.SrcPort() != 1067 || u.DstPort() != 1068 {
			t.Errorf("answered % x", ip)
		}
		if len(d.handled) != 1 || d.handled[0] != "x" {
			t.Errorf("handled %q", d.handled)
		}
		a.router.SetDHCPPorts(dhcp.StandardPorts())
		a.sends(discover(hostA.mac, "y"))
		if ip := a.oneFrame(hostA.mac); len(d.handled) != 2 {
			t.Errorf("at the standard ports from now on: answered % x, handled %q", ip, d.handled)
		}
	}, func(c *Config) { c.DHCP, c.DHCPPorts = d, dhcp.Ports{Server: 1067, Client: 1068} })
}

func TestAnotherGatewayIsTold(t *testing.T) {
	mac := frame.MAC{2, 0xe, 0, 0, 0, 1}
	icmp := func(dst string, m ...byte) []byte {
		p := frame.AppendIPv4(nil, frame.IPv4Fields{Src: nobody.ip, Dst: netip.MustParseAddr(dst), Protocol: frame.ProtocolICMP}, len(m))
		return ethernet(mac, frame.Broadcast(), append(p, m...))
	}
	for name, c := range map[string]struct {
		frame []byte
		want  []gatewaySeen
	}{
		"it announces the service address":      {arpRequest(host{svcAddr, mac}, svcAddr), []gatewaySeen{{host{svcAddr, mac}, SignService}}},
		"it asks from the service address":      {arpRequest(host{svcAddr, mac}, hostA.ip), []gatewaySeen{{host{svcAddr, mac}, SignService}}},
		"it answers for the service address":    {frame.AppendARP(nil, gwA, mac, frame.ARPFields{Op: frame.ARPReply, SenderMAC: mac, SenderIP: svcAddr, TargetMAC: gwA}), []gatewaySeen{{host{svcAddr, mac}, SignService}}},
		"it advertises itself":                  {icmp("255.255.255.255", 9, 0, 0, 0, 1, 2, 0, 60, 10, 9, 3, 30, 0, 0, 0, 0), []gatewaySeen{{nobody.withMAC(mac), SignAdvertisement}}},
		"it redirects":                          {icmp("255.255.255.255", 5, 1, 0, 0, 10, 9, 3, 30, 0x45, 0, 0, 20), []gatewaySeen{{nobody.withMAC(mac), SignRedirect}}},
		"it advertises itself to another group": {icmp("255.255.255.255", 9, 0, 0, 0, 1, 2, 0, 60, 192, 168, 7, 1, 0, 0, 0, 0), nil},
		"it advertises nothing":                 {icmp("255.255.255.255", 9, 0, 0, 0, 0, 2, 0, 60), nil},
		"it pings all":                          {icmp("255.255.255.255", 8, 0, 0, 0, 10, 9, 3, 30), nil},
		"our own frame comes back":              {arpRequest(host{svcAddr, gwA}, svcAddr), nil},
	} {
		t.Run(name, func(t *testing.T) {
			w := &watched{}
			inBubble(t, func(t *testing.T, a *site) {
				a.sends(c.frame, c.frame)
				if !slices.Equal(w.gateways, c.want) {
					t.Errorf("told %v, want %v", w.gateways, c.want)
				}
			}, func(c *Config) { c.Watch = w })
		})
	}
}

func (h host) withMAC(mac frame.MAC) host { return host{h.ip, mac} }
