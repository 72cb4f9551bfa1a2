package measure

import (
	"context"
	"fmt"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"time"

	"landbridge/internal/netlab"
)

// Answers is what became of DNS queries.
type Answers struct {
	Completed int
	PerSecond float64
	Lost      int
	Wrong     float64 // share of answers other than NOERROR
}

// Query asks a server for the addresses of names, in turn, as fast as it answers, by dnsperf.
func Query(ctx context.Context, from *netlab.Host, server netip.Addr, names []string, length time.Duration) (Answers, error) {
	ctx, cancel := context.WithTimeout(ctx, length+slack)
	defer cancel()
	file := from.Dir() + "/queries"
	var b strings.Builder
	for _, n := range names {
		fmt.Fprintf(&b, "%s A\n", n)
	}
	if err := from.WriteFile(file, []byte(b.String()), 0o644); err != nil {
		return Answers{}, err
	}
	out, err := output(from.Command(ctx, "dnsperf", "-s", server.String(), "-d", file, "-l", strconv.Itoa(max(1, int(length.Seconds()))), "-c", "4", "-q", "64"))
	if err != nil {
		return Answers{}, err
	}
	return parseDnsperf(string(out))
}

func parseDnsperf(text string) (a Answers, err error) {
	number := func(key string) float64 {
		m := regexp.MustCompile(key + `\s+([0-9.]+)`).FindStringSubmatch(text)
		if m == nil {
			return 0
		}
		n, _ := strconv.ParseFloat(m[1], 64)
		return n
	}
	a = Answers{Completed: int(number("Queries completed:")), PerSecond: number("Queries per second:"), Lost: int(number("Queries lost:"))}
	if a.Completed == 0 {
		return a, fmt.Errorf("dnsperf: %w: %s", ErrNothing, text[:min(len(text), 400)])
	}
	a.Wrong = 1 - number("Response codes:.*NOERROR")/float64(a.Completed)
	return a, nil
}
