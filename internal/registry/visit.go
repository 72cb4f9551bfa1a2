package registry

import (
	"context"
	"errors"
	"net/netip"
	"sync"

	"landbridge/internal/group"
)

// visitsAtOnce bounds the blocks about which one visit asks at a time.
const visitsAtOnce = 8

// Visit has the registry know what a member has leased in its blocks, each named by an address in it, and be
// told of what it leases there from now on, for as long as a watch lasts. What is watched already isn't asked again. An error means
// that not all is known.
func (r *Registry) Visit(ctx context.Context, m group.MemberID, blocks []netip.Addr) error {
	t, err := r.terms()
	if err != nil {
		return err
	}
	var visiting sync.WaitGroup
	errs := make([]error, len(blocks))
	slots := make(chan struct{}, visitsAtOnce)
	for i, addr := range blocks {
		b, _, ok := r.geo.split(addr)
		if !ok || r.hearsFrom(m, b) {
			continue
		}
		slots <- struct{}{}
		visiting.Go(func() {
			errs[i] = r.visit(ctx, t, m, b)
			<-slots
		})
	}
	visiting.Wait()
	return errors.Join(errs...)
}

// hearsFrom reports whether a member pushes a block's changes to us.
func (r *Registry) hearsFrom(m group.MemberID, b BlockID) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	rem := r.directory.remotes[b]
	return rem != nil && rem.rec.Holder == m && r.clock.Mono() < rem.watch
}

// visit asks a member for one block. One that it doesn't hold any more isn't an error.
func (r *Registry) visit(ctx context.Context, t *terms, m group.MemberID, b BlockID) error {
	a, err := r.call(ctx, t, m, request{Kind: kindWatch, Block: b})
	if err != nil || len(a.Record) == 0 {
		return err
	}
	rec, err := r.absorb(a.Record, true)
	if err == nil && rec.Holder == m && rec.Block == b {
		r.watched(b)
	}
	return err
}
