package router

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"sync/atomic"

	"landbridge/dhcp"
	"landbridge/internal/frame"
)

const portDNS = 53

// kind is the way that a frame from the segment takes.
type kind uint8

const (
	toIgnore    kind = iota // counted under the verdict's reason; nothing else
	toForward               // IPv4 unicast to the gateway MAC, into the prefix
	toService               // IPv4 to the service address
	toDHCP                  // a message to a DHCP server: us
	toDHCPReply             // one of another DHCP server, to a host
	toARP
	toIPv6
	toBeacon // what members on one segment say to each other; ours too, where the segment has a loop
)

// verdict is what classify says of a frame. ip is set but for toARP, toIPv6 and toIgnore;
// arp for toARP.
type verdict struct {
	kind   kind
	reason counter
	ip     frame.IPv4
	arp    frame.ARP
}

// classifier knows what it takes to tell frames apart by their headers alone.
type classifier struct {
	taken atomic.Pointer[[]frame.MAC] // stand for the gateway MAC too; nil: none

	gateway   frame.MAC
	service   netip.Addr
	prefix    netip.Prefix
	network   netip.Addr
	broadcast netip.Addr
	ports     atomic.Pointer[dhcp.Ports]
}

func newClassifier(prefix netip.Prefix, serviceAddr netip.Addr, gateway frame.MAC, ports dhcp.Ports) *classifier {
	prefix = prefix.Masked()
	first := prefix.Addr().As4()
	last := binary.BigEndian.Uint32(first[:]) | (1<<(32-prefix.Bits()) - 1)
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], last)
	c := &classifier{
		gateway: gateway, service: serviceAddr, prefix: prefix,
		network: prefix.Addr(), broadcast: netip.AddrFrom4(b),
	}
	c.listen(ports)
	return c
}

// listen has DHCP be what comes to these ports from now on.
func (c *classifier) listen(ports dhcp.Ports) {
	ports = ports.OrStandard()
	c.ports.Store(&ports)
}

func ignored(reason counter) verdict { return verdict{reason: reason} }

// classify is pure and allocates nothing; f is any bytes.
func (c *classifier) classify(f []byte) verdict {
	eth, err := frame.ParseEthernet(f)
	if err != nil {
		return ignored(dropMalformed)
	}
	dst, src := eth.Dst(), eth.Src()
	if eth.EtherType() == frame.EtherTypeBeacon {
		return verdict{kind: toBeacon}
	}
	if !src.IsUnicast() || src == c.gateway {
		return ignored(ignoredLoop)
	}
	toUs := dst == c.gateway || c.isTaken(dst)
	if !toUs && !dst.IsGroup() {
		return ignored(ignoredNative)
	}
	switch eth.EtherType() {
	case frame.EtherTypeIPv4:
		return c.classifyIPv4(eth.Payload(), toUs)
	case frame.EtherTypeARP:
		if !toUs && dst != frame.Broadcast() {
			return ignored(ignoredMulticast)
		}
		a, err := frame.ParseARP(eth.Payload())
		if err != nil {
			return ignored(dropMalformed)
		}
		return verdict{kind: toARP, arp: a}
	case frame.EtherTypeIPv6:
		return verdict{kind: toIPv6, reason: ignoredIPv6}
	}
	return ignored(ignoredEtherType)
}

func (c *classifier) classifyIPv4(b []byte, toUs bool) verdict {
	ip, err := frame.ParseIPv4(b)
	if err != nil {
		return ignored(dropMalformed)
	}
	dst := ip.Dst()
	if dst == c.service || dst == c.broadcast || isLimitedBroadcast(dst) {
		if c.toServer(ip) {
			return checked(toDHCP, ip)
		}
	}
	if !(toUs && c.isHost(dst)) && c.toClient(ip) {
		return checked(toDHCPReply, ip)
	}
	if !toUs {
		return ignored(ignoredMulticast)
	}
	switch {
	case dst == c.service:
		return checked(toService, ip)
	case !c.isHost(dst):
		if dst.IsMulticast() || isLimitedBroadcast(dst) || dst == c.broadcast || dst == c.network {
			return ignored(ignoredMulticast)
		}
		return ignored(dropOutside)
	}
	return checked(toForward, ip)
}

// checked lets a packet pass if its header checksum is right (RFC 1812 section 5.2.2).
func checked(k kind, ip frame.IPv4) verdict {
	if !ip.ChecksumOK() {
		return ignored(dropChecksum)
	}
	return verdict{kind: k, ip: ip}
}

// isHost says whether a host of the group can have this address; the service address is
// not a host's.
func (c *classifier) isHost(a netip.Addr) bool {
	return c.prefix.Contains(a) && a != c.service && a != c.network && a != c.broadcast
}

// isTaken says whether frames to m are taken in another router's place.
func (c *classifier) isTaken(m frame.MAC) bool {
	all := c.taken.Load()
	return all != nil && slices.Contains(*all, m)
}

func isLimitedBroadcast(a netip.Addr) bool { return a == netip.AddrFrom4([4]byte{255, 255, 255, 255}) }

// toServer says whether a packet is a datagram to a DHCP server.
func (c *classifier) toServer(ip frame.IPv4) bool {
	_, to, ok := udpPorts(ip)
	return ok && to == c.ports.Load().Server
}

// toClient says whether a packet is a datagram of a DHCP server to its client.
func (c *classifier) toClient(ip frame.IPv4) bool {
	from, to, ok := udpPorts(ip)
	return ok && dhcp.Ports{Server: from, Client: to} == *c.ports.Load()
}

func udpPorts(ip frame.IPv4) (from, to uint16, ok bool) {
	if ip.Protocol() != frame.ProtocolUDP || ip.IsFragment() {
		return 0, 0, false
	}
	u, err := frame.ParseUDP(ip.Payload())
	if err != nil {
		return 0, 0, false
	}
	return u.SrcPort(), u.DstPort(), true
}

// renews says whether a datagram to a DHCP server is of a client that has an address of the group
// (ciaddr, RFC 2131 section 2).
func (c *classifier) renews(ip frame.IPv4) bool {
	const ciaddr = 12
	u, err := frame.ParseUDP(ip.Payload())
	if err != nil || len(u.Payload()) < ciaddr+4 {
		return false
	}
	return c.isHost(netip.AddrFrom4([4]byte(u.Payload()[ciaddr : ciaddr+4])))
}
