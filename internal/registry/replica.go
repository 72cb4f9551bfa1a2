package registry

import (
	"context"
	"fmt"
	"sync"
	"time"

	"landbridge/internal/group"
	"landbridge/internal/store"
)

// replica is what this node remembers, beside its tables, of the registers that
// it keeps for the group.
type replica struct {
	mu     sync.Mutex
	timers map[BlockID]lapseTimer
}

// lapsed reports whether value's holder has been silent too long. A register that
// no timer runs for yet (after a restart) gets one.
func (p *replica) lapsed(b BlockID, value Grant, now Instant, t *terms) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	timer := p.timers[b]
	if timer.grant != value {
		timer = timer.observe(group.MemberID{}, value, now.Mono)
		p.timers[b] = timer
	}
	return !value.free() && timer.lapsed(value, now.Mono, t.lapse())
}

// observe notes that the replica now holds value, accepted from member from, and
// returns since when its holder has been silent.
func (p *replica) observe(b BlockID, from group.MemberID, value Grant, now Instant) (since time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	timer := p.timers[b].observe(from, value, now.Mono)
	p.timers[b] = timer
	return timer.since
}

// recall goes on with the time of a register from disk where this is still the same
// boot. Else it begins a whole new one, and the state returned must be written: fresh.
func (p *replica) recall(b BlockID, s acceptorState, now Instant) (dated acceptorState, fresh bool) {
	if s.Boot == "" || s.Boot != now.Boot || s.Since > now.Mono {
		p.restart(b, s.Value, now)
		return s.dated(now.Boot, now.Mono), true
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.timers[b] = lapseTimer{grant: s.Value, since: s.Since}
	return s, false
}

// restart begins a whole new time: the register came from elsewhere, and what this
// node remembers of an earlier stay in the replica set proves nothing.
func (p *replica) restart(b BlockID, value Grant, now Instant) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.timers[b] = lapseTimer{grant: value, since: now.Mono}
}

// silentFor reports, without starting a timer, whether the holder has been silent that long.
func (p *replica) silentFor(b BlockID, value Grant, now Instant, d time.Duration) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.timers[b].lapsed(value, now.Mono, d)
}

// register answers prepare and accept. A replica that is not in charge yet first
// fetches what the older configuration knew.
func (r *Registry) register(ctx context.Context, t *terms, from group.MemberID, q request) reply {
	v := r.step(t, from, q)
	if v.status == statusNotReady {
		if err := r.transfer(ctx, t, []BlockID{q.Block}); err != nil {
			r.log.Debug("register not ready", "block", q.Block, "err", err)
			return reply{Status: statusNotReady}
		}
		v = r.step(t, from, q)
	}
	if v.status == statusStale {
		return reply{Status: statusStale, Descriptor: t.raw}
	}
	return v.reply()
}

// step runs one message through the acceptor, durably.
func (r *Registry) step(t *terms, from group.MemberID, q request) verdict {
	conf := t.current(q.Block)
	if !t.register(q.Block) || !conf.has(r.id) || q.Kind == kindAccept && !aliasesOnly(q.Block, q.Base, q.Value) {
		return verdict{status: statusRefused}
	}
	first := len(t.chain(q.Block)) == 1
	now := r.clock.Instant()
	var v verdict
	err := r.write(func(tx *store.Tx) error {
		v = verdict{}
		if ok, err := r.seal(tx, t, q.Version, &v.status); !ok {
			return err
		}
		s, _, err := r.tables.acceptors.Get(tx, rowKey(q.Block))
		if err != nil {
			return err
		}
		if !s.inCharge(conf.first, first) {
			v.status = statusNotReady
			return nil
		}
		s.Conf = conf.first
		var next acceptorState
		if q.Kind == kindPrepare {
			next, v = s.prepare(prepareRequest{ballot: q.Ballot})
			v.lapsed = r.replica.lapsed(q.Block, v.value, now, t)
		} else {
			a := acceptRequest{ballot: q.Ballot, baseBallot: q.BaseBallot, base: q.Base, value: q.Value}
			next, v = s.accept(from, a, r.replica.lapsed(q.Block, q.Base, now, t))
			if v.status == statusOK {
				// Now, not after the commit: the next message of this batch must see
				// it. Should the commit fail, the timer only runs longer.
				next = next.dated(now.Boot, r.replica.observe(q.Block, from, v.value, now))
			}
		}
		if next == s {
			return nil
		}
		return r.tables.acceptors.Put(tx, rowKey(q.Block), next)
	})
	if err != nil {
		r.log.Error("register not written", "block", q.Block, "err", err)
		return verdict{status: statusNotReady}
	}
	return v
}

// seal makes the version durable, or reports in *s why the message can't be taken.
func (r *Registry) seal(tx *store.Tx, t *terms, version uint64, s *status) (bool, error) {
	sealed, _, err := r.tables.sealed.Get(tx, sealedKey())
	if err != nil {
		return false, err
	}
	if *s = seal(sealed, max(sealed, t.version), version); *s != statusOK {
		return false, nil
	}
	if version == sealed {
		return true, nil
	}
	return true, r.tables.sealed.Put(tx, sealedKey(), version)
}

// tell answers kindTransfer: what this node accepted, never to change any more
// under a version older than the reader's.
func (r *Registry) tell(t *terms, q request) reply {
	a := reply{}
	err := r.write(func(tx *store.Tx) error {
		a = reply{}
		if ok, err := r.seal(tx, t, q.Version, &a.Status); !ok {
			return err
		}
		for _, b := range q.Blocks {
			s, _, err := r.tables.acceptors.Get(tx, rowKey(b))
			if err != nil {
				return err
			}
			a.States = append(a.States, transferReply{Conf: s.Conf, Accepted: s.Accepted, Value: s.Value})
		}
		return nil
	})
	switch {
	case err != nil:
		r.log.Error("registers not read", "err", err)
		return reply{Status: statusNotReady}
	case a.Status == statusStale:
		a.Descriptor = t.raw
	}
	return a
}

// transfer puts this node in charge of those of the blocks that it keeps.
func (r *Registry) transfer(ctx context.Context, t *terms, blocks []BlockID) error {
	ctx, cancel := context.WithTimeout(ctx, 8*r.pace.phase) // the dead cost nothing once a quorum has answered
	defer cancel()
	open := make(map[BlockID]*transfer)
	for _, b := range blocks {
		if chain := t.chain(b); len(chain) > 1 && chain[len(chain)-1].has(r.id) {
			open[b] = newTransfer(chain)
		}
	}
	if err := r.dropCharged(open); err != nil {
		return err
	}
	tried := make(map[group.MemberID]bool)
	for {
		wanted := make(map[group.MemberID][]BlockID)
		for _, b := range blocks {
			if m := open[b]; m != nil {
				for _, peer := range m.need() {
					if !tried[peer] {
						wanted[peer] = append(wanted[peer], b)
					}
				}
			}
		}
		if len(wanted) == 0 {
			return r.adopt(t, open)
		}
		if err := r.fetch(ctx, t, wanted, tried, open); err != nil {
			return err
		}
	}
}

// inCharge reports whether this node takes part in the block's present configuration.
func (r *Registry) inCharge(t *terms, b BlockID) bool {
	chain := t.chain(b)
	charged := false
	err := r.store.View(func(tx *store.Tx) error {
		s, _, err := r.tables.acceptors.Get(tx, rowKey(b))
		charged = err == nil && s.inCharge(t.current(b).first, len(chain) == 1)
		return err
	})
	return err == nil && charged
}

// dropCharged removes the blocks that this node is in charge of already.
func (r *Registry) dropCharged(open map[BlockID]*transfer) error {
	return r.store.View(func(tx *store.Tx) error {
		for b, m := range open {
			s, _, err := r.tables.acceptors.Get(tx, rowKey(b))
			if err != nil {
				return err
			}
			if s.inCharge(m.target, false) {
				delete(open, b)
			}
		}
		return nil
	})
}

// fetch asks each member for the registers wanted of it. Those that don't answer
// are not asked again: tried.
func (r *Registry) fetch(ctx context.Context, t *terms, wanted map[group.MemberID][]BlockID, tried map[group.MemberID]bool, open map[BlockID]*transfer) error {
	ch := make(chan answer, len(wanted))
	for m, blocks := range wanted {
		one := r.ask(t, []group.MemberID{m}, 8*r.pace.phase, request{Kind: kindTransfer, Blocks: blocks})
		if !r.spawn(func() { ch <- <-one }) {
			return ErrClosed
		}
	}
	var failed error
	done := func() bool {
		for _, m := range open {
			if !m.done {
				return false
			}
		}
		return true
	}
	err := collect(ctx, len(wanted), ch, func(a answer) bool {
		blocks := wanted[a.from]
		switch {
		case a.err != nil || a.reply.Status != statusOK || len(a.reply.States) != len(blocks):
			tried[a.from] = true
			if a.reply.Status == statusStale {
				failed = fmt.Errorf("version %d: %w", t.version, errStale)
				return false
			}
		default:
			for i, b := range blocks {
				open[b].feed(a.from, a.reply.States[i])
			}
		}
		return !done()
	})
	if failed != nil {
		return failed
	}
	return err
}

// adopt makes durable what the finished transfers found.
func (r *Registry) adopt(t *terms, open map[BlockID]*transfer) error {
	if len(open) == 0 {
		return nil
	}
	unfinished := 0
	now := r.clock.Instant()
	err := r.write(func(tx *store.Tx) error {
		unfinished = 0
		var v status
		if ok, err := r.seal(tx, t, t.version, &v); !ok {
			if err == nil {
				err = errStale
			}
			return err
		}
		for b, m := range open {
			if !m.done {
				unfinished++
				continue
			}
			s, _, err := r.tables.acceptors.Get(tx, rowKey(b))
			if err != nil {
				return err
			}
			if s.Conf >= m.target {
				continue // in charge meanwhile, and maybe further on
			}
			// Before the commit: nobody may see the register with a time that was
			// counted in an earlier stay among its keepers.
			r.replica.restart(b, m.value, now)
			s = s.adopt(m.target, m.found, m.value).dated(now.Boot, now.Mono)
			if err := r.tables.acceptors.Put(tx, rowKey(b), s); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	if unfinished > 0 {
		return fmt.Errorf("fetch %d registers from their former keepers: %w", unfinished, ErrNoQuorum)
	}
	return nil
}
