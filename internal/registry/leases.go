package registry

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"iter"
	"net"
	"net/netip"
	"time"

	"landbridge/internal/group"
)

// Client is a host that asks for an address.
type Client struct {
	ID   []byte           // option 61 as it came, else hardware type and MAC (RFC 2131 section 4.2)
	MAC  net.HardwareAddr // 6 bytes
	Name string           // what it calls itself; made a DNS label, or dropped
	IPv6 bool             // it asks by DHCPv6
}

// Lease is a host's address. Start and End are this machine's wall clock, for
// people; what decides is the monotonic clock.
type Lease struct {
	Addr       netip.Addr
	Client     []byte
	MAC        [6]byte
	Name       string
	Member     group.MemberID
	Segment    SegmentID
	Start, End time.Time
	IPv6       bool // its host has taken the IPv6 address that goes with Addr, too
}

// What Offer and Commit refuse with.
var (
	// ErrNotOurs: this member can't lease that address to that client. Answer NAK.
	ErrNotOurs = errors.New("this member can't lease that address")
	// ErrUnsure comes from Commit: whether the address is the client's only a member
	// knows who can't be reached now, or nobody. A NAK would be a guess.
	ErrUnsure = errors.New("whether that address is the client's can't be told now")
	// ErrTaken comes from Commit too: the address is another client's. Answer NAK.

	// ErrNoAddress: no block with room, and none could be claimed.
	ErrNoAddress = errors.New("no free address: no block with room is held, and none could be claimed")
	// ErrBadClient: no ID, or too long.
	ErrBadClient = fmt.Errorf("client without an ID, or with one over %d bytes", maxClientID)
)

// inGroup refuses with group.ErrRemoved where this member knows that it was removed:
// the group will lease its blocks to others; and with ErrForgetful where it can't know
// what it has leased itself.
func (r *Registry) inGroup() error {
	if r.witness.forgetful.Load() {
		return ErrForgetful
	}
	t, err := r.terms()
	if err == nil && !t.has(r.id) {
		err = fmt.Errorf("no leases are made or renewed here: %w", group.ErrRemoved)
	}
	return err
}

func (c Client) check() error {
	if len(c.ID) == 0 || len(c.ID) > maxClientID {
		return ErrBadClient
	}
	return nil
}

// Offer finds the address for a client and reserves it for a minute, in memory. It
// asks nobody while a block with room is held. The same client gets the same
// address: its lease, else what it was offered, else what it had, else want, else
// one that its ID chooses. A client that has a lease at another site, and names it
// in want, is offered that. group.ErrRemoved: this member was removed. ErrForgetful: it
// can't know what it has leased.
func (r *Registry) Offer(ctx context.Context, c Client, want netip.Addr) (Lease, error) {
	if err := c.check(); err != nil {
		return Lease{}, err
	}
	if err := r.awaitReady(ctx); err != nil {
		return Lease{}, err
	}
	if err := r.inGroup(); err != nil {
		return Lease{}, err
	}
	r.mu.Lock()
	r.asksAnew(c)
	l, ok := r.offerKnown(c)
	var refused error
	if !ok {
		if refused = r.admit(c, r.clock.Instant()); refused == nil {
			l, ok = r.offerNew(c, want)
		}
	}
	elsewhere := r.book.found[string(c.ID)]
	r.mu.Unlock()
	if !elsewhere.IsValid() && want.IsValid() && (!ok || l.Addr != want) && !r.holds(want) {
		elsewhere = want
	}
	if elsewhere.IsValid() && elsewhere != l.Addr && r.lesseeOf(ctx, c, elsewhere) {
		return r.describe(c, elsewhere), nil
	}
	if ok {
		return l, nil
	}
	if refused != nil {
		return Lease{}, refused
	}
	if err := r.grow(ctx); err != nil {
		return Lease{}, fmt.Errorf("%w: %w", ErrNoAddress, err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if l, ok := r.offerKnown(c); ok {
		return l, nil
	}
	if l, ok := r.offerNew(c, want); ok {
		return l, nil
	}
	return Lease{}, ErrNoAddress
}

// offerKnown is Offer to a client that has, was offered or had an address here.
// Called with mu held.
func (r *Registry) offerKnown(c Client) (Lease, bool) {
	now := r.clock.Instant()
	t, err := r.terms()
	if err != nil {
		return Lease{}, false
	}
	if a, ok := r.boundOf(c); ok && r.reserve(a, c, now) {
		return r.describe(c, a), true
	}
	if a, ok := r.book.clients[string(c.ID)]; ok {
		if l := r.leaseAt(a); l != nil && l.live(now.Mono) && !r.barred(t, c, a) {
			return r.describe(c, a), true
		}
	}
	home, away := r.leftBehind(c, now)
	if away && !r.barred(t, c, home) {
		return r.describe(c, home), true
	}
	for _, a := range []netip.Addr{r.book.offers[string(c.ID)], r.book.clients[string(c.ID)], home} {
		if a.IsValid() && r.reserve(a, c, now) {
			return r.describe(c, a), true
		}
	}
	return Lease{}, false
}

// offerNew is Offer to any other client, out of the blocks held. Called with mu held.
func (r *Registry) offerNew(c Client, want netip.Addr) (Lease, bool) {
	now := r.clock.Instant()
	if !want.IsValid() {
		want = r.foundAt(c, now)
	}
	if want.IsValid() && r.reserve(want, c, now) {
		return r.describe(c, want), true
	}
	if a, ok := r.pick(c, now); ok && r.reserve(a, c, now) {
		r.lookForClient(c)
		return r.describe(c, a), true
	}
	return Lease{}, false
}

// leftBehind returns the address in our blocks that the client has though it isn't among
// the clients here: signed over to the segment where it was (away), or inherited with
// its block. Called with mu held.
func (r *Registry) leftBehind(c Client, now Instant) (a netip.Addr, away bool) {
	hash := hashClient(r.group, c.ID)
	for _, blk := range r.book.held {
		for i := range blk.slots {
			l := blk.slots[i].lease
			switch {
			case l == nil || l.Hash != hash:
			case l.State == leaseAway && l.taken(now.Mono):
				return l.addr, true
			case l.awaited(now.Mono):
				a = l.addr
			}
		}
	}
	return a, false
}

// reserve keeps an address for a client, if it is free for it. Called with mu held.
func (r *Registry) reserve(a netip.Addr, c Client, now Instant) bool {
	client := string(c.ID)
	t, err := r.terms()
	if err != nil {
		return false
	}
	b, off, ok := r.geo.split(a)
	blk := r.book.held[b]
	if !ok || blk == nil || r.geo.reserved(b, off) || !blk.valid(now, t.holdTime) {
		return false
	}
	s := &blk.slots[off]
	if s.tag.keepsFrom(r, c) || r.barred(t, c, a) {
		return false
	}
	if !s.freeFor(client, now.Mono) && !(s.lease.asks(c) && s.lease.live(now.Mono)) {
		return false
	}
	if l := s.lease; l != nil && l.awaited(now.Mono) && l.Hash != hashClient(r.group, []byte(client)) {
		return false
	}
	if old, ok := r.book.offers[client]; ok && old != a {
		r.unreserve(old, client)
	}
	s.reserved, s.until, s.mac = client, now.Mono+r.pace.reserve, [6]byte{}
	copy(s.mac[:], c.MAC)
	r.book.offers[client] = a
	return true
}

// unreserve gives an offer up. Called with mu held.
func (r *Registry) unreserve(a netip.Addr, client string) {
	b, off, _ := r.geo.split(a)
	if blk := r.book.held[b]; blk != nil && blk.slots[off].reserved == client {
		blk.slots[off].reserved, blk.slots[off].until = "", 0
	}
	delete(r.book.offers, client)
}

// pick chooses a free address by the client's ID: never used before used, and of the
// used the one whose client has been away the longest. Called with mu held.
func (r *Registry) pick(c Client, now Instant) (netip.Addr, bool) {
	t, err := r.terms()
	if err != nil {
		return netip.Addr{}, false
	}
	var usable []*block
	for _, blk := range r.book.held {
		if blk.valid(now, t.holdTime) {
			usable = append(usable, blk)
		}
	}
	return choose(t, usable, c.ID, now.Mono)
}

// choose is pick without a registry, under the terms g: it starts at a place that the client's ID
// says and walks. The order of blocks doesn't matter.
func choose(g *terms, blocks []*block, client []byte, now time.Duration) (netip.Addr, bool) {
	sortBlocks(blocks)
	h := fnv.New64a()
	_, _ = h.Write(client)
	start := h.Sum64()
	total := uint64(len(blocks) * g.size())
	var used *lease
	for i := range total {
		n := (start + i) % total
		blk, off := blocks[n>>g.blockBits], int(n&uint64(g.size()-1))
		s := &blk.slots[off]
		if g.reserved(blk.Block, off) || g.excludes(blk.Block, off) || s.tag.binds() || !s.freeFor(string(client), now) {
			continue
		}
		if s.lease == nil {
			return g.addr(blk.Block, off), true
		}
		if l := s.lease; !l.awaited(now) && (used == nil || l.older(used)) {
			used = l
		}
	}
	if used == nil {
		return netip.Addr{}, false
	}
	return used.addr, true
}

// older reports whether l's client has been away for longer: of leases that aren't
// taken, those that are kept ended before those that have just run out.
func (l *lease) older(o *lease) bool {
	if (l.State == leaseKept) != (o.State == leaseKept) {
		return l.State == leaseKept
	}
	return l.until < o.until
}

// leaseAt returns what this node knows of an address that it serves or holds.
// Called with mu held.
func (r *Registry) leaseAt(a netip.Addr) *lease {
	if l := r.book.foreign[a]; l != nil {
		return l
	}
	b, off, ok := r.geo.split(a)
	if blk := r.book.held[b]; ok && blk != nil {
		return blk.slots[off].lease
	}
	return nil
}

// Serves reports whether the client with this ID has a live lease here.
func (r *Registry) Serves(client []byte) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	a, ok := r.book.clients[string(client)]
	if !ok {
		return false
	}
	l := r.leaseAt(a)
	return l != nil && l.live(r.clock.Mono())
}

// LeaseOf returns a live lease here of the host with this MAC: rather one of a client with one of these IDs, and
// else the one that was made last.
func (r *Registry) LeaseOf(mac [6]byte, ids ...[]byte) (Lease, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.clock.Mono()
	for _, id := range ids {
		if l := r.leaseAt(r.book.clients[string(id)]); l != nil && l.live(now) && l.MAC == mac {
			return r.public(l), true
		}
	}
	var found *lease
	look := func(l *lease) {
		if l != nil && l.MAC == mac && l.live(now) && (found == nil || l.Start > found.Start) {
			found = l
		}
	}
	latest, met := r.book.hosts[mac]
	if !met {
		return Lease{}, false // nor is anything looked through for MACs that are made up
	}
	if look(r.leaseAt(latest)); found == nil { // that one is over: is there another?
		r.eachLease(look)
	}
	if found == nil {
		delete(r.book.hosts, mac)
		return Lease{}, false
	}
	r.book.hosts[mac] = found.addr
	return r.public(found), true
}

// eachLease shows all leases that are here. Called with mu held.
func (r *Registry) eachLease(look func(*lease)) {
	for _, blk := range r.book.held {
		for i := range blk.slots {
			look(blk.slots[i].lease)
		}
	}
	for _, l := range r.book.foreign {
		look(l)
	}
}

// holds reports whether the address is in a block of ours.
func (r *Registry) holds(a netip.Addr) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	b, _, ok := r.geo.split(a)
	return ok && r.book.held[b] != nil
}

// describe makes a lease for a client that isn't written yet.
func (r *Registry) describe(c Client, a netip.Addr) Lease {
	l := Lease{Addr: a, Client: c.ID, Name: cleanName(c.Name), Member: r.id, Segment: r.segment}
	copy(l.MAC[:], c.MAC)
	now := r.clock.Instant().Wall
	if t, err := r.terms(); err == nil {
		l.Start, l.End = now, now.Add(t.leaseTime)
	}
	return l
}

// public makes the exported form of a lease served here.
func (r *Registry) public(l *lease) Lease {
	return Lease{
		Addr: l.addr, Client: l.Client, MAC: l.MAC, Name: l.name(), Member: r.id, Segment: r.segment,
		Start: time.Unix(0, l.Start), End: time.Unix(0, l.End), IPv6: l.State != leaseKept && l.hasIPv6(),
	}
}

// Leases yields the live leases served here, own blocks first, in order of address
// within a block. The loop may call other methods.
func (r *Registry) Leases() iter.Seq[Lease] {
	r.mu.Lock()
	now := r.clock.Mono()
	var all []Lease
	for _, blk := range r.blocksHeld() {
		for i := range blk.slots {
			if l := blk.slots[i].lease; l != nil && l.live(now) {
				all = append(all, r.public(l))
			}
		}
	}
	for _, l := range r.book.foreign {
		if l.live(now) {
			all = append(all, r.public(l))
		}
	}
	r.mu.Unlock()
	return func(yield func(Lease) bool) {
		for _, l := range all {
			if !yield(l) {
				return
			}
		}
	}
}
