package load

import (
	"math"
	"slices"
	"time"
)

// Latency sums up round trips.
type Latency struct {
	Count         int
	Mean          time.Duration
	P50, P90, P99 time.Duration
	Max           time.Duration
}

// Summarize sums up round trips, which it sorts. Percentiles are values that were
// measured (nearest rank).
func Summarize(times []time.Duration) Latency {
	if len(times) == 0 {
		return Latency{}
	}
	slices.Sort(times)
	var sum time.Duration
	for _, t := range times {
		sum += t
	}
	return Latency{
		Count: len(times),
		Mean:  sum / time.Duration(len(times)),
		P50:   rank(times, 0.50),
		P90:   rank(times, 0.90),
		P99:   rank(times, 0.99),
		Max:   times[len(times)-1],
	}
}

// rank returns the smallest of the sorted times that at least the share of them doesn't exceed.
func rank(times []time.Duration, share float64) time.Duration {
	// The product may be off by a rounding error: 0.99 × 200 is 198, not 199.
	i := int(math.Ceil(share*float64(len(times)) - 1e-9))
	return times[min(max(i, 1), len(times))-1]
}
