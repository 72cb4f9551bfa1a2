package registry

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"time"
)

// Where the group has an IPv6 prefix, each leased address has one of IPv6 that goes with it (package ula). Whether its host
// has taken that, by DHCPv6, is written in the lease's row, and is a bit in the block's record, by which members elsewhere
// know it. The lease is one for both: either family renews it, and DHCPv4 ends it for both. What is given back by
// DHCPv6 ends it where DHCPv4 has never asked for it.

// family says by which DHCP a lease was asked for.
type family uint8

const (
	byIPv4 family = iota
	byBoth
	byIPv6
)

// sixBeside is a mark as members elsewhere know it: they don't know of DHCPv4.
func sixBeside(has bool) family {
	if has {
		return byBoth
	}
	return byIPv4
}

// hasIPv6 reports whether the host has taken its IPv6 address.
func (l *lease) hasIPv6() bool { return l != nil && l.Family != byIPv4 }

// ask notes by which DHCP a lease is asked for, that follows another of the same address. Of a host that
// asks by DHCPv4 alone from some time on, the IPv6 address is forgotten after a lease time.
func (l *lease) ask(old *lease, ipv6 bool, now Instant, leaseTime time.Duration) {
	held := old != nil && old.State != leaseKept && old.taken(now.Mono) && old.Hash == l.Hash
	switch {
	case ipv6 && (!held || old.Family == byIPv6):
		l.Family, l.SixAt = byIPv6, now.Mono
	case ipv6:
		l.Family, l.SixAt = byBoth, now.Mono
	case held && old.hasIPv6() && now.Mono-old.SixAt < leaseTime+leaseGrace(leaseTime):
		l.Family, l.SixAt = byBoth, old.SixAt
	}
}

// MarkIPv6 notes that a client has, or hasn't any more, the IPv6 address that goes with its lease here. It is on disk when it
// returns. The lease lasts as long as before. ErrNotOurs: the client has no such lease.
func (r *Registry) MarkIPv6(ctx context.Context, c Client, addr netip.Addr, has bool) error {
	t, err := r.terms()
	if err != nil {
		return err
	}
	if err := r.awaitReady(ctx); err != nil {
		return err
	}
	stripe := r.stripe(addr)
	stripe.Lock()
	defer stripe.Unlock()
	now := r.clock.Instant()
	old, err := r.leaseOfClient(c, addr, now)
	if err != nil {
		return err
	}
	if old.hasIPv6() == has && (!has || now.Mono-old.SixAt < t.leaseTime/4) {
		return nil
	}
	next := *old
	if next.SixAt = now.Mono; !has || !old.hasIPv6() {
		next.Family = sixBeside(has)
	}
	if next.Holder.IsZero() {
		return r.replace(old, &next, Happening{})
	}
	if err := r.putLease(&next, netip.Addr{}, Happening{}); err != nil {
		return fmt.Errorf("lease %v: %w", addr, err)
	}
	b, _, _ := r.geo.split(addr)
	r.mu.Lock()
	if r.book.foreign[addr] == old {
		r.book.foreign[addr] = &next
		r.refreshView(b)
	}
	r.mu.Unlock()
	r.spawn(func() { r.confirm(addr) }) // tells the block's holder
	return nil
}

// leaseOfClient returns the client's live lease of an address here; ErrNotOurs where it has none.
func (r *Registry) leaseOfClient(c Client, addr netip.Addr, now Instant) (*lease, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	l := r.leaseAt(addr)
	if l == nil || !l.live(now.Mono) || !bytes.Equal(l.Client, c.ID) {
		return nil, fmt.Errorf("%v: %w", addr, ErrNotOurs)
	}
	return l, nil
}

// ReleaseIPv6 takes note that a client has given back, by DHCPv6, the IPv6 address that goes with its lease. ErrNotOurs: it
// hasn't taken it.
func (r *Registry) ReleaseIPv6(ctx context.Context, c Client, addr netip.Addr) error {
	return r.endIPv6(ctx, c, addr, func() error { return r.Release(ctx, c, addr) })
}

// DeclineIPv6 is ReleaseIPv6 of an address that the client has found in use.
func (r *Registry) DeclineIPv6(ctx context.Context, c Client, addr netip.Addr) error {
	return r.endIPv6(ctx, c, addr, func() error { return r.Decline(ctx, addr) })
}

// endIPv6 has end end a lease that DHCPv4 has never asked for, and marks any other.
func (r *Registry) endIPv6(ctx context.Context, c Client, addr netip.Addr, end func() error) error {
	l, err := r.leaseOfClient(c, addr, r.clock.Instant())
	switch {
	case err != nil:
		return err
	case !l.hasIPv6():
		return fmt.Errorf("the IPv6 address of %v isn't taken: %w", addr, ErrNotOurs)
	case l.Family == byIPv6:
		return end()
	}
	return r.MarkIPv6(ctx, c, addr, false)
}

// HasIPv6 reports whether the host at an address has taken the IPv6 address that goes with it, as far as that can be told
// before ctx ends.
func (r *Registry) HasIPv6(ctx context.Context, addr netip.Addr) bool {
	if _, err := r.Resolve(ctx, addr); err != nil {
		return false
	}
	b, off, ok := r.geo.split(addr)
	if !ok {
		return false
	}
	v := r.directory.views[b].Load()
	return v != nil && bit(v.leased, off) && bit(v.six, off)
}

// setBit sets or clears a bit of a bitmap for size addresses, which it makes where there is none.
func setBit(bitmap []byte, size, i int, on bool) []byte {
	if len(bitmap) == 0 && !on {
		return nil
	}
	if len(bitmap) == 0 {
		bitmap = make([]byte, (size+7)/8)
	}
	if bitmap[i>>3] &^= 1 << (i & 7); on {
		bitmap[i>>3] |= 1 << (i & 7)
	}
	return bitmap
}
