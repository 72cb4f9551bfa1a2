package registry

import (
	"bytes"
	"fmt"
	"net/netip"

	"landbridge/internal/store"
)

// tagRow is what an operator has said of an address in a block of ours, for one client: that
// it is reserved for it, what it is called, and a note. One that reserves nothing goes when
// the address is another client's, or its own client is forgotten.
type tagRow struct {
	Hash   clientHash `cbor:"1,keyasint"`
	Client []byte     `cbor:"2,keyasint,omitempty"` // absent where only the hash is known: taken over with the block
	MAC    [6]byte    `cbor:"3,keyasint,omitzero"`
	ByMAC  bool       `cbor:"4,keyasint,omitempty"` // for the host with MAC, whatever ID it sends; Hash is that of its bareClient
	Bound  bool       `cbor:"5,keyasint,omitempty"` // reserved
	Name   string     `cbor:"6,keyasint,omitempty"`
	Note   string     `cbor:"7,keyasint,omitempty"`
	At     int64      `cbor:"8,keyasint"` // Unix nanoseconds: since when it is reserved
}

// tag is a tagRow in memory. Methods take nil for none.
type tag struct {
	tagRow
	addr netip.Addr
}

// binds reports a reservation.
func (m *tag) binds() bool { return m != nil && m.Bound }

// of reports whether a lease is that of the tag's client.
func (m *tag) of(l *lease) bool {
	return m != nil && (m.Hash == l.Hash || m.ByMAC && m.MAC != [6]byte{} && m.MAC == l.MAC)
}

// alias is what the host with this lease is called.
func (m *tag) alias(l *lease) string {
	if m.of(l) {
		return m.Name
	}
	return ""
}

// keepsFrom reports that the address is reserved for another client than c.
func (m *tag) keepsFrom(r *Registry, c Client) bool {
	if !m.binds() || m.Hash == hashClient(r.group, c.ID) {
		return false
	}
	return !m.ByMAC || len(c.MAC) != 6 || m.Hash != hashClient(r.group, bareClient([6]byte(c.MAC)))
}

// name is what a host is called.
func (l *lease) name() string {
	if l.alias != "" {
		return l.alias
	}
	return l.Name
}

// loadTags reads what operators have said, at Open, behind the holds: of blocks that aren't held
// it counts no more.
func (r *Registry) loadTags(tx *store.Tx) error {
	var failed error
	for key, row := range r.tables.tags.Scan(tx, nil, &failed) {
		a, ok := netip.AddrFromSlice(key)
		b, off, within := r.geo.split(a)
		if blk := r.book.held[b]; ok && within && blk != nil {
			r.setTag(&blk.slots[off], &tag{tagRow: row, addr: a})
		}
	}
	return failed
}

// setTag gives a slot a tag, or none. Called with mu held.
func (r *Registry) setTag(s *slot, m *tag) {
	if old := s.tag; old.binds() && r.book.bound[old.Hash] == old.addr {
		delete(r.book.bound, old.Hash)
	}
	s.tag = m
	if m.binds() {
		r.book.bound[m.Hash] = m.addr
	}
}

// boundOf returns the address that is reserved here for a client. Called with mu held.
func (r *Registry) boundOf(c Client) (netip.Addr, bool) {
	if len(r.book.bound) == 0 {
		return netip.Addr{}, false
	}
	if a, ok := r.book.bound[hashClient(r.group, c.ID)]; ok {
		return a, true
	}
	if len(c.MAC) != 6 {
		return netip.Addr{}, false
	}
	a, ok := r.book.bound[hashClient(r.group, bareClient([6]byte(c.MAC)))]
	if !ok {
		return netip.Addr{}, false
	}
	m := r.tagAt(a)
	return a, m != nil && m.ByMAC
}

// tagAt returns the tag of an address in a block of ours. Called with mu held.
func (r *Registry) tagAt(a netip.Addr) *tag {
	b, off, ok := r.geo.split(a)
	if blk := r.book.held[b]; ok && blk != nil {
		return blk.slots[off].tag
	}
	return nil
}

// dropTag removes the tag of an address that becomes l's, where it was for another client
// and reserves nothing.
func (r *Registry) dropTag(tx *store.Tx, l *lease) error {
	row, ok, err := r.tables.tags.Get(tx, addrKey(l.addr))
	if err != nil || !ok || row.Bound || (&tag{tagRow: row}).of(l) {
		return err
	}
	return r.tables.tags.Delete(tx, addrKey(l.addr))
}

// inheritTags turns the reservations in a predecessor's record into tags.
func inheritTags(t *terms, rec *Record, now Instant) []*tag {
	var all []*tag
	for _, b := range rec.Bound {
		if !t.reserved(rec.Block, int(b.Offset)) {
			all = append(all, &tag{addr: t.addr(rec.Block, int(b.Offset)), tagRow: tagRow{
				Hash: b.Client, ByMAC: b.ByMAC, Name: b.Name, Bound: true, At: now.Wall.UnixNano(),
			}})
		}
	}
	return all
}

// makeWay has a client that an address is reserved for give up any other: it is refused what
// it asks for, so that it asks anew and is offered the reserved one. The caller has no stripe.
func (r *Registry) makeWay(c Client, addr netip.Addr) error {
	now := r.clock.Instant()
	r.mu.Lock()
	bound, ok := r.boundOf(c)
	if ok && bound != addr {
		b, off, _ := r.geo.split(bound)
		blk := r.book.held[b]
		l := blk.slots[off].lease
		ok = l == nil || !l.taken(now.Mono) || l.State == leaseLive && bytes.Equal(l.Client, c.ID)
		t, err := r.terms()
		ok = ok && err == nil && blk.valid(now, t.holdTime)
	}
	had, has := r.book.clients[string(c.ID)]
	r.mu.Unlock()
	if !ok || isFound(c.ID) {
		return nil
	}
	if has && had != bound {
		if err := r.leave(c, had, fmt.Sprintf("%v is reserved for the host", bound)); err != nil {
			return err
		}
	}
	if bound != addr {
		return fmt.Errorf("%v is reserved for the client: %w", bound, ErrNotOurs)
	}
	return nil
}

// leave ends a client's lease of an address, if it has one.
func (r *Registry) leave(c Client, addr netip.Addr, why string) error {
	stripe := r.stripe(addr)
	stripe.Lock()
	defer stripe.Unlock()
	r.mu.Lock()
	l := r.leaseAt(addr)
	foreign := l != nil && r.book.foreign[addr] == l
	live := l != nil && l.live(r.clock.Mono()) && bytes.Equal(l.Client, c.ID)
	r.mu.Unlock()
	if !live {
		return nil
	}
	h := r.happens(Released, l)
	h.Why = why
	if foreign {
		return r.dropForeign(l, true, h)
	}
	return r.end(l, h)
}
