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

// What operators do with leases. Each returns what the address is afterwards, and is in the
// history by the name of who ordered it.

// MaxNote is the longest note, in bytes.
const MaxNote = 200

// What operators are refused with.
var (
	// ErrNoLease: there is no live lease of that address here.
	ErrNoLease = errors.New("no host has a lease of that address here")
	// ErrNotReserved: nothing is reserved there.
	ErrNotReserved = errors.New("that address isn't reserved")
	// ErrOwnLease: the lease is this appliance's own, or of a host that has the address by itself.
	ErrOwnLease = errors.New("that host didn't get the address by DHCP")
	// ErrOutside: outside the prefix, or an address that is leased to nobody.
	ErrOutside = errors.New("no host can have that address")
)

// ElsewhereError says that another member decides about an address.
type ElsewhereError struct {
	Addr   netip.Addr
	Member group.MemberID
}

// Error says what to do.
func (e *ElsewhereError) Error() string {
	return fmt.Sprintf("%v lies in a block that the member %s holds: do it there", e.Addr, e.Member.Short())
}

// HeldError says who has an address that was to be reserved for another.
type HeldError struct {
	Addr  netip.Addr
	Row   Row    // who
	Other string // where no row says it
}

// Error says who.
func (e *HeldError) Error() string {
	if e.Other != "" {
		return fmt.Sprintf("%v %s", e.Addr, e.Other)
	}
	verb := "is leased to"
	if e.Row.State == RowReserved {
		verb = "is reserved for"
	}
	return fmt.Sprintf("%v %s %s", e.Addr, verb, e.Row.who())
}

// Reservation binds an address to a client: to the one with this ID, or where it is empty to
// the host with this MAC.
type Reservation struct {
	Addr   netip.Addr
	Client []byte
	MAC    [6]byte
	Name   string // what to call the host; empty: what it calls itself
	Note   string
}

// row makes the tag that a reservation becomes.
func (r *Registry) tagOf(v Reservation, now Instant) *tag {
	m := &tag{addr: v.Addr, tagRow: tagRow{
		Client: bytes.Clone(v.Client), MAC: v.MAC, Bound: true, Name: cleanName(v.Name), Note: v.Note, At: now.Wall.UnixNano(),
	}}
	if len(v.Client) == 0 {
		m.ByMAC, m.Client = true, bareClient(v.MAC)
	}
	m.Hash = hashClient(r.group, m.Client)
	return m
}

// Reserve binds addresses to clients: all of them, or none where one is refused; refused has
// an error for each that is. Blocks that nobody holds are claimed for it. With dry it only
// says what would be refused.
//
// A reservation outlives leases, restarts, and the hold on its block: an heir of the block
// keeps it. A client that has another address is refused that when it renews, and offered this.
func (r *Registry) Reserve(ctx context.Context, all []Reservation, by string, dry bool) (refused []error, err error) {
	if err := r.awaitReady(ctx); err != nil {
		return nil, err
	}
	if err := r.inGroup(); err != nil {
		return nil, err
	}
	refused = r.holdAll(ctx, all, true)
	for i, v := range all {
		if refused[i] == nil {
			refused[i] = r.nameIsAlias(cleanName(v.Name))
		}
	}
	if !dry && errors.Join(refused...) == nil {
		refused = r.holdAll(ctx, all, false)
	}
	r.lockStripes(all)
	defer r.unlockStripes(all)
	now := r.clock.Instant()
	tags, hs := make([]*tag, len(all)), make([]Happening, len(all))
	r.mu.Lock()
	clients, addrs := make(map[clientHash]netip.Addr), make(map[netip.Addr]bool)
	for i, v := range all {
		tags[i] = r.tagOf(v, now)
		if refused[i] == nil && addrs[v.Addr] {
			refused[i] = &HeldError{Addr: v.Addr, Other: "is to be reserved twice"}
		}
		if refused[i] == nil {
			refused[i] = r.mayBind(tags[i], clients, now)
		}
		clients[tags[i].Hash], addrs[v.Addr] = v.Addr, true
		hs[i] = Happening{At: now.Wall, Act: Reserved, By: by, Lease: tags[i].lease(r)}
	}
	r.mu.Unlock()
	if dry || errors.Join(refused...) != nil || len(all) == 0 {
		return refused, nil
	}
	if err := r.putTags(tags, hs); err != nil {
		return nil, fmt.Errorf("reserve: %w", err)
	}
	r.settleTags(tags)
	for _, h := range hs {
		r.happened(h)
	}
	return refused, nil
}

// holdAll is mayHold for each address; each block is asked about once.
func (r *Registry) holdAll(ctx context.Context, all []Reservation, look bool) []error {
	refused, blocks := make([]error, len(all)), make(map[BlockID]error)
	for i, v := range all {
		if refused[i] = r.geo.outside(v.Addr); refused[i] != nil {
			continue
		}
		b, _, _ := r.geo.split(v.Addr)
		err, asked := blocks[b]
		if !asked {
			err = r.mayHold(ctx, b, v.Addr, look)
			blocks[b] = err
		}
		if away := new(ElsewhereError); errors.As(err, &away) {
			err = &ElsewhereError{v.Addr, away.Member}
		}
		refused[i] = err
	}
	return refused
}

// mayHold sees that the block of an address is held here, and claims it where nobody holds it
// and claiming isn't only to be looked at.
func (r *Registry) mayHold(ctx context.Context, b BlockID, addr netip.Addr, look bool) error {
	r.mu.Lock()
	blk := r.book.held[b]
	r.mu.Unlock()
	if blk != nil {
		return nil
	}
	if rec := r.consult(ctx, b); rec != nil && rec.Holder != r.id {
		return &ElsewhereError{addr, rec.Holder}
	}
	if look {
		return nil
	}
	t, err := r.terms()
	if err != nil {
		return err
	}
	if err := r.mayHoldMore(t); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 4*r.pace.phase)
	defer cancel()
	if _, err := r.obtain(ctx, b, opClaim); err != nil {
		if errors.Is(err, ErrTaken) {
			err = fmt.Errorf("%w: by a member that can't be asked", ErrUnsure)
		}
		return fmt.Errorf("claim the block of %v: %w", addr, err)
	}
	return nil
}

// mayBind refuses a reservation where the address or the client is another's. clients are
// those of the reservations that are made with it. Called with mu held.
func (r *Registry) mayBind(m *tag, clients map[clientHash]netip.Addr, now Instant) error {
	if other, twice := clients[m.Hash]; twice {
		return &HeldError{Addr: m.addr, Other: fmt.Sprintf("is to be reserved for a host that %v is to be reserved for too", other)}
	}
	if other, ok := r.book.bound[m.Hash]; ok && other != m.addr {
		return &HeldError{Addr: m.addr, Other: fmt.Sprintf("can't be reserved for a host that %v is reserved for: end that reservation first", other)}
	}
	b, off, _ := r.geo.split(m.addr)
	blk := r.book.held[b]
	if blk == nil {
		return nil // to be claimed
	}
	t, err := r.terms()
	if err != nil {
		return err
	}
	if !blk.valid(now, t.holdTime) {
		return fmt.Errorf("the hold on the block of %v has run out, and must be renewed first: %w", m.addr, ErrUnsure)
	}
	s := &blk.slots[off]
	switch l := s.lease; {
	case s.tag.binds() && s.tag.Hash != m.Hash:
		return &HeldError{Addr: m.addr, Row: r.row(s, now)}
	case l != nil && l.State == leaseDeclined && l.taken(now.Mono):
		return &HeldError{Addr: m.addr, Other: "is in use by a host without a lease: it rests for some minutes"}
	case l != nil && (l.taken(now.Mono) || l.awaited(now.Mono)) && !m.of(l):
		return &HeldError{Addr: m.addr, Row: r.row(&slot{lease: l}, now)}
	case s.reserved != "" && now.Mono < s.until && s.mac != m.MAC && s.reserved != string(m.Client):
		return &HeldError{Addr: m.addr, Other: "is being offered to another host: try again in a minute"}
	}
	return nil
}

// putTags writes tags, if the holds on their blocks stand on disk. The caller has the
// stripes.
func (r *Registry) putTags(tags []*tag, hs []Happening) error {
	r.mu.Lock()
	epochs := make(map[BlockID]uint64)
	for _, m := range tags {
		b, _, _ := r.geo.split(m.addr)
		if blk := r.book.held[b]; blk != nil {
			epochs[b] = blk.Epoch
		}
	}
	r.mu.Unlock()
	return r.write(func(tx *store.Tx) error {
		for _, m := range tags {
			b, _, _ := r.geo.split(m.addr)
			h, ok, err := r.tables.holds.Get(tx, rowKey(b))
			switch {
			case err != nil:
				return err
			case !ok || h.Epoch != epochs[b]:
				return fmt.Errorf("the block of %v was lost: %w", m.addr, ErrNotOurs)
			case !m.Bound && m.Name == "" && m.Note == "":
				err = r.tables.tags.Delete(tx, addrKey(m.addr))
			default:
				err = r.tables.tags.Put(tx, addrKey(m.addr), m.tagRow)
			}
			if err != nil {
				return err
			}
		}
		return r.journal(tx, hs...)
	})
}

// settleTags puts written tags into memory, and has everybody know. The caller has the
// stripes.
func (r *Registry) settleTags(tags []*tag) {
	for _, m := range tags {
		b, off, _ := r.geo.split(m.addr)
		r.mu.Lock()
		blk := r.book.held[b]
		if blk == nil {
			r.mu.Unlock()
			continue // fenced meanwhile
		}
		s := &blk.slots[off]
		if l := s.lease; l != nil && (m.of(l) || s.tag.of(l)) {
			next := *l
			next.alias = m.alias(&next)
			s.lease = &next
		}
		if !m.Bound && m.Name == "" && m.Note == "" {
			m = nil
		}
		r.setTag(s, m)
		l := s.lease
		r.refreshView(b)
		r.mu.Unlock()
		r.publisher.mark(b)
		if l != nil && l.State == leaseLive {
			r.announce(b, l)
		}
	}
}

// lease describes the client of a tag.
func (m *tag) lease(r *Registry) Lease {
	return Lease{Addr: m.addr, Client: m.Client, MAC: m.MAC, Name: m.Name, Member: r.id, Segment: r.segment}
}

// Unreserve ends a reservation. A lease stays, with name and note.
func (r *Registry) Unreserve(addr netip.Addr, by string) error {
	return r.remark(addr, by, Unreserved, func(s *slot) (*tag, error) {
		if !s.tag.binds() {
			return nil, ErrNotReserved
		}
		next := *s.tag
		next.Bound = false
		if l := s.lease; l == nil || !next.of(l) || l.State == leaseDeclined {
			next.Name, next.Note = "", ""
		} else {
			next.Hash, next.ByMAC = l.Hash, false
		}
		return &next, nil
	})
}

// Rename gives the host that has an address, or that it is reserved for, another name in DNS;
// the empty one gives it back its own.
func (r *Registry) Rename(addr netip.Addr, name, by string) error {
	if err := r.nameIsAlias(cleanName(name)); err != nil {
		return err
	}
	return r.remark(addr, by, Renamed, func(s *slot) (*tag, error) {
		next, err := s.said(addr)
		if err == nil {
			next.Name = cleanName(name)
		}
		return next, err
	})
}

// Note notes something of the host that has an address, or that it is reserved for.
func (r *Registry) Note(addr netip.Addr, note, by string) error {
	return r.remark(addr, by, Noted, func(s *slot) (*tag, error) {
		next, err := s.said(addr)
		if err == nil {
			next.Note = note
		}
		return next, err
	})
}

// said is what was said of the host at an address until now.
func (s *slot) said(addr netip.Addr) (*tag, error) {
	l := s.lease
	switch {
	case s.tag.binds(), l != nil && s.tag.of(l):
		next := *s.tag
		return &next, nil
	case l == nil || l.State != leaseLive && l.State != leaseKept:
		return nil, ErrNoLease
	}
	return &tag{addr: addr, tagRow: tagRow{Hash: l.Hash, Client: l.Client, MAC: l.MAC, At: l.Start}}, nil
}

// remark replaces the tag of an address in a block of ours.
func (r *Registry) remark(addr netip.Addr, by string, act Act, change func(*slot) (*tag, error)) error {
	stripe := r.stripe(addr)
	stripe.Lock()
	defer stripe.Unlock()
	r.mu.Lock()
	s, err := r.ourSlot(addr)
	if err != nil {
		r.mu.Unlock()
		return err
	}
	next, err := change(s)
	if err != nil {
		r.mu.Unlock()
		return fmt.Errorf("%v: %w", addr, err)
	}
	h := Happening{At: r.clock.Instant().Wall, Act: act, By: by, Lease: next.lease(r)}
	if s.lease != nil && next.of(s.lease) {
		h.Lease = r.public(s.lease)
		if act == Renamed {
			h.Lease.Name, h.Why = next.Name, "until now "+orNothing(s.lease.name())
		}
	}
	if act == Noted {
		h.Why = next.Note
	}
	r.mu.Unlock()
	if err := r.putTags([]*tag{next}, []Happening{h}); err != nil {
		return fmt.Errorf("%v: %w", addr, err)
	}
	r.settleTags([]*tag{next})
	r.happened(h)
	return nil
}

func orNothing(name string) string {
	if name == "" {
		return "without a name"
	}
	return name
}

// ourSlot returns the slot of an address, or who decides about it. Called with mu held.
func (r *Registry) ourSlot(addr netip.Addr) (*slot, error) {
	if err := r.geo.outside(addr); err != nil {
		return nil, err
	}
	b, off, _ := r.geo.split(addr)
	if blk := r.book.held[b]; blk != nil {
		return &blk.slots[off], nil
	}
	if l := r.book.foreign[addr]; l != nil {
		return nil, &ElsewhereError{addr, l.Holder}
	}
	if rem := r.directory.remotes[b]; rem != nil {
		return nil, &ElsewhereError{addr, rem.rec.Holder}
	}
	return nil, fmt.Errorf("%v: %w", addr, ErrNoLease)
}

// Notice is when, at the latest, the host of a lease asks to have it renewed, if it keeps to
// what it was told, or to half of the time (RFC 2131 section 4.4.5).
func (r *Registry) Notice(l Lease) time.Time {
	t, err := r.terms()
	if err != nil {
		return l.End
	}
	lasts := t.leaseTime
	r.mu.Lock()
	if now := r.leaseAt(l.Addr); now != nil && now.State == leaseLive {
		lasts = now.Life / 21 * 20 // it may be from before the lease time changed
	}
	r.mu.Unlock()
	renew, _ := t.settings.RenewAfter(lasts)
	return l.End.Add(renew - lasts)
}

// lockStripes takes the stripes of many addresses, in order.
func (r *Registry) lockStripes(all []Reservation) {
	for _, i := range r.stripesOf(all) {
		r.stripes[i].Lock()
	}
}

func (r *Registry) unlockStripes(all []Reservation) {
	for _, i := range r.stripesOf(all) {
		r.stripes[i].Unlock()
	}
}

func (r *Registry) stripesOf(all []Reservation) (indices []int) {
	var wanted [len(r.stripes)]bool
	for _, v := range all {
		if v.Addr.Is4() {
			a := v.Addr.As4()
			wanted[a[3]^a[2]] = true
		}
	}
	for i, w := range wanted {
		if w {
			indices = append(indices, i)
		}
	}
	return indices
}
