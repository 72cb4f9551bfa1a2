package registry

import (
	"context"

	"landbridge/internal/group"
	"landbridge/internal/store"
)

// Vacate gives back the blocks in which nothing is leased, for a member that leaves the
// group. It returns how many were given back by the end of ctx, and how many are still
// held: those lapse with their time, so that nobody is leased an address that a host here
// may still use. No block is claimed in advance any more; Close is what should follow.
func (r *Registry) Vacate(ctx context.Context) (released, left int) {
	err := r.proposing.lock(ctx, growKey) // and never unlocked: nothing grows any more
	r.mu.Lock()
	held := r.blocksHeld()
	r.mu.Unlock()
	if err != nil {
		return 0, len(held)
	}
	for _, blk := range held {
		if err := r.release(ctx, blk.Block); err != nil {
			r.log.Debug("block not given back", "block", blk.Block, "err", err)
			left++
			continue
		}
		released++
	}
	return released, left
}

// Leave removes from the state file what a node that left the group held and leased. What
// it keeps for the others (registers and records) stays: a replica that comes back under the
// same key and has forgotten what it promised could let a block be granted twice.
func Leave(tx *store.Tx, id group.ID) error {
	t := newTables(id)
	if err := t.leases.Clear(tx); err != nil {
		return err
	}
	return t.holds.Clear(tx)
}

// Forget removes all that the state file has of a group's registry. It is for a group to
// which the node can't come back.
func Forget(tx *store.Tx, id group.ID) error {
	return store.NewBucket[[]byte]("registry", id.String()).Clear(tx)
}
