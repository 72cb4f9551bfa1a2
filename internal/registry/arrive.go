package registry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"

	"landbridge/internal/group"
)

// ErrStays comes from Arrive: a host answers for the address at the member that serves it. Two
// hosts use one address.
var ErrStays = errors.New("a host answers for that address where it is leased")

// errServedElsewhere: whoever was asked doesn't serve the address; memory was out of date.
var errServedElsewhere = errors.New("the member that was asked doesn't serve that address")

// bareClient is the ID of a client that sends none (RFC 2131 section 4.2).
func bareClient(mac [6]byte) []byte { return append([]byte{1}, mac[:]...) }

// OwnClient is the ID of the client that a member is itself, on its own machine: type 255 of
// RFC 2132 section 9.14 is no hardware address.
func OwnClient(m group.MemberID) []byte { return append([]byte{255}, m[:]...) }

// Arrive takes over an address that is leased at another segment, because the host with mac
// uses it on this one: it has moved, and keeps its address without asking for it. The member
// that serves the address agrees if mac is the lessee's and nobody on its own segment
// answers for it any more. ErrStays: somebody does. ErrNotOurs: it's the lease of another
// MAC. ErrAbsent: nobody's. ErrUnsure: the member can't be asked, or can't tell. The lease is
// returned too where it is served here already.
func (r *Registry) Arrive(ctx context.Context, addr netip.Addr, mac [6]byte) (Lease, error) {
	if err := r.awaitReady(ctx); err != nil {
		return Lease{}, err
	}
	if err := r.inGroup(); err != nil {
		return Lease{}, err
	}
	for range 2 { // memory may be out of date once
		at, err := r.Resolve(ctx, addr)
		if err != nil {
			return Lease{}, err
		}
		if l, ok := r.Served(addr); ok || at.Local {
			return l, nil
		}
		l, err := r.askToYield(ctx, addr, mac, at.Member)
		if !errors.Is(err, errServedElsewhere) {
			return l, err
		}
	}
	return Lease{}, fmt.Errorf("%v: %w", addr, ErrUnsure)
}

// askToYield asks the member that serves an address for it.
func (r *Registry) askToYield(ctx context.Context, addr netip.Addr, mac [6]byte, from group.MemberID) (Lease, error) {
	t, err := r.terms()
	if err != nil {
		return Lease{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, r.pace.move)
	defer cancel()
	b, off, _ := r.geo.split(addr)
	started := r.clock.Instant()
	a, err := r.call(ctx, t, from, request{Kind: kindMove, Block: b, Move: &moveRequest{
		Kind: moveSeen, Offset: uint16(off), MAC: mac, Segment: r.segment,
	}})
	if err != nil {
		return Lease{}, fmt.Errorf("%v: ask member %s: %v: %w", addr, from.Short(), err, ErrUnsure)
	}
	var rec *Record
	if len(a.Record) > 0 {
		if rec, err = r.absorb(a.Record, true); err != nil {
			return Lease{}, fmt.Errorf("%v: %v: %w", addr, err, ErrUnsure)
		}
	}
	switch a.Status {
	case statusOK:
	case statusPresent:
		return Lease{}, fmt.Errorf("%v: member %s: %w", addr, from.Short(), ErrStays)
	case statusRefused:
		return Lease{}, fmt.Errorf("%v: refused by member %s: %w", addr, from.Short(), ErrNotOurs)
	case statusUnknown:
		if rec == nil {
			r.consult(ctx, b) // who serves it now
		}
		return Lease{}, fmt.Errorf("%v: member %s: %w", addr, from.Short(), errServedElsewhere)
	default:
		return Lease{}, fmt.Errorf("%v: member %s can't tell: %w", addr, from.Short(), ErrUnsure)
	}
	c := Client{ID: a.Client, MAC: mac[:], Name: a.Name}
	if err := c.check(); err != nil {
		return Lease{}, fmt.Errorf("%v: member %s: %w", addr, from.Short(), err)
	}
	l, err := r.take(ctx, c, addr, rec, started, t)
	if err == nil {
		r.counts.arrived.Add(1)
	}
	return l, err
}

// take makes the lease of a client that its former site has let go of ours. rec is the record
// that says so already, if the former site holds the block.
func (r *Registry) take(ctx context.Context, c Client, addr netip.Addr, rec *Record, started Instant, t *terms) (Lease, error) {
	stripe := r.stripe(addr)
	stripe.Lock()
	defer stripe.Unlock()
	b, off, _ := r.geo.split(addr)
	r.mu.Lock()
	blk, moved := r.book.held[b], r.book.foreign[addr]
	r.mu.Unlock()
	if moved != nil && bytes.Equal(moved.Client, c.ID) { // by DHCP, meanwhile
		return r.public(moved), nil
	}
	if blk != nil {
		return r.commitOwn(blk, off, c, addr)
	}
	if rec != nil && rec.leased(off) {
		if m, _ := rec.at(off); m == r.id {
			return r.serveForeign(c, addr, rec.Holder, started, t)
		}
	}
	return r.takeOver(ctx, c, addr, moveTake)
}

// yield is the other side of Arrive: it gives up an address whose host has left this segment.
func (r *Registry) yield(ctx context.Context, t *terms, from group.MemberID, q request) reply {
	m := q.Move
	if !t.valid(q.Block) || int(m.Offset) >= t.size() || from == r.id {
		return reply{Status: statusRefused}
	}
	addr := t.addr(q.Block, int(m.Offset))
	held, refusal := r.lesseeAt(addr, m.MAC)
	if refusal != statusOK {
		a := reply{Status: refusal}
		if refusal == statusUnknown {
			a.Record, _ = r.currentRecord(q.Block) // if it is our block: who serves the address
		}
		return a
	}
	if bytes.Equal(held.Client, OwnClient(r.id)) { // this machine itself, which may not use it now, and stays
		r.counts.stayed.Add(1)
		return reply{Status: statusPresent}
	}
	if r.present == nil {
		return reply{Status: statusRefused}
	}
	there, err := r.present(ctx, addr)
	switch {
	case err != nil:
		r.log.Debug("can't tell whether a host has left", "addr", addr, "err", err)
		return reply{Status: statusNotReady}
	case there:
		r.counts.stayed.Add(1)
		r.log.Debug("address not given up: its host is still here", "addr", addr, "member", from)
		return reply{Status: statusPresent}
	}
	stripe := r.stripe(addr)
	stripe.Lock()
	defer stripe.Unlock()
	l, refusal := r.lesseeAt(addr, m.MAC)
	if refusal != statusOK {
		return reply{Status: refusal}
	}
	a := reply{Client: l.Client, Name: l.Name}
	if !l.Holder.IsZero() {
		return a // its holder signs it over, and tells us
	}
	err = r.signOver(t, l, from, m, r.clock.Instant())
	if err == nil {
		a.Record, err = r.currentRecord(q.Block)
	}
	if err != nil {
		r.log.Error("address not signed over", "addr", addr, "err", err)
		return reply{Status: statusNotReady}
	}
	return a
}

// lesseeAt returns the lease that is served here of an address, if mac is its lessee's; else
// why not.
func (r *Registry) lesseeAt(addr netip.Addr, mac [6]byte) (*lease, status) {
	r.mu.Lock()
	defer r.mu.Unlock()
	l := r.leaseAt(addr)
	switch {
	case l == nil || !l.live(r.clock.Mono()):
		return nil, statusUnknown
	case l.MAC != mac:
		return nil, statusRefused
	}
	return l, statusOK
}

// FindMAC returns the addresses, at most maxCandidates, that the host with mac may have,
// wherever they are served. They are hints: Arrive asks who knows.
func (r *Registry) FindMAC(ctx context.Context, mac [6]byte) []netip.Addr {
	id := bareClient(mac)
	r.mu.Lock()
	addr, known := r.book.clients[string(id)]
	r.mu.Unlock()
	if known {
		if _, here := r.Served(addr); here {
			return []netip.Addr{addr}
		}
	}
	addrs, _ := r.candidates(ctx, clientKey(r.group, hashClient(r.group, id))) // some are better than none
	return addrs
}
