package registry

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"landbridge/internal/store"
)

// ErrAbsent: nobody has that address or name now.
var ErrAbsent = errors.New("nobody has that address or name")

// Resolve finds who serves an address, asking members where memory doesn't say.
// However many ask, each address is resolved once at a time. A dead member costs at
// most 300 ms where the address is leased, and twice that where it isn't: what its
// block's keepers don't know of yet, the holder may have leased a moment ago. A
// refusal is remembered for less than the second after which hosts ask again, and
// only until something new is heard of the block: ErrAbsent, or ErrNoQuorum where too
// few members answered to tell.
func (r *Registry) Resolve(ctx context.Context, addr netip.Addr) (Location, error) {
	if loc, s := r.Lookup(addr); s != Unknown {
		return found(loc, s)
	}
	return r.directory.flights.do(ctx, r, addr, func() (Location, error) { return r.find(addr) })
}

func found(loc Location, s Status) (Location, error) {
	if s == Absent {
		return Location{}, ErrAbsent
	}
	return loc, nil
}

// find asks the members about an address that memory doesn't know.
func (r *Registry) find(addr netip.Addr) (Location, error) {
	b, off, _ := r.geo.split(addr)
	if until := r.awaitPush(addr); r.clock.Mono() < until {
		if loc, s := r.Lookup(addr); s == Known {
			return loc, nil
		}
		r.denyUntil(b, off, until)
		return Location{}, ErrAbsent
	}
	rec, said := r.consultFor(r.ctx, b, off, r.pace.silence)
	if loc, s := r.Lookup(addr); s == Known {
		return loc, nil
	}
	switch {
	case said == holdersWord && rec == nil:
		r.deny(b, -1, said)
	default:
		r.deny(b, off, said)
	}
	if said == noWord {
		return Location{}, fmt.Errorf("resolve %v: %w", addr, ErrNoQuorum)
	}
	return Location{}, ErrAbsent
}

// awaitPush gives the holder of a block that we watch the time to tell of a lease
// made just now: its changes are on their way before anybody can ask about them. It
// returns until when what is not leased then is absent without a question, which
// bounds what a lost push can do; zero where the holder isn't known to push to us.
func (r *Registry) awaitPush(addr netip.Addr) (until time.Duration) {
	b, off, _ := r.geo.split(addr)
	enough := time.NewTimer(r.pace.push)
	defer enough.Stop()
	for {
		r.mu.Lock()
		rem := r.directory.remotes[b]
		now := r.clock.Mono()
		if rem == nil || now >= rem.watch || now >= rem.heard+r.pace.trust {
			r.mu.Unlock()
			return 0
		}
		until, next, leased := rem.heard+r.pace.trust, rem.next, rem.rec.leased(off)
		r.mu.Unlock()
		if leased {
			return until
		}
		select {
		case <-next:
		case <-enough.C:
			return until
		case <-r.ctx.Done():
			return 0
		}
	}
}

// predecessor returns the newest record of a block before epoch g.Epoch, as a
// quorum of its keepers has it, nil if there is none.
func (r *Registry) predecessor(ctx context.Context, b BlockID, g Grant) (*Record, error) {
	t, err := r.terms()
	if err != nil {
		return nil, err
	}
	set := t.current(b)
	answers := r.ask(t, set.members, r.pace.phase, request{Kind: kindLookup, Block: b})
	votes := 0
	var best *Record
	err = collect(ctx, len(set.members), answers, func(a answer) bool {
		if a.err != nil || a.reply.Status != statusOK {
			return true
		}
		votes += set.votesOf(a.from)
		if len(a.reply.Record) > 0 {
			rec, sr, perr := parseRecord(r.codec, r.group, r.geo, a.reply.Record)
			if perr == nil && rec.Block == b && rec.Epoch < g.Epoch && rec.newer(best) &&
				sr.verify(r.standing, rec, false, r.clock.Instant().Wall) == nil {
				best = rec
			}
		}
		return votes < set.need
	})
	if err == nil && votes < set.need {
		err = ErrNoQuorum
	}
	return best, err
}

// storedRecord returns what this node keeps as a replica of the block.
func (r *Registry) storedRecord(b BlockID) (raw []byte, g Grant, err error) {
	err = r.store.View(func(tx *store.Tx) error {
		s, _, err := r.tables.acceptors.Get(tx, rowKey(b))
		if err != nil {
			return err
		}
		g = s.Value
		raw, _, err = r.tables.records.Get(tx, rowKey(b))
		return err
	})
	return raw, g, err
}
