package registry

import (
	"context"
	"fmt"
	"time"

	"landbridge/internal/group"
)

// answer is one member's reply in a fan-out, or why there is none.
type answer struct {
	from  group.MemberID
	reply reply
	err   error
}

// call asks one member and takes care of what it may want first: our descriptor,
// our certificate. Its own newer descriptor is learnt in passing.
func (r *Registry) call(ctx context.Context, t *terms, to group.MemberID, q request) (reply, error) {
	q.Group, q.Version, q.Mark, q.OfYou, q.Aliases = r.group, t.version, r.mark(), r.seenOf(to), r.aliasEpoch()
	if to == r.id {
		return r.handle(ctx, r.id, q), nil
	}
	for range 4 {
		raw, err := r.codec.encode(q)
		if err != nil {
			return reply{}, err
		}
		if raw, err = r.net.Call(ctx, to, raw); err != nil {
			return reply{}, err
		}
		a, err := r.codec.decodeReply(raw)
		if err != nil {
			return reply{}, err
		}
		if !r.judge(to, a.Mark, a.OfYou) {
			return reply{}, errWitnessed
		}
		r.heardOfAliases(a.Aliases)
		if len(a.Descriptor) > 0 {
			if err := r.standing.learn(a.Descriptor); err != nil {
				return reply{}, fmt.Errorf("descriptor from member %s: %w", to.Short(), err)
			}
		}
		switch {
		case a.Status == statusBehind && len(q.Descriptor) == 0:
			q.Descriptor = t.raw
		case a.Status == statusStranger && len(q.Certificate) == 0:
			q.Certificate = r.standing.certificate()
		case a.Status == statusForgetful:
			return reply{}, errWitnessed
		default:
			return a, nil
		}
	}
	return reply{}, fmt.Errorf("member %s keeps asking for what it was sent", to.Short())
}

// ask sends one request to several members at once. The channel takes all answers
// without being read, so the caller may stop when it has enough: the others still
// get the request. Each has the bound of one phase.
func (r *Registry) ask(t *terms, members []group.MemberID, bound time.Duration, q request) <-chan answer {
	out := make(chan answer, len(members))
	for _, m := range members {
		ok := r.spawn(func() {
			ctx, cancel := context.WithTimeout(r.ctx, bound)
			defer cancel()
			a, err := r.call(ctx, t, m, q)
			out <- answer{from: m, reply: a, err: err}
		})
		if !ok {
			out <- answer{from: m, err: ErrClosed}
		}
	}
	return out
}

// collect calls f with each answer until f returns false, all have answered, or
// ctx ends.
func collect(ctx context.Context, n int, answers <-chan answer, f func(answer) bool) error {
	for range n {
		select {
		case a := <-answers:
			if !f(a) {
				return nil
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}
