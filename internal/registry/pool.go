package registry

import (
	"context"
	"encoding/binary"
	"fmt"
	"net/netip"

	"landbridge/internal/group"
)

// pool is the addresses of a prefix that are leased to whoever asks: all but the reserved ones and
// those that the group's settings exclude. Who has an address of the others by a reservation, or by
// hand, has it all the same. It is immutable.
type pool struct {
	excluded []span // of numbers of hosts, ascending, apart
	size     int
}

// span is host numbers from first to last, counted from the prefix's address.
type span struct{ first, last uint32 }

func wholePool(g geometry) pool { return pool{size: 1<<g.hostBits - 3} }

// newPool leaves out what settings exclude.
func newPool(g geometry, s *group.Settings) pool {
	p := wholePool(g)
	if s == nil {
		return p
	}
	for _, r := range s.Excluded {
		x := span{hostNumber(g, r.First), hostNumber(g, r.Last)}
		p.excluded = append(p.excluded, x)
		p.size -= int(x.last-x.first) + 1
		for _, n := range []uint32{0, 1, 1<<g.hostBits - 1} { // reserved, and counted already
			if x.first <= n && n <= x.last {
				p.size++
			}
		}
	}
	return p
}

func hostNumber(g geometry, a netip.Addr) uint32 {
	b := a.As4()
	return binary.BigEndian.Uint32(b[:]) - g.base
}

// excludes reports whether an offset of a block is left out.
func (t *terms) excludes(b BlockID, off int) bool {
	n := uint32(b)<<t.blockBits + uint32(off)
	for _, x := range t.pool.excluded {
		if x.first <= n && n <= x.last {
			return true
		}
	}
	return false
}

// leasable counts the addresses of a block that are leased to whoever asks.
func (t *terms) leasable(b BlockID) int {
	first := uint32(b) << t.blockBits
	last := first + uint32(t.size()) - 1
	n := t.size()
	for _, x := range t.pool.excluded {
		if from, to := max(first, x.first), min(last, x.last); from <= to {
			n -= int(to-from) + 1
		}
	}
	for _, off := range []int{0, 1, t.size() - 1} {
		if t.reserved(b, off) && !t.excludes(b, off) {
			n--
		}
	}
	return n
}

// barred reports that a client can't have addr here, as it is excluded and not reserved for the client.
// Hosts that were found with it have it. Called with mu held.
func (r *Registry) barred(t *terms, c Client, addr netip.Addr) bool {
	b, off, ok := t.split(addr)
	if !ok || !t.excludes(b, off) || isFound(c.ID) {
		return false
	}
	if blk := r.book.held[b]; blk != nil {
		m := blk.slots[off].tag
		return !m.binds() || m.keepsFrom(r, c)
	}
	rem := r.directory.remotes[b]
	return rem == nil || rem.rec == nil || !rem.rec.binds(r, off, c)
}

// leaveExcluded has a client give up an address that has been excluded since it was leased: it is
// refused, so that the client asks anew and is offered another. The caller has no stripe.
func (r *Registry) leaveExcluded(ctx context.Context, c Client, addr netip.Addr) error {
	t, err := r.terms()
	if err != nil || len(t.pool.excluded) == 0 {
		return err
	}
	if b, off, ok := t.split(addr); ok && t.excludes(b, off) && !r.holds(addr) {
		r.consult(ctx, b) // whether it is reserved
	}
	r.mu.Lock()
	had, has := r.book.clients[string(c.ID)]
	has = has && r.barred(t, c, had)
	asked := r.barred(t, c, addr)
	r.mu.Unlock()
	if has {
		if err := r.leave(c, had, "the group's settings exclude the address"); err != nil {
			return err
		}
	}
	if asked {
		return fmt.Errorf("the group's settings exclude %v: %w", addr, ErrNotOurs)
	}
	return nil
}

// binds reports that the record has an address reserved for a client.
func (rec *Record) binds(r *Registry, off int, c Client) bool {
	for _, m := range rec.Bound {
		if int(m.Offset) != off {
			continue
		}
		return m.Client == hashClient(r.group, c.ID) || m.ByMAC && len(c.MAC) == 6 && m.Client == hashClient(r.group, bareClient([6]byte(c.MAC)))
	}
	return false
}
