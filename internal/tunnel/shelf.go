package tunnel

import (
	"bytes"
	"net/netip"
	"time"
)

// What a relay keeps for a member whose channel is down a moment.
const (
	shelfAfter  = 600 * time.Millisecond // of silence beyond two round trips, that of a probe and of the one before: two are unanswered then
	shelfFor    = 5 * time.Second        // of silence
	shelfLife   = 2 * time.Second        // of a datagram; what it carries was sent again by then, or is of no use
	shelfBytes  = 128 << 10              // for one member
	shelvesFull = 1 << 20                // for all of a group
)

// A shelf keeps datagrams for a member that a relay doesn't reach at the moment, and delivers
// them when it is heard again. What was kept may have arrived all the same, as
// the way back alone was cut: the member drops what it has had, as any replay. The shelf belongs to the reader
// of the socket.
type shelf struct {
	was   *route        // the last direct one
	owing time.Duration // since when was owes an answer to what was forwarded; zero: never forwarded
	kept  []keptDatagram
	bytes int
	purge *time.Timer // while something is kept
}

type keptDatagram struct {
	at       time.Duration
	envelope []byte // as it goes out
}

// silence returns for how long nothing has come from a member to whom something is to be
// forwarded by r, or nil where it can't be: since it owes an answer, or since it was heard last.
func (s *shelf) silence(r *route, now time.Duration) time.Duration {
	if r == nil {
		if s.was == nil {
			return never
		}
		return now - time.Duration(s.was.heard.Load())
	}
	heard := time.Duration(r.heard.Load())
	if s.was = r; s.owing == 0 || heard >= s.owing {
		s.owing = now
	}
	return now - s.owing
}

// keep puts a copy of an envelope for dst on its shelf, unless it is silent for too long or all
// shelves are full. The oldest make room.
func (t *Tunnel) keep(d *demux, dst *peer, envelope []byte, silence time.Duration) {
	s := &dst.shelf
	if silence > shelfFor || t.shelved+len(envelope) > shelvesFull {
		return
	}
	for len(s.kept) > 0 && (s.bytes+len(envelope) > shelfBytes || d.now-s.kept[0].at > shelfLife) {
		t.unshelve(s, 1)
		t.counts.add(RelayKeptLost, 1)
	}
	s.kept = append(s.kept, keptDatagram{d.now, bytes.Clone(envelope)})
	s.bytes += len(envelope)
	t.shelved += len(envelope)
	t.counts.add(RelayKept, 1)
	if s.purge == nil {
		s.purge = time.AfterFunc(shelfFor, func() {
			d.mu.Lock()
			defer d.mu.Unlock()
			t.counts.add(RelayKeptLost, len(s.kept))
			t.clear(s)
		})
	}
}

// redeliver sends what was kept for a member that is heard again, from an address.
func (t *Tunnel) redeliver(d *demux, dst *peer, from netip.AddrPort) {
	r := dst.route.Load()
	if r == nil || r.via != nil || r.addr != from {
		return // not yet: where it is now, its path has yet to show
	}
	s := &dst.shelf
	for _, k := range s.kept {
		if d.now-k.at > shelfLife || !t.pass(d, r, k.envelope) {
			t.counts.add(RelayKeptLost, 1)
			continue
		}
		t.counts.add(RelayKeptSent, 1)
	}
	t.clear(s)
}

// unshelve takes the n oldest off a shelf.
func (t *Tunnel) unshelve(s *shelf, n int) {
	for _, k := range s.kept[:n] {
		s.bytes -= len(k.envelope)
		t.shelved -= len(k.envelope)
	}
	clear(s.kept[:n])
	s.kept = s.kept[n:]
}

func (t *Tunnel) clear(s *shelf) {
	t.unshelve(s, len(s.kept))
	s.kept = nil
	if s.purge != nil {
		s.purge.Stop()
		s.purge = nil
	}
}
