package hearing

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/insomniacslk/dhcp/dhcpv4"

	"landbridge/internal/frame"
)

var (
	host   = frame.MAC{0x52, 0x54, 0, 0, 0, 1}
	server = frame.MAC{0x52, 0x54, 0, 0, 0, 2}
	router = frame.MAC{0x52, 0x54, 0, 0, 0, 3}
	third  = frame.MAC{0x52, 0x54, 0, 0, 0, 4}
)

func arp(from frame.MAC, addr string) []byte {
	return frame.AppendARP(nil, frame.Broadcast(), from, frame.ARPFields{Op: frame.ARPRequest, SenderMAC: from, SenderIP: netip.MustParseAddr(addr), TargetIP: netip.MustParseAddr("192.0.2.9")})
}

// dhcp is a message of a client or a server, to all.
func dhcp(t testing.TB, from frame.MAC, src string, reply bool, options ...dhcpv4.Option) []byte {
	t.Helper()
	m, err := dhcpv4.New()
	if err != nil {
		t.Fatal(err)
	}
	srcPort, dstPort := uint16(68), uint16(67)
	m.OpCode = dhcpv4.OpcodeBootRequest
	if reply {
		m.OpCode, srcPort, dstPort = dhcpv4.OpcodeBootReply, 67, 68
	}
	for _, o := range options {
		m.UpdateOption(o)
	}
	payload := m.ToBytes()
	f := frame.AppendEthernet(nil, frame.Broadcast(), from, frame.EtherTypeIPv4)
	addr := netip.MustParseAddr(src).As4()
	f = append(f, 0x45, 0, byte((28+len(payload))>>8), byte(28+len(payload)), 0, 0, 0, 0, 64, frame.ProtocolUDP, 0, 0, addr[0], addr[1], addr[2], addr[3], 255, 255, 255, 255)
	frame.IPv4(f[14:34]).SetChecksum()
	f = append(f, byte(srcPort>>8), byte(srcPort), byte(dstPort>>8), byte(dstPort), byte((8+len(payload))>>8), byte(8+len(payload)), 0, 0)
	return append(f, payload...)
}

// advertisement is an IPv6 router's (RFC 4861 section 4.2).
func advertisement(from frame.MAC, hopLimit byte) []byte {
	f := frame.AppendEthernet(nil, frame.MAC{0x33, 0x33, 0, 0, 0, 1}, from, frame.EtherTypeIPv6)
	f = append(f, 0x60, 0, 0, 0, 0, 16, 58, hopLimit)
	src, dst := netip.MustParseAddr("fe80::3").As16(), netip.MustParseAddr("ff02::1").As16()
	f = append(append(f, src[:]...), dst[:]...)
	return append(f, 134, 0, 0, 0, 64, 0, 0, 30, 0, 0, 0, 0, 0, 0, 0, 0)
}

func TestWhoIsHeardIsToldAsWhatItIs(t *testing.T) {
	id := dhcpv4.OptServerIdentifier(net.IP{192, 0, 2, 2})
	var e Ear
	e.Hear(arp(host, "192.0.2.7"))
	e.Hear(arp(host, "0.0.0.0")) // a probe
	e.Hear(arp(router, "192.0.2.1"))
	e.Hear(dhcp(t, third, "0.0.0.0", false, id)) // has chosen the server, which isn't heard yet
	e.Hear(advertisement(router, 255))
	e.Hear(advertisement(third, 64))                                                                     // has been routed: none
	e.Hear(frame.AppendRouterAdvert(nil, frame.MAC{}, frame.AllNodes(), frame.RouterAdvert{MAC: third})) // no default router
	got := fmt.Sprintf("%+v", e.Report())
	for _, want := range []string{
		"Frames:7", "{MAC:52:54:00:00:00:01 Addresses:[192.0.2.7]}", "{MAC:52:54:00:00:00:04 Addresses:[]}",
		"Servers:[{Address:192.0.2.2 MAC:00:00:00:00:00:00}]", "Gateways:[{Address:fe80::3 MAC:52:54:00:00:00:03 Advertises:true}]", "Full:false",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %s in %s", want, got)
		}
	}
	e.Hear(dhcp(t, server, "192.0.2.2", true, id, dhcpv4.OptRouter(net.IP{192, 0, 2, 1})))
	got = fmt.Sprintf("%+v", e.Report())
	for _, want := range []string{"Servers:[{Address:192.0.2.2 MAC:52:54:00:00:00:02}]", "{Address:192.0.2.1 MAC:52:54:00:00:00:03 Advertises:false}"} {
		if !strings.Contains(got, want) {
			t.Errorf("with the server heard: no %s in %s", want, got)
		}
	}
}

func TestAFloodOfStationsIsHeardToABound(t *testing.T) {
	var e Ear
	for i := range 4 * MaxStations {
		e.Hear(arp(frame.MAC{2, 0, 0, 0, byte(i >> 8), byte(i)}, fmt.Sprintf("10.0.%d.%d", i>>8, i&255)))
	}
	for i := range 9 {
		e.Hear(arp(frame.MAC{2}, fmt.Sprintf("10.1.0.%d", i+1)))
	}
	r := e.Report()
	if len(r.Stations) != MaxStations || !r.Full || len(r.Stations[0].Addresses) != maxAddresses {
		t.Errorf("%d stations are remembered, full %v, the first with %d addresses", len(r.Stations), r.Full, len(r.Stations[0].Addresses))
	}
}

func FuzzAnyFrameIsHeardWithinBounds(f *testing.F) {
	f.Add(arp(host, "192.0.2.7"))
	f.Add(dhcp(f, server, "192.0.2.2", true, dhcpv4.OptServerIdentifier(net.IP{192, 0, 2, 2}), dhcpv4.OptRouter(net.IP{192, 0, 2, 1})))
	f.Add(advertisement(router, 255))
	f.Fuzz(func(t *testing.T, b []byte) {
		var e Ear
		e.Hear(b)
		if r := e.Report(); len(r.Stations) > 1 || len(r.Appliances) > 1 || len(r.Servers) > 1 || len(r.Gateways) > maxOthers {
			t.Errorf("one frame has told of %+v", r)
		}
	})
}
