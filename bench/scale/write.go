package main

import (
	"context"
	"fmt"
	"math"
	"strings"
	"time"

	"landbridge/bench/report"
)

// row is one kind of cost, in all sizes.
type row struct {
	title string // with its unit
	plot  string // title of its curve; empty: none
	value func(sample) float64
}

func rows() []row {
	seconds := func(d time.Duration) float64 { return d.Seconds() }
	milliseconds := func(d time.Duration) float64 { return d.Seconds() * 1e3 }
	return []row{
		{"joining, from `landbridge join` to the first reply of another member, s", "joining, s", func(s sample) float64 { return seconds(median(s.joins)) }},
		{"the slowest of the last ten, s", "", func(s sample) float64 { return seconds(quantile(s.joins, 1)) }},
		{"first packet to a member that this one never spoke to, until the reply, ms", "first packet to a stranger, ms", func(s sample) float64 { return milliseconds(median(s.meetings)) }},
		{"nine of ten within, ms", "", func(s sample) float64 { return milliseconds(quantile(s.meetings, 0.9)) }},
		{"calls between members for it", "calls for it", func(s sample) float64 { return s.calls }},
		{"searches of the DHT for it", "", func(s sample) float64 { return s.searches }},
		{"memory at rest, MB (RSS)", "memory at rest, MB", func(s sample) float64 { return float64(median(s.rss)) / 1e6 }},
		{"of that not the program's file, MB", "", func(s sample) float64 { return float64(median(s.own)) / 1e6 }},
		{"CPU at rest, ms a second", "CPU at rest, ms a second", func(s sample) float64 { return s.cpu }},
		{"sent and received at rest, bytes a second", "traffic at rest, bytes a second", func(s sample) float64 { return s.bytes }},
		{"calls at rest, a minute", "", func(s sample) float64 { return s.restCalls }},
	}
}

// table writes what was measured, and how much faster than the logarithm each cost has grown.
func table(all []sample) string {
	var b strings.Builder
	b.WriteString("| of a member |")
	for _, s := range all {
		fmt.Fprintf(&b, " %d members |", s.members)
	}
	b.WriteString(" grown | by log N |\n|---|" + strings.Repeat("---|", len(all)+2) + "\n")
	first, last := all[0], all[len(all)-1]
	law := math.Log(float64(last.members)) / math.Log(float64(first.members))
	for _, r := range rows() {
		fmt.Fprintf(&b, "| %s |", r.title)
		for _, s := range all {
			fmt.Fprintf(&b, " %s |", report.Number(r.value(s)))
		}
		grown := "-"
		if from := r.value(first); from > 0 {
			grown = report.Number(r.value(last)/from) + " ×"
		}
		fmt.Fprintf(&b, " %s | %s × |\n", grown, report.Number(law))
	}
	return b.String()
}

// write puts table and plot into the documents.
func write(ctx context.Context, docs string, all []sample) error {
	m := report.Here(ctx, false)
	var curves []report.Curve
	for _, r := range rows() {
		if r.plot == "" {
			continue
		}
		c := report.Curve{Title: r.plot}
		for _, s := range all {
			c.Points = append(c.Points, report.Point{Number: s.members, Value: r.value(s)})
		}
		curves = append(curves, c)
	}
	subtitle := fmt.Sprintf("%s, commit %s; %s, %d cores for all members; dashed: log N", m.Started.Format("2006-01-02"), m.Commit, m.CPU, m.Cores)
	svg := report.Curves("What a member costs in a group of N", subtitle, "members", curves)
	origin := fmt.Sprintf("%s, commit `%s`; %s, %d cores for all members; Linux %s. Medians over members, meetings, or the last ten that joined.\n\n",
		m.Started.Format("2006-01-02"), m.Commit, m.CPU, m.Cores, m.Kernel)
	return report.Place(docs, "scale", "What a member costs in a group of N", report.BeginScale, origin+table(all), svg)
}
