package tunnel

import (
	"errors"
	"math/rand/v2"
	"net/netip"
	"sync"
	"time"

	"landbridge/internal/frame"
)

// A demux takes the datagrams that arrive at one socket to the peers they are for.
// All its methods but the clock belong to the reader, that is, to the loop's thread that
// reads the socket.
type demux struct {
	table  *indexTable
	start  time.Time
	counts counters
	write  func(*batch)

	mu       sync.Mutex // held while a batch is worked on; close of a tunnel waits on it
	now      time.Duration
	behind   bool   // see receive
	out      *batch // relayed datagrams on their way
	joiner   *frame.Joiner
	arrivals []arrivals // who sent the packets in the joiner
}

// arrivals are packets of one peer, up to those of the next.
type arrivals struct {
	peer  *peer
	first int // among the joiner's packets
}

// joinerSize is what may have arrived before it is handed on, in bytes.
const joinerSize = 256 << 10

func newDemux(b *batch, write func(*batch)) *demux {
	return &demux{
		table: newIndexTable(rand.Uint32),
		start: time.Now(),
		out:   b, write: write,
		joiner:   frame.NewJoiner(joinerSize),
		arrivals: make([]arrivals, 0, maxSegments),
	}
}

// clock returns the time since an arbitrary moment before the socket was opened;
// it is never zero.
func (d *demux) clock() time.Duration { return time.Since(d.start) + time.Second }

// receive works through a batch of arrived datagrams, which it overwrites, and
// hands each sender's packets on together. If behind, more had arrived than were taken: they
// may have waited for us rather than on their way.
func (d *demux) receive(arrived []datagram, behind bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.behind = behind
	d.now = d.clock()
	d.counts.add(DatagramsIn, len(arrived))
	for _, dg := range arrived {
		d.open(dg.data, dg.addr, nil)
	}
	d.deliver()
	if d.out.n > 0 {
		d.write(d.out)
	}
}

// open opens one datagram. It came from an address, or in the envelope of a relay.
func (d *demux) open(b []byte, from netip.AddrPort, via *peer) {
	lead, index, counter, ok := parseHeader(b)
	if !ok {
		d.counts.add(BadHeader, 1)
		return
	}
	in := d.table.find(index)
	if in == nil {
		d.counts.add(UnknownIndex, 1)
		return
	}
	p := in.peer
	if via != nil && via.tunnel != p.tunnel {
		p.tunnel.counts.add(BadRelayed, 1)
		return
	}
	dst := b[headerSize:]
	if lead.kind() == typeData {
		dst = d.room(p, len(b)-sealOverhead)
	}
	plaintext, err := in.open(dst, b, counter)
	if err != nil {
		reason := Forged
		if errors.Is(err, errReplayed) {
			reason = Replayed
		}
		p.tunnel.counts.add(reason, 1)
		return
	}
	if !in.confirmed.Load() {
		p.confirm(in)
	}
	p.arrived(from, via, d.now)
	if len(p.shelf.kept) > 0 && via == nil {
		p.tunnel.redeliver(d, p, from)
	}
	switch {
	case lead.kind() == typeData:
		if in.inflow.relieve(p, lead.stamp(), d.now, plaintext, from, via) {
			return
		}
		if d.joiner.Take(plaintext) != nil {
			p.tunnel.counts.add(BadBody, 1)
			return
		}
		p.rx.add(1, len(plaintext)-trailerSize)
	case plaintext[0] == msgForward:
		p.tunnel.forward(d, p, plaintext, via)
	case plaintext[0] == msgForwarded:
		d.unwrap(p, plaintext, via)
	default:
		p.control(in.session, plaintext, from, via)
	}
}

// room is where a body of n bytes from a peer is to be opened.
func (d *demux) room(p *peer, n int) []byte {
	d.turnTo(p)
	room := d.joiner.Room(n)
	if room == nil {
		d.deliver()
		d.turnTo(p)
		room = d.joiner.Room(n)
	}
	return room
}

// turnTo notes who sent what goes into the joiner next.
func (d *demux) turnTo(p *peer) {
	if last := len(d.arrivals) - 1; last >= 0 && d.arrivals[last].peer == p {
		return
	}
	d.joiner.End()
	d.joiner.JoinTCP, d.joiner.JoinUDP = p.tunnel.cfg.JoinTCP, p.tunnel.cfg.JoinUDP
	d.arrivals = append(d.arrivals, arrivals{p, d.joiner.Len()})
}

// deliver hands on what is in the joiner, a sender at a time.
func (d *demux) deliver() {
	pkts := d.joiner.Packets()
	for i := range d.arrivals {
		a, end := &d.arrivals[i], len(pkts)
		if i+1 < len(d.arrivals) {
			end = d.arrivals[i+1].first
		}
		if a.first < end {
			a.peer.deliver(d.now, pkts[a.first:end])
		}
		a.peer = nil
	}
	d.arrivals = d.arrivals[:0]
	d.joiner.Reset()
}

// unwrap opens the datagram that a relay has handed us.
func (d *demux) unwrap(relay *peer, envelope []byte, via *peer) {
	_, inner, err := parseEnvelope(envelope)
	if err != nil || via != nil {
		relay.tunnel.counts.add(BadRelayed, 1)
		return
	}
	d.open(inner, netip.AddrPort{}, relay)
}
