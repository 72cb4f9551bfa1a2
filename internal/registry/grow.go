package registry

import (
	"context"
	"encoding/binary"
	"errors"
	"time"
)

// maxAttempts bounds the blocks that one grow tries to claim.
const maxAttempts = 8

// growKey is the one key under which growing is serialised.
const growKey = ^BlockID(0)

// needSpare reports whether another block should be claimed in advance.
func (r *Registry) needSpare(now Instant) bool {
	t, err := r.terms()
	if err != nil {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	free, total := 0, 0
	for _, blk := range r.book.held {
		if blk.valid(now, t.holdTime) {
			_, _, f := r.count(blk, now)
			free += f
			total += len(blk.slots)
		}
	}
	// The first block has three addresses less; it still counts as one.
	return free < r.geo.size()-3 || 4*free < total
}

// hasRoom reports whether any address could be offered.
func (r *Registry) hasRoom(now Instant) bool {
	t, err := r.terms()
	if err != nil {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, blk := range r.book.held {
		if blk.valid(now, t.holdTime) {
			if _, _, free := r.count(blk, now); free > 0 {
				return true
			}
		}
	}
	return false
}

// grow claims one more block. Many callers cause one claim.
func (r *Registry) grow(ctx context.Context) error {
	before := r.counts.claims.Load()
	if err := r.proposing.lock(ctx, growKey); err != nil {
		return err
	}
	defer r.proposing.unlock(growKey)
	if now := r.clock.Instant(); r.counts.claims.Load() != before && r.hasRoom(now) {
		return nil // somebody did while we waited
	}
	t, err := r.terms()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 8*r.pace.phase)
	defer cancel()
	last := error(ErrTaken)
	tried := 0
	for i := 0; i < t.blocks() && tried < maxAttempts; i++ {
		b := r.preference(t, i)
		if !r.mayBeFree(b) {
			continue
		}
		tried++
		_, err := r.obtain(ctx, b, opClaim)
		switch {
		case err == nil:
			return nil
		case errors.Is(err, ErrTaken):
			r.noteTaken(b, t)
			last = err
		case errors.Is(err, ErrContended):
			last = err
		default:
			return err
		}
	}
	return last
}

// preference is the order in which this member tries blocks: a walk through all of
// them that starts, and strides, by its own ID, so that members seldom collide.
func (r *Registry) preference(t *terms, i int) BlockID {
	start := binary.BigEndian.Uint32(r.id[0:])
	stride := binary.BigEndian.Uint32(r.id[4:]) | 1
	return BlockID((start + stride*uint32(i)) & uint32(t.blocks()-1))
}

// mayBeFree reports whether a claim is worth a try, by what is known here.
func (r *Registry) mayBeFree(b BlockID) bool {
	r.mu.Lock()
	blk, rem, until := r.book.held[b], r.directory.remotes[b], r.book.taken[b]
	r.mu.Unlock()
	now := r.clock.Mono()
	if blk != nil || rem != nil || now < until {
		return false
	}
	_, g, err := r.storedRecord(b)
	return err != nil || g.free() || g.Holder == r.id
}

// noteTaken remembers for a while that a claim was refused.
func (r *Registry) noteTaken(b BlockID, t *terms) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.book.taken[b] = r.clock.Mono() + min(t.holdTime/4, 10*time.Minute)
}

// releaseSurplus gives back one block that nobody has, or is remembered in, while
// there is room for as many again as are served without it, and two blocks more.
func (r *Registry) releaseSurplus(now Instant) {
	r.mu.Lock()
	free, total := 0, 0
	spare := -1
	for _, blk := range r.blocksHeld() {
		_, _, f := r.count(blk, now)
		free += f
		total += len(blk.slots)
		if blk.unused(now.Mono) {
			spare = int(blk.Block)
		}
	}
	r.mu.Unlock()
	size := r.geo.size()
	if spare < 0 || free-size < 2*size || 2*(free-size) < total-size {
		return
	}
	r.spawn(func() {
		ctx, cancel := context.WithTimeout(r.ctx, 4*r.pace.phase)
		defer cancel()
		if err := r.release(ctx, BlockID(spare)); err != nil {
			r.log.Debug("surplus block not given back", "block", spare, "err", err)
		}
	})
}

// unused reports a block without leases, offers and clients to remember.
func (b *block) unused(now time.Duration) bool {
	for i := range b.slots {
		s := &b.slots[i]
		if l := s.lease; now < s.until || l != nil && (l.taken(now) || l.awaited(now) || len(l.Client) > 0) {
			return false
		}
	}
	return true
}

// release gives a block back: it must have no lease. No address of it may be used
// from before the first message on.
func (r *Registry) release(ctx context.Context, b BlockID) error {
	now := r.clock.Instant()
	r.mu.Lock()
	blk := r.book.held[b]
	if blk == nil {
		r.mu.Unlock()
		return ErrNotHolder
	}
	for i := range blk.slots {
		if l := blk.slots[i].lease; l != nil && l.taken(now.Mono) || now.Mono < blk.slots[i].until {
			r.mu.Unlock()
			return ErrHeld
		}
	}
	epoch := blk.Epoch
	r.drop(blk)
	r.mu.Unlock()
	if err := r.forget(b, epoch); err != nil {
		return err
	}
	r.notify(Change{Kind: BlockLost, Block: b})
	_, _, err := r.change(ctx, b, opRelease, epoch)
	return err
}
