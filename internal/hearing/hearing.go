package hearing

import (
	"bytes"
	"maps"
	"net/netip"
	"slices"

	"github.com/insomniacslk/dhcp/dhcpv4"

	"landbridge/internal/beacon"
	"landbridge/internal/frame"
	"landbridge/internal/group"
	"landbridge/internal/sorting"
)

// Bounds of what is remembered.
const (
	MaxStations  = 256
	maxAddresses = 4 // of a station
	maxOthers    = 16
)

// Ear hears. The zero value has heard nothing. It is used by one goroutine.
type Ear struct {
	frames     int
	missed     int // stations beyond MaxStations, each as often as it spoke
	stations   map[frame.MAC][]netip.Addr
	servers    map[netip.Addr]frame.MAC
	gateways   map[netip.Addr]Gateway
	appliances map[frame.MAC]Appliance
}

// Station is somebody on the segment.
type Station struct {
	MAC       frame.MAC
	Addresses []netip.Addr
}

// Server is a DHCP server.
type Server struct {
	Address netip.Addr
	MAC     frame.MAC // zero where clients named it and itself it wasn't heard
}

// Gateway is a way out of the segment.
type Gateway struct {
	Address    netip.Addr
	MAC        frame.MAC // zero where it isn't known
	Advertises bool      // it says so itself; else a DHCP server does
}

// Appliance is one of Landbridge, as it says.
type Appliance struct {
	MAC    frame.MAC
	Group  group.ID
	Member group.MemberID
}

// Report is what was heard, in order of MACs and addresses. Appliances are no stations besides.
type Report struct {
	Frames     int
	Stations   []Station
	Full       bool // there were more stations than are remembered
	Servers    []Server
	Gateways   []Gateway
	Appliances []Appliance
}

// Hear takes a frame, which it doesn't keep.
func (e *Ear) Hear(f []byte) {
	eth, err := frame.ParseEthernet(f)
	if err != nil || !eth.Src().IsUnicast() || eth.Dst().IsUnicast() {
		return
	}
	e.frames++
	if g, m, ok := beacon.Sender(f); ok {
		put(&e.appliances, eth.Src(), Appliance{eth.Src(), g, m})
		return
	}
	addr := netip.Addr{}
	switch eth.EtherType() {
	case frame.EtherTypeARP:
		if a, err := frame.ParseARP(eth.Payload()); err == nil && a.SenderMAC() == eth.Src() {
			addr = a.SenderIP()
		}
	case frame.EtherTypeIPv4:
		addr = e.ipv4(eth)
	case frame.EtherTypeIPv6:
		e.ipv6(eth)
	}
	e.Knows(eth.Src(), addr)
}

// Knows notes a station that is known already; addr may be zero.
func (e *Ear) Knows(mac frame.MAC, addr netip.Addr) {
	all, known := e.stations[mac]
	if !known && len(e.stations) >= MaxStations {
		e.missed++
		return
	}
	if e.stations == nil {
		e.stations = make(map[frame.MAC][]netip.Addr)
	}
	if addr.IsValid() && !addr.IsUnspecified() && len(all) < maxAddresses && !slices.Contains(all, addr) {
		all = append(all, addr)
	}
	e.stations[mac] = all
}

// ipv4 returns the address of the station that sent a packet to all, and looks for DHCP in it.
func (e *Ear) ipv4(eth frame.Ethernet) netip.Addr {
	p, err := frame.ParseIPv4(eth.Payload())
	if err != nil {
		return netip.Addr{}
	}
	if p.Protocol() != frame.ProtocolUDP || p.IsFragment() {
		return p.Src()
	}
	if u, err := frame.ParseUDP(p.Payload()); err == nil && (u.DstPort() == dhcpv4.ServerPort || u.DstPort() == dhcpv4.ClientPort) {
		if m, err := dhcpv4.FromBytes(u.Payload()); err == nil {
			e.dhcp(m, p.Src(), eth.Src())
		}
	}
	return p.Src()
}

func (e *Ear) dhcp(m *dhcpv4.DHCPv4, from netip.Addr, mac frame.MAC) {
	server, ok := netip.AddrFromSlice(m.ServerIdentifier().To4())
	if !ok {
		return
	}
	if from != server { // a client that has chosen it, or a relay
		mac = e.servers[server]
	}
	put(&e.servers, server, mac)
	if m.OpCode != dhcpv4.OpcodeBootReply {
		return
	}
	for _, ip := range m.Router() {
		if a, ok := netip.AddrFromSlice(ip.To4()); ok && !e.gateways[a].Advertises {
			put(&e.gateways, a, Gateway{Address: a})
		}
	}
}

// ipv6 looks for router advertisements (RFC 4861 section 4.2).
func (e *Ear) ipv6(eth frame.Ethernet) {
	const icmpv6, routerAdvertisement = 58, 134
	p, err := frame.ParseIPv6(eth.Payload())
	if err != nil || p.NextHeader() != icmpv6 || p.HopLimit() != 255 || len(p.Payload()) < 16 || p.Payload()[0] != routerAdvertisement {
		return
	}
	if lifetime := p.Payload()[6:8]; lifetime[0]|lifetime[1] == 0 {
		return // no way out: it says what is on the link, as our own do
	}
	put(&e.gateways, p.Src(), Gateway{Address: p.Src(), MAC: eth.Src(), Advertises: true})
}

// put remembers something, where there is room.
func put[K comparable, V any](m *map[K]V, k K, v V) {
	if _, known := (*m)[k]; !known && len(*m) >= maxOthers {
		return
	}
	if *m == nil {
		*m = make(map[K]V)
	}
	(*m)[k] = v
}

// Report returns what was heard so far.
func (e *Ear) Report() Report {
	r := Report{Frames: e.frames, Full: e.missed > 0}
	byMAC := func(a, b frame.MAC) int { return bytes.Compare(a[:], b[:]) }
	for _, mac := range sorting.Sorted(maps.Keys(e.appliances), byMAC) {
		r.Appliances = append(r.Appliances, e.appliances[mac])
	}
	at := make(map[netip.Addr]frame.MAC)
	for _, mac := range sorting.Sorted(maps.Keys(e.stations), byMAC) {
		for _, a := range e.stations[mac] {
			at[a] = mac
		}
		if _, known := e.appliances[mac]; !known {
			r.Stations = append(r.Stations, Station{mac, slices.Clone(e.stations[mac])})
		}
	}
	for _, a := range sorting.Sorted(maps.Keys(e.servers), netip.Addr.Compare) {
		mac := e.servers[a]
		if mac.IsZero() {
			mac = at[a]
		}
		r.Servers = append(r.Servers, Server{a, mac})
	}
	for _, a := range sorting.Sorted(maps.Keys(e.gateways), netip.Addr.Compare) {
		g := e.gateways[a]
		if g.MAC.IsZero() {
			g.MAC = at[a]
		}
		r.Gateways = append(r.Gateways, g)
	}
	return r
}
