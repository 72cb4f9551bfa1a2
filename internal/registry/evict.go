package registry

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"landbridge/internal/store"
)

// An operator may end a host's lease and have the host ask anew. That is remembered for the hold time, over
// restarts too: in a block of ours as a lease that is kept, marked; in another member's, whose holder is told that
// the address is free, apart from the leases served there (book.evicted).

// End ends the lease of an address that is served here, as if its host had released it. With
// evict its host is refused the address until it has asked anew. It returns the lease as it
// was.
func (r *Registry) End(addr netip.Addr, evict bool, by string) (Lease, error) {
	stripe := r.stripe(addr)
	stripe.Lock()
	defer stripe.Unlock()
	r.mu.Lock()
	l := r.leaseAt(addr)
	if l == nil || !l.live(r.clock.Mono()) {
		_, err := r.ourSlot(addr)
		if err == nil && l != nil && l.State == leaseAway && l.taken(r.clock.Mono()) {
			err = &ElsewhereError{addr, l.To}
		}
		r.mu.Unlock()
		return Lease{}, errors.Join(fmt.Errorf("%v: %w", addr, ErrNoLease), err)
	}
	foreign := r.book.foreign[addr] == l
	was := r.public(l)
	r.mu.Unlock()
	if was.Found() || bytes.Equal(l.Client, OwnClient(r.id)) {
		return Lease{}, fmt.Errorf("%v: %w", addr, ErrOwnLease)
	}
	h := r.happens(Released, l)
	h.By = by
	if evict {
		h.Act = Evicted
	}
	if foreign {
		return was, r.dropForeign(l, true, h)
	}
	next := *l
	next.Evicted = evict
	return was, r.endAs(l, &next, h)
}

// Evicted reports whether a client that renews addr is to be told that it was evicted from there, and
// hasn't asked anew.
func (r *Registry) Evicted(client []byte, addr netip.Addr) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return errors.Is(r.evicted(Client{ID: client}, addr), ErrNotOurs)
}

// Evictions returns the hosts that were evicted from addresses here, and haven't had them again.
func (r *Registry) Evictions() (hosts [][6]byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, blk := range r.book.held {
		for i := range blk.slots {
			if l := blk.slots[i].lease; l != nil && l.State == leaseKept && l.Evicted {
				hosts = append(hosts, l.MAC)
			}
		}
	}
	for _, l := range r.book.evicted {
		hosts = append(hosts, l.MAC)
	}
	return hosts
}

// evicted refuses a client that was evicted from the address and hasn't asked anew; and, until
// its lease would have ended, to find it there as a host that asks for nothing. Called with mu held.
func (r *Registry) evicted(c Client, addr netip.Addr) error {
	l, asked := r.book.evicted[addr], ""
	b, off, ok := r.geo.split(addr)
	if blk := r.book.held[b]; ok && blk != nil {
		l, asked = blk.slots[off].lease, blk.slots[off].reserved
	}
	switch {
	case l == nil || l.State != leaseKept || !l.Evicted:
		return nil
	case bytes.Equal(l.Client, c.ID) && asked != string(c.ID):
		return fmt.Errorf("the client was evicted and must ask anew: %w", ErrNotOurs)
	case isFound(c.ID) && bytes.Equal(l.MAC[:], c.MAC) && r.clock.Instant().Wall.Before(time.Unix(0, l.End)):
		return fmt.Errorf("its host was evicted, and still uses it until it asks anew: %w", ErrUnsure)
	}
	return nil
}

// asksAnew takes up that a client does. Called with mu held.
func (r *Registry) asksAnew(c Client) {
	for a, l := range r.book.evicted {
		if bytes.Equal(l.Client, c.ID) {
			delete(r.book.evicted, a)
		}
	}
}

// evictedFrom is what is remembered of a lease in another member's block from which its client is evicted.
func (r *Registry) evictedFrom(l *lease) (*lease, error) {
	t, err := r.terms()
	if err != nil {
		return nil, err
	}
	now := r.clock.Instant()
	kept := *l
	kept.State, kept.Evicted = leaseKept, true
	kept.Boot, kept.Mono, kept.Life, kept.until = now.Boot, now.Mono, t.holdTime, now.Mono+t.holdTime
	return &kept, nil
}

// forgetEvicted ends what is remembered of evictions from other members' blocks.
func (r *Registry) forgetEvicted(now time.Duration) {
	var over []*lease
	r.mu.Lock()
	for _, l := range r.book.evicted {
		if now >= l.until && len(over) < maxForgotten {
			over = append(over, l)
		}
	}
	r.mu.Unlock()
	if len(over) == 0 {
		return
	}
	err := r.write(func(tx *store.Tx) error {
		for _, l := range over {
			row, ok, err := r.tables.leases.Get(tx, addrKey(l.addr))
			if err == nil && ok && row.State == leaseKept && !row.Holder.IsZero() {
				err = r.tables.leases.Delete(tx, addrKey(l.addr))
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil { // they are read again at the next start
		r.log.Error("hosts that were evicted are not forgotten", "err", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, l := range over {
		if r.book.evicted[l.addr] == l {
			delete(r.book.evicted, l.addr)
		}
	}
}
