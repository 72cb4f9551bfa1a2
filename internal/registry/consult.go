package registry

import (
	"context"
	"time"

	"landbridge/internal/group"
)

// word says whose answer it is that nothing (more) is leased in a block.
type word uint8

const (
	noWord      word = iota // too few members answered to tell
	keepersWord             // a majority of the block's keepers, with a record; its holder hasn't answered
	holdersWord             // its holder, or a majority of keepers that knows of none
)

// maxLingering bounds the consultations that go on after their callers left.
const maxLingering = 128

// consult returns the newest record of a block, from its holder where it can be
// reached, nil where nobody holds it.
func (r *Registry) consult(ctx context.Context, b BlockID) *Record {
	rec, _ := r.consultFor(ctx, b, -1, r.pace.phase)
	return rec
}

// consultFor is consult that is content with any record in which the offset is
// leased. It waits for patience at most. What is answered later isn't lost: it is
// learnt as if it had been pushed, so that members that are slow to answer are slow to
// be found, but found.
func (r *Registry) consultFor(ctx context.Context, b BlockID, off int, patience time.Duration) (*Record, word) {
	t, err := r.terms()
	if err != nil {
		return nil, noWord
	}
	rec, said := r.consultUnder(ctx, t, b, off, patience)
	// The answers may have shown that others keep the block now.
	if newer, err := r.terms(); rec == nil && err == nil && newer != t {
		rec, said = r.consultUnder(ctx, newer, b, off, patience)
	}
	return rec, said
}

// consultUnder is consultFor under the terms known.
func (r *Registry) consultUnder(ctx context.Context, t *terms, b BlockID, off int, patience time.Duration) (*Record, word) {
	r.mu.Lock()
	if blk := r.book.held[b]; blk != nil {
		rec := r.recordOf(blk)
		r.mu.Unlock()
		return rec, holdersWord
	}
	var known *Record
	if rem := r.directory.remotes[b]; rem != nil {
		known = rem.rec
		if r.clock.Mono()-rem.heard < r.pace.fresh {
			r.mu.Unlock()
			return known, holdersWord
		}
	}
	r.mu.Unlock()
	c := newConsultation(r, t, b, off, known)
	brief, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	done := c.run(brief)
	rec, said := c.best, c.said
	if !done {
		c.linger()
	}
	return rec, said
}

// consultation asks replicas and holder of a block at once. One goroutine uses it at
// a time.
type consultation struct {
	r       *Registry
	t       *terms
	block   BlockID
	off     int
	set     configuration
	asked   map[group.MemberID]bool // as holders
	holders []<-chan answer         // of those that haven't answered
	keepers <-chan answer
	left    int // keepers that haven't answered
	votes   int
	best    *Record
	said    word
}

func newConsultation(r *Registry, t *terms, b BlockID, off int, known *Record) *consultation {
	c := &consultation{r: r, t: t, block: b, off: off, best: known, set: t.current(b), asked: make(map[group.MemberID]bool)}
	if known != nil {
		c.askHolder(known.Holder)
	}
	c.left = len(c.set.members)
	c.keepers = r.ask(t, c.set.members, r.pace.late, request{Kind: kindLookup, Block: b})
	return c
}

func (c *consultation) askHolder(m group.MemberID) {
	if !m.IsZero() && m != c.r.id && !c.asked[m] {
		c.asked[m] = true
		c.holders = append(c.holders, c.r.ask(c.t, []group.MemberID{m}, c.r.pace.late, request{Kind: kindWatch, Block: c.block}))
	}
}

// run takes answers until there is enough for the caller, or ctx ends. It reports
// whether nothing that is still to come would tell more.
func (c *consultation) run(ctx context.Context) (done bool) {
	for c.left > 0 || len(c.holders) > 0 {
		var holder, keepers <-chan answer
		if len(c.holders) > 0 {
			holder = c.holders[0]
		}
		if c.left > 0 {
			keepers = c.keepers
		}
		select {
		case a := <-holder:
			c.holders = c.holders[1:]
			if c.holderSaid(a) {
				return true
			}
		case a := <-keepers:
			c.left--
			if rec := c.keeperSaid(a); c.off >= 0 && rec != nil && rec.leased(c.off) {
				return false // the holder's answer comes later
			}
		case <-ctx.Done():
			return false
		}
		if c.votes >= c.set.need && len(c.holders) == 0 {
			return true // the holder doesn't answer for it, or a quorum knows of none
		}
	}
	return true
}

// holderSaid takes the answer of one that was asked as the holder, and reports whether
// it is.
func (c *consultation) holderSaid(a answer) bool {
	rec := c.take(a, true)
	if rec == nil || rec.Holder != a.from {
		return false
	}
	c.r.watched(c.block)
	c.best, c.said = rec, holdersWord
	return true
}

// keeperSaid takes a keeper's answer and returns the record in it.
func (c *consultation) keeperSaid(a answer) *Record {
	if a.err != nil {
		return nil
	}
	if a.reply.Status == statusOK {
		c.votes += c.set.votesOf(a.from)
	}
	rec := c.take(a, false)
	if rec != nil {
		if rec.newer(c.best) {
			c.best = rec
		}
		c.askHolder(rec.Holder)
	}
	c.askHolder(a.reply.Value.Holder)
	switch {
	case c.votes < c.set.need:
	case c.best != nil:
		c.said = keepersWord
	case len(c.asked) == 0:
		c.said = holdersWord
	default: // they know who holds it, and nothing of what is leased there
		c.said = noWord
	}
	return rec
}

// linger goes on taking answers for nobody but the memory of this node.
func (c *consultation) linger() {
	r := c.r
	if r.directory.lingering.Add(1) > maxLingering {
		r.directory.lingering.Add(-1)
		return
	}
	c.off = -1
	started := r.spawn(func() {
		defer r.directory.lingering.Add(-1)
		c.run(r.ctx) // each question has its bound
	})
	if !started {
		r.directory.lingering.Add(-1)
	}
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
