package report

import (
	"fmt"
	"slices"
	"strings"
)

// target is what Landbridge is to reach beside others, in a profile.
type target struct {
	what     string
	measures []string // each of them
	against  string   // the peer that it is compared with, or bestOther; empty: an absolute figure
	limit    float64  // times the other's figure, or the figure itself: at least, or at most
}

// The peers that targets name.
const (
	ours      = "landbridge"
	oursToLAN = "landbridge-router"
	reference = "wireguard-go"
	bestOther = "the best other" // of those that encrypt
)

func targets() []target {
	return []target{
		{"TCP, each way and 4 streams, × wireguard-go", []string{TCP1, TCP1Back, TCP4}, reference, 2.5},
		{"CPU a gigabyte, × wireguard-go", []string{CPU}, reference, 0.45},
		{"UDP of 64 bytes, datagrams/s", []string{UDP64}, "", 210_000},
		{"UDP of 1200 bytes, Mbit/s", []string{UDP1200}, "", 1750},
		{"ping p50 and p99, × the best other's", []string{PingP50, PingP99}, bestOther, 1},
		{"requests/s, × the best other's", []string{RR}, bestOther, 1},
		{"request p99, × the best other's", []string{RRP99}, bestOther, 1},
		{"memory after load, MB", []string{RSSLoad}, "", 48},
		{"router mode's TCP, × interface mode's", []string{TCP1, TCP4}, oursToLAN, 0.9},
	}
}

// writeTargets compares what was measured in a profile with the targets. The worst of a
// target's measures counts.
func writeTargets(b *strings.Builder, s Summary, style Style, profile string) {
	head := fmt.Sprintf("\n**Targets, profile `%s`**\n\n| what | target | measured | |\n|---|---:|---:|---|\n", profile)
	for _, t := range targets() {
		worst, ok := t.worst(s, style, profile)
		if !ok {
			continue
		}
		sign, met := "≥", worst >= t.limit
		if t.lower() {
			sign, met = "≤", worst <= t.limit
		}
		verdict := "**missed**"
		if met {
			verdict = "met"
		}
		fmt.Fprintf(b, "%s| %s | %s %s | %s | %s |\n", head, t.what, sign, Number(t.limit), Number(worst), verdict)
		head = ""
	}
}

func (t target) lower() bool {
	m, _ := Describe(t.measures[0])
	return m.Lower
}

// worst returns the figure that is furthest from the target.
func (t target) worst(s Summary, style Style, profile string) (worst float64, ok bool) {
	for _, id := range t.measures {
		value, have := t.figure(s, style, profile, id)
		switch {
		case !have:
			return 0, false
		case !ok, t.lower() && value > worst, !t.lower() && value < worst:
			worst, ok = value, true
		}
	}
	return worst, ok
}

// figure returns what a measure is compared with the target by.
func (t target) figure(s Summary, style Style, profile, measure string) (value float64, ok bool) {
	mine, ok := s.Figure(profile, ours, measure)
	if !ok || t.against == "" {
		return mine.Value, ok
	}
	var other float64
	for _, peer := range s.Peers(profile) {
		rival := t.against == bestOther && peer != ours && peer != oursToLAN && !slices.Contains(style.Plain, peer)
		f, have := s.Figure(profile, peer, measure)
		if !have || !rival && peer != t.against {
			continue
		}
		if other == 0 || t.lower() == (f.Value < other) {
			other = f.Value
		}
	}
	switch {
	case other == 0 || mine.Value == 0:
		return 0, false
	case t.against == oursToLAN:
		return other / mine.Value, true
	}
	return mine.Value / other, true
}
