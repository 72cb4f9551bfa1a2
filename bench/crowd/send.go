package crowd

import (
	"io"
	"net/netip"

	"landbridge/bench/load"
	"landbridge/internal/frame"
	"landbridge/internal/group"
)

// Flood searches the rate at which datagrams get from the first n members, one of each in
// turn, to the hub's leased address; the hub's sink answers on control.
func (c *Crowd) Flood(control io.ReadWriter, n int, hub netip.Addr, plan load.Plan) (load.Rates, error) {
	s := &sender{hub: c.members[0].authority()}
	payload := make([]byte, plan.Size)
	for _, m := range c.members[:n] {
		packet := frame.Packet{Buf: make([]byte, frame.Headroom, frame.Headroom+frame.IPv4HeaderLen+frame.UDPHeaderLen+plan.Size+frame.Tailroom)}
		packet.Buf = frame.AppendUDP(packet.Buf, netip.AddrPortFrom(m.addr, c.port), netip.AddrPortFrom(hub, c.port), payload)
		packet.Trusted, packet.Partial = true, true // the receiving end's kernel believes its payload
		s.ends = append(s.ends, end{m, []frame.Packet{packet}, append([]byte(nil), packet.Buf...)})
	}
	return load.SearchBy(s, control, plan)
}

// sender is load.Sender for members.
type sender struct {
	hub  group.MemberID
	ends []end
	next int
}

// end is a member with its one packet, which sending uses up, and what it is made of again.
type end struct {
	member *member
	packet []frame.Packet
	master []byte
}

// Mark is load.Sender's.
func (s *sender) Mark(trial [8]byte) {
	for _, e := range s.ends {
		copy(e.master[frame.Headroom+frame.IPv4HeaderLen+frame.UDPHeaderLen:], trial[:])
	}
}

// Send is load.Sender's. What waits for a session, or for room in the kernel, is as good as sent.
func (s *sender) Send(n int) (int, error) {
	for range n {
		e := &s.ends[s.next]
		copy(e.packet[0].Buf, e.master)
		e.member.tunnel.Send(s.hub, e.packet)
		s.next = (s.next + 1) % len(s.ends)
	}
	return n, nil
}
