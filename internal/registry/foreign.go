package registry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"

	"landbridge/internal/group"
	"landbridge/internal/store"
)

// takeOver asks the holder of addr's block to sign the address over to this
// segment, because its lessee is here now. It refuses only on the word of the holder,
// or on a record that names another lessee; else it is unsure. The caller has the
// stripe.
func (r *Registry) takeOver(ctx context.Context, c Client, addr netip.Addr, what moveKind) (Lease, error) {
	t, err := r.terms()
	if err != nil {
		return Lease{}, err
	}
	b, off, _ := r.geo.split(addr)
	ctx, cancel := context.WithTimeout(ctx, r.pace.move)
	defer cancel()
	rec := r.consult(ctx, b)
	if rec == nil || rec.Holder == r.id {
		return Lease{}, fmt.Errorf("%v: no member that holds its block was found: %w", addr, ErrUnsure)
	}
	started := r.clock.Instant()
	hash := hashClient(r.group, c.ID)
	a, err := r.call(ctx, t, rec.Holder, request{Kind: kindMove, Block: b, Move: &moveRequest{
		Kind: what, Offset: uint16(off), Client: hash, Segment: r.segment, Name: cleanName(c.Name), Six: c.IPv6 || r.hasForeignIPv6(addr),
	}})
	unsure := ErrUnsure
	if e, ok := rec.entry(off); ok && e.Client != hash {
		unsure = ErrNotOurs
	}
	switch {
	case err != nil:
		return Lease{}, fmt.Errorf("%v: ask member %s: %v: %w", addr, rec.Holder.Short(), err, unsure)
	case a.Status == statusRefused:
		return Lease{}, fmt.Errorf("%v: refused by member %s: %w", addr, rec.Holder.Short(), ErrNotOurs)
	case a.Status != statusOK:
		return Lease{}, fmt.Errorf("%v: member %s can't tell: %w", addr, rec.Holder.Short(), unsure)
	}
	agreed, err := r.absorb(a.Record, true)
	if err != nil {
		return Lease{}, fmt.Errorf("%v: %v: %w", addr, err, unsure)
	}
	if m, _ := agreed.at(off); m != r.id || !agreed.leased(off) {
		return Lease{}, fmt.Errorf("%v: member %s signed it over to another: %w", addr, rec.Holder.Short(), ErrNotOurs)
	}
	return r.serveForeign(c, addr, agreed.Holder, started, t)
}

// hasForeignIPv6 reports whether a host has taken the IPv6 address that goes with one of another member's block.
func (r *Registry) hasForeignIPv6(addr netip.Addr) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.book.foreign[addr].hasIPv6()
}

// serveForeign writes and remembers a lease in another member's block.
func (r *Registry) serveForeign(c Client, addr netip.Addr, holder group.MemberID, confirmed Instant, t *terms) (Lease, error) {
	now := r.clock.Instant()
	l := r.newLease(c, addr, now, t.leaseWithin(now, confirmed))
	l.Holder, l.Confirmed, l.confirmed = holder, stampOf(confirmed), confirmed
	r.mu.Lock()
	old := r.book.foreign[addr]
	if old != nil {
		l.Start = old.Start
	}
	if l.ask(old, c.IPv6, now, t.leaseTime); old == nil { // where it was before, it may have asked by both
		b, off, _ := r.geo.split(addr)
		if rem := r.directory.remotes[b]; rem != nil && (c.IPv6 || bit(rem.rec.Six, off)) {
			l.Family, l.SixAt = byBoth, now.Mono
		}
	}
	stale := r.staleAddr(c, addr)
	h := r.happens(servedNow(old, l), l)
	r.mu.Unlock()
	if err := r.putLease(l, stale, h); err != nil {
		return Lease{}, fmt.Errorf("lease %v: %w", addr, err)
	}
	b, _, _ := r.geo.split(addr)
	r.mu.Lock()
	l.until += r.clock.Mono() - now.Mono
	r.book.foreign[addr] = l
	delete(r.book.evicted, addr)
	if old != nil && (old.MAC != l.MAC || !bytes.Equal(old.Client, c.ID)) {
		r.part(old)
	}
	if offer, ok := r.book.offers[string(c.ID)]; ok {
		r.unreserve(offer, string(c.ID))
	}
	r.meet(l)
	r.refreshView(b)
	r.mu.Unlock()
	r.announce(b, l)
	r.happened(h)
	r.counts.commits.Add(1)
	return r.public(l), nil
}

// renewForeign renews at once on the holder's earlier word and asks for a new one
// in the background. A word older than the hold time, or from before a reboot, counts
// no more.
func (r *Registry) renewForeign(ctx context.Context, l *lease, c Client) (Lease, error) {
	t, err := r.terms()
	if err != nil {
		return Lease{}, err
	}
	now := r.clock.Instant()
	if most, known := now.since(l.confirmed); !known || most >= t.holdTime || now.Boot != l.confirmed.Boot {
		return r.takeOver(ctx, c, l.addr, moveKeep)
	}
	renewed, err := r.serveForeign(c, l.addr, l.Holder, l.confirmed, t)
	if err == nil {
		r.spawn(func() { r.confirm(l.addr) })
	}
	return renewed, err
}

// confirm asks the holder whether an address that we serve is still ours to serve.
func (r *Registry) confirm(addr netip.Addr) {
	t, err := r.terms()
	if err != nil {
		return
	}
	r.mu.Lock()
	l := r.book.foreign[addr]
	r.mu.Unlock()
	if l == nil {
		return
	}
	ctx, cancel := context.WithTimeout(r.ctx, r.pace.move)
	defer cancel()
	b, off, _ := r.geo.split(addr)
	holder := l.Holder
	if rec := r.consult(ctx, b); rec != nil {
		holder = rec.Holder // the block may have an heir
	}
	started := r.clock.Instant()
	a, err := r.call(ctx, t, holder, request{Kind: kindMove, Block: b, Move: &moveRequest{
		Kind: moveKeep, Offset: uint16(off), Client: l.Hash, Segment: r.segment, Name: l.Name, Six: l.hasIPv6(),
	}})
	if err != nil {
		return // away: what it said before holds for the hold time
	}
	stripe := r.stripe(addr)
	stripe.Lock()
	defer stripe.Unlock()
	r.mu.Lock()
	current := r.book.foreign[addr]
	r.mu.Unlock()
	if current == nil || current.Hash != l.Hash {
		return
	}
	if a.Status == statusRefused {
		r.log.Info("lease lost: its holder signed it over to another", "addr", addr, "holder", holder.Short())
		if err := r.dropForeign(current, false, r.whereTo(current)); err != nil {
			r.log.Error("lost lease not removed", "addr", addr, "err", err)
		}
		return
	}
	if a.Status != statusOK {
		return
	}
	next := *current
	next.Holder, next.Confirmed, next.confirmed = holder, stampOf(started), started
	if err := r.putLease(&next, netip.Addr{}, Happening{}); err != nil {
		r.log.Error("lease not written", "addr", addr, "err", err)
		return
	}
	r.mu.Lock()
	if r.book.foreign[addr] == current {
		r.book.foreign[addr] = &next
	}
	r.mu.Unlock()
}

// dropForeign stops serving an address of another's block; report tells its holder
// that it is free. Where h says that the client was evicted, that is remembered. The caller
// has the stripe.
func (r *Registry) dropForeign(l *lease, report bool, h Happening) error {
	evicted, err := r.evictedFrom(l)
	if err != nil {
		return err
	}
	err = r.write(func(tx *store.Tx) error {
		row, ok, err := r.tables.leases.Get(tx, addrKey(l.addr))
		if err != nil || !ok || row.Holder.IsZero() {
			return err
		}
		if h.Act == Evicted {
			return errors.Join(r.journal(tx, h), r.tables.leases.Put(tx, addrKey(l.addr), evicted.leaseRow))
		}
		return errors.Join(r.journal(tx, h), r.tables.leases.Delete(tx, addrKey(l.addr)))
	})
	if err != nil {
		return fmt.Errorf("lease %v: %w", l.addr, err)
	}
	b, off, _ := r.geo.split(l.addr)
	r.mu.Lock()
	if cur := r.book.foreign[l.addr]; cur != nil && cur.Hash == l.Hash {
		delete(r.book.foreign, l.addr)
		if h.Act == Evicted {
			r.book.evicted[l.addr] = evicted
		}
		r.part(l)
		r.refreshView(b)
	}
	r.mu.Unlock()
	r.subscribers.tell(Change{Kind: LeaseChanged, Block: b, Addr: l.addr})
	r.happened(h)
	if !report {
		return nil
	}
	r.spawn(func() {
		t, err := r.terms()
		if err != nil {
			return
		}
		ctx, cancel := context.WithTimeout(r.ctx, r.pace.move)
		defer cancel()
		a, err := r.call(ctx, t, l.Holder, request{Kind: kindMove, Block: b, Move: &moveRequest{
			Kind: moveGone, Offset: uint16(off), Client: l.Hash,
		}})
		if err == nil && a.Status == statusOK {
			_, _ = r.absorb(a.Record, true) // only to be up to date sooner
		}
	})
	return nil
}

// move is the holder's side: it signs an address over to the member that asks, if
// the client is its lessee.
func (r *Registry) move(t *terms, from group.MemberID, q request) reply {
	m := q.Move
	if !t.valid(q.Block) || int(m.Offset) >= t.size() || from == r.id {
		return reply{Status: statusRefused}
	}
	addr := t.addr(q.Block, int(m.Offset))
	stripe := r.stripe(addr)
	stripe.Lock()
	defer stripe.Unlock()
	now := r.clock.Instant()
	r.mu.Lock()
	blk := r.book.held[q.Block]
	if blk == nil {
		r.mu.Unlock()
		return reply{Status: statusUnknown}
	}
	old := blk.slots[m.Offset].lease
	r.mu.Unlock()
	if m.Kind == moveAdopt && (old == nil || old.To != from || old.Hash != m.Client) {
		return r.adopted(q.Block, r.adoptFor(t, blk, int(m.Offset), from, m, now))
	}
	if old == nil || !old.taken(now.Mono) || old.Hash != m.Client || old.State == leaseDeclined {
		return reply{Status: statusRefused}
	}
	var err error
	switch {
	case m.Kind != moveTake && old.To != from:
		return reply{Status: statusRefused} // it has moved on since
	case m.Kind == moveGone:
		err = r.end(old, Happening{})
	default:
		err = r.signOver(t, old, from, m, now)
	}
	if err != nil {
		if !errors.Is(err, ErrNotOurs) {
			r.log.Error("address not signed over", "addr", addr, "err", err)
		}
		return reply{Status: statusUnknown}
	}
	raw, err := r.currentRecord(q.Block)
	if err != nil {
		return reply{Status: statusUnknown}
	}
	return reply{Record: raw}
}

// signOver makes a lease one that from serves.
func (r *Registry) signOver(t *terms, old *lease, from group.MemberID, m *moveRequest, now Instant) error {
	next := *old
	next.State, next.To, next.Segment = leaseAway, from, m.Segment
	next.Client, next.MAC = nil, [6]byte{}
	next.Family, next.SixAt = sixBeside(m.Six || m.Kind != moveKeep && old.hasIPv6()), now.Mono
	if name := cleanName(m.Name); name != "" {
		next.Name = name
	}
	next.Boot, next.Mono, next.Life = now.Boot, now.Mono, t.lapse()
	next.until = now.Mono + next.Life
	b, _, _ := r.geo.split(old.addr)
	if old.To != from && !old.To.IsZero() {
		r.publisher.alsoTo(b, old.To)
	}
	r.mu.Lock()
	r.part(old)
	r.mu.Unlock()
	r.counts.moves.Add(1)
	var h Happening
	if old.State == leaseLive {
		h = r.happens(MovedAway, old)
		h.To = from
	}
	return r.replace(old, &next, h)
}
