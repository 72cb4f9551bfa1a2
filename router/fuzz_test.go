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
		Directory: odd{}, Sender: i, Hosts: hosts, DNS: &dnsFake{},
		ARP: arp.NewResponder(arp.Config{Prefix: prefix, ServiceAddr: svcAddr, GatewayMAC: gwA, Directory: ARPDirectory(odd{})}),
	})
	if err != nil {
		t.Fatal(err)
	}
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
