package main

import (
	"strings"
	"testing"
	"time"
)

func TestThePageShowsRatiosOfRoundsThatBelongTogether(t *testing.T) {
	wire := both{bare: []float64{4e9, 2e9, 1e9}, native: []float64{4e9, 1e9, 1e9}}
	line := []point{{100e6, 100e6, 0.1}, {500e6, 500e6, 0.2}, {1e9, 1e9, 0.3}, {2e9, 2e9, 0.4}, {4e9, 3e9, 0.5}, {0, 4e9, 0.6}}
	twice := make([]point, len(line))
	for i, p := range line {
		twice[i] = point{p.offered, p.got, 2 * p.cores}
	}
	page := results{native: []native{{name: "somebody", tcp: wire, back: wire, ping: wire, carried: 7}}, cpu: [][]point{line, twice}}.markdown(options{}, time.Now(), "abc")
	for _, want := range []string{"| somebody | 1,000 | 2,000 | 1.000 [0.50–1.00] |", "| 7 |", "| all | 4,000 | 0.60 | 4,000 | 1.20 | 2.00 |"} {
		if !strings.Contains(page, want) {
			t.Errorf("%q isn't in\n%s", want, page)
		}
	}
}

func TestTheSlowestTenthDoesNotCount(t *testing.T) {
	times := make([]time.Duration, 10)
	for i := range times {
		times[i] = time.Millisecond
	}
	times[3] = time.Hour
	if got := trimmed(times); got != 0.001 {
		t.Errorf("%v s, want 0.001", got)
	}
}
