package registry

import (
	"context"
	"errors"
	"fmt"

	"landbridge/internal/group"
)

// ErrOtherGroup: the request is for a group that this registry isn't of.
var ErrOtherGroup = errors.New("registry request for another group")

// Serve answers one request of another member, of whom the transport must be sure.
// It returns errors only for what doesn't parse; whoever isn't a member gets a
// refusal. The caller bounds how many run at once.
func (r *Registry) Serve(ctx context.Context, from group.MemberID, raw []byte) ([]byte, error) {
	q, err := r.codec.decodeRequest(raw)
	if err != nil {
		r.counts.malformed.Add(1)
		return nil, err
	}
	if q.Group != r.group {
		return nil, ErrOtherGroup
	}
	if r.ctx.Err() != nil {
		return nil, ErrClosed
	}
	a := r.handle(ctx, from, q)
	a.Mark, a.OfYou, a.Aliases = r.mark(), r.seenOf(from), r.aliasEpoch()
	return r.codec.encode(a)
}

// handle answers a request that parsed; our own come here directly.
func (r *Registry) handle(ctx context.Context, from group.MemberID, q request) reply {
	now := r.clock.Instant().Wall
	if from != r.id {
		if len(q.Descriptor) > 0 {
			if err := r.standing.learn(q.Descriptor); err != nil {
				r.log.Debug("descriptor refused", "from", from.Short(), "err", err)
				return reply{Status: statusRefused}
			}
		}
		if len(q.Certificate) > 0 {
			if err := r.standing.checkCertificate(from, q.Certificate, now); err != nil {
				r.log.Debug("certificate refused", "from", from.Short(), "err", err)
				return r.refuse(q)
			}
		}
		if err := r.standing.authorized(from, now); err != nil {
			r.counts.unauthorized.Add(1)
			if errors.Is(err, group.ErrNoCertificate) && len(q.Certificate) == 0 {
				return reply{Status: statusStranger}
			}
			return r.refuse(q)
		}
	}
	t, err := r.terms()
	if err != nil {
		return reply{Status: statusNotReady}
	}
	if q.Version > t.version {
		return reply{Status: statusBehind}
	}
	if from != r.id && !r.remembers(ctx, t, from, q) {
		return reply{Status: statusForgetful}
	}
	r.heardOfAliases(q.Aliases)
	a := r.dispatch(ctx, t, from, q)
	if q.Version < t.version && len(a.Descriptor) == 0 {
		a.Descriptor = t.raw
	}
	return a
}

// refuse tells a sender who has no right here why, as far as a newer descriptor
// says it: it may not know that it was removed, or we that it was admitted.
func (r *Registry) refuse(q request) reply {
	t, err := r.terms()
	if err == nil && q.Version > t.version && len(q.Descriptor) == 0 {
		return reply{Status: statusBehind}
	}
	a := reply{Status: statusRefused}
	if err == nil && q.Version < t.version {
		a.Descriptor = t.raw
	}
	return a
}

// remembers reports whether a request can be served, as far as memories go: the sender's
// must be whole, but for questions, which anybody may ask; and ours. What others rely on for
// good waits until we have asked whether it is.
func (r *Registry) remembers(ctx context.Context, t *terms, from group.MemberID, q request) bool {
	whole := r.judge(from, q.Mark, q.OfYou)
	r.hearTestimony(t, q.Others)
	switch q.Kind {
	case kindPrepare, kindAccept, kindTransfer:
		if r.awaitReady(ctx) != nil {
			return false
		}
	case kindLookup, kindWatch, kindAsk:
		whole = true
	}
	return whole && !r.witness.forgetful.Load()
}

func (r *Registry) dispatch(ctx context.Context, t *terms, from group.MemberID, q request) reply {
	switch q.Kind {
	case kindPrepare, kindAccept:
		return r.register(ctx, t, from, q)
	case kindTransfer:
		return r.tell(t, q)
	case kindStore:
		return r.keepRecord(ctx, t, q.Record)
	case kindLookup:
		return r.lookupRecord(ctx, t, q.Block)
	case kindWatch:
		return r.watch(t, from, q.Block)
	case kindPush:
		return r.pushed(from, q)
	case kindMove:
		if q.Move.Kind == moveSeen {
			return r.yield(ctx, t, from, q)
		}
		return r.move(t, from, q)
	case kindHint:
		until := r.clock.Mono() + 2*max(t.leaseTime, t.boundTime)
		keys := make([][32]byte, len(q.Hints))
		for i, h := range q.Hints {
			r.hints.put(h, until)
			keys[i] = h.Key
		}
		r.directory.heardOf(keys...)
		return reply{}
	case kindAsk:
		return reply{Addrs: r.hints.get([32]byte(q.Key), r.clock.Mono())}
	case kindGrants:
		return r.grants(t, q.Blocks)
	case kindAliases:
		r.heardOfAliases(q.Value.Epoch)
		return reply{}
	}
	return reply{Status: statusRefused}
}

// lookupRecord tells what this node keeps of a block. One that has just become its
// keeper, and has not taken it over yet, must not make a held block look free.
func (r *Registry) lookupRecord(ctx context.Context, t *terms, b BlockID) reply {
	conf := t.current(b)
	if !t.valid(b) || !conf.has(r.id) {
		return reply{Status: statusRefused}
	}
	if !r.inCharge(t, b) && r.transfer(ctx, t, []BlockID{b}) != nil {
		return reply{Status: statusNotReady}
	}
	raw, g, err := r.storedRecord(b)
	if err != nil {
		r.log.Error("record not read", "block", b, "err", err)
		return reply{Status: statusNotReady}
	}
	return reply{Record: raw, Value: g}
}

// maxWatchers bounds who hears of every change of one block.
const maxWatchers = 256

// watch is the holder's side of kindWatch.
func (r *Registry) watch(t *terms, from group.MemberID, b BlockID) reply {
	if !t.valid(b) {
		return reply{Status: statusRefused}
	}
	r.mu.Lock()
	blk := r.book.held[b]
	if blk != nil && (len(blk.watchers) < maxWatchers || blk.watchers[from] != 0) && from != r.id {
		blk.watchers[from] = r.clock.Mono() + r.pace.watch + r.pace.watch/4
	}
	r.mu.Unlock()
	if blk == nil {
		return reply{Status: statusUnknown}
	}
	raw, err := r.currentRecord(b)
	if err != nil {
		return reply{Status: statusUnknown}
	}
	return reply{Record: raw}
}

// pushed takes a record that its holder, or one who is concerned, sent unasked.
func (r *Registry) pushed(from group.MemberID, q request) reply {
	if _, err := r.absorb(q.Record, false); err != nil {
		r.counts.badRecords.Add(1)
		r.log.Debug("record refused", "from", from.Short(), "err", fmt.Sprint(err))
		return reply{Status: statusRefused}
	}
	return reply{}
}

// grants tells, without asking anybody, who holds the blocks as far as this node
// knows: it is one of their keepers, or holds them itself.
func (r *Registry) grants(t *terms, blocks []BlockID) reply {
	gs := make([]Grant, len(blocks))
	for i, b := range blocks {
		if !t.register(b) {
			return reply{Status: statusRefused}
		}
		_, g, err := r.storedRecord(b)
		if err != nil {
			return reply{Status: statusNotReady}
		}
		r.mu.Lock()
		if blk := r.book.held[b]; blk != nil && blk.Epoch >= g.Epoch {
			g = Grant{Holder: r.id, Epoch: blk.Epoch}
		}
		r.mu.Unlock()
		gs[i] = g
	}
	return reply{Grants: gs}
}
