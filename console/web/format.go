package web

import (
	"fmt"
	"maps"
	"math"
	"strconv"
	"strings"
	"time"

	template "github.com/DataDog/datadog-agent/pkg/template/html"

	"landbridge/console/api"
)

// functions are what templates call. They call functions and no methods: the engine that can
// look a method up by its name keeps every method of the program, megabytes of it
// (docs/decisions/0006-memory.md).
func functions(now func() time.Time, static assets) template.FuncMap {
	all := forms(now)
	maps.Copy(all, settingForms())
	maps.Copy(all, drawing())
	maps.Copy(all, template.FuncMap{
		"asset":        static.path,
		"beside":       beside,
		"can":          Who.Can,
		"below":        frame.Below,
		"valid":        func(v interface{ IsValid() bool }) bool { return v.IsValid() },
		"zero":         time.Time.IsZero,
		"modes":        modes,
		"serveRules":   serveRules,
		"aboutWhat":    auditPage.About,
		"modePicture":  newModePicture,
		"steps":        steps,
		"machineSays":  machineSays,
		"behind":       startPage.Behind,
		"open":         startPage.Open,
		"mendAt":       mendAt,
		"registers":    networkPage.Registers,
		"grouped":      networkPage.Grouped,
		"seen":         networkPage.Seen,
		"portView":     newPortView,
		"heardAnybody": func(h *heardView) bool { return h.Somebody() },
		"removal":      groupMembers.Gone,
		"keeper":       groupMembers.Keeper,
		"roles":        roles,
		"farthest":     farthest,
		"inFours":      totpPage.Groups,
		"checks":       diagnosticsPage.Checks,
		"lastWay":      lastWay,
		"hopTrouble":   hopTrouble,
		"dnsTypes":     dnsTypes,
		"logLevels":    logLevels,
		"logLink":      logTool.Link,
		"leaseStates":  leaseStates,
		"leaseKinds":   leaseKinds,
		"follow":       leaseQuery.With,
		"followNames":  nameQuery.With,
		"nameKinds":    nameKinds,
		"serverList":   serverList,
		"exportAs":     leaseQuery.As,
		"older":        historyQuery.With,
		"filtered":     historyQuery.Filtered,
		"ready":        importPage.Ready,
		"pick":         leaseQuery.Pick,
		"order":        leaseQuery.Order,
		"sortedBy":     leaseQuery.By,
		"ours":         ours,
		"hosts":        bulkPage.Hosts,
		"failed":       deed.Failed,
		"did":          deed.Did,
		"canUndo":      deed.CanUndo,
		"carriedOut":   outcome.Done,
		"leased":       leasePage.Leased,
	})
	return all
}

// drawing is what pictures ask of what they show.
func drawing() template.FuncMap {
	return template.FuncMap{
		"fill":     blockView.Fill,
		"width":    blockView.Width,
		"height":   blockView.Height,
		"middle":   box.Middle,
		"bottom":   box.Bottom,
		"hostsEnd": picture.HostsEnd,
		"lanX":     picture.LANX,
		"sum":      rate.Sum,
	}
}

// forms are how values are written.
func forms(now func() time.Time) template.FuncMap {
	return template.FuncMap{
		"sentence":  sentence,
		"number":    number[int],
		"count":     number[uint64],
		"bytes":     byteSize,
		"size":      func(n int64) string { return byteSize(uint64(max(n, 0))) },
		"rate":      bitRate,
		"latency":   latency,
		"linkSpeed": linkSpeed,
		"duration":  duration,
		"seconds":   func(s int64) string { return duration(time.Duration(s) * time.Second) },
		"ago":       func(t time.Time) string { return duration(now().Sub(t)) },
		"until":     func(t time.Time) string { return duration(t.Sub(now())) },
		"past":      func(t time.Time) bool { return t.Before(now()) },
		"stamp":     func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") },
		"clock":     func(t time.Time) string { return t.UTC().Format("15:04:05.000") },
		"moment":    func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05") },
		"machine":   func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
		"percent":   func(part, whole int) int { return percent(part, whole) },
		"short":     short,
		"add":       func(a, b int) int { return a + b },
		"join":      strings.Join,
		"some":      some,
		"eights":    eights,
		"acmeAlgorithms": func() []api.TsigAlgorithm {
			return []api.TsigAlgorithm{api.TsigAlgorithmHmacSha256, api.TsigAlgorithmHmacSha384, api.TsigAlgorithmHmacSha512}
		},
		"apart":      math.Abs,
		"reached":    api.Places,
		"title":      func(s string) string { return strings.ToUpper(s[:min(1, len(s))]) + s[min(1, len(s)):] },
		"args":       arguments,
		"paragraphs": paragraphs,
		"spans":      spans,
	}
}

// arguments hands several values to a part: key, value, key, value.
func arguments(pairs ...any) (map[string]any, error) {
	if len(pairs)%2 != 0 {
		return nil, fmt.Errorf("args wants keys and values, got %d words", len(pairs))
	}
	m := make(map[string]any, len(pairs)/2)
	for i := 0; i < len(pairs); i += 2 {
		m[fmt.Sprint(pairs[i])] = pairs[i+1]
	}
	return m, nil
}

// number writes 65536 as 65,536.
func number[T int | uint64](n T) string {
	digits := fmt.Sprint(n)
	sign := ""
	if digits[0] == '-' {
		sign, digits = "-", digits[1:]
	}
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return sign + digits
}

// scaled writes a value with three digits and the largest unit that leaves one before the point.
func scaled(v, step float64, units []string) string {
	i := 0
	for v >= step && i < len(units)-1 {
		v /= step
		i++
	}
	digits := 0
	if i > 0 && v < 100 {
		digits = 1
	}
	return strconv.FormatFloat(v, 'f', digits, 64) + " " + units[i]
}

func byteSize(n uint64) string {
	return scaled(float64(n), 1024, []string{"B", "KiB", "MiB", "GiB", "TiB"})
}

// bitRate writes bits per second.
func bitRate(bps float64) string {
	return scaled(math.Max(bps, 0), 1000, []string{"bit/s", "kbit/s", "Mbit/s", "Gbit/s"})
}

// latency writes a round-trip time given in microseconds.
func latency(us int64) string {
	ms := float64(us) / 1000
	switch {
	case us <= 0:
		return "–"
	case ms < 1:
		return strconv.FormatFloat(ms, 'f', 2, 64) + " ms"
	case ms < 10:
		return strconv.FormatFloat(ms, 'f', 1, 64) + " ms"
	}
	return strconv.FormatFloat(ms, 'f', 0, 64) + " ms"
}

// duration writes the two largest units of a time: 3 d 4 h, 12 min, 40 s.
func duration(d time.Duration) string {
	d = d.Round(time.Second)
	if d < 0 {
		d = -d
	}
	units := []struct {
		length time.Duration
		name   string
	}{{24 * time.Hour, "d"}, {time.Hour, "h"}, {time.Minute, "min"}, {time.Second, "s"}}
	for i, u := range units {
		if d < u.length {
			continue
		}
		text := fmt.Sprintf("%d %s", d/u.length, u.name)
		if rest := d % u.length; i < 2 && rest >= units[i+1].length {
			text += fmt.Sprintf(" %d %s", rest/units[i+1].length, units[i+1].name)
		}
		return text
	}
	return "0 s"
}

func percent(part, whole int) int {
	if whole <= 0 {
		return 0
	}
	return int(math.Round(100 * float64(part) / float64(whole)))
}

// short leaves of an ID as much as tells it from others.
func short(id string) string {
	if len(id) <= 14 {
		return id
	}
	return id[:6] + "…" + id[len(id)-6:]
}

// some names the first of many.
func some(names []string) string {
	const shown = 5
	if len(names) <= shown {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:shown], ", "), len(names)-shown)
}

// eights cuts a fingerprint into lines of eight bytes, which end behind a colon.
func eights(fingerprint string) (lines []string) {
	const line = 8 * len("AB:")
	for len(fingerprint) > line {
		lines, fingerprint = append(lines, fingerprint[:line]), fingerprint[line:]
	}
	return append(lines, fingerprint)
}

// paragraphs splits a text where a line is empty.
func paragraphs(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(s, "\n\n")
}

// span is a stretch of text, or of code.
type span struct {
	Code bool
	Text string
}

// spans splits a text at the backticks around what is code.
func spans(s string) []span {
	var all []span
	for i, part := range strings.Split(s, "`") {
		all = append(all, span{Code: i%2 == 1, Text: part})
	}
	return all
}
