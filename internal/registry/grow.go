package registry

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"time"

	"landbridge/internal/sorting"
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
	if len(r.book.held) >= t.share() {
		return false
	}
	free, total := 0, 0
	for _, blk := range r.book.held {
		if blk.valid(now, t.holdTime) {
			_, _, f := r.count(blk, now)
			free += f
			total += t.leasable(blk.Block)
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

// ErrShare: this member holds as many blocks as it may.
var ErrShare = errors.New("this member holds as many blocks as one member may")

// mayHoldMore is ErrShare where this member has its share of the blocks.
func (r *Registry) mayHoldMore(t *terms) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.book.held) >= t.share() {
		return ErrShare
	}
	return nil
}

// grow claims one more block, up to this member's share. Many callers cause one claim.
func (r *Registry) grow(ctx context.Context) error {
	err := r.growOnce(ctx)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.book.shortage = err
	return err
}

func (r *Registry) growOnce(ctx context.Context) error {
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
	if err := r.mayHoldMore(t); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 8*r.pace.phase)
	defer cancel()
	last := ErrTaken
	tried := 0
	for i := 0; i < t.blocks() && tried < maxAttempts; i++ {
		b := r.preference(t, i)
		if t.leasable(b) == 0 || !r.mayBeFree(b) {
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

// releaseSurplus gives back blocks that nobody has, or is remembered in, while there
// is room for as many again as are served without them, and two blocks more. A member
// that holds more than half of its share gives up memories for it, the oldest first.
func (r *Registry) releaseSurplus(t *terms, now Instant) {
	type idle struct {
		block BlockID
		last  time.Duration // until when its last client is remembered
		size  int
	}
	r.mu.Lock()
	free, total, held := 0, 0, len(r.book.held)
	var all []idle
	for _, blk := range r.blocksHeld() {
		_, _, f := r.count(blk, now)
		n := t.leasable(blk.Block)
		free += f
		total += n
		if last, ok := blk.idle(now.Mono); ok {
			all = append(all, idle{blk.Block, last, n})
		}
	}
	r.mu.Unlock()
	sorting.StablyBy(all, func(a, b idle) int { return cmp.Compare(a.last, b.last) })
	size := r.geo.size()
	var surplus []BlockID
	for _, one := range all {
		enough := free-one.size >= 2*size && 2*(free-one.size) >= total-one.size
		if len(surplus) == maxSurplus {
			break
		}
		if one.size > 0 && !enough || one.last > 0 && 2*held <= t.share() {
			continue
		}
		free, total = free-one.size, total-one.size
		held--
		surplus = append(surplus, one.block)
	}
	if len(surplus) == 0 {
		return
	}
	r.spawn(func() {
		for _, b := range surplus {
			ctx, cancel := context.WithTimeout(r.ctx, 4*r.pace.phase)
			if err := r.release(ctx, b); err != nil {
				r.log.Debug("surplus block not given back", "block", b, "err", err)
			}
			cancel()
		}
	})
}

// maxSurplus bounds the blocks given back at a time.
const maxSurplus = 8

// idle reports a block without leases and offers, and until when the last of its
// clients is to be remembered: 0 without any.
func (b *block) idle(now time.Duration) (last time.Duration, ok bool) {
	for i := range b.slots {
		s := &b.slots[i]
		l := s.lease
		switch {
		case now < s.until, s.tag.binds(), l != nil && (l.taken(now) || l.awaited(now)):
			return 0, false
		case l != nil && len(l.Client) > 0:
			last = max(last, l.until, 1)
		}
	}
	return last, true
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
		if l := blk.slots[i].lease; l != nil && l.taken(now.Mono) || now.Mono < blk.slots[i].until || blk.slots[i].tag.binds() {
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
	r.subscribers.tell(Change{Kind: BlockLost, Block: b})
	_, _, err := r.change(ctx, b, opRelease, epoch)
	if err != nil && !settled(err) {
		r.orphaned(b)
	}
	return err
}
