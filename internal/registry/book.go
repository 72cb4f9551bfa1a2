package registry

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"landbridge/internal/group"
	"landbridge/internal/store"
)

// quarantine is how long a declined address rests.
const quarantine = 10 * time.Minute

// lease is an address in memory. until is when, on the monotonic clock, its state
// ends (with the grace): a live one is kept then, for the hold time, a declined,
// moved or kept one free.
type lease struct {
	leaseRow
	addr  netip.Addr
	alias string // what an operator calls the host; empty: what it calls itself
	until time.Duration
	// confirmed: for an address in another's block, when its holder last agreed.
	confirmed Instant
	hinted    time.Duration // of a lease of ours, when a commit last sent its hints; 0: none has
}

func (l *lease) live(now time.Duration) bool { return l.State == leaseLive && now < l.until }
func (l *lease) taken(now time.Duration) bool {
	return l.State != leaseKept && now < l.until
}

// awaited reports a lease taken over with its block, whose client may yet come
// back: one lease time long nobody else gets the address.
func (l *lease) awaited(now time.Duration) bool {
	return l.State == leaseKept && len(l.Client) == 0 && now < l.until
}

// slot is one offset of a block that we hold.
type slot struct {
	lease    *lease
	tag      *tag
	reserved string  // client ID of an offer that stands until
	mac      [6]byte // of that client
	until    time.Duration
}

// freeFor reports whether a new lease may be made for client.
func (s *slot) freeFor(client string, now time.Duration) bool {
	if s.lease != nil && s.lease.taken(now) {
		return false
	}
	return s.reserved == client || now >= s.until
}

// block is a hold in memory. Guarded by Registry.mu.
type block struct {
	hold
	slots    []slot
	gone     bool // fenced or released: no more use
	watchers map[group.MemberID]time.Duration
	seq      uint64
}

// book is all that this node holds and serves. Guarded by Registry.mu.
type book struct {
	held    map[BlockID]*block
	foreign map[netip.Addr]*lease     // served here, in blocks of others
	evicted map[netip.Addr]*lease     // of those, whose client must ask anew: no more served
	clients map[string]netip.Addr     // client ID -> its lease here, live or kept
	hosts   map[[6]byte]netip.Addr    // MAC -> the lease here that was made last for it; perhaps over
	offers  map[string]netip.Addr     // client ID -> its reservation
	taken   map[BlockID]time.Duration // refused to us: not to be tried before
	found   map[string]netip.Addr     // client ID -> live lease elsewhere, as a hint said and its record confirmed
	silent  map[string]time.Duration  // client ID -> until when what others have leased it isn't offered, as its holder didn't answer
	orphans map[BlockID]time.Duration // perhaps ours by the register, though not held: not to be tried before
	bound   map[clientHash]netip.Addr // reservations in the blocks held

	newcomers newcomers
	claims    newcomers                     // of blocks in which hosts were found
	guests    map[group.MemberID]*newcomers // of hosts that other members have found
	shortage  error                         // of the last attempt to claim a block; nil: it was won
}

func newBook() book {
	return book{
		held: make(map[BlockID]*block), foreign: make(map[netip.Addr]*lease), evicted: make(map[netip.Addr]*lease), clients: make(map[string]netip.Addr), hosts: make(map[[6]byte]netip.Addr),
		offers: make(map[string]netip.Addr), found: make(map[string]netip.Addr), taken: make(map[BlockID]time.Duration),
		silent:  make(map[string]time.Duration),
		orphans: make(map[BlockID]time.Duration), newcomers: newNewcomers(), claims: newClaims(),
		guests: make(map[group.MemberID]*newcomers), bound: make(map[clientHash]netip.Addr),
	}
}

func newBlock(h hold, size int) *block {
	return &block{hold: h, slots: make([]slot, size), watchers: make(map[group.MemberID]time.Duration), seq: h.SeqCeil}
}

// load reads the state file into memory, at Open.
func (r *Registry) load() error {
	t, err := r.terms()
	if err != nil {
		return err
	}
	now := r.clock.Instant()
	redated := make(map[BlockID]acceptorState)
	err = r.store.View(func(tx *store.Tx) error {
		var failed error
		for key, h := range r.tables.holds.Scan(tx, nil, &failed) {
			if b := rowBlock(key); t.valid(b) {
				h.rebase(now)
				r.book.held[b] = newBlock(h, t.size())
			}
		}
		if failed != nil {
			return failed
		}
		if err := errors.Join(r.loadTags(tx), r.loadAliases(tx)); err != nil {
			return err
		}
		r.history.n.Store(int64(r.tables.history.Len(tx)))
		for key, row := range r.tables.leases.Scan(tx, nil, &failed) {
			if a, ok := netip.AddrFromSlice(key); ok {
				r.loadLease(a, row, now, t)
			}
		}
		if failed != nil {
			return failed
		}
		for key, s := range r.tables.acceptors.Scan(tx, nil, &failed) {
			if s, fresh := r.replica.recall(rowBlock(key), s, now); fresh && !s.Value.free() {
				redated[rowBlock(key)] = s
			}
		}
		if failed != nil {
			return failed
		}
		for b := range r.book.held {
			r.refreshView(b)
		}
		for a := range r.book.foreign {
			b, _, _ := t.split(a)
			r.refreshView(b)
		}
		return nil
	})
	if err != nil || len(redated) == 0 {
		return err
	}
	return r.store.Update(func(tx *store.Tx) error { // so that the time counts over restarts in this boot
		for b, s := range redated {
			if err := r.tables.acceptors.Put(tx, rowKey(b), s); err != nil {
				return err
			}
		}
		return nil
	})
}

// loadLease puts one row back. Over a reboot nobody knows how much time passed, so
// its whole life starts again: a lease may be kept too long, never too short.
func (r *Registry) loadLease(a netip.Addr, row leaseRow, now Instant, t *terms) {
	l := &lease{leaseRow: row, addr: a, until: now.Mono + row.Life}
	if row.Boot == now.Boot {
		l.until = row.Mono + row.Life
	} else {
		l.SixAt = now.Mono
	}
	b, off, ok := t.split(a)
	if !ok {
		return
	}
	if !row.Holder.IsZero() && row.State == leaseKept {
		r.book.evicted[a] = l
		return
	}
	if !row.Holder.IsZero() {
		l.confirmed = row.Confirmed.instant()
		r.book.foreign[a] = l
		r.meet(l)
		return
	}
	if blk := r.book.held[b]; blk != nil && blk.Epoch == row.Epoch {
		blk.slots[off].lease = l
		l.alias = blk.slots[off].tag.alias(l)
		if len(row.Client) > 0 && (row.State == leaseLive || row.State == leaseKept) {
			r.meet(l)
		}
	}
}

// meet notes whose a lease is that is here from now on. Called with mu held, or at Open.
func (r *Registry) meet(l *lease) {
	r.book.clients[string(l.Client)] = l.addr
	if was := r.leaseAt(r.book.hosts[l.MAC]); was == nil || was.MAC != l.MAC || was.State != leaseLive || was.Start <= l.Start {
		r.book.hosts[l.MAC] = l.addr
	}
}

// part forgets whose a lease was that isn't here any more. Called with mu held.
func (r *Registry) part(l *lease) {
	if len(l.Client) > 0 && r.book.clients[string(l.Client)] == l.addr {
		delete(r.book.clients, string(l.Client))
	}
	if r.book.hosts[l.MAC] == l.addr {
		delete(r.book.hosts, l.MAC)
	}
}

// seqStep is how many records a hold may publish between two writes of SeqCeil.
const seqStep = 1 << 16

// install makes a won block ours: durably first, then in memory. What the record of
// a silent predecessor lists stays leased to those clients, where they are, for one
// more lease time.
func (r *Registry) install(b BlockID, g Grant, started Instant, rec *Record) (*block, error) {
	t, err := r.terms()
	if err != nil {
		return nil, err
	}
	h := hold{Block: b, Epoch: g.Epoch, SeqCeil: seqStep}
	h.setRenewed(started)
	now := r.clock.Instant()
	blk := newBlock(h, t.size())
	blk.seq = 0
	var rows []*lease
	var tags []*tag
	if rec != nil {
		rows, tags = inheritLeases(t, rec, g, now), inheritTags(t, rec, now)
	}
	err = r.write(func(tx *store.Tx) error {
		for _, l := range rows {
			if err := r.tables.leases.Put(tx, addrKey(l.addr), l.leaseRow); err != nil {
				return err
			}
		}
		for _, m := range tags {
			if err := r.tables.tags.Put(tx, addrKey(m.addr), m.tagRow); err != nil {
				return err
			}
		}
		return r.tables.holds.Put(tx, rowKey(b), h)
	})
	if err != nil {
		return nil, fmt.Errorf("block %d: %w", b, err)
	}
	r.mu.Lock()
	for _, m := range tags {
		_, off, _ := t.split(m.addr)
		r.setTag(&blk.slots[off], m)
	}
	for _, l := range rows {
		_, off, _ := t.split(l.addr)
		blk.slots[off].lease = l
		delete(r.book.foreign, l.addr)
	}
	r.book.held[b] = blk
	r.refreshView(b)
	r.mu.Unlock()
	r.publisher.mark(b)
	r.subscribers.tell(Change{Kind: BlockGained, Block: b})
	return blk, nil
}

// inheritLeases turns a predecessor's record into rows: each address stays away,
// with the member that served it.
func inheritLeases(t *terms, rec *Record, g Grant, now Instant) []*lease {
	var rows []*lease
	for _, e := range rec.Entries {
		if t.reserved(rec.Block, int(e.Offset)) {
			continue
		}
		member, segment := rec.at(int(e.Offset))
		lasts := max(t.leaseTime, t.boundTime) // who served it may not have heard of another yet
		life := lasts + leaseGrace(lasts)
		l := &lease{addr: t.addr(rec.Block, int(e.Offset)), until: now.Mono + life, leaseRow: leaseRow{
			State: leaseAway, Hash: e.Client, Name: e.Name, Start: e.Since * int64(time.Second),
			End: now.Wall.Add(lasts).UnixNano(), Boot: now.Boot, Mono: now.Mono, Life: life,
			To: member, Segment: segment, Epoch: g.Epoch,
			Family: sixBeside(bit(rec.Six, int(e.Offset))), SixAt: now.Mono,
		}}
		if member == g.Holder { // we served it by a move: now it is simply ours
			l.State, l.To, l.Segment = leaseKept, group.MemberID{}, SegmentID{}
		}
		rows = append(rows, l)
	}
	return rows
}

// renewed writes a hold's new time.
func (r *Registry) renewed(blk *block, started Instant) error {
	r.mu.Lock()
	h := blk.hold
	h.setRenewed(started)
	gone := blk.gone
	r.mu.Unlock()
	if gone {
		return ErrNotHolder
	}
	if err := r.putHold(h); err != nil {
		return err
	}
	r.mu.Lock()
	blk.setRenewed(started)
	r.mu.Unlock()
	return nil
}

// putHold overwrites a hold's row, unless it was fenced meanwhile.
func (r *Registry) putHold(h hold) error {
	return r.write(func(tx *store.Tx) error {
		was, ok, err := r.tables.holds.Get(tx, rowKey(h.Block))
		switch {
		case err != nil:
			return err
		case !ok || was.Epoch != h.Epoch:
			return ErrNotHolder
		}
		h.SeqCeil = max(h.SeqCeil, was.SeqCeil)
		return r.tables.holds.Put(tx, rowKey(h.Block), h)
	})
}

// fence stops serving a block, at once in memory and then on disk.
func (r *Registry) fence(b BlockID, epoch uint64, why string) {
	r.mu.Lock()
	blk := r.book.held[b]
	if blk == nil || blk.Epoch != epoch {
		r.mu.Unlock()
		return
	}
	lost := r.losses(blk, why)
	r.drop(blk)
	r.mu.Unlock()
	r.counts.fenced.Add(1)
	r.log.Warn("block lost: addresses leased in it are no longer served here", "block", b, "epoch", epoch, "why", why)
	if err := r.forget(b, epoch, lost...); err != nil {
		r.log.Error("lost block not removed from the state file", "block", b, "err", err)
	}
	r.subscribers.tell(Change{Kind: BlockLost, Block: b})
	for _, h := range lost {
		r.happened(h)
	}
}

// drop takes a block out of memory. Called with mu held.
func (r *Registry) drop(blk *block) {
	blk.gone = true
	delete(r.book.held, blk.Block)
	for i := range blk.slots {
		if l := blk.slots[i].lease; l != nil {
			r.part(l)
		}
		r.setTag(&blk.slots[i], nil)
	}
	r.directory.views[blk.Block].Store(nil)
	r.refreshView(blk.Block)
}

// losses are what becomes of the leases in a block that is lost. Called with mu held.
func (r *Registry) losses(blk *block, why string) (all []Happening) {
	for i := range blk.slots {
		if l := blk.slots[i].lease; l != nil && l.live(r.clock.Mono()) {
			h := r.happens(Lost, l)
			h.Why = why
			all = append(all, h)
		}
	}
	return all
}

// forget removes a block's rows, if they are still of that epoch.
func (r *Registry) forget(b BlockID, epoch uint64, lost ...Happening) error {
	return r.write(func(tx *store.Tx) error {
		h, ok, err := r.tables.holds.Get(tx, rowKey(b))
		if err != nil || !ok || h.Epoch != epoch {
			return err
		}
		for off := range r.geo.size() {
			key := addrKey(r.geo.addr(b, off))
			row, ok, err := r.tables.leases.Get(tx, key)
			if err := errors.Join(err, r.tables.tags.Delete(tx, key)); err != nil {
				return err
			}
			if ok && row.Holder.IsZero() {
				if err := r.tables.leases.Delete(tx, key); err != nil {
					return err
				}
			}
		}
		if err := r.journal(tx, lost...); err != nil {
			return err
		}
		return r.tables.holds.Delete(tx, rowKey(b))
	})
}

// putLease writes a row, with what has happened to the lease. In our own block it does so if
// the hold still stands on disk: a fenced block can't be written any more.
func (r *Registry) putLease(l *lease, old netip.Addr, h Happening) error {
	b, _, _ := r.geo.split(l.addr)
	return r.write(func(tx *store.Tx) error {
		if l.Holder.IsZero() {
			h, ok, err := r.tables.holds.Get(tx, rowKey(b))
			if err != nil {
				return err
			}
			if !ok || h.Epoch != l.Epoch {
				return ErrNotOurs
			}
		}
		if old.IsValid() && old != l.addr {
			if err := r.tables.leases.Delete(tx, addrKey(old)); err != nil {
				return err
			}
		}
		if err := r.dropTag(tx, l); err != nil {
			return err
		}
		return errors.Join(r.journal(tx, h), r.tables.leases.Put(tx, addrKey(l.addr), l.leaseRow))
	})
}
