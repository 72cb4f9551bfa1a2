package registry

import (
	"context"
	"time"

	"landbridge/internal/group"
)

// An orphan is a block whose register names this member although it doesn't hold it:
// the claim was won and then not installed, or its outcome was never learnt, or the
// block was given back and the register not told. Nobody else may claim it, so this
// member does, at a new epoch, and gives it back when it isn't needed.

// orphaned notes a block that may be an orphan.
func (r *Registry) orphaned(b BlockID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, known := r.book.orphans[b]; !known && r.book.held[b] == nil {
		r.book.orphans[b] = r.clock.Mono()
	}
}

// tendOrphans tries the orphans whose time has come, in the background.
func (r *Registry) tendOrphans(t *terms, now Instant) {
	var due []BlockID
	r.mu.Lock()
	for b, at := range r.book.orphans {
		switch {
		case r.book.held[b] != nil:
			delete(r.book.orphans, b)
		case now.Mono >= at && len(due) < maxSurplus:
			r.book.orphans[b] = now.Mono + min(t.holdTime/50, 30*time.Second) + 8*r.pace.phase
			due = append(due, b)
		}
	}
	r.mu.Unlock()
	for _, b := range due {
		r.spawn(func() {
			ctx, cancel := context.WithTimeout(r.ctx, 8*r.pace.phase)
			defer cancel()
			if err := r.adoptOrphan(ctx, b); err != nil {
				r.log.Debug("orphaned block not claimed yet", "block", b, "err", err)
			}
		})
	}
}

// adoptOrphan asks the register, and claims the block if it names this member.
func (r *Registry) adoptOrphan(ctx context.Context, b BlockID) error {
	g, _, err := r.change(ctx, b, opRead, 0)
	if err == nil && g.Holder == r.id {
		_, err = r.obtain(ctx, b, opClaim)
	}
	if !settled(err) {
		return err
	}
	r.mu.Lock()
	delete(r.book.orphans, b)
	r.mu.Unlock()
	return err
}

// orphanPause is the time between two searches for orphans.
func (r *Registry) orphanPause(t *terms) time.Duration {
	return max(r.pace.tick, min(t.holdTime/10, time.Hour))
}

// findOrphans asks the keepers of the blocks that aren't held here whether one is
// this member's: what it knew of it may have gone with an earlier run.
func (r *Registry) findOrphans(t *terms) {
	want := make(map[group.MemberID][]BlockID)
	for b := range BlockID(t.blocks()) {
		r.mu.Lock()
		held := r.book.held[b] != nil
		r.mu.Unlock()
		if held {
			continue
		}
		for _, m := range t.keepers(b) {
			want[m] = append(want[m], b)
		}
	}
	for m, blocks := range want {
		for len(blocks) > 0 && r.ctx.Err() == nil {
			chunk := blocks[:min(len(blocks), maxBlocksAsk)]
			blocks = blocks[len(chunk):]
			a := <-r.ask(t, []group.MemberID{m}, r.pace.phase, request{Kind: kindGrants, Blocks: chunk})
			if a.err != nil || a.reply.Status != statusOK || len(a.reply.Grants) != len(chunk) {
				break // away: others keep these blocks too
			}
			for i, g := range a.reply.Grants {
				if g.Holder == r.id {
					r.orphaned(chunk[i])
				}
			}
		}
	}
}
