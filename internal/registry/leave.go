package registry

import (
	"context"
	"errors"

	"landbridge/internal/group"
	"landbridge/internal/store"
)

// Vacate gives back the blocks in which nothing is leased, for a member that leaves the
// group, and returns how many were given back by the end of ctx. The others lapse with their
// time, so that nobody is leased an address that a host here may still use. No block is
// claimed in advance any more; Close, and Leave, are what should follow.
func (r *Registry) Vacate(ctx context.Context) (released int) {
	if r.proposing.lock(ctx, growKey) != nil { // never unlocked: nothing grows any more
		return 0
	}
	r.mu.Lock()
	held := r.blocksHeld()
	r.mu.Unlock()
	for _, blk := range held {
		if err := r.release(ctx, blk.Block); err != nil {
			r.log.Debug("block not given back", "block", blk.Block, "err", err)
			continue
		}
		released++
	}
	return released
}

// Leave removes from the state file what a node that leaves the group held and leased there,
// and returns how many blocks it still held: they lapse.
//
// What it keeps for the others, registers and records, stays: a replica that comes back
// under the same key and has forgotten what it promised could let a block be granted twice.
// Only where the node can never come back (forever) nothing is left.
func Leave(tx *store.Tx, id group.ID, forever bool) (held int, err error) {
	t := newTables(id)
	held = t.holds.Len(tx)
	if forever {
		return held, store.NewBucket[[]byte]("registry", id.String()).Clear(tx)
	}
	if err := errors.Join(t.leases.Clear(tx), t.tags.Clear(tx), t.history.Clear(tx), t.aliases.Clear(tx)); err != nil {
		return held, err
	}
	return held, t.holds.Clear(tx)
}
