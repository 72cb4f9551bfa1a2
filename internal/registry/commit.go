package registry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"landbridge/internal/group"
	"landbridge/internal/store"
)

// Commit leases addr to the client, or renews its lease: on disk before it
// returns. New leases need a valid hold on the block; renewals go on without, until
// the block is fenced. An address in another member's block is taken over from it
// when this client is its lessee there: the client moved.
//
// ErrNotOurs and ErrTaken mean NAK; ErrUnsure, that the holder could not be asked.
// group.ErrRemoved, ErrForgetful: this member renews nothing either.
func (r *Registry) Commit(ctx context.Context, c Client, addr netip.Addr) (Lease, error) {
	if err := c.check(); err != nil {
		return Lease{}, err
	}
	b, off, ok := r.geo.split(addr)
	if !ok || r.geo.reserved(b, off) {
		return Lease{}, ErrNotOurs
	}
	if err := r.awaitReady(ctx); err != nil {
		return Lease{}, err
	}
	if err := r.inGroup(); err != nil {
		return Lease{}, err
	}
	if err := r.makeWay(c, addr); err != nil {
		return Lease{}, err
	}
	if err := r.leaveExcluded(ctx, c, addr); err != nil {
		return Lease{}, err
	}
	stripe := r.stripe(addr)
	stripe.Lock()
	defer stripe.Unlock()
	r.mu.Lock()
	evicted := r.evicted(c, addr)
	elsewhere := r.book.found[string(c.ID)]
	blk := r.book.held[b]
	moved := r.book.foreign[addr]
	r.mu.Unlock()
	if elsewhere.IsValid() && elsewhere != addr {
		r.mu.Lock()
		delete(r.book.found, string(c.ID)) // once: a client that insists gets its way
		known := r.book.clients[string(c.ID)] == addr
		r.mu.Unlock()
		if !known && r.lesseeOf(ctx, c, elsewhere) {
			r.remember(c, elsewhere)
			return Lease{}, fmt.Errorf("the client has %v at another site: %w", elsewhere, ErrNotOurs)
		}
	}
	switch {
	case blk != nil:
		return r.commitOwn(blk, off, c, addr)
	case evicted != nil:
		return Lease{}, evicted
	case moved != nil && bytes.Equal(moved.Client, c.ID):
		return r.renewForeign(ctx, moved, c)
	case moved.asks(c): // its holder knows it by another ID
		return r.takeOver(ctx, c, addr, moveAdopt)
	}
	lease, err := r.takeOver(ctx, c, addr, moveTake)
	if errors.Is(err, ErrUnsure) {
		r.unanswered(c)
	}
	return lease, err
}

// unanswered has the next Offers to the client name an address of ours: the holder of the one that it asked for
// can't be asked, perhaps for as long as its hold lasts. A client that asks anew uses none any more.
func (r *Registry) unanswered(c Client) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.book.silent) >= maxFound {
		clear(r.book.silent)
	}
	r.book.silent[string(c.ID)] = r.clock.Mono() + r.pace.reserve
	delete(r.book.found, string(c.ID))
}

// remember makes the next Offer to the client name addr.
func (r *Registry) remember(c Client, addr netip.Addr) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.book.found) < maxFound {
		r.book.found[string(c.ID)] = addr
	}
}

// maxFound bounds what hints can make us remember.
const maxFound = 4096

// commitOwn leases or renews in a block of ours. The caller has the stripe.
func (r *Registry) commitOwn(blk *block, off int, c Client, addr netip.Addr) (Lease, error) {
	t, err := r.terms()
	if err != nil {
		return Lease{}, err
	}
	now := r.clock.Instant()
	r.mu.Lock()
	old, fresh, err := r.mayCommit(blk, off, c, now, t)
	if known := blk.slots[off].reserved == string(c.ID) || old != nil && old.Hash == hashClient(r.group, c.ID); err == nil && fresh && !known {
		err = r.admit(c, now)
	}
	if err != nil {
		r.mu.Unlock()
		return Lease{}, err
	}
	// The reservation keeps others away while the row is written.
	s := &blk.slots[off]
	s.reserved, s.until, s.mac = string(c.ID), now.Mono+r.pace.reserve, [6]byte{}
	copy(s.mac[:], c.MAC)
	l := r.newLease(c, addr, now, t.leaseWithin(now, blk.renewed()))
	l.Epoch = blk.Epoch
	l.alias = s.tag.alias(l)
	l.ask(old, c.IPv6, now, t.leaseTime)
	if old != nil && old.Hash == l.Hash && old.State != leaseKept {
		l.Start = old.Start
	}
	stale := r.staleAddr(c, addr)
	h := r.happens(committed(old, l, fresh), l)
	again := h.Act == Renewed && old.name() == l.name() && old.hasIPv6() == l.hasIPv6()
	hinted := again && old.hinted > 0 && now.Mono-old.hinted < t.leaseTime/4 // they are kept for twice that time at least
	if l.hinted = now.Mono; hinted {
		l.hinted = old.hinted
	}
	r.mu.Unlock()

	if err := r.putLease(l, stale, h); err != nil {
		return Lease{}, fmt.Errorf("lease %v: %w", addr, err)
	}

	r.mu.Lock()
	end := r.clock.Instant()
	if blk.gone || fresh && !blk.valid(end, t.holdTime) {
		r.mu.Unlock()
		return Lease{}, fmt.Errorf("lease %v: the block was lost: %w", addr, ErrNotOurs)
	}
	l.until += end.Mono - now.Mono // the client counts from our answer
	r.settle(blk, off, l, stale)
	before := old
	r.mu.Unlock()
	if before != nil && before.State == leaseAway && !before.To.IsZero() && before.To != r.id {
		r.publisher.alsoTo(blk.Block, before.To) // it must stop serving the client
	}
	if again {
		r.announceAgain(blk.Block, l, hinted)
	} else {
		r.announce(blk.Block, l)
	}
	r.happened(h)
	r.counts.commits.Add(1)
	return r.public(l), nil
}

// mayCommit decides, with mu held, whether client may have the slot. fresh: it is a
// new lease, which needs a valid hold.
func (r *Registry) mayCommit(blk *block, off int, c Client, now Instant, t *terms) (old *lease, fresh bool, err error) {
	if blk.gone {
		return nil, false, ErrNotOurs
	}
	s := &blk.slots[off]
	if s.tag.keepsFrom(r, c) {
		return nil, false, ErrTaken
	}
	if err := r.evicted(c, r.geo.addr(blk.Block, off)); err != nil {
		return nil, false, err
	}
	hash := hashClient(r.group, c.ID)
	free := s.freeFor(string(c.ID), now.Mono)
	if isFound(c.ID) {
		free = s.freeForFound(string(c.ID), now.Mono)
	}
	free = free || s.lease.asks(c) && s.lease.live(now.Mono)
	if l := s.lease; l != nil && l.taken(now.Mono) && !free {
		switch {
		case l.State == leaseLive && bytes.Equal(l.Client, c.ID):
			return l, false, nil
		case l.State == leaseAway && l.Hash == hash: // it came back
			return l, false, nil
		}
		return nil, false, ErrTaken
	}
	if l := s.lease; l != nil && l.awaited(now.Mono) && l.Hash != hash {
		return nil, false, ErrTaken
	}
	if !free {
		return nil, false, ErrTaken
	}
	if a, ok := r.book.clients[string(c.ID)]; ok && a != r.geo.addr(blk.Block, off) {
		if l := r.leaseAt(a); l != nil && l.live(now.Mono) {
			return nil, false, fmt.Errorf("the client has %v here: %w", a, ErrNotOurs)
		}
	}
	if !blk.valid(now, t.holdTime) {
		return nil, false, fmt.Errorf("the hold on the block has run out: %w", ErrNotOurs)
	}
	return s.lease, true, nil
}

// newLease makes a lease that lasts so long.
func (r *Registry) newLease(c Client, addr netip.Addr, now Instant, lasts time.Duration) *lease {
	l := &lease{addr: addr, leaseRow: leaseRow{
		State: leaseLive, Client: bytes.Clone(c.ID), Hash: hashClient(r.group, c.ID), Name: cleanName(c.Name),
		Start: now.Wall.UnixNano(), End: now.Wall.Add(lasts).UnixNano(),
		Boot: now.Boot, Mono: now.Mono, Life: lasts + leaseGrace(lasts),
	}}
	copy(l.MAC[:], c.MAC)
	l.until = now.Mono + l.Life
	return l
}

// staleAddr returns the address that the client had here before, if its row can go.
// Called with mu held.
func (r *Registry) staleAddr(c Client, addr netip.Addr) netip.Addr {
	a, ok := r.book.clients[string(c.ID)]
	if !ok || a == addr {
		return netip.Addr{}
	}
	if l := r.leaseAt(a); l == nil || l.State != leaseKept || !bytes.Equal(l.Client, c.ID) {
		return netip.Addr{}
	}
	return a
}

// settle puts a written lease into memory. Called with mu held.
func (r *Registry) settle(blk *block, off int, l *lease, stale netip.Addr) {
	if stale.IsValid() {
		b, o, _ := r.geo.split(stale)
		if other := r.book.held[b]; other != nil && other.slots[o].lease != nil && other.slots[o].lease.State == leaseKept {
			other.slots[o].lease = nil
		}
	}
	s := &blk.slots[off]
	if old := s.lease; old != nil && (old.MAC != l.MAC || !bytes.Equal(old.Client, l.Client)) {
		r.part(old)
	}
	seen := s.lease != nil && s.lease.State == leaseLive && s.lease.hasIPv6() == l.hasIPv6()
	s.lease, s.reserved, s.until = l, "", 0
	if !s.tag.binds() && !s.tag.of(l) {
		r.setTag(s, nil)
	}
	delete(r.book.offers, string(l.Client))
	r.meet(l)
	if !seen { // else Lookup says the same as before
		r.refreshView(blk.Block)
	}
}

// Release ends the client's lease; the address is remembered for its return. A
// lease that isn't the client's is left alone, with ErrNotOurs.
func (r *Registry) Release(ctx context.Context, c Client, addr netip.Addr) error {
	if err := r.awaitReady(ctx); err != nil {
		return err
	}
	stripe := r.stripe(addr)
	stripe.Lock()
	defer stripe.Unlock()
	r.mu.Lock()
	l := r.leaseAt(addr)
	if l == nil || l.State != leaseLive || !bytes.Equal(l.Client, c.ID) {
		r.mu.Unlock()
		return ErrNotOurs
	}
	foreign := r.book.foreign[addr] == l
	r.mu.Unlock()
	if foreign {
		return r.dropForeign(l, true, r.happens(Released, l))
	}
	return r.end(l, r.happens(Released, l))
}

// end turns a live lease of ours into one that is remembered for the hold time. The
// caller has the stripe.
func (r *Registry) end(l *lease, h Happening) error {
	return r.endAs(l, l, h)
}

// endAs is end where what is remembered is that of last.
func (r *Registry) endAs(l, last *lease, h Happening) error {
	t, err := r.terms()
	if err != nil {
		return err
	}
	now := r.clock.Instant()
	kept := *last
	kept.State = leaseKept
	kept.Boot, kept.Mono, kept.Life, kept.until = now.Boot, now.Mono, t.holdTime, now.Mono+t.holdTime
	if len(kept.Client) == 0 { // nobody to wait for
		kept.Life, kept.until = 0, 0
	}
	kept.To, kept.Segment = group.MemberID{}, SegmentID{}
	if l.State != leaseLive {
		h = Happening{} // another member served it, or nobody
	}
	return r.replace(l, &kept, h)
}

// dropKept forgets a client that has been away for so long. The caller has the stripe.
func (r *Registry) dropKept(l *lease) error {
	err := r.write(func(tx *store.Tx) error {
		row, ok, err := r.tables.leases.Get(tx, addrKey(l.addr))
		if err != nil || !ok || row.State != leaseKept || !row.Holder.IsZero() {
			return err
		}
		return errors.Join(r.dropTag(tx, &lease{addr: l.addr}), r.tables.leases.Delete(tx, addrKey(l.addr)))
	})
	if err != nil {
		return fmt.Errorf("lease %v: %w", l.addr, err)
	}
	b, off, _ := r.geo.split(l.addr)
	r.mu.Lock()
	defer r.mu.Unlock()
	if blk := r.book.held[b]; blk != nil && blk.slots[off].lease == l {
		blk.slots[off].lease = nil
		if s := &blk.slots[off]; !s.tag.binds() {
			r.setTag(s, nil)
		}
		r.part(l)
		r.refreshView(b)
	}
	return nil
}

// replace swaps a lease of ours for its successor, on disk and then in memory. The
// caller has the stripe.
func (r *Registry) replace(old, next *lease, h Happening) error {
	if err := r.putLease(next, netip.Addr{}, h); err != nil {
		return fmt.Errorf("lease %v: %w", old.addr, err)
	}
	b, off, _ := r.geo.split(old.addr)
	r.mu.Lock()
	blk := r.book.held[b]
	if blk != nil && blk.slots[off].lease == old {
		blk.slots[off].lease = next
		r.refreshView(b)
	}
	r.mu.Unlock()
	r.announce(b, next)
	r.happened(h)
	return nil
}

// Decline takes an address that a stranger uses out of service for a while. It
// ends a lease there: its client said so.
func (r *Registry) Decline(ctx context.Context, addr netip.Addr) error {
	if err := r.awaitReady(ctx); err != nil {
		return err
	}
	t, err := r.terms()
	if err != nil {
		return err
	}
	b, off, ok := r.geo.split(addr)
	if !ok || r.geo.reserved(b, off) {
		return ErrNotOurs
	}
	stripe := r.stripe(addr)
	stripe.Lock()
	defer stripe.Unlock()
	r.mu.Lock()
	blk, foreign := r.book.held[b], r.book.foreign[addr]
	if blk == nil {
		r.mu.Unlock()
		if foreign != nil {
			return r.dropForeign(foreign, true, r.happens(Declined, foreign))
		}
		return ErrNotOurs
	}
	now := r.clock.Instant()
	l := r.newLease(Client{ID: []byte{0}}, addr, now, t.leaseTime)
	l.State, l.Client, l.Hash, l.Epoch, l.Life = leaseDeclined, nil, clientHash{}, blk.Epoch, quarantine
	l.until = now.Mono + quarantine
	old := blk.slots[off].lease
	var h Happening
	if old != nil && old.live(now.Mono) {
		h = r.happens(Declined, old)
	}
	r.mu.Unlock()
	if err := r.putLease(l, netip.Addr{}, h); err != nil {
		return fmt.Errorf("decline %v: %w", addr, err)
	}
	r.mu.Lock()
	if old != nil {
		r.part(old)
	}
	if client := blk.slots[off].reserved; client != "" {
		r.unreserve(addr, client)
	}
	blk.slots[off].lease = l
	r.refreshView(b)
	r.mu.Unlock()
	r.announce(b, l)
	r.happened(h)
	return nil
}
