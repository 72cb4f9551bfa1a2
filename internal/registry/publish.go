package registry

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"landbridge/internal/group"
	"landbridge/internal/store"
)

// publisher knows which records and hints are to go out.
type publisher struct {
	mu    sync.Mutex
	dirty map[BlockID]bool
	last  map[BlockID]time.Duration           // when each block's record last went out
	extra map[BlockID]map[group.MemberID]bool // who else must hear of the next one
	lag   map[BlockID]time.Duration           // too few keepers took it: again at
	hints []hint
	wake  chan struct{}
}

func newPublisher() publisher {
	return publisher{
		dirty: make(map[BlockID]bool), last: make(map[BlockID]time.Duration), lag: make(map[BlockID]time.Duration),
		extra: make(map[BlockID]map[group.MemberID]bool), wake: make(chan struct{}, 1),
	}
}

func (p *publisher) kick() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// mark asks for a block's record to be published.
func (p *publisher) mark(b BlockID) {
	p.mu.Lock()
	p.dirty[b] = true
	p.mu.Unlock()
	p.kick()
}

// alsoTo makes the next record of the block go to m too.
func (p *publisher) alsoTo(b BlockID, m group.MemberID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.extra[b] == nil {
		p.extra[b] = make(map[group.MemberID]bool)
	}
	p.extra[b][m] = true
}

// suggest queues hints. They are dropped when too many wait: leases renew them.
func (p *publisher) suggest(hs ...hint) {
	p.mu.Lock()
	if len(p.hints) < 16*maxHints {
		p.hints = append(p.hints, hs...)
	}
	p.mu.Unlock()
	p.kick()
}

// due takes the blocks to publish now and says how long until the next.
func (p *publisher) due(now, coalesce time.Duration) (blocks []BlockID, next time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	next = time.Hour
	for b, at := range p.lag {
		if now >= at {
			p.dirty[b] = true
			delete(p.lag, b)
		} else {
			next = min(next, at-now)
		}
	}
	for b := range p.dirty {
		last, ok := p.last[b]
		if ok && now-last < coalesce {
			next = min(next, last+coalesce-now)
			continue
		}
		delete(p.dirty, b)
		p.last[b] = now
		blocks = append(blocks, b)
	}
	return blocks, next
}

// publish is the goroutine that sends records: the first change of a block at once,
// those that follow closely together.
func (r *Registry) publish() {
	p := &r.publisher
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		blocks, next := p.due(r.clock.Mono(), r.pace.coalesce)
		for _, b := range blocks {
			r.publishBlock(b)
		}
		r.sendHints()
		if len(blocks) > 0 {
			continue // more may have come meanwhile
		}
		timer.Reset(next)
		select {
		case <-p.wake:
		case <-timer.C:
		case <-r.ctx.Done():
			return
		}
	}
}

// currentRecord signs the newest record of a block of ours, with a number of its own.
func (r *Registry) currentRecord(b BlockID) ([]byte, error) {
	r.mu.Lock()
	blk := r.book.held[b]
	if blk == nil {
		r.mu.Unlock()
		return nil, ErrNotHolder
	}
	blk.seq++
	rec := r.recordOf(blk)
	var ceil hold
	if blk.seq >= blk.SeqCeil {
		ceil = blk.hold
		ceil.SeqCeil = blk.seq + seqStep
	}
	r.mu.Unlock()
	if ceil.SeqCeil > 0 {
		if err := r.putHold(ceil); err != nil {
			return nil, err
		}
		r.mu.Lock()
		blk.SeqCeil = max(blk.SeqCeil, ceil.SeqCeil)
		r.mu.Unlock()
	}
	return signRecord(r.codec, r.standing, rec)
}

func (r *Registry) publishBlock(b BlockID) {
	t, err := r.terms()
	if err != nil || r.witness.forgetful.Load() {
		return
	}
	raw, err := r.currentRecord(b)
	if err != nil {
		return // no longer ours
	}
	p := &r.publisher
	p.mu.Lock()
	extra := p.extra[b]
	delete(p.extra, b)
	p.mu.Unlock()
	r.mu.Lock()
	blk := r.book.held[b]
	var watchers []group.MemberID
	var epoch uint64
	if blk != nil {
		epoch = blk.Epoch
		now := r.clock.Mono()
		maps.DeleteFunc(blk.watchers, func(_ group.MemberID, until time.Duration) bool { return now >= until })
		watchers = slices.Collect(maps.Keys(blk.watchers))
	}
	r.mu.Unlock()
	set := t.current(b)
	for m := range extra {
		if !slices.Contains(watchers, m) {
			watchers = append(watchers, m)
		}
	}
	watchers = slices.DeleteFunc(watchers, func(m group.MemberID) bool { return m == r.id || !t.has(m) })
	r.ask(t, watchers, r.pace.late, request{Kind: kindPush, Block: b, Record: raw})
	stored := r.ask(t, set.members, r.pace.late, request{Kind: kindStore, Block: b, Record: raw, Others: r.testify(set.members)})
	r.spawn(func() { r.countStored(b, epoch, set, stored) })
	r.counts.published.Add(1)
}

// countStored sees whether a quorum of keepers took the record, and listens for
// signs that the block is another's.
func (r *Registry) countStored(b BlockID, epoch uint64, set configuration, stored <-chan answer) {
	votes := 0
	doubt := false
	err := collect(r.ctx, len(set.members), stored, func(a answer) bool {
		if a.err == nil && a.reply.Status == statusOK {
			votes += set.votesOf(a.from)
		}
		if a.err == nil && a.reply.Status == statusRefused && a.reply.Value.Epoch > epoch {
			doubt = true
		}
		return true
	})
	if err != nil {
		return
	}
	if doubt {
		r.mu.Lock()
		blk := r.book.held[b]
		r.mu.Unlock()
		if blk != nil && blk.Epoch == epoch {
			ctx, cancel := context.WithTimeout(r.ctx, 4*r.pace.phase)
			defer cancel()
			_ = r.renew(ctx, blk) // fences where the doubt is right; else nothing is lost
		}
	}
	if votes < set.need {
		p := &r.publisher
		p.mu.Lock()
		p.lag[b] = r.clock.Mono() + 10*r.pace.phase
		p.mu.Unlock()
		p.kick()
	}
}

// keepRecord is the replica's side of kindStore: the record must be its holder's,
// the holder the register's, and newer than what is kept.
func (r *Registry) keepRecord(ctx context.Context, t *terms, raw []byte) reply {
	rec, sr, err := parseRecord(r.codec, r.group, r.geo, raw)
	if err == nil && !t.current(rec.Block).has(r.id) {
		return reply{Status: statusUnknown}
	}
	if err == nil {
		err = sr.verify(r.standing, rec, rec.Holder != r.id, r.clock.Instant().Wall)
	}
	if err != nil {
		r.counts.badRecords.Add(1)
		return reply{Status: statusRefused}
	}
	if rec.Holder != r.id { // before the disk: somebody here may be waiting for it
		if _, err := r.absorb(raw, false); err != nil {
			r.log.Debug("record not used", "block", rec.Block, "err", err)
		}
	}
	_, g, err := r.storedRecord(rec.Block)
	if err == nil && (g.Epoch < rec.Epoch || g.Epoch == rec.Epoch && g.Holder != rec.Holder) {
		ctx, cancel := context.WithTimeout(ctx, r.pace.phase)
		defer cancel()
		g, _, err = r.change(ctx, rec.Block, opRead, 0) // our copy of the register lags
	}
	switch {
	case err != nil:
		return reply{Status: statusNotReady}
	case g.Epoch != rec.Epoch || g.Holder != rec.Holder:
		return reply{Status: statusRefused, Value: g}
	}
	err = r.store.Batch(func(tx *store.Tx) error {
		old, ok, err := r.tables.records.Get(tx, rowKey(rec.Block))
		if err != nil {
			return err
		}
		if ok {
			if was, _, err := parseRecord(r.codec, r.group, r.geo, old); err == nil && !rec.newer(was) {
				return nil
			}
		}
		return r.tables.records.Put(tx, rowKey(rec.Block), raw)
	})
	if err != nil {
		r.log.Error("record not kept", "block", rec.Block, "err", err)
		return reply{Status: statusNotReady}
	}
	return reply{}
}
