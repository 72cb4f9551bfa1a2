package registry

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"landbridge/internal/group"
	"landbridge/internal/store"
)

// ErrAbsent: nobody has that address or name now.
var ErrAbsent = errors.New("nobody has that address or name")

// Resolve finds who serves an address, asking members where memory doesn't say.
// However many ask, each address is resolved once at a time. A dead member costs at
// most 300 ms. A refusal is remembered for a second or two: ErrAbsent, or ErrNoQuorum
// where too few members answered to tell.
func (r *Registry) Resolve(ctx context.Context, addr netip.Addr) (Location, error) {
	if loc, s := r.Lookup(addr); s != Unknown {
		return found(loc, s)
	}
	return r.directory.flights.do(ctx, r, addr, func() (Location, error) { return r.find(addr) })
}

func found(loc Location, s Status) (Location, error) {
	if s == Absent {
		return Location{}, ErrAbsent
	}
	return loc, nil
}

// find asks the members about an address that memory doesn't know.
func (r *Registry) find(addr netip.Addr) (Location, error) {
	if until := r.awaitPush(addr); r.clock.Mono() < until {
		if loc, s := r.Lookup(addr); s == Known {
			return loc, nil
		}
		b, off, _ := r.geo.split(addr)
		r.denyUntil(b, off, until)
		return Location{}, ErrAbsent
	}
	b, off, _ := r.geo.split(addr)
	rec, certain := r.consultFor(r.ctx, b, off)
	if loc, s := r.Lookup(addr); s == Known {
		return loc, nil
	}
	switch {
	case !certain:
		r.deny(b, off)
		return Location{}, fmt.Errorf("resolve %v: %w", addr, ErrNoQuorum)
	case rec == nil:
		r.deny(b, -1)
	default:
		r.deny(b, off)
	}
	return Location{}, ErrAbsent
}

// awaitPush gives the holder of a block that we watch the time to tell of a lease
// made just now: its changes are on their way before anybody can ask about them. It
// returns until when what is not leased then is absent without a question, which
// bounds what a lost push can do; zero where the holder isn't known to push to us.
func (r *Registry) awaitPush(addr netip.Addr) (until time.Duration) {
	b, off, _ := r.geo.split(addr)
	enough := time.NewTimer(r.pace.push)
	defer enough.Stop()
	for {
		r.mu.Lock()
		rem := r.directory.remotes[b]
		now := r.clock.Mono()
		if rem == nil || now >= rem.watch || now >= rem.heard+r.pace.trust {
			r.mu.Unlock()
			return 0
		}
		until, next, leased := rem.heard+r.pace.trust, rem.next, rem.rec.leased(off)
		r.mu.Unlock()
		if leased {
			return until
		}
		select {
		case <-next:
		case <-enough.C:
			return until
		case <-r.ctx.Done():
			return 0
		}
	}
}

// consult returns the newest record of a block, from its holder where it can be
// reached, nil where nobody holds it.
func (r *Registry) consult(ctx context.Context, b BlockID) *Record {
	rec, _ := r.consultFor(ctx, b, -1)
	return rec
}

// consultFor is consult that is content with any record in which the offset is
// leased: then the holder is asked behind the caller's back. certain is false where
// too few answered to tell.
func (r *Registry) consultFor(ctx context.Context, b BlockID, off int) (rec *Record, certain bool) {
	t, err := r.terms()
	if err != nil {
		return nil, false
	}
	r.mu.Lock()
	if blk := r.book.held[b]; blk != nil {
		rec := r.recordOf(blk)
		r.mu.Unlock()
		return rec, true
	}
	rem := r.directory.remotes[b]
	var known *Record
	if rem != nil {
		known = rem.rec
		if r.clock.Mono()-rem.heard < r.pace.fresh {
			r.mu.Unlock()
			return known, true
		}
	}
	r.mu.Unlock()
	c := consultation{r: r, t: t, block: b, off: off, asked: make(map[group.MemberID]bool)}
	rec = c.run(ctx, known)
	return rec, c.certain
}

// consultation asks replicas and holder at once.
type consultation struct {
	r       *Registry
	t       *terms
	block   BlockID
	off     int
	asked   map[group.MemberID]bool // as holders
	certain bool
}

func (c *consultation) run(ctx context.Context, best *Record) *Record {
	r := c.r
	ctx, cancel := context.WithTimeout(ctx, r.pace.phase)
	defer cancel()
	var asHolder []<-chan answer
	next := func(h group.MemberID) {
		if !h.IsZero() && h != r.id && !c.asked[h] {
			c.asked[h] = true
			asHolder = append(asHolder, r.ask(c.t, []group.MemberID{h}, r.pace.phase, request{Kind: kindWatch, Block: c.block}))
		}
	}
	if best != nil {
		next(best.Holder)
	}
	set := c.t.current(c.block)
	replicas := r.ask(c.t, set.members, r.pace.phase, request{Kind: kindLookup, Block: c.block})
	votes := 0
	for left := len(set.members); left > 0 || len(asHolder) > 0; {
		var holder <-chan answer
		if len(asHolder) > 0 {
			holder = asHolder[0]
		}
		if left == 0 {
			replicas = nil
		}
		select {
		case a := <-holder:
			asHolder = asHolder[1:]
			if rec := c.take(a, true); rec != nil && rec.Holder == a.from {
				r.watched(c.block)
				c.certain = true
				return rec
			}
		case a := <-replicas:
			left--
			if a.err != nil {
				continue
			}
			if a.reply.Status == statusOK {
				votes += set.votesOf(a.from)
			}
			if rec := c.take(a, false); rec != nil {
				if rec.newer(best) {
					best = rec
				}
				next(rec.Holder)
				if c.off >= 0 && rec.leased(c.off) {
					return rec // the holder's answer comes later, as absorb
				}
			}
			next(a.reply.Value.Holder)
			c.certain = votes >= set.need
			if votes >= set.need && best == nil && len(c.asked) == 0 {
				return nil // a quorum knows of no holder
			}
			if votes >= set.need && len(asHolder) == 0 && len(c.asked) > 0 {
				return best // the holder doesn't answer for it
			}
		case <-ctx.Done():
			return best
		}
	}
	return best
}

// take absorbs an answer's record.
func (c *consultation) take(a answer, asked bool) *Record {
	if a.err != nil || len(a.reply.Record) == 0 {
		return nil
	}
	rec, err := c.r.absorb(a.reply.Record, asked)
	if err != nil || rec.Block != c.block {
		c.r.counts.badRecords.Add(1)
		return nil
	}
	return rec
}

// watched notes that the holder of a block will push to us.
func (r *Registry) watched(b BlockID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if rem := r.directory.remotes[b]; rem != nil {
		rem.watch = r.clock.Mono() + r.pace.watch
	}
}

// predecessor returns the newest record of a block before epoch g.Epoch, as a
// quorum of its keepers has it, nil if there is none.
func (r *Registry) predecessor(ctx context.Context, b BlockID, g Grant) (*Record, error) {
	t, err := r.terms()
	if err != nil {
		return nil, err
	}
	set := t.current(b)
	answers := r.ask(t, set.members, r.pace.phase, request{Kind: kindLookup, Block: b})
	votes := 0
	var best *Record
	err = collect(ctx, len(set.members), answers, func(a answer) bool {
		if a.err != nil || a.reply.Status != statusOK {
			return true
		}
		votes += set.votesOf(a.from)
		if len(a.reply.Record) > 0 {
			rec, sr, perr := parseRecord(r.codec, r.group, r.geo, a.reply.Record)
			if perr == nil && rec.Block == b && rec.Epoch < g.Epoch && rec.newer(best) &&
				sr.verify(r.standing, rec, false, r.clock.Instant().Wall) == nil {
				best = rec
			}
		}
		return votes < set.need
	})
	if err == nil && votes < set.need {
		err = ErrNoQuorum
	}
	return best, err
}

// storedRecord returns what this node keeps as a replica of the block.
func (r *Registry) storedRecord(b BlockID) (raw []byte, g Grant, err error) {
	err = r.store.View(func(tx *store.Tx) error {
		s, _, err := r.tables.acceptors.Get(tx, rowKey(b))
		if err != nil {
			return err
		}
		g = s.Value
		raw, _, err = r.tables.records.Get(tx, rowKey(b))
		return err
	})
	return raw, g, err
}
