package netlab

import (
	"context"
	"fmt"
	"time"
)

// WaitFor asks cond again and again, first every 5 ms and later every 100 ms, until
// it holds. When ctx ends before that, the error names what was waited for and the
// last reason that cond gave.
func WaitFor(ctx context.Context, what string, cond func() (bool, error)) error {
	var last error
	for pause := 5 * time.Millisecond; ; pause = min(pause*3/2, 100*time.Millisecond) {
		ok, err := cond()
		if ok {
			return nil
		}
		if err != nil {
			last = err
		}
		select {
		case <-ctx.Done():
			if last != nil {
				return fmt.Errorf("waited in vain for %s: %w (%w)", what, last, ctx.Err())
			}
			return fmt.Errorf("waited in vain for %s: %w", what, ctx.Err())
		case <-time.After(pause):
		}
	}
}
