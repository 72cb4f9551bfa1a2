package measure

import (
	"context"
	"fmt"
	"regexp"
	"time"

	"landbridge/bench/load"
)

// Ping measures round trips on several paths, in turn: rounds of count echoes on each.
// Lost echoes don't count.
func Ping(ctx context.Context, rounds, count int, paths ...Path) ([]load.Latency, error) {
	times := make([][]time.Duration, len(paths))
	for range rounds {
		for i, p := range paths {
			got, err := p.Echo(ctx, count, 5*time.Millisecond)
			if err != nil {
				return nil, err
			}
			times[i] = append(times[i], got...)
		}
	}
	all := make([]load.Latency, len(paths))
	for i := range times {
		all[i] = load.Summarize(times[i])
	}
	return all, nil
}

// Echo returns the round trips of up to count echoes, one every interval.
func (p Path) Echo(ctx context.Context, count int, interval time.Duration) ([]time.Duration, error) {
	c := p.From.Command(ctx, "ping", "-n", "-i", fmt.Sprint(interval.Seconds()), "-c", fmt.Sprint(count), "-W", "1", p.Addr.String())
	c.Env = append(c.Env, "LC_ALL=C")
	out, err := output(c)
	times := parsePing(string(out)) // some may have come back though ping says that not all have
	if len(times) == 0 {
		return nil, fmt.Errorf("no echo from %v: %w (%w)", p.Addr, ErrNothing, err)
	}
	return times, nil
}

// parsePing finds the round trips in what ping(8) says.
func parsePing(text string) []time.Duration {
	var times []time.Duration
	for _, m := range regexp.MustCompile(`time=([0-9.]+) ms`).FindAllStringSubmatch(text, -1) {
		if t, err := time.ParseDuration(m[1] + "ms"); err == nil {
			times = append(times, t)
		}
	}
	return times
}
