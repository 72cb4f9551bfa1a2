package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// age writes a duration in its two largest units: "3d 4h", "12m 5s", "40s".
func age(d time.Duration) string {
	d = max(d.Round(time.Second), 0)
	days, hours := d/(24*time.Hour), d/time.Hour%24
	minutes, seconds := d/time.Minute%60, d/time.Second%60
	switch {
	case days > 0:
		return two(days, "d", hours, "h")
	case hours > 0:
		return two(hours, "h", minutes, "m")
	case minutes > 0:
		return two(minutes, "m", seconds, "s")
	}
	return fmt.Sprintf("%ds", seconds)
}

func two(a time.Duration, unitA string, b time.Duration, unitB string) string {
	if b == 0 {
		return fmt.Sprintf("%d%s", a, unitA)
	}
	return fmt.Sprintf("%d%s %d%s", a, unitA, b, unitB)
}

// size writes a number of bytes with three digits: "31.2 MB". Powers of ten, as link
// rates are.
func size(n uint64) string {
	if n < 1000 {
		return fmt.Sprintf("%d B", n)
	}
	v, unit := float64(n), 0
	for v >= 999.5 && unit < 6 {
		v /= 1000
		unit++
	}
	digits := 2
	switch {
	case v >= 99.95:
		digits = 0
	case v >= 9.995:
		digits = 1
	}
	return strconv.FormatFloat(v, 'f', digits, 64) + " " + string("BkMGTPE"[unit]) + "B"
}

// rtt writes a round-trip time in milliseconds, or nothing where there is none.
func rtt(microseconds int64) string {
	switch {
	case microseconds <= 0:
		return ""
	case microseconds < 10_000:
		return fmt.Sprintf("%.2f ms", float64(microseconds)/1000)
	case microseconds < 100_000:
		return fmt.Sprintf("%.1f ms", float64(microseconds)/1000)
	}
	return fmt.Sprintf("%d ms", microseconds/1000)
}

// ago writes how long before now t was, or nothing for no time.
func ago(t, now time.Time) string {
	if t.IsZero() {
		return ""
	}
	return age(now.Sub(t))
}

// until writes how long after now t is, or that it is past.
func until(t, now time.Time) string {
	switch {
	case t.IsZero():
		return ""
	case !t.After(now):
		return "over"
	}
	return age(t.Sub(now))
}

// short returns the last eight characters of a member ID: all of them begin alike.
func short(memberID string) string { return memberID[max(0, len(memberID)-8):] }

// counted writes a number and its noun: "1 lease", "3 leases".
func counted(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return thousands(n) + " " + noun + "s"
}

// thousands writes a number with commas.
func thousands(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// joined puts the parts that aren't empty together.
func joined(sep string, parts ...string) string {
	kept := parts[:0:0]
	for _, p := range parts {
		if p != "" {
			kept = append(kept, p)
		}
	}
	return strings.Join(kept, sep)
}

// labelled returns "label value", or nothing where there is no value.
func labelled(label, value string) string {
	if value == "" {
		return ""
	}
	return label + " " + value
}
