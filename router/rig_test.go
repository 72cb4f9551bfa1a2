package router

import (
	"bytes"
	"context"
	"encoding/binary"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"landbridge/arp"
	"landbridge/internal/frame"
	"landbridge/internal/group"
)

// The in-memory ring: routers joined by a function call, on segments made of channels,
// in a synctest bubble, so that waits take no time and are exact.

var (
	prefix  = netip.MustParsePrefix("10.9.0.0/16")
	svcAddr = netip.MustParseAddr("10.9.0.1")
	hostA   = host{netip.MustParseAddr("10.9.1.10"), frame.MAC{2, 0xa, 0, 0, 0, 1}}
	hostA2  = host{netip.MustParseAddr("10.9.1.11"), frame.MAC{2, 0xa, 0, 0, 0, 2}}
	hostB   = host{netip.MustParseAddr("10.9.2.20"), frame.MAC{2, 0xb, 0, 0, 0, 1}}
	nobody  = host{netip.MustParseAddr("10.9.3.30"), frame.MAC{2, 0xc, 0, 0, 0, 1}}
	memberA = group.MemberID{0xa}
	memberB = group.MemberID{0xb}
	gwA     = frame.MAC{2, 0xaa, 0, 0, 0, 0xff}
	gwB     = frame.MAC{2, 0xbb, 0, 0, 0, 0xff}
)

type host struct {
	ip  netip.Addr
	mac frame.MAC
}

// segment is a Device on a channel; what the router writes is kept in wrote.
type segment struct {
	in   chan frame.Packet
	next frame.Packet // the one that site.run has waited for

	mu      sync.Mutex
	wrote   []frame.Packet
	readErr error
}

func newSegment() *segment { return &segment{in: make(chan frame.Packet, 4096)} }

func (s *segment) ReadBatch(pkts []frame.Packet) (n int, err error) {
	if s.next.Buf != nil {
		pkts[0], s.next = s.next, frame.Packet{}
		n = 1
	}
	for n < len(pkts) {
		select {
		case p, ok := <-s.in:
			if !ok {
				return n, s.readErr
			}
			pkts[n] = p
			n++
		default:
			return n, nil
		}
	}
	return n, nil
}

func (s *segment) WriteBatch(pkts []frame.Packet) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range pkts {
		s.wrote = append(s.wrote, clone(p))
	}
	return nil
}

// takePackets returns what was written since the last call.
func (s *segment) takePackets() []frame.Packet {
	s.mu.Lock()
	defer s.mu.Unlock()
	w := s.wrote
	s.wrote = nil
	return w
}

// take is takePackets where the frames alone matter.
func (s *segment) take() (frames [][]byte) {
	for _, p := range s.takePackets() {
		frames = append(frames, p.Ethernet())
	}
	return frames
}

// clone copies a packet, and spoils the room around it as its owner may.
func clone(p frame.Packet) frame.Packet {
	c := frame.Packet{Buf: append(make([]byte, 0, len(p.Buf)+frame.Tailroom), p.Buf...), Offload: p.Offload}
	clear(p.Buf[:frame.VirtioHeaderLen])
	clear(p.Buf[len(p.Buf) : len(p.Buf)+frame.Tailroom])
	return c
}

// bareOf is a packet of these bytes, with room around it and nothing left to be done.
func bareOf(ip []byte) frame.Packet {
	buf := make([]byte, frame.Headroom, frame.Headroom+len(ip)+frame.Tailroom)
	return frame.Packet{Buf: append(buf, ip...)}
}

func bareOfAll(ips ...[]byte) (pkts []frame.Packet) {
	for _, ip := range ips {
		pkts = append(pkts, bareOf(ip))
	}
	return pkts
}

// framed is the same for an Ethernet frame.
func framed(f []byte) frame.Packet {
	buf := make([]byte, frame.VirtioHeaderLen, frame.VirtioHeaderLen+len(f)+frame.Tailroom)
	return frame.Packet{Buf: append(buf, f...)}
}

// registryFake knows routes, all of them after a Resolve, some at once.
type registryFake struct {
	self group.MemberID

	mu       sync.Mutex
	served   map[netip.Addr]group.MemberID
	unknown  map[netip.Addr]bool // Lookup says Unknown
	native   map[group.MemberID]bool
	learns   bool // Lookup knows what Resolve has found
	delay    time.Duration
	err      error
	resolved []netip.Addr
}

func (d *registryFake) route(a netip.Addr) (Route, bool) {
	m, ok := d.served[a]
	return Route{Member: m, Local: m == d.self, Native: d.native[m]}, ok
}

func (d *registryFake) Lookup(a netip.Addr) (Route, Status) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.unknown[a] {
		return Route{}, Unknown
	}
	if r, ok := d.route(a); ok {
		return r, Known
	}
	return Route{}, Absent
}

func (d *registryFake) Resolve(ctx context.Context, a netip.Addr) (Route, error) {
	d.mu.Lock()
	d.resolved = append(d.resolved, a)
	delay, err := d.delay, d.err
	d.mu.Unlock()
	select {
	case <-time.After(delay):
	case <-ctx.Done():
		return Route{}, ctx.Err()
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if err != nil {
		return Route{}, err
	}
	if d.learns {
		delete(d.unknown, a)
	}
	r, ok := d.route(a)
	if !ok {
		return Route{}, ErrAbsent
	}
	return r, nil
}

// forget makes Lookup say Unknown for these addresses.
func (d *registryFake) forget(addrs ...netip.Addr) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, a := range addrs {
		d.unknown[a] = true
	}
}

func (d *registryFake) lease(a netip.Addr, m group.MemberID) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.served[a] = m
}

func (d *registryFake) asked() []netip.Addr {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.resolved)
}

// wire carries packets to routers by member, and keeps a copy of each.
type wire struct {
	mu    sync.Mutex
	from  group.MemberID
	peers map[group.MemberID]*Router
	sent  []sentPacket
	calls int
}

type sentPacket struct {
	to     group.MemberID
	packet frame.IPv4
	frame.Offload
}

func (w *wire) Send(parcels []Parcel) {
	for _, p := range parcels {
		w.send(p.To, p.Packets)
	}
}

func (w *wire) send(to group.MemberID, pkts []frame.Packet) {
	w.mu.Lock()
	w.calls++
	for _, p := range pkts {
		w.sent = append(w.sent, sentPacket{to, frame.IPv4(clone(p).IP()), p.Offload})
	}
	peer := w.peers[to]
	w.mu.Unlock()
	if peer != nil {
		peer.Deliver(w.from, pkts)
	}
}

func (w *wire) take() []sentPacket {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.sent
	w.sent = nil
	return s
}

// site is one appliance: a router with everything around it that isn't under test.
type site struct {
	t       *testing.T
	router  *Router
	segment *segment
	dir     *registryFake
	wire    *wire
	gateway frame.MAC
	stop    context.CancelFunc
	ended   chan error
}

func newSite(t *testing.T, self group.MemberID, gateway frame.MAC, adjust ...func(*Config)) *site {
	t.Helper()
	s := &site{
		t: t, segment: newSegment(), gateway: gateway, ended: make(chan error, 1),
		wire: &wire{from: self, peers: make(map[group.MemberID]*Router)},
		dir: &registryFake{self: self, unknown: make(map[netip.Addr]bool), served: map[netip.Addr]group.MemberID{
			hostA.ip: memberA, hostA2.ip: memberA, hostB.ip: memberB,
		}},
	}
	hosts, err := NewHosts(prefix)
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range []host{hostA, hostA2, hostB} {
		if s.dir.served[h.ip] == self {
			hosts.Learn(h.ip, h.mac)
		}
	}
	cfg := Config{
		Device: s.segment, Prefix: prefix, ServiceAddr: svcAddr, GatewayMAC: gateway, MTU: 1376, LinkMTU: 1500,
		Directory: s.dir, Sender: s.wire, Hosts: hosts,
		ARP: arp.NewResponder(arp.Config{
			Prefix: prefix, ServiceAddr: svcAddr, GatewayMAC: gateway, Directory: ARPDirectory(s.dir),
		}),
	}
	for _, f := range adjust {
		f(&cfg)
	}
	if s.router, err = New(cfg); err != nil {
		t.Fatal(err)
	}
	return s
}

// run does what the loop does, until stop or a failure.
func (s *site) run() {
	ctx, cancel := context.WithCancel(s.t.Context())
	s.stop = cancel
	go func() { s.ended <- s.serve(ctx) }()
}

func (s *site) serve(ctx context.Context) error {
	defer s.router.Close()
	for {
		select {
		case s.segment.next = <-s.segment.in:
		case <-ctx.Done():
			return nil
		}
		if _, err := s.router.Poll(); err != nil {
			return err
		}
	}
}

// inBubble runs body with site A running in a synctest bubble.
func inBubble(t *testing.T, body func(t *testing.T, a *site), adjust ...func(*Config)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		a := newSite(t, memberA, gwA, adjust...)
		a.run()
		body(t, a)
		a.stop()
		if err := <-a.ended; err != nil {
			t.Errorf("Poll failed: %v", err)
		}
	})
}

// sends puts a frame on the segment and waits until all is quiet.
func (s *site) sends(frames ...[]byte) {
	for _, f := range frames {
		s.segment.in <- framed(f)
	}
	synctest.Wait()
}

func (s *site) counts(want map[counter]uint64) {
	s.t.Helper()
	for c, n := range want {
		if got := s.router.counters[c].Load(); got != n {
			s.t.Errorf("%s = %d, want %d", countNames()[c][0], got, n)
		}
	}
}

// udp builds an IPv4 packet with a UDP datagram, DF set, TTL 64.
func udp(from, to host, size int) frame.IPv4 {
	payload := make([]byte, size)
	for i := range payload {
		payload[i] = byte(i * 7)
	}
	return frame.IPv4(frame.AppendUDP(nil, netip.AddrPortFrom(from.ip, 5000), netip.AddrPortFrom(to.ip, 6000), payload))
}

func syn(from, to host, mss uint16) frame.IPv4 {
	p := frame.AppendIPv4(nil, frame.IPv4Fields{Src: from.ip, Dst: to.ip, Protocol: frame.ProtocolTCP}, 24)
	tcp := make([]byte, 24)
	tcp[12], tcp[13] = 6<<4, frame.TCPSyn
	copy(tcp[20:], []byte{2, 4, byte(mss >> 8), byte(mss)})
	sum := frame.Checksum(tcp, frame.PseudoSum(from.ip, to.ip, frame.ProtocolTCP, len(tcp)))
	binary.BigEndian.PutUint16(tcp[16:], sum)
	return append(p, tcp...)
}

func echoRequest(from host, to netip.Addr) frame.IPv4 {
	p := frame.AppendIPv4(nil, frame.IPv4Fields{Src: from.ip, Dst: to, Protocol: frame.ProtocolICMP}, 16)
	m := []byte{8, 0, 0, 0, 0x12, 0x34, 0, 1, 'l', 'a', 'n', 'd', 'b', 'r', 'd', 'g'}
	binary.BigEndian.PutUint16(m[2:], frame.Checksum(m, 0))
	return append(p, m...)
}

func ethernet(from, to frame.MAC, p []byte) []byte {
	return append(frame.AppendEthernet(nil, to, from, frame.EtherTypeIPv4), p...)
}

// toGateway is the frame by which a host of the site sends a packet to elsewhere.
func (s *site) toGateway(from host, p frame.IPv4) []byte { return ethernet(from.mac, s.gateway, p) }

// oneFrame takes the only frame written to the segment, checks its addresses and
// returns its packet.
func (s *site) oneFrame(to frame.MAC) frame.IPv4 {
	s.t.Helper()
	wrote := s.segment.take()
	if len(wrote) != 1 {
		s.t.Fatalf("%d frames were written to the segment, want 1", len(wrote))
	}
	return s.packet(wrote[0], to)
}

func (s *site) packet(f []byte, to frame.MAC) frame.IPv4 {
	s.t.Helper()
	eth := frame.Ethernet(f)
	if eth.Dst() != to || eth.Src() != s.gateway || eth.EtherType() != frame.EtherTypeIPv4 {
		s.t.Fatalf("frame to %v from %v, type %#x", eth.Dst(), eth.Src(), eth.EtherType())
	}
	ip, err := frame.ParseIPv4(eth.Payload())
	if err != nil || !ip.ChecksumOK() {
		s.t.Fatalf("packet % x: %v", eth.Payload(), err)
	}
	return ip
}

// onePacket takes the only packet sent to a member.
func (s *site) onePacket(to group.MemberID) frame.IPv4 {
	s.t.Helper()
	sent := s.wire.take()
	if len(sent) != 1 || sent[0].to != to {
		s.t.Fatalf("sent %v, want one packet to %x", sent, to[0])
	}
	if !sent[0].packet.ChecksumOK() {
		s.t.Fatalf("sent a packet with a wrong checksum: % x", sent[0].packet)
	}
	return sent[0].packet
}

func (s *site) silent() {
	s.t.Helper()
	if w := s.segment.take(); len(w) != 0 {
		s.t.Errorf("%d frames were written to the segment: % x", len(w), w[0])
	}
	if p := s.wire.take(); len(p) != 0 {
		s.t.Errorf("%d packets were sent to members", len(p))
	}
}

// isError checks an ICMP error from the service address about a packet.
func isError(t *testing.T, ip frame.IPv4, about frame.IPv4, icmpType, code uint8) frame.ICMPv4 {
	t.Helper()
	if ip.Src() != svcAddr || ip.Dst() != about.Src() || ip.Protocol() != frame.ProtocolICMP {
		t.Fatalf("%v to %v, protocol %d", ip.Src(), ip.Dst(), ip.Protocol())
	}
	m, err := frame.ParseICMPv4(ip.Payload())
	if err != nil || m.Type() != icmpType || m.Code() != code || !m.ChecksumOK() {
		t.Fatalf("ICMP % x, want type %d code %d", ip.Payload(), icmpType, code)
	}
	if !bytes.HasPrefix(about, m.Payload()) {
		t.Errorf("quotes % x, want the start of % x", m.Payload(), about)
	}
	return m
}
