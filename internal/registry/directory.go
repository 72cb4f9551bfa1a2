package registry

import (
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"landbridge/internal/group"
)

// Location says who serves an address.
type Location struct {
	Member  group.MemberID
	Segment SegmentID
	Local   bool // on this node's own segment
}

// Status is what memory says about an address.
type Status uint8

const (
	Unknown Status = iota // ask Resolve
	Known
	Absent // leased to nobody, outside the prefix, or reserved
)

// view is what Lookup reads of one block: immutable, but for used.
type view struct {
	loc    Location
	own    bool    // we hold it: a clear bit means absent
	leased []byte  // bitmap
	six    []byte  // bitmap; nil: none has IPv6
	moved  []Moved // ascending
	used   atomic.Bool
}

// negatives remembers refusals in one block, as times on the monotonic clock.
type negatives struct {
	all  atomic.Int64
	each []atomic.Int64
}

// remote is what this node knows of a block of another. Guarded by Registry.mu.
type remote struct {
	rec    *Record
	raw    []byte
	heard  time.Duration // when its holder itself last said so; <0: never
	watch  time.Duration // until when the holder pushes to us
	next   chan struct{} // closed when a newer record comes
	asking bool
}

// directory is the lookup side.
type directory struct {
	views []atomic.Pointer[view]
	negs  []atomic.Pointer[negatives]

	remotes map[BlockID]*remote // guarded by Registry.mu

	flights   flights[netip.Addr, Location]
	lingering atomic.Int32 // consultations that nobody waits for any more
	asked     flights[string, nameAnswer]

	mu    sync.Mutex // guards names
	names map[[32]byte]nameAnswer
}

func newDirectory(blocks int) directory {
	return directory{
		views: make([]atomic.Pointer[view], blocks), negs: make([]atomic.Pointer[negatives], blocks),
		remotes: make(map[BlockID]*remote), names: make(map[[32]byte]nameAnswer),
	}
}

// Lookup answers from memory. It takes no lock and allocates nothing. Unknown
// means that only Resolve can tell.
func (r *Registry) Lookup(addr netip.Addr) (Location, Status) {
	b, off, ok := r.geo.split(addr)
	if !ok || r.geo.reserved(b, off) {
		return Location{}, Absent
	}
	if v := r.directory.views[b].Load(); v != nil {
		if bit(v.leased, off) {
			if !v.used.Load() {
				v.used.Store(true)
			}
			return v.at(off, r.id), Known
		}
		if v.own {
			return Location{}, Absent
		}
	}
	if n := r.directory.negs[b].Load(); n != nil {
		now := int64(r.clock.Mono())
		if now < n.all.Load() || now < n.each[off].Load() {
			return Location{}, Absent
		}
	}
	return Location{}, Unknown
}

// at returns the location of a leased offset.
func (v *view) at(off int, self group.MemberID) Location {
	lo, hi := 0, len(v.moved)
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		switch o := int(v.moved[mid].Offset); {
		case o == off:
			m := &v.moved[mid]
			return Location{Member: m.Member, Segment: m.Segment, Local: m.Member == self}
		case o < off:
			lo = mid + 1
		default:
			hi = mid
		}
	}
	return v.loc
}

// refreshView rebuilds what Lookup sees of a block. Called with mu held.
func (r *Registry) refreshView(b BlockID) {
	v := &view{}
	if old := r.directory.views[b].Load(); old != nil {
		v.used.Store(old.used.Load())
	}
	if blk := r.book.held[b]; blk != nil {
		rec := r.recordOf(blk)
		v.own, v.loc = true, Location{Member: r.id, Segment: r.segment, Local: true}
		v.leased, v.moved, v.six = rec.Leased, rec.Moved, rec.Six
		r.directory.views[b].Store(v)
		return
	}
	if rem := r.directory.remotes[b]; rem != nil {
		v.loc = Location{Member: rem.rec.Holder, Segment: rem.rec.Segment, Local: rem.rec.Holder == r.id}
		v.leased, v.moved, v.six = slices.Clone(rem.rec.Leased), slices.Clone(rem.rec.Moved), slices.Clone(rem.rec.Six)
	} else {
		v.leased = make([]byte, (r.geo.size()+7)/8)
	}
	mine := false
	for a, l := range r.book.foreign {
		if fb, off, _ := r.geo.split(a); fb == b && l.State == leaseLive {
			mine = true
			v.leased[off>>3] |= 1 << (off & 7)
			v.six = setBit(v.six, r.geo.size(), off, l.hasIPv6())
			v.moved = withMoved(v.moved, Moved{Offset: uint16(off), Member: r.id, Segment: r.segment})
		}
	}
	if r.directory.remotes[b] == nil && !mine {
		v = nil
	}
	r.directory.views[b].Store(v)
}

// withMoved sets one exception in an ordered list.
func withMoved(list []Moved, m Moved) []Moved {
	i, ok := slices.BinarySearchFunc(list, m.Offset, func(a Moved, o uint16) int { return int(a.Offset) - int(o) })
	if ok {
		list[i] = m
		return list
	}
	return slices.Insert(list, i, m)
}

// recordOf makes the record of a block of ours, without its number. Called with mu held.
func (r *Registry) recordOf(blk *block) *Record {
	rec := &Record{
		Group: r.group, Block: blk.Block, Holder: r.id, Epoch: blk.Epoch, Seq: blk.seq, Segment: r.segment,
		Leased: make([]byte, (len(blk.slots)+7)/8),
	}
	for off := range blk.slots {
		l := blk.slots[off].lease
		if m := blk.slots[off].tag; m.binds() {
			rec.Bound = append(rec.Bound, Binding{Offset: uint16(off), Client: m.Hash, ByMAC: m.ByMAC, Name: m.Name})
		}
		if l == nil || l.State != leaseLive && l.State != leaseAway {
			continue
		}
		rec.Leased[off>>3] |= 1 << (off & 7)
		rec.Six = setBit(rec.Six, len(blk.slots), off, l.hasIPv6())
		rec.Entries = append(rec.Entries, Entry{Offset: uint16(off), Client: l.Hash, Name: l.name(), Since: l.Start / int64(time.Second)})
		if l.State == leaseAway {
			rec.Moved = append(rec.Moved, Moved{Offset: uint16(off), Member: l.To, Segment: l.Segment})
		}
	}
	return rec
}

// deny remembers for a while that an address is absent; every address of its block
// with off < 0. Where the holder hasn't said so the while is short.
func (r *Registry) deny(b BlockID, off int, said word) {
	r.denyUntil(b, off, r.clock.Mono()+r.refusalLife(said))
}

// refusalLife is how long a refusal is remembered.
func (r *Registry) refusalLife(said word) time.Duration {
	if said == holdersWord {
		return r.pace.negative
	}
	return r.pace.unsure
}

func (r *Registry) denyUntil(b BlockID, off int, end time.Duration) {
	n := r.directory.negs[b].Load()
	if n == nil {
		n = &negatives{each: make([]atomic.Int64, r.geo.size())}
		if !r.directory.negs[b].CompareAndSwap(nil, n) {
			n = r.directory.negs[b].Load()
		}
	}
	until := int64(end)
	if off < 0 {
		n.all.Store(until)
		return
	}
	n.each[off].Store(until)
}

// undeny forgets refusals in a block of which something new is known.
func (r *Registry) undeny(b BlockID) { r.directory.negs[b].Store(nil) }

// absorb takes a record that arrived. Only a newer one, properly signed, changes
// anything. asked: its holder itself gave it in answer to a question, so that what it
// calls absent is absent now. It returns the newest record known.
func (r *Registry) absorb(raw []byte, asked bool) (*Record, error) {
	now := r.clock.Instant()
	rec, sr, err := parseRecord(r.codec, r.group, r.geo, raw)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	rem := r.directory.remotes[rec.Block]
	if rem != nil && !rec.newer(rem.rec) {
		if asked && slices.Equal(rem.raw, raw) {
			rem.heard = now.Mono
		}
		known := rem.rec
		r.mu.Unlock()
		return known, nil
	}
	r.mu.Unlock()
	if err := sr.verify(r.standing, rec, true, now.Wall); err != nil {
		return nil, err
	}
	r.mu.Lock()
	if blk := r.book.held[rec.Block]; blk != nil {
		r.mu.Unlock()
		if rec.Epoch > blk.Epoch { // signed by one who holds it later: we are fenced
			r.fence(rec.Block, blk.Epoch, "another member publishes it at a later epoch")
			return r.absorb(raw, asked)
		}
		return rec, nil
	}
	var newer chan struct{}
	rem = r.directory.remotes[rec.Block]
	if rem == nil {
		rem = &remote{heard: -time.Hour, next: make(chan struct{})}
		r.directory.remotes[rec.Block] = rem
	}
	if rec.newer(rem.rec) {
		if rem.rec != nil && rem.rec.Holder != rec.Holder {
			rem.watch, rem.heard = 0, -time.Hour
		}
		rem.rec, rem.raw = rec, raw
		newer = rem.next
		rem.next = make(chan struct{})
	}
	if asked {
		rem.heard = now.Mono
	}
	lost := r.contradicted(rec)
	r.refreshView(rec.Block)
	r.mu.Unlock()
	r.undeny(rec.Block)
	if newer != nil {
		close(newer)
		r.heardRecord(rec)
	}
	for _, l := range lost {
		r.spawn(func() { r.giveUp(l) })
	}
	r.subscribers.tell(Change{Kind: BlockSeen, Block: rec.Block})
	return rec, nil
}

// heardRecord forgets that nobody had the names in a record.
func (r *Registry) heardRecord(rec *Record) {
	var keys [][32]byte
	for _, e := range rec.Entries {
		if e.Name != "" {
			keys = append(keys, nameKey(r.group, e.Name))
		}
	}
	r.directory.heardOf(keys...)
}

// contradicted returns the leases served here that the holder's record gives to
// another member. Called with mu held.
func (r *Registry) contradicted(rec *Record) []*lease {
	var lost []*lease
	for a, l := range r.book.foreign {
		b, off, _ := r.geo.split(a)
		if b != rec.Block {
			continue
		}
		if e, ok := rec.entry(off); !ok || e.Client != l.Hash {
			lost = append(lost, l)
		} else if m, _ := rec.at(off); m != r.id {
			lost = append(lost, l)
		}
	}
	return lost
}

// giveUp drops a lease that its holder gave to another, unless it was won back.
func (r *Registry) giveUp(l *lease) {
	stripe := r.stripe(l.addr)
	stripe.Lock()
	defer stripe.Unlock()
	b, _, _ := r.geo.split(l.addr)
	r.mu.Lock()
	rem := r.directory.remotes[b]
	still := rem != nil && slices.Contains(r.contradicted(rem.rec), l)
	r.mu.Unlock()
	if !still {
		return
	}
	if err := r.dropForeign(l, false, r.whereTo(l)); err != nil {
		r.log.Error("lost lease not removed", "addr", l.addr, "err", err)
	}
}
