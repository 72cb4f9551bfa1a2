package registry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"landbridge/internal/group"
)

// foundType begins the ID of a client that was found with its address, and asked for
// none: RFC 2132 section 9.14 keeps type 0 for what is no hardware address.
const foundType = "\x00found"

// foundClient is the host with mac that uses addr. Each of its addresses has a client of
// its own: a host may have several.
func foundClient(mac [6]byte, addr netip.Addr) Client {
	a := addr.As4()
	return Client{ID: append(append([]byte(foundType), mac[:]...), a[:]...), MAC: mac[:]}
}

// Found reports whether a lease is that of a host which was found with its address (Adopt).
func (l Lease) Found() bool { return isFound(l.Client) }

// Served returns the live lease of addr, if it is served here.
func (r *Registry) Served(addr netip.Addr) (Lease, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if l := r.leaseAt(addr); l != nil && l.live(r.clock.Mono()) {
		return r.public(l), true
	}
	return Lease{}, false
}

// foundAt returns the address in a block of ours with which a client was found before it
// asked for one. Called with mu held.
func (r *Registry) foundAt(c Client, now Instant) (addr netip.Addr) {
	for _, blk := range r.book.held {
		for i := range blk.slots {
			if l := blk.slots[i].lease; l.asks(c) && l.live(now.Mono) && (!addr.IsValid() || l.addr.Less(addr)) {
				addr = l.addr
			}
		}
	}
	return addr
}

// asks reports that a client asks for the address with which it was found: what it had been
// leased so is its own.
func (l *lease) asks(c Client) bool {
	return l != nil && isFound(l.Client) && !isFound(c.ID) && bytes.Equal(l.MAC[:], c.MAC)
}

func isFound(id []byte) bool { return bytes.HasPrefix(id, []byte(foundType)) }

// Adopt leases addr to the host with mac, which uses it without having asked for it, or
// renews that lease. Where the address lies in a free block, the block is claimed; where in
// another member's, that member is asked to sign it over. It is on disk before Adopt returns,
// and ends with the group's lease time unless it is adopted again.
//
// ErrTaken, ErrNotOurs: the address is another's, or nobody's to have. ErrUnsure, ErrNoQuorum:
// who could tell can't be reached now. ErrShare: this member holds as many blocks as it may.
// ErrTooManyNew: too many hosts are new, or too many blocks would be claimed for them. A host
// that has moved here with its lease is none of Adopt's business.
func (r *Registry) Adopt(ctx context.Context, mac [6]byte, addr netip.Addr) (Lease, error) {
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
	c := foundClient(mac, addr)
	stripe := r.stripe(addr)
	stripe.Lock()
	defer stripe.Unlock()
	r.mu.Lock()
	evicted := r.evicted(c, addr)
	blk, moved := r.book.held[b], r.book.foreign[addr]
	away := blk != nil && blk.slots[off].lease != nil && blk.slots[off].lease.State == leaseAway && blk.slots[off].lease.taken(r.clock.Mono())
	r.mu.Unlock()
	switch {
	case away: // another member serves it
		return Lease{}, ErrTaken
	case blk != nil:
		return r.commitOwn(blk, off, c, addr)
	case evicted != nil:
		return Lease{}, evicted
	case moved != nil && bytes.Equal(moved.Client, c.ID):
		return r.renewForeign(ctx, moved, c)
	case moved != nil:
		return Lease{}, ErrTaken
	}
	if rec := r.consult(ctx, b); rec != nil && rec.Holder != r.id {
		return r.takeOver(ctx, c, addr, moveAdopt)
	}
	blk, err := r.claimFor(ctx, b)
	if err != nil {
		return Lease{}, fmt.Errorf("adopt %v: %w", addr, err)
	}
	return r.commitOwn(blk, off, c, addr)
}

// claimFor claims the block in which a host was found.
func (r *Registry) claimFor(ctx context.Context, b BlockID) (*block, error) {
	t, err := r.terms()
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	held, may := len(r.book.held), r.book.claims.take(r.clock.Mono())
	r.mu.Unlock()
	switch {
	case held >= t.share():
		return nil, ErrShare
	case !may:
		return nil, fmt.Errorf("too many blocks were claimed for hosts with addresses of their own: %w", ErrTooManyNew)
	}
	ctx, cancel := context.WithTimeout(ctx, 4*r.pace.phase)
	defer cancel()
	blk, err := r.obtain(ctx, b, opClaim)
	if errors.Is(err, ErrTaken) { // by a member that can't be asked
		err = fmt.Errorf("%w: %w", ErrUnsure, err)
	}
	return blk, err
}

// newClaims bounds the blocks that are claimed for found hosts: a hostile one could show up
// with addresses all over the prefix.
func newClaims() newcomers { return newcomers{burst: 8, every: time.Minute} }

// freeForFound is freeFor where a host is known to use the address: that is what a declined
// address waits for.
func (s *slot) freeForFound(client string, now time.Duration) bool {
	if l := s.lease; l != nil && l.taken(now) && l.State != leaseDeclined {
		return false
	}
	return s.reserved == client || now >= s.until
}

// adoptFor is the holder's side of Adopt by another member: the address becomes one that
// from serves, if it is free. The caller has the stripe.
func (r *Registry) adoptFor(t *terms, blk *block, off int, from group.MemberID, m *moveRequest, now Instant) error {
	addr := t.addr(blk.Block, off)
	r.mu.Lock()
	s := &blk.slots[off]
	old := s.lease
	switch {
	case blk.gone, !blk.valid(now, t.holdTime):
		r.mu.Unlock()
		return ErrUnsure
	case t.reserved(blk.Block, off), s.tag.binds(), !s.freeForFound("", now.Mono) && (old == nil || old.To != from), old != nil && old.awaited(now.Mono) && old.Hash != m.Client:
		r.mu.Unlock()
		return ErrTaken
	}
	if old == nil || old.To != from || !old.taken(now.Mono) { // else it has the address already
		if err := r.host(from, blk, now.Mono); err != nil {
			r.mu.Unlock()
			return err
		}
	}
	s.reserved, s.until = foundType, now.Mono+r.pace.reserve // nobody else's while the row is written
	r.mu.Unlock()

	l := r.newLease(Client{Name: m.Name}, addr, now, t.leaseTime)
	l.State, l.Client, l.Hash, l.MAC = leaseAway, nil, m.Client, [6]byte{}
	l.To, l.Segment, l.Epoch, l.Life = from, m.Segment, blk.Epoch, t.lapse()
	l.until = now.Mono + l.Life
	err := r.putLease(l, netip.Addr{}, Happening{})

	r.mu.Lock()
	if s.reserved == foundType {
		s.reserved, s.until = "", 0
	}
	if err == nil && blk.gone {
		err = ErrNotOurs
	}
	if err == nil {
		if old != nil {
			r.part(old)
		}
		s.lease = l
		r.refreshView(blk.Block)
	}
	r.mu.Unlock()
	if err != nil {
		return fmt.Errorf("adopt %v for %s: %w", addr, from.Short(), err)
	}
	r.announce(blk.Block, l)
	return nil
}

// adopted is the answer to a member that asked to adopt an address.
func (r *Registry) adopted(b BlockID, err error) reply {
	switch {
	case errors.Is(err, ErrTaken):
		return reply{Status: statusRefused}
	case err != nil:
		r.log.Debug("address not given to a host found elsewhere", "block", b, "err", err)
		return reply{Status: statusUnknown}
	}
	raw, err := r.currentRecord(b)
	if err != nil {
		return reply{Status: statusUnknown}
	}
	return reply{Record: raw}
}
