package router

import (
	"bytes"
	"encoding/binary"
	"testing"
	"testing/synctest"
	"time"

	"landbridge/internal/frame"
	"landbridge/internal/group"
)

// superSize is how long the packets of super are, in bytes: 48 segments of 1,376 bytes.
const superSize = 40 + 48*1336

// super is a TCP packet as a host's kernel hands it over, to be cut into segments of so
// many bytes of payload, in a frame to the gateway of site A. DF is set.
func super(from, to host, size uint16) frame.Packet {
	p := frame.AppendIPv4(nil, frame.IPv4Fields{Src: from.ip, Dst: to.ip, Protocol: frame.ProtocolTCP}, superSize-20)
	p = append(p, 0x13, 0x88, 0x17, 0x70, 0, 0, 0x10, 0, 0, 0, 0, 1, 5<<4, frame.TCPAck, 0xff, 0xff, 0, 0, 0, 0)
	for i := len(p); i < superSize; i++ {
		p = append(p, byte(i*7))
	}
	o := frame.Offload{GSO: frame.GSOTCPv4, Size: size}
	return partial(framed(ethernet(from.mac, gwA, p)), o)
}

// partial leaves the checksum of a packet to be done, and what o says.
func partial(p frame.Packet, o frame.Offload) frame.Packet {
	ip := header(p)
	sum := frame.PseudoSum(ip.Src(), ip.Dst(), ip.Protocol(), len(ip.Payload()))
	at := map[uint8]int{frame.ProtocolTCP: 16, frame.ProtocolUDP: 6}[ip.Protocol()]
	binary.BigEndian.PutUint16(ip.Payload()[at:], ^frame.Checksum(nil, sum))
	o.Partial, o.Trusted = true, true
	p.Offload = o
	return p
}

// checksummed reports whether the transport checksum of a whole packet is right.
func checksummed(ip frame.IPv4) bool {
	return frame.Checksum(ip.Payload(), frame.PseudoSum(ip.Src(), ip.Dst(), ip.Protocol(), len(ip.Payload()))) == 0
}

func withoutDF(p frame.Packet) frame.Packet {
	p.IP()[6] = 0
	header(p).SetChecksum()
	return p
}

// give has the site's segment send a packet as it is.
func (s *site) give(p frame.Packet) {
	s.segment.in <- p
	synctest.Wait()
}

// reassemble joins fragments to whole packets, which come in order.
func reassemble(t *testing.T, sent []sentPacket, mtu int) (whole []frame.IPv4) {
	t.Helper()
	for _, s := range sent {
		ip := s.packet
		if len(ip) > mtu || !ip.ChecksumOK() || s.Offload.Partial || s.Offload.GSO != frame.GSONone {
			t.Fatalf("%d bytes with %+v were sent: % x", len(ip), s.Offload, ip[:40])
		}
		if ip.FragmentOffset() == 0 {
			whole = append(whole, bytes.Clone(ip))
			continue
		}
		last := &whole[len(whole)-1]
		if len(last.Payload()) != ip.FragmentOffset() || last.ID() != ip.ID() {
			t.Fatalf("a fragment at %d behind %d bytes", ip.FragmentOffset(), len(last.Payload()))
		}
		*last = append(*last, ip.Payload()...)
	}
	return whole
}

func TestASuperFrameCrossesWhole(t *testing.T) {
	inBubble(t, func(t *testing.T, a *site) {
		b := newSite(t, memberB, gwB)
		a.wire.peers[memberB] = b.router
		b.run()
		p := super(hostA, hostB, 1336)
		want := clone(p)
		a.give(p)
		got := b.segment.takePackets()
		if len(got) != 1 || got[0].Offload != want.Offload || !bytes.Equal(header(got[0]).Payload(), header(want).Payload()) {
			t.Fatalf("%d frames came", len(got))
		}
		if ip := b.packet(got[0].Ethernet(), hostB.mac); ip.TTL() != 63 {
			t.Errorf("TTL %d", ip.TTL())
		}
		a.counts(map[counter]uint64{outPackets: 48, outBytes: 48 * 1376})
		b.counts(map[counter]uint64{inPackets: 48, inBytes: 48 * 1376})
		b.stop()
		<-b.ended
	})
}

func TestASuperFrameOfSegmentsTooLargeIsRefusedWithTheMTU(t *testing.T) {
	inBubble(t, func(t *testing.T, a *site) {
		p := super(hostA, hostB, 1337)
		about := header(clone(p))
		a.give(p)
		m := isError(t, a.oneFrame(hostA.mac), about, frame.ICMPv4Unreachable, frame.CodeFragNeeded)
		if m.NextHopMTU() != 1376 {
			t.Errorf("next-hop MTU %d", m.NextHopMTU())
		}
		a.counts(map[counter]uint64{dropTooBig: 1, outPackets: 0})
	})
}

func TestASuperFrameOfSegmentsTooLargeWithoutDFIsCutAndFragmented(t *testing.T) {
	inBubble(t, func(t *testing.T, a *site) {
		p := withoutDF(super(hostA, hostB, 1400))
		want := header(clone(p)).Payload()[20:]
		a.give(p)
		var got []byte
		for _, s := range reassemble(t, a.wire.take(), 1376) {
			binary.BigEndian.PutUint16(s[2:], uint16(len(s)))
			tcp, err := frame.ParseTCP(s.Payload())
			if err != nil || !checksummed(s) || binary.BigEndian.Uint32(tcp[4:]) != 0x1000+uint32(len(got)) || s.TTL() != 63 {
				t.Fatalf("segment % x: %v", s[:40], err)
			}
			got = append(got, tcp.Payload()...)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%d bytes arrived, or other ones", len(got))
		}
		a.counts(map[counter]uint64{outFragmented: 1, outPackets: 91})
	})
}

func TestAPartialPacketIsCompletedBeforeItIsFragmented(t *testing.T) {
	inBubble(t, func(t *testing.T, a *site) {
		p := partial(withoutDF(framed(a.toGateway(hostA, udp(hostA, hostB, 1472)))), frame.Offload{})
		a.give(p)
		got := reassemble(t, a.wire.take(), 1376)
		if len(got) != 1 || !checksummed(got[0]) {
			t.Errorf("%d packets, or with a wrong checksum", len(got))
		}
	})
}

func TestASegmentTakesWhatItsPiecesFit(t *testing.T) {
	inBubble(t, func(t *testing.T, a *site) {
		fits := super(hostB, hostA, 960)
		a.router.Deliver(memberB, []frame.Packet{fits})
		if got := a.segment.takePackets(); len(got) != 1 || got[0].Offload != fits.Offload {
			t.Errorf("%d frames written", len(got))
		}
		a.router.Deliver(memberB, []frame.Packet{super(hostB, hostA, 961)})
		a.silentSegment()
		m := isError(t, a.onePacket(memberB), header(super(hostB, hostA, 961)), frame.ICMPv4Unreachable, frame.CodeFragNeeded)
		if m.NextHopMTU() != 1000 {
			t.Errorf("next-hop MTU %d", m.NextHopMTU())
		}
		a.router.Deliver(memberB, []frame.Packet{withoutDF(super(hostB, hostA, 1000))})
		var sent []sentPacket
		for _, p := range a.segment.takePackets() {
			sent = append(sent, sentPacket{packet: a.packet(p.Ethernet(), hostA.mac), Offload: p.Offload})
		}
		if n := len(reassemble(t, sent, 1000)); n != (superSize-40+999)/1000 {
			t.Errorf("%d segments arrived", n)
		}
	}, func(c *Config) { c.LinkMTU = 1000 })
}

func (s *site) silentSegment() {
	s.t.Helper()
	if w := s.segment.take(); len(w) != 0 {
		s.t.Errorf("%d frames were written to the segment", len(w))
	}
}

func TestWhatTheServiceAddressAnswersIsCompletedFirst(t *testing.T) {
	d := &dhcpFake{}
	inBubble(t, func(t *testing.T, a *site) {
		d.let = make(chan struct{})
		close(d.let)
		a.give(partial(framed(discover(hostA.mac, "x")), frame.Offload{}))
		a.give(partial(framed(a.toGateway(hostA, query(hostA, "who?"))), frame.Offload{}))
		if n := len(a.segment.take()); n != 2 {
			t.Errorf("%d answers, want 2", n)
		}
		// Two queries that are one packet yet.
		a.give(partial(framed(a.toGateway(hostA, query(hostA, "who?what?"))), frame.Offload{GSO: frame.GSOUDP, Size: 4}))
		if n := len(a.segment.take()); n != 3 { // 4, 4 and 1 bytes
			t.Errorf("%d answers, want 3", n)
		}
		a.counts(map[counter]uint64{dropChecksum: 0, dropMalformed: 0, dhcpHandled: 1, dnsHandled: 4})
	}, func(c *Config) { c.DHCP, c.DNS = d, &dnsFake{} })
}

func TestMSSOfASYNWithoutChecksumYetIsClamped(t *testing.T) {
	inBubble(t, func(t *testing.T, a *site) {
		check := func(p frame.Packet) {
			t.Helper()
			tcp, err := frame.ParseTCP(header(p).Payload())
			if err != nil {
				t.Fatal(err)
			}
			if mss, _ := tcp.MSS(); mss != 1336 || !p.Partial || !p.Complete() || !checksummed(header(p)) {
				t.Errorf("MSS %d, offload %+v, segment % x", mss, p.Offload, tcp)
			}
		}
		a.give(partial(framed(a.toGateway(hostA, syn(hostA, hostB, 1460))), frame.Offload{}))
		sent := a.wire.take()[0]
		out := bareOf(sent.packet)
		out.Offload = sent.Offload
		before := partial(bareOf(syn(hostA, hostB, 1460)), frame.Offload{})
		if !bytes.Equal(header(out).Payload()[16:18], header(before).Payload()[16:18]) {
			t.Error("the pseudo header's sum was touched")
		}
		check(out)
		a.router.Deliver(memberB, []frame.Packet{partial(bareOf(syn(hostB, hostA, 1460)), frame.Offload{})})
		check(a.segment.takePackets()[0])
		a.counts(map[counter]uint64{mssClamped: 2})
	})
}

func TestASuperFrameWaitsWithItsOffload(t *testing.T) {
	inBubble(t, func(t *testing.T, a *site) {
		a.dir.forget(hostB.ip)
		a.dir.delay = 50 * time.Millisecond
		p := super(hostA, hostB, 1336)
		want := clone(p)
		a.give(p)
		clear(p.Buf) // the device's arena is used again
		time.Sleep(60 * time.Millisecond)
		synctest.Wait()
		sent := a.wire.take()
		if len(sent) != 1 || sent[0].Offload != want.Offload || !bytes.Equal(sent[0].packet.Payload(), header(want).Payload()) {
			t.Errorf("%d packets went on", len(sent))
		}
	})
}

func TestASuperFrameForAHostThatIsHereKeepsItsOffload(t *testing.T) {
	inBubble(t, func(t *testing.T, a *site) {
		p := super(hostA, hostA2, 1460)
		want := clone(p)
		a.give(p)
		got := a.segment.takePackets()
		if len(got) != 1 || got[0].Offload != want.Offload || !bytes.Equal(header(got[0]).Payload(), header(want).Payload()) {
			t.Fatalf("%d frames written", len(got))
		}
		a.packet(got[0].Ethernet(), hostA2.mac)
	})
}

// keeper is a Device that notes where the last frame lay.
type keeper struct {
	sink
	at *byte
}

func (k *keeper) WriteBatch(p []frame.Packet) error { k.at = &p[0].Buf[0]; return nil }

func TestWhatIsDeliveredIsNotCopied(t *testing.T) {
	r, _, remote := bare(t, 1)
	k := &keeper{}
	r.device = k
	p := super(remote[0], hostA, 1336)
	r.Deliver(group.MemberID{1}, []frame.Packet{p})
	if k.at != &p.Buf[0] {
		t.Error("the frame that was written isn't in the buffer that was delivered")
	}
}

func TestExtentsAreThoseOnTheWire(t *testing.T) {
	tcp := super(hostA, hostB, 1336)
	with := func(p frame.Packet, o frame.Offload) frame.Packet { p.Offload = o; return p }
	short := frame.Packet{Buf: append([]byte{}, tcp.Buf[:frame.Headroom+30]...), Offload: tcp.Offload}
	datagrams := bareOf(udp(hostA, hostB, 2500))
	for name, c := range map[string]struct {
		p    frame.Packet
		want extent
	}{
		"a packet":                      {bareOf(udp(hostA, hostB, 100)), extent{128, 1, 128}},
		"whole segments":                {tcp, extent{1376, 48, 48 * 1376}},
		"a short last segment":          {super(hostA, hostB, 1400), extent{1440, 46, 48*1336 + 46*40}},
		"one segment":                   {super(hostA, hostB, 65000), extent{superSize, 1, superSize}},
		"datagrams":                     {with(datagrams, frame.Offload{GSO: frame.GSOUDP, Size: 1200}), extent{1228, 3, 2500 + 3*28}},
		"no size":                       {with(datagrams, frame.Offload{GSO: frame.GSOUDP}), extent{2528, 1, 2528}},
		"headers past the packet's end": {short, extent{30, 1, 30}},
	} {
		if got := extentOf(c.p); got != c.want {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
}
