package registry

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"landbridge/internal/group"
)

// start asks the members in reach whether our blocks are still ours, and our memory whole,
// for at most one phase where one of them answers, and then lets leasing begin.
func (r *Registry) start() {
	r.findWitness()
	close(r.ready)
	r.mu.Lock()
	for b := range r.book.held {
		r.publisher.mark(b)
	}
	r.mu.Unlock()
	r.poke()
}

// newcomersAsk is how many members one that has nothing yet asks at its first start.
const newcomersAsk = 8

// checkHolds fences blocks that a member says it holds at a later epoch. Where a
// keeper only has signs of one, no new leases are made until a renewal succeeds. It reports
// whether anybody answered, or there is nobody else.
func (r *Registry) checkHolds() (answered bool) {
	t, err := r.terms()
	if err != nil {
		return false
	}
	epochs := make(map[BlockID]uint64)
	r.mu.Lock()
	var blocks []BlockID
	for _, blk := range r.blocksHeld() {
		blocks = append(blocks, blk.Block)
		epochs[blk.Block] = blk.Epoch
	}
	r.mu.Unlock()
	ctx, cancel := context.WithTimeout(r.ctx, r.pace.phase)
	defer cancel()
	others := others(t, r.id)
	if r.witness.opened == 0 && len(blocks) == 0 {
		rand.Shuffle(len(others), func(i, j int) { others[i], others[j] = others[j], others[i] })
		others = others[:min(len(others), newcomersAsk)]
	}
	answered = len(others) == 0
	for first := true; (first || len(blocks) > 0) && ctx.Err() == nil; first = false { // once, also without blocks
		chunk := blocks[:min(len(blocks), maxBlocksAsk)]
		blocks = blocks[len(chunk):]
		answers := r.ask(t, others, r.pace.phase, request{Kind: kindGrants, Blocks: chunk})
		_ = collect(ctx, len(others), answers, func(a answer) bool { // who doesn't answer in time has no say
			answered = answered || a.err == nil || errors.Is(a.err, errWitnessed)
			if a.err != nil || a.reply.Status != statusOK || len(a.reply.Grants) != len(chunk) {
				return true
			}
			for i, g := range a.reply.Grants {
				switch {
				case g.Epoch <= epochs[chunk[i]]:
				case g.Holder == a.from:
					r.fence(chunk[i], epochs[chunk[i]], "member "+a.from.Short()+" holds it at a later epoch")
				default:
					r.suspect(chunk[i], epochs[chunk[i]])
				}
			}
			return true
		})
	}
	return answered
}

func others(t *terms, self group.MemberID) []group.MemberID {
	var ms []group.MemberID
	for _, m := range t.members() {
		if m != self {
			ms = append(ms, m)
		}
	}
	return ms
}

// suspect makes a hold count as run out until it is renewed.
func (r *Registry) suspect(b BlockID, epoch uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if blk := r.book.held[b]; blk != nil && blk.Epoch == epoch {
		blk.Boot, blk.Mono, blk.Wall = "", 0, 0
	}
}

// keeper is what the background loop remembers.
type keeper struct {
	seen      *terms        // last; nil at first
	swept     atomic.Uint64 // version whose transfers are complete
	sweeping  atomic.Bool
	sweepAt   time.Duration // not to be tried again before
	patience  time.Duration // between tries
	republish time.Duration
	inherit   time.Duration
	grow      time.Duration
	surplus   time.Duration
	orphans   time.Duration // when the members are asked about them next
	aliases   time.Duration // likewise
	backoff   time.Duration
	renewing  map[BlockID]time.Duration // not to be tried again before
}

// keep is the background loop: expiry, renewal, spare blocks, watches, transfers.
func (r *Registry) keep() {
	k := &keeper{renewing: make(map[BlockID]time.Duration)}
	if r.awaitReady(r.ctx) != nil {
		return
	}
	k.republish = r.clock.Mono() + r.pace.republish
	if t, err := r.terms(); err == nil && r.witness.opened == 0 { // no earlier run that could have lost a block
		k.orphans = r.clock.Mono() + r.orphanPause(t)
	}
	tick := time.NewTicker(r.pace.tick)
	defer tick.Stop()
	for {
		r.turn(k)
		select {
		case <-tick.C:
		case <-r.wake:
		case <-r.ctx.Done():
			return
		}
	}
}

func (r *Registry) turn(k *keeper) {
	t, err := r.terms()
	if err != nil {
		r.log.Error("group descriptor can't be used", "err", err)
		return
	}
	if r.inGroup() != nil {
		return // nothing to keep
	}
	now := r.clock.Instant()
	r.saveWitness(now.Mono)
	r.follow(k, t, now)
	r.expire(now)
	r.renewDue(k, t, now)
	if now.Mono >= k.grow {
		r.growInBackground(k, now)
	}
	if now.Mono >= k.inherit {
		k.inherit = now.Mono + max(r.pace.tick, t.holdTime/50)
		r.inheritSilent(t, now)
	}
	if now.Mono >= k.surplus {
		k.surplus = now.Mono + min(time.Minute, max(r.pace.tick, t.holdTime/50))
		r.releaseSurplus(t, now)
	}
	if now.Mono >= k.orphans {
		k.orphans = now.Mono + r.orphanPause(t)
		r.spawn(func() { r.findOrphans(t) })
	}
	r.followAliases(k, now)
	r.tendOrphans(t, now)
	r.renewWatches(now)
	if now.Mono >= r.history.prune {
		r.history.prune = now.Mono + pruneEvery
		if err := r.pruneHistory(now, maxHistory); err != nil {
			r.log.Error("old entries not taken off", "err", err)
		}
	}
	if now.Mono >= k.republish {
		k.republish = now.Mono + r.pace.republish
		r.republish(nil, nil)
	}
}

func (r *Registry) hintsOf(hs []hint, l *lease) []hint {
	if l == nil || l.State != leaseLive {
		return hs
	}
	hs = append(hs, hint{Key: clientKey(r.group, l.Hash), Addr: l.addr.As4()})
	if bare := hashClient(r.group, bareClient(l.MAC)); bare != l.Hash && l.MAC != [6]byte{} {
		hs = append(hs, hint{Key: clientKey(r.group, bare), Addr: l.addr.As4()}) // of the MAC alone: see FindMAC
	}
	if name := l.name(); name != "" {
		hs = append(hs, hint{Key: nameKey(r.group, name), Addr: l.addr.As4()})
	}
	return hs
}

// maxForgotten bounds the remembered clients that one turn forgets: nothing waits for
// it, and each is a write.
const maxForgotten = 32

// expire ends what is over.
func (r *Registry) expire(now Instant) {
	r.mu.Lock()
	var ended, lost, forgotten []*lease
	for _, blk := range r.book.held {
		for i := range blk.slots {
			s := &blk.slots[i]
			if s.reserved != "" && now.Mono >= s.until {
				if r.book.offers[s.reserved] == r.geo.addr(blk.Block, i) {
					delete(r.book.offers, s.reserved)
				}
				s.reserved = ""
			}
			switch l := s.lease; {
			case l == nil || now.Mono < l.until:
			case l.State != leaseKept:
				ended = append(ended, l)
			case len(forgotten) < maxForgotten:
				forgotten = append(forgotten, l)
			}
		}
	}
	for _, l := range r.book.foreign {
		if now.Mono >= l.until {
			lost = append(lost, l)
		}
	}
	r.mu.Unlock()
	for _, l := range ended {
		r.finish(l, func(cur *lease) error { return r.end(cur, r.happens(Expired, cur)) })
	}
	for _, l := range forgotten {
		r.finish(l, r.dropKept)
	}
	for _, l := range lost {
		r.finish(l, func(cur *lease) error { return r.dropForeign(cur, true, r.happens(Expired, cur)) })
	}
	r.forgetEvicted(now.Mono)
	r.hints.expire(now.Mono)
}

// finish ends one lease, unless it was renewed meanwhile.
func (r *Registry) finish(l *lease, end func(*lease) error) {
	stripe := r.stripe(l.addr)
	stripe.Lock()
	defer stripe.Unlock()
	r.mu.Lock()
	same := r.leaseAt(l.addr) == l
	r.mu.Unlock()
	if !same {
		return
	}
	if err := end(l); err != nil && !errors.Is(err, ErrNotOurs) {
		r.log.Error("lease not ended", "addr", l.addr, "err", err)
	}
}

// renewDue renews the holds that have passed a third of their time, and asks
// holders of others about the addresses that we serve in their blocks.
func (r *Registry) renewDue(k *keeper, t *terms, now Instant) {
	r.mu.Lock()
	var due []*block
	for b, blk := range r.book.held {
		if blk.due(now, t.holdTime) && now.Mono >= k.renewing[b] {
			due = append(due, blk)
			k.renewing[b] = now.Mono + min(t.holdTime/10, 30*time.Second) + 2*r.pace.phase
		}
	}
	for b := range k.renewing {
		if r.book.held[b] == nil {
			delete(k.renewing, b)
		}
	}
	stepped := r.reanchor(now)
	r.mu.Unlock()
	for _, h := range stepped {
		if err := r.putHold(h); err != nil && !errors.Is(err, ErrNotHolder) {
			r.log.Error("hold not written", "block", h.Block, "err", err)
		}
	}
	for _, blk := range due {
		r.spawn(func() {
			ctx, cancel := context.WithTimeout(r.ctx, 10*r.pace.phase)
			defer cancel()
			if err := r.renew(ctx, blk); err != nil && !errors.Is(err, ErrNotHolder) {
				r.log.Debug("block not renewed yet", "block", blk.Block, "err", err)
			}
		})
	}
}

// reanchor moves the holds after a wall clock that was set back. Called with mu held.
func (r *Registry) reanchor(now Instant) (stepped []hold) {
	for _, blk := range r.book.held {
		if blk.reanchor(now) {
			stepped = append(stepped, blk.hold)
		}
	}
	return stepped
}

// growInBackground claims a spare block where less than a block's worth, or less
// than a quarter, of the addresses is free.
func (r *Registry) growInBackground(k *keeper, now Instant) {
	if !r.needSpare(now) {
		k.backoff = 0
		return
	}
	k.backoff = min(max(2*k.backoff, r.pace.phase), 30*time.Second)
	k.grow = now.Mono + k.backoff + rand.N(k.backoff)
	r.spawn(func() {
		ctx, cancel := context.WithTimeout(r.ctx, 8*r.pace.phase)
		defer cancel()
		if err := r.grow(ctx); err != nil {
			r.log.Debug("no spare block yet", "err", err)
			return
		}
		r.poke()
	})
}

// inheritSilent takes over blocks whose holders have been silent for so long that
// the group gives them up. Their keepers take turns, so that one asks at a time.
func (r *Registry) inheritSilent(t *terms, now Instant) {
	r.replica.mu.Lock()
	candidates := make(map[BlockID]Grant)
	for b, timer := range r.replica.timers {
		if !timer.grant.free() && timer.grant.Holder != r.id && timer.lapsed(timer.grant, now.Mono, t.lapse()) {
			candidates[b] = timer.grant
		}
	}
	r.replica.mu.Unlock()
	for b, g := range candidates {
		set := t.current(b)
		rank := 0
		for _, m := range set.members {
			if m == r.id {
				break
			}
			if m != g.Holder {
				rank++
			}
		}
		if !set.has(r.id) || !r.replica.silentFor(b, g, now, t.lapse()+time.Duration(rank)*t.holdTime/20) {
			continue
		}
		r.spawn(func() {
			ctx, cancel := context.WithTimeout(r.ctx, 4*r.pace.phase)
			defer cancel()
			switch _, err := r.obtain(ctx, b, opInherit); {
			case err == nil:
				r.log.Info("block of a silent member taken over", "block", b, "from", g.Holder.Short(), "epoch", g.Epoch+1)
			default:
				r.log.Debug("block not taken over", "block", b, "err", err)
			}
		})
	}
}

// renewWatches keeps hearing from the holders of blocks in use, and forgets the
// blocks that nobody asked about since the last time.
func (r *Registry) renewWatches(now Instant) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for b, rem := range r.directory.remotes {
		if rem.asking || now.Mono < rem.watch-r.pace.watch/3 {
			continue
		}
		v := r.directory.views[b].Load()
		if v == nil || !v.used.Swap(false) {
			if now.Mono >= rem.watch && now.Mono-rem.heard > r.pace.watch {
				delete(r.directory.remotes, b)
				r.refreshView(b)
			}
			continue
		}
		rem.asking = true
		ok := r.spawn(func() {
			ctx, cancel := context.WithTimeout(r.ctx, r.pace.phase)
			defer cancel()
			r.consult(ctx, b)
			r.mu.Lock()
			rem.asking = false
			rem.watch = max(rem.watch, r.clock.Mono()+r.pace.watch/3+r.pace.phase) // not at once again
			r.mu.Unlock()
		})
		if !ok {
			return
		}
	}
}
