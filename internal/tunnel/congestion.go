package tunnel

import (
	"net/netip"
	"time"

	"landbridge/internal/codel"
	"landbridge/internal/frame"
)

// inflow is the data that comes from a peer, and the queue before it. It belongs to the
// reader of the socket, and lives as long as both ends' clocks are known to run on: keys
// that renew others share theirs.
type inflow struct {
	queue codel.Queue
	from  netip.AddrPort // the way that data came last
	via   *peer
}

// relieve notes a data datagram with the body that was in it, and reports whether it is to
// be dropped: the queue on the way has stood for long, and the body's transport takes
// a loss as the sign to send less. One that understands ECN is marked instead.
func (f *inflow) relieve(p *peer, sent codel.Stamp, now time.Duration, body []byte, from netip.AddrPort, via *peer) bool {
	if f.from != from || f.via != via {
		f.queue.Restart()
		f.from, f.via = from, via
	}
	if p.tunnel.demux.behind {
		f.queue.Late()
		return false
	}
	var roundTrip time.Duration
	if r := p.route.Load(); r != nil {
		roundTrip = r.roundTrip
	}
	if !f.queue.Arrived(sent, now, len(body), roundTrip) {
		return false
	}
	dropped := false
	switch {
	case frame.MarkCE(body):
		p.tunnel.counts.add(CongestionMarked, 1)
	case frame.Bulk(body):
		dropped = true
		p.tunnel.counts.add(CongestionDropped, 1)
	default:
		return false // the next may be one
	}
	f.queue.Signalled(now)
	return dropped
}
