package router

import (
	"context"
	"net/netip"
	"sync"
	"testing"

	"landbridge/arp"
	"landbridge/internal/frame"
	"landbridge/internal/group"
)

// odd is a Directory that answers by the address alone: the last bits say whether it is
// leased here, leased elsewhere, absent, or has to be asked for.
type odd struct{}

func (odd) Lookup(a netip.Addr) (Route, Status) {
	switch b := a.As4(); b[3] % 8 {
	case 0, 1, 2:
		return Route{Member: memberA, Local: true}, Known
	case 3, 4, 5:
		return Route{Member: memberB}, Known
	case 6:
		return Route{}, Absent
	}
	return Route{}, Unknown
}

func (odd) Resolve(_ context.Context, a netip.Addr) (Route, error) {
	if b := a.As4(); b[2]%2 == 0 {
		return Route{Member: memberB}, nil
	}
	return Route{}, ErrAbsent
}

// inspector checks what must hold of everything that leaves the router.
type inspector struct {
	sink
	t  *testing.T
	mu sync.Mutex // jobs write too
}

func (i *inspector) Send(parcels []Parcel) {
	i.mu.Lock()
	defer i.mu.Unlock()
	for _, p := range parcels {
		i.inspect(p.To, p.Packets)
	}
}

func (i *inspector) inspect(to group.MemberID, pkts []frame.Packet) {
	for _, p := range pkts {
		if six, err := frame.ParseIPv6(p.IP()); err == nil {
			i.inspect6(to, p, six)
			continue
		}
		ip, err := frame.ParseIPv4(p.IP())
		if err != nil || len(ip) != len(p.IP()) || !ip.ChecksumOK() || ip.TTL() == 0 {
			i.t.Errorf("sent to a member: % x: %v", p.IP(), err)
			continue
		}
		bodies, err := frame.Cut(p)
		if err != nil || bodies.Size(0) > 1376+1 { // and the trailer
			i.t.Errorf("sent to a member: % x with %+v: %v", ip, p.Offload, err)
			continue
		}
		if to != memberB || !prefix.Contains(ip.Dst()) {
			i.t.Errorf("a packet for %v went to %x", ip.Dst(), to[0])
		}
		if route, _ := (odd{}).Lookup(ip.Src()); !route.Local && ip.Src() != svcAddr {
			i.t.Errorf("a packet from %v left, which isn't leased here", ip.Src())
		}
	}
}

func (i *inspector) inspect6(to group.MemberID, p frame.Packet, ip frame.IPv6) {
	net := sixNet(i.t).Net
	src, ok := net.Host(ip.Src())
	dst, ok2 := net.Host(ip.Dst())
	if len(ip) != len(p.IP()) || ip.HopLimit() == 0 || ip.HopLimit() == 255 || to != memberB || !ok || !ok2 || !prefix.Contains(dst) {
		i.t.Errorf("sent to %x: % x", to[0], p.IP())
	}
	if route, _ := (odd{}).Lookup(src); !route.Local && src != svcAddr {
		i.t.Errorf("a packet from %v left, which isn't leased here", src)
	}
	if bodies, err := frame.Cut(p); err != nil || bodies.Size(0) > 1376+1 { // and the trailer
		i.t.Errorf("sent to a member: % x with %+v: %v", []byte(ip), p.Offload, err)
	}
}

// isOurNDP reports whether the router itself says this, as it does of its own MAC alone.
func isOurNDP(ip frame.IPv6) bool {
	n, err := frame.ParseNeighbor(ip)
	return err == nil && n.MAC == gwA || ip.Src() == frame.LinkLocal(gwA)
}

func (i *inspector) WriteBatch(pkts []frame.Packet) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	for _, p := range pkts {
		f := p.Ethernet()
		eth, err := frame.ParseEthernet(f)
		if err != nil || eth.Src() != gwA || cap(p.Buf) < len(p.Buf)+frame.Tailroom || p.GSO == frame.GSONone && len(f) > 1500+frame.EthernetHeaderLen {
			i.t.Errorf("written to the segment: % x", f)
			continue
		}
		if eth.EtherType() == frame.EtherTypeIPv6 {
			if ip, err := frame.ParseIPv6(eth.Payload()); err != nil || ip.HopLimit() == 0 || ip.HopLimit() == 255 && !isOurNDP(ip) {
				i.t.Errorf("written to the segment: % x: %v", f, err)
			}
		}
		if eth.EtherType() == frame.EtherTypeIPv4 {
			if ip, err := frame.ParseIPv4(eth.Payload()); err != nil || !ip.ChecksumOK() {
				i.t.Errorf("written to the segment: % x: %v", f, err)
			}
		}
	}
	return nil
}

func fuzzRouter(t *testing.T) *Router {
	i := &inspector{t: t}
	hosts, err := NewHosts(prefix)
	if err != nil {
		t.Fatal(err)
	}
	hosts.Learn(hostA.ip, hostA.mac)
	r, err := New(Config{
		Device: i, Prefix: prefix, ServiceAddr: svcAddr, GatewayMAC: gwA, MTU: 1376, LinkMTU: 1500,
		Directory: odd{}, Sender: i, Hosts: hosts, DNS: &dnsFake{}, DHCP6: &dhcp6Fake{},
		ARP: arp.NewResponder(arp.Config{Prefix: prefix, ServiceAddr: svcAddr, GatewayMAC: gwA, Directory: ARPDirectory(odd{})}),
	})
	if err == nil {
		err = r.SetIPv6(sixNet(t))
	}
	if err != nil {
		t.Fatal(err)
	}
	r.LearnIPv6(hostA.ip, hostA.mac)
	return r
}

func checkBounds(t *testing.T, r *Router) {
	r.jobs.close()
	if r.waiting.packets != 0 || r.waiting.bytes != 0 || len(r.waiting.queues) != 0 {
		t.Errorf("after close %d packets wait for %d questions", r.waiting.packets, len(r.waiting.queues))
	}
}

func FuzzFramesFromTheSegment(f *testing.F) {
	local, remote := host{nth(8), hostA.mac}, host{nth(3), frame.MAC{}}
	for _, p := range []frame.IPv4{
		udp(local, remote, 100), udp(local, remote, 1450), syn(local, remote, 1460), echoRequest(local, svcAddr),
		udp(local, host{ip: nth(7)}, 9), udp(local, host{ip: nth(16)}, 9), query(local, "q"), tcpFrom(local, 7, 0, frame.TCPSyn, ""), tcpFrom(local, 8, 9, frame.TCPAck, "\x00\x01q"), tcpFrom(local, 8, 9, frame.TCPAck|frame.TCPFin, ""), udp(local, host{ip: nth(6)}, 9),
	} {
		f.Add([]byte{}, ethernet(hostA.mac, gwA, p))
	}
	large := udp(local, remote, 1450)
	large[6] = 0
	large.SetChecksum()
	f.Add([]byte{}, ethernet(hostA.mac, gwA, large))
	for _, size := range []uint16{1336, 1400} {
		p := super(local, remote, size)
		p.PutVirtio()
		f.Add(p.Buf[:frame.VirtioHeaderLen], p.Ethernet())
	}
	for _, to := range []netip.Addr{remote.ip, nth(7), nth(16), nth(6), svcAddr} {
		f.Add([]byte{}, ethernet6(hostA.mac, gwA, udp6(f, local, host{ip: to}, 9)))
		f.Add([]byte{}, frame.AppendSolicit(nil, hostA.mac, local.six(f).ip, host{ip: to}.six(f).ip))
	}
	f.Add([]byte{}, ethernet6(hostA.mac, frame.MAC{0x33, 0x33, 0, 1, 0, 2}, frame.AppendUDP(nil, netip.AddrPortFrom(frame.LinkLocal(hostA.mac), 546), netip.AddrPortFrom(dhcp6Servers(), 547), []byte("solicit"))))
	f.Add([]byte{}, discover(hostA.mac, "x"))
	f.Add([]byte{}, arpRequest(local, nth(3)))
	f.Add([]byte{}, arpRequest(local, nth(7)))
	f.Fuzz(func(t *testing.T, virtio, data []byte) {
		r := fuzzRouter(t)
		// Once as it is, and once with a checksum that lets it further in.
		first, second := framed(data), framed(data)
		if len(second.Buf) >= frame.Headroom {
			if ip, err := frame.ParseIPv4(second.IP()); err == nil {
				ip.SetChecksum()
			}
		}
		var pkts []frame.Packet
		for _, p := range []frame.Packet{first, second} {
			copy(p.Buf[:frame.VirtioHeaderLen], virtio)
			var err error
			if p.Offload, err = frame.ParseVirtio(p.Buf); err == nil || len(p.Buf) < frame.Headroom {
				pkts = append(pkts, p)
			}
		}
		r.forwardBatch(r.newBatch(), pkts)
		checkBounds(t, r)
	})
}

func FuzzPacketsFromMembers(f *testing.F) {
	remote, local := host{ip: nth(3)}, host{ip: nth(8)}
	large := udp(remote, local, 1600)
	large[6] = 0
	large.SetChecksum()
	for _, p := range []frame.IPv4{
		udp(remote, local, 100), udp(remote, local, 1600), large, syn(remote, local, 1460), udp(host{ip: nth(7)}, local, 1),
		frame.AppendUnreachable(nil, svcAddr, udp(local, remote, 20), frame.CodeHostUnreachable),
	} {
		f.Add([]byte(p), uint8(0), uint16(0), false)
	}
	f.Add([]byte(udp6(f, remote, local, 100)), uint8(0), uint16(0), false)
	f.Add(frame.AppendICMPv6Error(nil, sixNet(f).Net.Of(svcAddr), udp6(f, local, remote, 20), frame.ICMPv6Unreachable, 3, 0), uint8(0), uint16(0), false)
	linked := udp6(f, remote, local, 100)
	linked[7] = 255
	f.Add([]byte(linked), uint8(0), uint16(0), false)
	f.Add([]byte(udp6(f, remote, local, 1600)), uint8(frame.GSOUDP), uint16(1300), true)
	joined := super(remote, local, 1336)
	f.Add(joined.IP(), uint8(frame.GSOTCPv4), uint16(1336), true)
	f.Add(joined.IP(), uint8(frame.GSOTCPv4), uint16(1461), true)
	f.Fuzz(func(t *testing.T, data []byte, gso uint8, size uint16, partial bool) {
		r := fuzzRouter(t)
		pkts := bareOfAll(data, data)
		if ip, err := frame.ParseIPv4(pkts[1].IP()); err == nil {
			ip.SetChecksum()
		}
		for i := range pkts {
			pkts[i].Offload = frame.Offload{GSO: frame.GSO(gso % 4), Size: size, Partial: partial, Trusted: partial}
		}
		r.Deliver(memberB, pkts)
		checkBounds(t, r)
	})
}
