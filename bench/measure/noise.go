package measure

import (
	"context"
	"time"

	"landbridge/bench/underlay"
)

// Quiet is the most that others may use of a core, for a measurement to count as quiet.
const Quiet = 0.2

// Noise runs fn and returns how many cores others used meanwhile.
func Noise(fn func() error) (cores float64, err error) {
	before, err := underlay.Foreign()
	if err != nil {
		return 0, err
	}
	began := time.Now()
	err = fn()
	took := time.Since(began)
	after, ferr := underlay.Foreign()
	if ferr != nil {
		return 0, ferr
	}
	return max(0, float64(after-before)/float64(took)), err
}

// AwaitQuiet waits until others use less than Quiet for a second, for most at most, and
// reports whether they do.
func AwaitQuiet(ctx context.Context, most time.Duration) (bool, error) {
	for end := time.Now().Add(most); ; {
		cores, err := Noise(func() error {
			select {
			case <-time.After(time.Second):
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
		if err != nil || cores < Quiet {
			return err == nil, err
		}
		if time.Now().After(end) {
			return false, nil
		}
	}
}
