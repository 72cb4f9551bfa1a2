package registry

import (
	"errors"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"landbridge/internal/group"
)

// ChangeKind says what a Change is about.
type ChangeKind uint8

const (
	LeaseChanged ChangeKind = 1 + iota // made, renewed, ended, moved: Addr; it is served here or in our block
	BlockGained                        // this member holds the block now
	BlockLost                          // it no longer does: fenced, or released
	BlockSeen                          // a newer record of another member's block is known
)

// Change is what subscribers are told.
type Change struct {
	Kind  ChangeKind
	Block BlockID
	Addr  netip.Addr
}

// Subscribe calls f after each change, from many goroutines. f must be quick and
// must not block; it may call the Registry.
func (r *Registry) Subscribe(f func(Change)) (cancel func()) { return r.subscribers.join(f) }

// announce lets everybody know of a lease that changed: the record, the hints, the
// subscribers.
func (r *Registry) announce(b BlockID, l *lease) {
	if l.Holder.IsZero() {
		r.publisher.mark(b)
	}
	r.hint(l)
	r.subscribers.tell(Change{Kind: LeaseChanged, Block: b, Addr: l.addr})
}

// hint sends the hints of a lease.
func (r *Registry) hint(l *lease) {
	hs := r.hintsOf(nil, l)
	if len(hs) == 0 {
		return
	}
	if name := l.name(); name != "" {
		r.directory.heardOf(nameKey(r.group, name))
	}
	r.publisher.suggest(hs...)
}

// announceAgain is announce for a lease in a block of ours that was renewed and is as it was, and so is the record;
// hinted says that its hints are young.
func (r *Registry) announceAgain(b BlockID, l *lease, hinted bool) {
	if !hinted {
		r.hint(l)
	}
	r.subscribers.tell(Change{Kind: LeaseChanged, Block: b, Addr: l.addr})
}

// BlockStatus is one block that this member holds.
type BlockStatus struct {
	Block    BlockID
	First    netip.Addr
	Size     int
	Epoch    uint64
	Valid    bool      // new leases are made in it
	Until    time.Time // until when that is so unless the hold is renewed, by this machine's wall clock; zero where not
	Leased   int       // live, moved ones included
	Moved    int       // served by other members
	Free     int
	Replicas []group.MemberID
}

// Blocks returns the blocks held, in order.
func (r *Registry) Blocks() []BlockStatus {
	t, err := r.terms()
	if err != nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.clock.Instant()
	var out []BlockStatus
	for _, blk := range r.blocksHeld() {
		s := BlockStatus{
			Block: blk.Block, First: r.geo.addr(blk.Block, 0), Size: r.geo.size(), Epoch: blk.Epoch,
			Valid: blk.valid(now, t.holdTime), Until: blk.end(now, t.holdTime), Replicas: slices.Clone(t.current(blk.Block).members),
		}
		s.Leased, s.Moved, s.Free = r.count(blk, now)
		out = append(out, s)
	}
	return out
}

// count counts a block's addresses. Called with mu held.
func (r *Registry) count(blk *block, now Instant) (leased, moved, free int) {
	t, err := r.terms()
	if err != nil {
		return 0, 0, 0
	}
	for off := range blk.slots {
		s := &blk.slots[off]
		switch l := s.lease; {
		case r.geo.reserved(blk.Block, off):
		case l != nil && l.taken(now.Mono) && l.State == leaseLive:
			leased++
		case l != nil && l.taken(now.Mono) && l.State == leaseAway:
			leased++
			moved++
		case l != nil && (l.taken(now.Mono) || l.awaited(now.Mono)), now.Mono < s.until, s.tag.binds(), t.excludes(blk.Block, off):
		default:
			free++
		}
	}
	return leased, moved, free
}

// blocksHeld returns the blocks in order. Called with mu held.
func (r *Registry) blocksHeld() []*block {
	all := make([]*block, 0, len(r.book.held))
	for _, blk := range r.book.held {
		all = append(all, blk)
	}
	sortBlocks(all)
	return all
}

func sortBlocks(bs []*block) {
	slices.SortFunc(bs, func(a, b *block) int { return int(a.Block) - int(b.Block) })
}

// counters count what happened since Open.
type counters struct {
	claims, fenced, commits, moves, published atomic.Uint64
	arrived, stayed                           atomic.Uint64
	malformed, unauthorized, badRecords       atomic.Uint64
	turnedAway                                atomic.Uint64
}

// Stats is a reading of the registry's counters, all since Open but the last three.
type Stats struct {
	Claims, Fenced, Commits, Moves, Published uint64
	Arrived, Stayed                           uint64 // hosts taken over because they showed themselves here; claims by others that were refused as the host was still here
	Malformed, Unauthorized, BadRecords       uint64
	TurnedAway                                uint64 // new clients refused with ErrTooManyNew
	BlocksHeld, BlocksKnown                   int    // held here; of others, with a record in memory

	// Removed: the newest descriptor known here has this member removed. It leases nothing.
	Removed bool
	// Forgetful: it runs from an older copy of its state. It leases and claims nothing.
	Forgetful bool
}

// Stats returns the counters.
func (r *Registry) Stats() Stats {
	c := &r.counts
	r.mu.Lock()
	held, known := len(r.book.held), len(r.directory.remotes)
	r.mu.Unlock()
	return Stats{
		Claims: c.claims.Load(), Fenced: c.fenced.Load(), Commits: c.commits.Load(), Moves: c.moves.Load(),
		Published: c.published.Load(), Arrived: c.arrived.Load(), Stayed: c.stayed.Load(), Malformed: c.malformed.Load(), Unauthorized: c.unauthorized.Load(),
		BadRecords: c.badRecords.Load(), BlocksHeld: held, BlocksKnown: known,
		TurnedAway: c.turnedAway.Load(), Removed: errors.Is(r.inGroup(), group.ErrRemoved), Forgetful: r.witness.forgetful.Load(),
	}
}
