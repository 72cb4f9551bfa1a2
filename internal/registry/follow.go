package registry

import (
	"errors"
	"math/rand/v2"
	"slices"
	"time"

	"landbridge/internal/group"
	"landbridge/internal/store"
)

// follow brings this node's registers under a new version, and what is published
// to its new keepers.
func (r *Registry) follow(k *keeper, t *terms, now Instant) {
	if was := k.seen; was == nil || t.version != was.version {
		k.seen, k.patience = t, r.pace.phase
		k.sweepAt = sweepTime(was, t, k.sweepAt, now.Mono)
		r.republish(was, t)
		r.spawn(func() { r.handOver(was, t) })
	}
	if k.swept.Load() == t.version || now.Mono < k.sweepAt || k.sweeping.Swap(true) {
		return
	}
	k.sweepAt = now.Mono + k.patience // while others can't be reached, ever more seldom
	k.patience = min(2*k.patience, time.Minute)
	r.spawn(func() {
		defer k.sweeping.Store(false)
		if r.sweep(t) {
			k.swept.Store(t.version)
		}
	})
}

const (
	// In a group of more than promptMembers the sweep after somebody came waits, for up
	// to sweepDelay for each member: all members ask nearly all others in it, so that one
	// sweep should do for many newcomers. Who needs a register before takes it over alone.
	promptMembers = 16
	sweepDelay    = time.Second
)

// sweepTime returns when the registers are to be taken over under new terms, where a sweep
// under the terms before them was to be at pending. Where somebody went that is now: the
// next who goes may take a quorum of the former keepers along.
func sweepTime(was, is *terms, pending, now time.Duration) time.Duration {
	members := len(is.members())
	if was == nil || members <= promptMembers || is.leftSince(was.version) {
		return 0
	}
	latest := time.Duration(members) * sweepDelay
	if pending > now && pending < now+latest {
		return pending
	}
	return now + rand.N(latest)
}

// sweep transfers every block that this node keeps. Blocks that nobody ever
// claimed too: their old keepers may be gone when somebody does. And the aliases.
func (r *Registry) sweep(t *terms) bool {
	complete := true
	var kept []BlockID
	for b := range BlockID(t.blocks()) {
		if t.keeps(b, r.id) {
			kept = append(kept, b)
		}
	}
	chunks := slices.Collect(slices.Chunk(kept, maxBlocksAsk))
	if t.keeps(aliasRegister, r.id) {
		chunks = append(chunks, []BlockID{aliasRegister}) // large: alone, as decodeRequest wants it
	}
	for i, chunk := range chunks {
		if r.ctx.Err() != nil {
			break
		}
		if err := r.transfer(r.ctx, t, chunk); err != nil {
			complete = false
			r.log.Debug("registers not all taken over yet", "version", t.version, "err", err)
			if errors.Is(err, errStale) {
				return false // there is a newer version, whose sweep tells
			}
			if errors.Is(err, ErrNoQuorum) && i == 0 {
				break
			}
		}
	}
	if r.ctx.Err() == nil {
		r.stranded.Store(!complete)
	}
	return complete
}

// handOver sends the records that this node keeps to those who have become their keepers
// since the terms before, nil for none.
func (r *Registry) handOver(before, t *terms) {
	type kept struct {
		b   BlockID
		raw []byte
	}
	var all []kept
	err := r.store.View(func(tx *store.Tx) error {
		var failed error
		for key, raw := range r.tables.records.Scan(tx, nil, &failed) {
			all = append(all, kept{rowBlock(key), raw})
		}
		return failed
	})
	if err != nil {
		r.log.Error("records not read", "err", err)
	}
	for _, k := range all {
		chain := t.chain(k.b)
		if len(chain) < 2 || before != nil && chain[len(chain)-1].first <= before.version {
			continue
		}
		was, is := chain[len(chain)-2], chain[len(chain)-1]
		var fresh []group.MemberID
		for _, m := range is.members {
			if !was.has(m) && m != r.id {
				fresh = append(fresh, m)
			}
		}
		answers := r.ask(t, fresh, 4*r.pace.phase, request{Kind: kindStore, Block: k.b, Record: k.raw})
		if collect(r.ctx, len(fresh), answers, func(answer) bool { return true }) != nil {
			return
		}
	}
}

// republish publishes what has new keepers by a change of the terms, which in a large group
// is nearly nothing; without terms before, all.
func (r *Registry) republish(before, t *terms) {
	r.mu.Lock()
	var hs []hint
	for b, blk := range r.book.held {
		if before == nil || !slices.Equal(before.keepers(b), t.keepers(b)) {
			r.publisher.mark(b)
		}
		for i := range blk.slots {
			hs = r.hintsOf(hs, blk.slots[i].lease)
		}
	}
	for _, l := range r.book.foreign {
		hs = r.hintsOf(hs, l)
	}
	r.mu.Unlock()
	r.publisher.suggest(slices.DeleteFunc(hs, func(h hint) bool {
		return before != nil && slices.Equal(before.nearest(h.Key), t.nearest(h.Key))
	})...)
}
