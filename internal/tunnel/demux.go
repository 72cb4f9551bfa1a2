package tunnel

import (
	"errors"
	"math/rand/v2"
	"net/netip"
	"sync"
	"time"
)

// A demux takes the datagrams that arrive at one socket to the peers they are for.
// All its methods but the clock belong to the one goroutine that reads the socket.
type demux struct {
	table  *indexTable
	start  time.Time
	counts counters
	write  func(*batch)

	mu      sync.Mutex // held while a batch is worked on; close of a tunnel waits on it
	now     time.Duration
	out     *batch  // relayed datagrams on their way
	touched []*peer // peers with packets in this batch
}

func newDemux(b *batch, write func(*batch)) *demux {
	return &demux{
		table: newIndexTable(rand.Uint32),
		start: time.Now(),
		out:   b, write: write,
		touched: make([]*peer, 0, batchSize),
	}
}

// clock returns the time since an arbitrary moment before the socket was opened;
// it is never zero.
func (d *demux) clock() time.Duration { return time.Since(d.start) + time.Second }

// receive works through a batch of arrived datagrams, which it overwrites, and
// hands each sender's packets on together.
func (d *demux) receive(arrived []datagram) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.now = d.clock()
	d.counts.add(DatagramsIn, len(arrived))
	for _, dg := range arrived {
		d.open(dg.data, dg.addr, nil)
	}
	for i, p := range d.touched {
		p.deliver(d.now)
		d.touched[i] = nil
	}
	d.touched = d.touched[:0]
	if d.out.n > 0 {
		d.write(d.out)
	}
}

// open opens one datagram. It came from an address, or in the envelope of a relay.
func (d *demux) open(b []byte, from netip.AddrPort, via *peer) {
	index, counter, ok := parseHeader(b)
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
	plaintext, err := in.open(b, counter)
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
	switch {
	case isPacket(plaintext):
		if len(p.arrivals) == 0 {
			d.touched = append(d.touched, p)
		}
		p.arrivals = append(p.arrivals, plaintext)
	case plaintext[0] == msgForward:
		p.tunnel.forward(d, p, plaintext, via)
	case plaintext[0] == msgForwarded:
		d.unwrap(p, plaintext, via)
	default:
		p.control(in.session, plaintext, from, via)
	}
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
