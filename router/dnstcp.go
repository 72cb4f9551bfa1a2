package router

import (
	"bytes"
	"context"
	"encoding/binary"
	"hash/maphash"
	"net/netip"

	"landbridge/internal/frame"
)

// DNS over TCP (RFC 7766) without a TCP stack: nothing is kept of a connection, so that none can
// be used up.
//
//	host                                    service address, port 53
//	SYN, seq x                 ->
//	                           <-           SYN ACK, seq y, which is made of the host's address, port and x
//	ACK y+1                    ->           nothing
//	query, seq x+1, ACK y+1    ->           y is as it was made: the host has heard it, and this is the beginning
//	                           <-           answer from y+1 on, FIN
//	FIN, seq n                 ->
//	                           <-           ACK n+1
//
// A query is one segment, as resolvers send it; one connection gets one answer. A query that is
// sent again is answered again. Of a longer answer a segment that is lost isn't sent again, and the host asks anew:
// it is on this segment, where little is lost. What was never offered (SACK, scaling, timestamps) isn't used.
type dnsTCP struct{ seed maphash.Seed }

const (
	dnsTCPWindow  = 8192 // more than any query
	dnsTCPSegment = 1220 // bytes of an answer in one, at most
	dnsTCPQuery   = 4096
)

// number is the sequence number with which the service begins its side of a connection.
func (d dnsTCP) number(from netip.AddrPort, seq uint32) uint32 {
	return uint32(maphash.Comparable(d.seed, struct {
		from netip.AddrPort
		seq  uint32
	}{from, seq}))
}

// takeDNSByTCP answers a segment to port 53 of the service address.
func (r *Router) takeDNSByTCP(b *batch, p dnsPeers, segment []byte) {
	t, err := frame.ParseTCP(segment)
	if err != nil || !t.ChecksumOK(p.host, p.us) {
		r.counters.add(dropChecksum, 1)
		return
	}
	from, us := netip.AddrPortFrom(p.host, t.SrcPort()), netip.AddrPortFrom(p.us, portDNS)
	answer := func(f frame.TCPFields) {
		b.writeBuilt(frame.AppendTCP(b.roomFor(p.mac, frame.IPHeaderLen(p.host)+frame.TCPHeaderLen+4, p.host), us, from, f, nil))
	}
	flags, data := t.Flags(), t.Payload()
	switch {
	case flags&frame.TCPRst != 0:
	case flags&frame.TCPSyn != 0:
		if flags&frame.TCPAck == 0 {
			answer(frame.TCPFields{Seq: r.byTCP.number(from, t.Seq()), Ack: t.Seq() + 1, Flags: frame.TCPSyn | frame.TCPAck, Window: dnsTCPWindow, MSS: dnsTCPSegment})
		}
	case flags&frame.TCPAck == 0:
	case len(data) > 0 && t.Ack() == r.byTCP.number(from, t.Seq()-1)+1:
		r.askByTCP(p, t)
	case flags&frame.TCPFin != 0:
		answer(frame.TCPFields{Seq: t.Ack(), Ack: t.Seq() + uint32(len(data)) + 1, Flags: frame.TCPAck, Window: dnsTCPWindow})
	case len(data) > 0: // a second query, or of a connection that never was one
		answer(frame.TCPFields{Seq: t.Ack(), Flags: frame.TCPRst})
	}
}

// askByTCP hands the first segment of a connection, which is a query, to the handler. One that isn't whole is
// left: its sender sends it again, with what follows.
func (r *Router) askByTCP(p dnsPeers, t frame.TCP) {
	data := t.Payload()
	if len(data) < 2 || len(data) > dnsTCPQuery || int(binary.BigEndian.Uint16(data))+2 != len(data) {
		r.counters.add(dropService, 1)
		return
	}
	if r.jobs.dns.Add(1) > dnsQueries {
		r.jobs.dns.Add(-1)
		r.counters.add(dropBusy, 1)
		return
	}
	r.counters.add(dnsHandled, 1)
	query, room := bytes.Clone(data[2:]), int(t.Window())
	from := netip.AddrPortFrom(p.host, t.SrcPort())
	begin := frame.TCPFields{Seq: t.Ack(), Ack: t.Seq() + uint32(len(data)), Flags: frame.TCPAck, Window: dnsTCPWindow}
	started := r.jobs.start(func(ctx context.Context) {
		defer r.jobs.dns.Add(-1)
		ctx, cancel := context.WithTimeout(ctx, dnsTimeout)
		defer cancel()
		r.answerByTCP(p, from, begin, r.dns.Handle(ctx, p.asker, query, false), room)
	})
	if !started {
		r.jobs.dns.Add(-1)
		r.counters.add(dropClosed, 1)
	}
}

// answerByTCP sends a reply, at most what the host has room for, and ends the connection: by a
// reset where there is no reply, or no room.
func (r *Router) answerByTCP(p dnsPeers, to netip.AddrPort, f frame.TCPFields, reply []byte, room int) {
	us := netip.AddrPortFrom(p.us, portDNS)
	b := r.borrow()
	defer r.giveBack(b)
	send := func(payload []byte) {
		size := frame.IPHeaderLen(p.host) + frame.TCPHeaderLen + len(payload)
		b.writeBuilt(frame.AppendTCP(b.roomFor(p.mac, size, p.host), us, to, f, payload))
		f.Seq += uint32(len(payload))
	}
	if len(reply) == 0 || len(reply)+2 > room {
		f.Flags = frame.TCPRst | frame.TCPAck
		send(nil)
		return
	}
	reply = append(binary.BigEndian.AppendUint16(nil, uint16(len(reply))), reply...)
	most := min(dnsTCPSegment, r.linkMTU-frame.IPHeaderLen(p.host)-frame.TCPHeaderLen)
	for len(reply) > most {
		send(reply[:most])
		reply = reply[most:]
	}
	f.Flags |= frame.TCPFin
	send(reply)
}
