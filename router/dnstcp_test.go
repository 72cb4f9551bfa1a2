package router

import (
	"encoding/binary"
	"net/netip"
	"strings"
	"testing"

	"landbridge/internal/frame"
)

// tcpFrom is a segment of TCP from a host's port 40000 to the service address's port 53.
func tcpFrom(from host, seq, ack uint32, flags uint8, data string) frame.IPv4 {
	return frame.AppendTCP(nil, netip.AddrPortFrom(from.ip, 40000), netip.AddrPortFrom(svcAddr, 53), frame.TCPFields{Seq: seq, Ack: ack, Flags: flags, Window: 8000}, []byte(data))
}

// prefixed is a query as it goes over TCP.
func prefixed(text string) string {
	return string(binary.BigEndian.AppendUint16(nil, uint16(len(text)))) + text
}

// segments takes what the service has sent to a host.
func (s *site) segments(to host) (all []frame.TCP) {
	s.t.Helper()
	for _, f := range s.segment.take() {
		ip, err := frame.ParseIPv4(frame.Ethernet(f).Payload())
		if err != nil || ip.Src() != svcAddr || ip.Dst() != to.ip {
			s.t.Fatalf("sent % x: %v", f, err)
		}
		t, err := frame.ParseTCP(ip.Payload())
		if err != nil || !t.ChecksumOK(ip.Src(), ip.Dst()) || t.SrcPort() != 53 || t.DstPort() != 40000 || len(ip) > 1500 {
			s.t.Fatalf("sent % x: %v", f, err)
		}
		all = append(all, t)
	}
	return all
}

// opened does the first steps of a connection and returns the service's number.
func (s *site) opened(h host, seq uint32) uint32 {
	s.t.Helper()
	s.sends(s.toGateway(h, tcpFrom(h, seq, 0, frame.TCPSyn, "")))
	got := s.segments(h)
	if len(got) != 1 || got[0].Flags() != frame.TCPSyn|frame.TCPAck || got[0].Ack() != seq+1 {
		s.t.Fatalf("a SYN is answered by % x", got)
	}
	if mss, ok := got[0].MSS(); !ok || mss != dnsTCPSegment {
		s.t.Errorf("MSS %d, %v", mss, ok)
	}
	s.sends(s.toGateway(h, tcpFrom(h, seq+1, got[0].Seq()+1, frame.TCPAck, "")))
	if more := s.segments(h); len(more) != 0 {
		s.t.Fatalf("an ACK is answered by % x", more)
	}
	return got[0].Seq()
}

func TestDNSOverTCPIsAnsweredAndTheConnectionEnded(t *testing.T) {
	inBubble(t, func(t *testing.T, a *site) {
		for _, seq := range []uint32{1000, 0xffffffff} { // numbers wrap
			y := a.opened(hostA, seq)
			q := prefixed("who?")
			for range 2 { // sent again, it is answered again
				a.sends(a.toGateway(hostA, tcpFrom(hostA, seq+1, y+1, frame.TCPAck, q)))
				got := a.segments(hostA)
				if len(got) != 1 || string(got[0].Payload()) != prefixed("by TCP:who?") || got[0].Flags() != frame.TCPAck|frame.TCPFin ||
					got[0].Seq() != y+1 || got[0].Ack() != seq+1+uint32(len(q)) {
					t.Fatalf("answered % x", got)
				}
			}
			end := seq + 1 + uint32(len(q))
			a.sends(a.toGateway(hostA, tcpFrom(hostA, end, y+15, frame.TCPAck|frame.TCPFin, "")))
			if got := a.segments(hostA); len(got) != 1 || got[0].Flags() != frame.TCPAck || got[0].Ack() != end+1 || got[0].Seq() != y+15 {
				t.Fatalf("a FIN is answered by % x", got)
			}
		}
		a.counts(map[counter]uint64{dnsHandled: 4})
	}, func(c *Config) { c.DNS = &dnsFake{} })
}

func TestALongAnswerOverTCPIsCutIntoSegments(t *testing.T) {
	inBubble(t, func(t *testing.T, a *site) {
		y := a.opened(hostA, 5)
		a.sends(a.toGateway(hostA, tcpFrom(hostA, 6, y+1, frame.TCPAck, prefixed("much"))))
		text, at := "", y+1
		for i, s := range a.segments(hostA) {
			if s.Seq() != at || (s.Flags()&frame.TCPFin != 0) != (i == 2) {
				t.Errorf("segment %d: seq %d of %d, flags %x", i, s.Seq(), at, s.Flags())
			}
			at += uint32(len(s.Payload()))
			text += string(s.Payload())
		}
		if text != prefixed(strings.Repeat("0123456789", 300)) {
			t.Errorf("%d bytes", len(text))
		}
	}, func(c *Config) { c.DNS = &dnsFake{} })
}

// Nothing is asked for those who haven't shown that they hear what is sent to their address.
func TestDNSOverTCPAnswersNoQueryOfAForger(t *testing.T) {
	inBubble(t, func(t *testing.T, a *site) {
		y := a.opened(hostA, 77)
		forged := map[string]frame.IPv4{
			"a guess":        tcpFrom(hostA, 78, y+2, frame.TCPAck, prefixed("who?")),
			"another's":      tcpFrom(hostA2, 78, y+1, frame.TCPAck, prefixed("who?")),
			"a later number": tcpFrom(hostA, 79, y+1, frame.TCPAck, prefixed("who?")),
		}
		for name, p := range forged {
			h := hostA
			if p.Src() == hostA2.ip {
				h = hostA2
			}
			a.sends(a.toGateway(h, p))
			if got := a.segments(h); len(got) != 1 || got[0].Flags() != frame.TCPRst || len(got[0].Payload()) > 0 {
				t.Errorf("%s: answered % x", name, got)
			}
		}
		bad := tcpFrom(hostA, 78, y+1, frame.TCPAck, prefixed("who?"))
		bad[len(bad)-1]++
		for _, p := range []frame.IPv4{
			tcpFrom(hostA, 78, y+1, frame.TCPRst, ""), tcpFrom(hostA, 78, 0, 0, prefixed("who?")), tcpFrom(hostA, 78, y+1, frame.TCPSyn|frame.TCPAck, ""), bad,
			tcpFrom(hostA, 78, y+1, frame.TCPAck, prefixed("who?")[:3]), tcpFrom(hostA, 78, y+1, frame.TCPAck, prefixed("who?")+"x"),
		} {
			a.sends(a.toGateway(hostA, p))
			if got := a.segments(hostA); len(got) != 0 {
				t.Errorf("% x is answered by % x", p, got)
			}
		}
		a.counts(map[counter]uint64{dropChecksum: 1, dropService: 2})
		a.sends(a.toGateway(hostA, tcpFrom(hostA, 78, y+1, frame.TCPAck, prefixed("nothing"))))
		if got := a.segments(hostA); len(got) != 1 || got[0].Flags() != frame.TCPRst|frame.TCPAck {
			t.Errorf("where there is no reply: % x", got)
		}
	}, func(c *Config) { c.DNS = &dnsFake{} })
}
