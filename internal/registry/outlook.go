package registry

import (
	"context"

	"landbridge/internal/group"
)

// Outlook is what this member can do for clients that it doesn't know yet.
type Outlook struct {
	Blocks   int   // held
	Valid    int   // of them with a hold that stands: new leases are made in these
	Free     int   // addresses in those
	Unheld   int   // addresses in the blocks that it might hold besides, as far as its share goes
	Shortage error // why the last attempt to claim a block failed; nil where it didn't

	// Stranded: too few of those that kept the registers before the members changed can be
	// reached to take these over; until they are, nothing is claimed.
	Stranded bool

	Forgetful bool // it runs from an older copy of its state, and leases and claims nothing: ErrForgetful
}

// Outlook returns what is to be had here now, without asking anybody.
func (r *Registry) Outlook() Outlook {
	t, err := r.terms()
	if err != nil {
		return Outlook{Shortage: err}
	}
	now := r.clock.Instant()
	r.mu.Lock()
	defer r.mu.Unlock()
	o := Outlook{Blocks: len(r.book.held), Shortage: r.book.shortage, Forgetful: r.witness.forgetful.Load(), Stranded: r.stranded.Load()}
	o.Unheld = max(0, t.share()-o.Blocks) * r.geo.size() * t.pool.size / wholePool(r.geo).size
	for _, blk := range r.book.held {
		if blk.valid(now, t.holdTime) {
			_, _, free := r.count(blk, now)
			o.Valid++
			o.Free += free
		}
	}
	return o
}

// Claimable reports whether there is a block whose register could change if this member
// and those that up knows to be reachable were all that there are. It looks at the blocks
// that this member would try first.
func (r *Registry) Claimable(up func(group.MemberID) bool) bool {
	t, err := r.terms()
	if err != nil {
		return false
	}
	for i := range min(maxLooked, t.blocks()) {
		set := t.current(r.preference(t, i))
		votes := 0
		for i, m := range set.members {
			if m == r.id || up(m) {
				votes += set.votes[i]
			}
		}
		if len(set.members) > 0 && votes >= set.need {
			return true
		}
	}
	return false
}

// Bounds of the blocks that Claimable looks at, and whose keepers Answered asks: a prefix
// may have a quarter of a million.
const (
	maxLooked  = 64
	maxAnswers = 3
)

// Answered asks the keepers of a few blocks, those that this member would claim first,
// and reports whether a quorum of one answers.
func (r *Registry) Answered(ctx context.Context) bool {
	t, err := r.terms()
	if err != nil {
		return false
	}
	for i := range min(maxAnswers, t.blocks()) {
		b := r.preference(t, i)
		set, votes := t.current(b), 0
		answers := r.ask(t, set.members, r.pace.silence, request{Kind: kindGrants, Blocks: []BlockID{b}})
		err := collect(ctx, len(set.members), answers, func(a answer) bool {
			if a.err == nil && a.reply.Status == statusOK {
				votes += set.votesOf(a.from)
			}
			return votes < set.need
		})
		if err == nil && len(set.members) > 0 && votes >= set.need {
			return true
		}
	}
	return false
}
