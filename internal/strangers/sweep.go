package strangers

import (
	"context"
	"time"

	"landbridge/internal/registry"
)

const (
	// sweepAfter is how long the first sweep waits, sweepEvery the others; in a sweep
	// one address is asked for each sweepPace.
	sweepAfter = 2 * time.Second
	sweepEvery = 15 * time.Minute
	sweepPace  = 50 * time.Millisecond
	// maxSwept bounds one sweep: 4,096 addresses take 205 s.
	maxSwept = 4096
)

// sweep asks now and then for the free addresses of the blocks held here: whoever answers is
// seen by the router.
func (s *statics) sweep(ctx context.Context) {
	wait := time.NewTimer(sweepAfter)
	defer wait.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-wait.C:
		}
		if s.askForFree(ctx) == 0 { // it holds no block yet
			wait.Reset(sweepAfter)
		} else {
			wait.Reset(sweepEvery)
		}
	}
}

// askForFree asks once for each free address of the blocks held here, and returns for how many.
func (s *statics) askForFree(ctx context.Context) (asked int) {
	pace := time.NewTicker(sweepPace)
	defer pace.Stop()
	for _, b := range s.registry.Blocks() {
		addr := b.First
		for range b.Size {
			if _, status := s.registry.Lookup(addr); status != registry.Known && asked < maxSwept {
				if err := s.lan.Ask(addr); err != nil {
					s.log.Debug("sweep", "addr", addr, "err", err)
				}
				asked++
				select {
				case <-ctx.Done():
					return asked
				case <-pace.C:
				}
			}
			addr = addr.Next()
		}
	}
	return asked
}
