package registry

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"landbridge/internal/group"
)

// errStale: the group's descriptor has moved on; read the terms again.
var errStale = errors.New("a newer descriptor is in force")

// change runs op on a block's register until it is settled or ctx ends. started is
// a moment before the first message of the round that succeeded was sent.
//
// Errors: nil, ErrTaken, ErrNotHolder and ErrHeld are the register's own answer;
// ErrNoQuorum and ErrContended leave open whether the change happened.
func (r *Registry) change(ctx context.Context, b BlockID, o op, epoch uint64) (g Grant, started Instant, err error) {
	return r.changeBy(ctx, b, o, epoch, nil)
}

// changeBy is change with what opAliases is to do; *AliasError is its own answer.
func (r *Registry) changeBy(ctx context.Context, b BlockID, o op, epoch uint64, edit func(Grant) (Grant, error)) (g Grant, started Instant, err error) {
	if err := r.awaitReady(ctx); err != nil {
		return Grant{}, Instant{}, err
	}
	if err := r.proposing.lock(ctx, b); err != nil {
		return Grant{}, Instant{}, err
	}
	defer r.proposing.unlock(b)
	backoff := 5 * time.Millisecond
	bound := r.pace.phase // of a phase; longer with each try, for members far away
	for attempt := 0; ; attempt++ {
		if r.witness.forgetful.Load() {
			return Grant{}, Instant{}, ErrForgetful
		}
		t, terr := r.terms()
		if terr != nil {
			return Grant{}, Instant{}, terr
		}
		started = r.clock.Instant()
		g, err = r.round(ctx, t, b, o, epoch, edit, bound)
		if settled(err) || ctx.Err() != nil || r.ctx.Err() != nil {
			return g, started, err
		}
		if errors.Is(err, errStale) && attempt < 3 {
			continue
		}
		if errors.Is(err, ErrNoQuorum) {
			bound = min(2*bound, 8*r.pace.phase)
		}
		if !wait(ctx, backoff/2+rand.N(backoff)) {
			return g, started, err
		}
		backoff = min(2*backoff, r.pace.phase)
	}
}

// wait sleeps; false when ctx ended first.
func wait(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// ballotAudit tells about one ballot of ours.
type ballotAudit struct {
	member       group.MemberID
	block        BlockID
	op           op
	epoch        uint64
	asked, ended time.Time
	grant        Grant
	err          error
	uncertain    bool // it may have had, or may yet have, an effect
}

// round is one ballot.
func (r *Registry) round(ctx context.Context, t *terms, b BlockID, o op, epoch uint64, edit func(Grant) (Grant, error), bound time.Duration) (Grant, error) {
	asked := time.Now()
	p := newProposal(r.id, t.current(b), o, epoch, r.counter.Add(1))
	p.edit = edit
	g, err := r.ballot(ctx, t, b, p, bound)
	if r.pace.audit != nil {
		r.pace.audit(ballotAudit{r.id, b, o, epoch, asked, time.Now(), g, err, p.uncertain()})
	}
	return g, err
}

// ballot drives a proposal.
func (r *Registry) ballot(ctx context.Context, t *terms, b BlockID, p *proposal, bound time.Duration) (Grant, error) {
	if len(p.set.members) == 0 {
		return Grant{}, fmt.Errorf("block %d: %w", b, ErrNoQuorum)
	}
	state, err := r.phase(ctx, t, p, request{Kind: kindPrepare, Block: b, Ballot: p.ballot}, bound, p.onPromise)
	if err == nil && state == sendAll {
		a := p.accepts
		q := request{Kind: kindAccept, Block: b, Ballot: a.ballot, BaseBallot: a.baseBallot, Base: a.base, Value: a.value,
			Others: r.testify(p.set.members)}
		state, err = r.phase(ctx, t, p, q, bound, p.onAccepted)
	}
	if p.highest.Conf == p.set.first && p.highest.Counter >= r.counter.Load() {
		r.counter.Store(p.highest.Counter + 1)
	}
	switch {
	case err != nil:
		return Grant{}, fmt.Errorf("block %d: %w", b, err)
	case state == finished:
		return p.outcome()
	case state == forbidden:
		return p.accepts.base, ErrHeld
	case len(p.acked) > 0 || ballotLost(p):
		return Grant{}, fmt.Errorf("block %d: %w", b, ErrContended)
	}
	return Grant{}, fmt.Errorf("block %d: %w", b, ErrNoQuorum)
}

// ballotLost reports whether a higher ballot stood in the way.
func ballotLost(p *proposal) bool { return p.ballot.less(p.highest) }

// phase sends q to the whole set and feeds the answers until they lead somewhere.
// It waits at most for bound, and never for the slow once a quorum is there.
func (r *Registry) phase(ctx context.Context, t *terms, p *proposal, q request, bound time.Duration, feed func(m group.MemberID, v verdict) progress) (progress, error) {
	ctx, cancel := context.WithTimeout(ctx, bound)
	defer cancel()
	answers := r.ask(t, p.set.members, bound, q)
	state := proceed
	var stale bool
	err := collect(ctx, len(p.set.members), answers, func(a answer) bool {
		switch {
		case a.err != nil:
			state = p.onLost(a.from)
		case a.reply.Status == statusStale:
			stale = true
			return false
		default:
			state = feed(a.from, a.reply.verdict())
		}
		return state == proceed
	})
	switch {
	case stale:
		return state, errStale
	case err != nil && state == proceed:
		return impotent, nil
	}
	r.reach.Store(state != impotent)
	return state, nil
}

// obtain claims (or inherits) a block and makes the hold durable. Only then may
// addresses be leased out of it.
//
// One at a time for each block: a second claim of one's own raises the epoch, and
// would fence what the first has just begun to lease.
func (r *Registry) obtain(ctx context.Context, b BlockID, o op) (won *block, err error) {
	if err := r.obtaining.lock(ctx, b); err != nil {
		return nil, err
	}
	defer r.obtaining.unlock(b)
	r.mu.Lock()
	held := r.book.held[b]
	r.mu.Unlock()
	if held != nil {
		return held, nil
	}
	g, started, err := r.change(ctx, b, o, 0)
	if err != nil {
		if !settled(err) { // it may have been won, or be yet
			r.orphaned(b)
		}
		return nil, err
	}
	defer func() {
		if err != nil {
			r.orphaned(b)
		}
	}()
	r.counts.claims.Add(1)
	var inherited *Record
	if g.Epoch > 1 {
		inherited, err = r.predecessor(ctx, b, g)
		if err != nil {
			return nil, err
		}
	}
	return r.install(b, g, started, inherited)
}

// renew proves that we still hold the block, for another hold time.
func (r *Registry) renew(ctx context.Context, blk *block) error {
	_, started, err := r.change(ctx, blk.Block, opRenew, blk.Epoch)
	if errors.Is(err, ErrNotHolder) {
		r.fence(blk.Block, blk.Epoch, "the register names another holder or a later epoch")
		return err
	}
	if err != nil {
		return err
	}
	return r.renewed(blk, started)
}
