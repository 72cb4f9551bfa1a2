package main

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"landbridge/bench/traffic"
	"landbridge/console/api"
)

// What a daemon may use, and by how much more towards the end than at the beginning.
const (
	mostRSS     = 48_000_000 // bytes
	moreRSS     = 2_000_000  // bytes
	moreFDs     = 8
	moreThreads = 3
)

// sample is what a daemon used at a time, counted from the beginning of the traffic.
type sample struct {
	at      time.Duration
	rss     int64 // bytes
	fds     int
	threads int
}

// shortestFlat is the shortest run whose memory is judged to be flat: in a shorter one
// everything still grows to what it will be.
const shortestFlat = 90 * time.Second

// warmUp is how much of a run of this length isn't compared with what follows.
func warmUp(length time.Duration) time.Duration {
	return max(30*time.Second, min(length/10, 5*time.Minute))
}

// bounded judges a daemon's latest sample.
func bounded(s sample) error {
	if s.rss > mostRSS {
		return fmt.Errorf("it has %.1f MB in memory, %.0f MB at most were wanted", mb(s.rss), mb(mostRSS))
	}
	return nil
}

// flat compares what a daemon used in the last third of a run, after the warm-up, with
// the first third.
func flat(samples []sample, length time.Duration) error {
	if length < shortestFlat {
		return nil
	}
	warm := warmUp(length)
	third := (length - warm) / 3
	var first, last sample // the most of each
	var inFirst, inLast int
	for _, s := range samples {
		switch {
		case s.at < warm:
		case s.at < warm+third:
			first = most(first, s)
			inFirst++
		case s.at >= length-third:
			last = most(last, s)
			inLast++
		}
	}
	if inFirst < 3 || inLast < 3 {
		return fmt.Errorf("%d samples of the first third and %d of the last say nothing", inFirst, inLast)
	}
	var errs []error
	if last.rss > first.rss+moreRSS {
		errs = append(errs, fmt.Errorf("its memory grows: at most %.1f MB in the first third after the warm-up, %.1f MB in the last; %.0f MB more were allowed",
			mb(first.rss), mb(last.rss), mb(moreRSS)))
	}
	if last.fds > first.fds+moreFDs {
		errs = append(errs, fmt.Errorf("its file descriptors grow: at most %d in the first third, %d in the last", first.fds, last.fds))
	}
	if last.threads > first.threads+moreThreads {
		errs = append(errs, fmt.Errorf("its threads grow: at most %d in the first third, %d in the last", first.threads, last.threads))
	}
	return errors.Join(errs...)
}

func most(a, b sample) sample {
	return sample{rss: max(a.rss, b.rss), fds: max(a.fds, b.fds), threads: max(a.threads, b.threads)}
}

func mb(bytes int64) float64 { return float64(bytes) / 1e6 }

// impossible lists the counters of what doesn't happen between members and hosts that
// do as they should, whatever the network loses and reorders.
func impossible() map[string][]string {
	return map[string][]string{
		"socket": {"quic_oversize", "truncated", "bad_header", "send_too_big", "send_refused"},
		"tunnel": {"forged", "replayed", "bad_control", "unknown_control", "bad_relayed", "bad_body", "not_ip", "over_mtu",
			"key_worn_out", "too_many_peers", "unauthorized", "bad_offer"},
		"router": {"drop_malformed", "drop_checksum", "drop_spoofed", "drop_ttl", "drop_member_source", "drop_member_multicast",
			"dhcp_failed", "device_errors"},
		"tap":      {"dropped_bad_offload"},
		"registry": {"fenced", "malformed", "unauthorized", "bad_records", "removed"},
	}
}

// unmoved says which counters of the impossible aren't zero. Those of socket and tunnel are
// listed only then; another that isn't listed is a mistake here.
func unmoved(counters []api.Counter) error {
	values := make(map[string]uint64)
	for _, c := range counters {
		values[c.Component+" "+c.Name] = c.Value
	}
	var moved []string
	for component, names := range impossible() {
		for _, name := range names {
			value, listed := values[component+" "+name]
			switch {
			case value != 0:
				moved = append(moved, fmt.Sprintf("%s %s is %d", component, name, value))
			case !listed && component != "socket" && component != "tunnel":
				return fmt.Errorf("it has no counter %s %s: was it given another name?", component, name)
			}
		}
	}
	if len(moved) > 0 {
		slices.Sort(moved)
		return fmt.Errorf("it counted what can't happen: %s", strings.Join(moved, ", "))
	}
	return nil
}

// errorsIn returns the lines of a log that tell of an error, or of a program that broke.
func errorsIn(log string) error {
	var bad []string
	for line := range strings.Lines(log) {
		if strings.Contains(line, "level=ERROR") || strings.HasPrefix(line, "panic:") || strings.HasPrefix(line, "fatal error:") ||
			strings.HasPrefix(line, "runtime:") || strings.HasPrefix(line, "WARNING: DATA RACE") {
			bad = append(bad, strings.TrimSpace(line))
		}
	}
	if len(bad) > 0 {
		return fmt.Errorf("its log tells of errors:\n%s", strings.Join(bad, "\n"))
	}
	return nil
}

// sessionsMade counts the sessions that a log tells of.
func sessionsMade(log string) int { return strings.Count(log, `msg="session made"`) }

// Keys are renewed every rekeyAfter, a little later where the other side is to do it.
const (
	rekeyAfter = 2 * time.Minute
	rekeyLate  = 30 * time.Second
)

// renewed judges the sessions of a member at a time of the run, of which it has made some
// anew. That alone isn't wrong: where this machine stands still for a few seconds, paths are
// given up, as they should be.
func renewed(peers []api.Peer, at time.Duration, anew int) error {
	want := int(at/(rekeyAfter+rekeyLate)) - anew
	for _, p := range peers {
		if int(p.Rekeys) < want {
			return fmt.Errorf("its session with %s has renewed its keys %d times in %v, %d times at least were wanted", p.Name, p.Rekeys, at.Round(time.Second), want)
		}
	}
	return nil
}

// arrived judges one direction of the traffic, whose datagrams crossed so many links that
// each lose a share of their frames.
func arrived(d traffic.Direction, mtu, links int, loss float64) error {
	if d.Transfers == 0 || d.Requests == 0 || d.Connections == 0 {
		return fmt.Errorf("from %s to %s: %d transfers, %d requests and %d connections: there should be some of each", d.From, d.To, d.Transfers, d.Requests, d.Connections)
	}
	for _, class := range traffic.Classes() {
		got := d.Classes[class]
		if got.Received == 0 {
			return fmt.Errorf("from %s to %s: none of %d %v datagrams arrived", d.From, d.To, got.Sent, class)
		}
		if allowed := allowedLoss(loss, class.Fragments(mtu)*links, got.Sent); got.Loss() > allowed {
			return fmt.Errorf("from %s to %s: %.2f %% of %d %v datagrams were lost, where the links explain %.2f %% at most",
				d.From, d.To, 100*got.Loss(), got.Sent, class, 100*allowed)
		}
	}
	return nil
}

// spareLoss is what may be lost besides, at the ends: the machine is busy with other things.
const spareLoss = 0.005

// allowedLoss returns the largest share of n datagrams that so many frames explain, each lost
// by itself: what is expected, and five times the deviation by chance.
func allowedLoss(loss float64, frames int, n uint64) float64 {
	p := 1 - math.Pow(1-loss, float64(frames))
	return p + 5*math.Sqrt(p*(1-p)/float64(max(n, 1))) + spareLoss
}
