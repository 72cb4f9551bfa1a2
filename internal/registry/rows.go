package registry

import (
	"iter"
	"net/netip"
	"time"

	"landbridge/internal/group"
)

// RowState is what an address is, to an operator.
type RowState uint8

// The states of a Row.
const (
	RowLeased   RowState = 1 + iota // a host has it
	RowReserved                     // for a host that hasn't it now
	RowExpired                      // over; kept for its host's return
	RowDeclined                     // a stranger answers there: in quarantine
)

// Row is an address as an operator sees it. Of an address that another member serves only
// what its block's record says is known: address, name, member, segment and start.
type Row struct {
	Lease
	State    RowState
	Holder   group.MemberID // of the block
	HostName string         // what the host calls itself, where an operator calls it otherwise
	Note     string
	Reserved bool      // it is reserved, leased now or not
	ByMAC    bool      // for the host with the MAC, whatever ID it sends
	Changed  time.Time // the last change that is known here; renewals count
}

// who names a row's host in a sentence.
func (w Row) who() string {
	switch {
	case w.Name != "" && w.MAC != [6]byte{}:
		return w.Name + " (" + macText(w.MAC) + ")"
	case w.Name != "":
		return w.Name
	case w.MAC != [6]byte{}:
		return macText(w.MAC)
	}
	return "another host"
}

// Rows yields the addresses that there is something to say about: those of the blocks held
// here, and those served here, and with elsewhere those of other members as far as their
// records are known. It locks one block at a time: leases come and go meanwhile. The loop may
// call other methods.
func (r *Registry) Rows(elsewhere bool) iter.Seq[Row] {
	return func(yield func(Row) bool) {
		r.mu.Lock()
		blocks := r.blocksHeld()
		var rest []Row
		now := r.clock.Instant()
		for _, l := range r.book.foreign {
			if l.live(now.Mono) {
				w := r.row(&slot{lease: l}, now)
				w.Holder = l.Holder
				rest = append(rest, w)
			}
		}
		r.mu.Unlock()
		var some []Row
		for _, blk := range blocks {
			some = some[:0]
			r.mu.Lock()
			for off := range blk.slots {
				s := &blk.slots[off]
				if blk.gone || s.lease == nil && s.tag == nil {
					continue
				}
				if w := r.row(s, now); w.State != 0 && (elsewhere || w.Member == r.id) {
					some = append(some, w)
				}
			}
			r.mu.Unlock()
			for _, w := range some {
				if !yield(w) {
					return
				}
			}
		}
		for _, w := range rest {
			if !yield(w) {
				return
			}
		}
		if elsewhere {
			r.remoteRows(yield)
		}
	}
}

// remoteRows yields what the records of other members' blocks say of those that others serve.
func (r *Registry) remoteRows(yield func(Row) bool) {
	r.mu.Lock()
	recs := make([]*Record, 0, len(r.directory.remotes))
	for b, rem := range r.directory.remotes {
		if rem.rec != nil && r.book.held[b] == nil {
			recs = append(recs, rem.rec)
		}
	}
	r.mu.Unlock()
	for _, rec := range recs {
		for _, e := range rec.Entries {
			w := Row{State: RowLeased, Holder: rec.Holder, Lease: Lease{Addr: r.geo.addr(rec.Block, int(e.Offset)), Name: e.Name, Start: time.Unix(e.Since, 0), IPv6: bit(rec.Six, int(e.Offset))}}
			w.Member, w.Segment = rec.at(int(e.Offset))
			w.Changed = w.Start
			if w.Member != r.id && !yield(w) {
				return
			}
		}
	}
}

// row describes a slot; its State is 0 where there is nothing to say. Called with mu held.
func (r *Registry) row(s *slot, now Instant) (w Row) {
	l, m := s.lease, s.tag
	switch {
	case l == nil:
	case l.State == leaseLive && l.live(now.Mono):
		w.State = RowLeased
	case l.State == leaseAway && l.taken(now.Mono):
		w.State = RowLeased
	case l.State == leaseDeclined && l.taken(now.Mono):
		w.State = RowDeclined
	case l.State == leaseKept:
		w.State = RowExpired
	}
	if w.State != 0 {
		w.Lease = r.public(l)
		if l.alias != "" && l.alias != l.Name {
			w.HostName = l.Name
		}
		if l.State == leaseAway {
			w.Member, w.Segment = l.To, l.Segment
		}
		w.Changed = w.Start
		if l.Boot == now.Boot {
			w.Changed = now.Wall.Add(l.Mono - now.Mono)
		}
	}
	if m.binds() && (w.State == 0 || w.State == RowExpired) {
		w = Row{State: RowReserved, Lease: m.lease(r), Changed: time.Unix(0, m.At)}
	}
	w.Holder = r.id
	if m != nil && w.State != RowDeclined {
		w.Reserved, w.ByMAC, w.Note = m.Bound, m.ByMAC, m.Note
		if !m.Bound && (l == nil || !m.of(l)) {
			w.Note = ""
		}
	}
	return w
}

// Row returns the row of one address, here or elsewhere as far as it is known.
func (r *Registry) Row(a netip.Addr) (Row, bool) {
	b, off, ok := r.geo.split(a)
	if !ok {
		return Row{}, false
	}
	r.mu.Lock()
	now := r.clock.Instant()
	if blk := r.book.held[b]; blk != nil {
		w := r.row(&blk.slots[off], now)
		r.mu.Unlock()
		return w, w.State != 0
	}
	if l := r.book.foreign[a]; l != nil && l.live(now.Mono) {
		w := r.row(&slot{lease: l}, now)
		w.Holder = l.Holder
		r.mu.Unlock()
		return w, true
	}
	r.mu.Unlock()
	var found Row
	r.remoteRows(func(w Row) bool {
		if w.Addr == a {
			found = w
		}
		return found.State == 0
	})
	return found, found.State != 0
}
