package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"

	"landbridge/bench/report"
)

// results is all that was measured.
type results struct {
	native []native
	cpu    [][]point // interface mode, router mode
}

// markdown writes the results for people.
func (r results) markdown(o options, now time.Time, commit string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s, commit `%s`; %d cores; %s. Medians of %d rounds of %v, and in brackets the quartiles; both ends share the cores; the wire cuts frames to its MTU as a card does.\n\n",
		now.UTC().Format(time.DateOnly), commit, runtime.NumCPU(), kernel(), o.rounds, o.length)
	if len(r.native) > 0 {
		r.nativeTable(&b)
	}
	if len(r.cpu) > 0 {
		r.cpuTable(&b)
	}
	return b.String()
}

func (r results) nativeTable(b *strings.Builder) {
	b.WriteString("**Native traffic against the same hosts on the same wire without Landbridge**\n\n")
	b.WriteString("| | TCP, Mbit/s | bare | ratio | back, ratio | ping, µs | bare | ratio | packets by the tunnel |\n")
	b.WriteString("|---|---:|---:|---|---|---:|---:|---|---:|\n")
	for _, n := range r.native {
		fmt.Fprintf(b, "| %s | %s | %s | %s | %s | %s | %s | %s | %d |\n", n.name,
			report.Number(report.Median(n.tcp.native)/1e6), report.Number(report.Median(n.tcp.bare)/1e6), ratio(n.tcp), ratio(n.back),
			report.Number(report.Median(n.ping.native)*1e6), report.Number(report.Median(n.ping.bare)*1e6), ratio(n.ping), n.carried)
	}
}

func (r results) cpuTable(b *strings.Builder) {
	b.WriteString("\n**CPU against bandwidth**: cores that the appliances of two sites use together for one TCP stream between them\n\n")
	b.WriteString("| offered, Mbit/s | interface: got | cores | router: got | cores | router ÷ interface, cores a bit |\n|---:|---:|---:|---:|---:|---:|\n")
	for i, rate := range rates() {
		in, ro := r.cpu[0][i], r.cpu[1][i]
		offered := "all"
		if rate > 0 {
			offered = report.Number(float64(rate) / 1e6)
		}
		fmt.Fprintf(b, "| %s | %s | %.2f | %s | %.2f | %.2f |\n", offered, report.Number(in.got/1e6), in.cores,
			report.Number(ro.got/1e6), ro.cores, (ro.cores/ro.got)/(in.cores/in.got))
	}
}

// ratio says how much of the bare wire is left: the median of the rounds, and their quartiles.
func ratio(b both) string {
	all := b.ratios()
	return fmt.Sprintf("%.3f [%.2f–%.2f]", report.Median(all), all[len(all)/4], all[len(all)*3/4])
}

func commit(ctx context.Context) string {
	out, err := exec.CommandContext(ctx, "git", "describe", "--always", "--dirty", "--exclude=*").Output()
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(out))
}

func kernel() string {
	text, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return runtime.GOOS
	}
	return "Linux " + strings.TrimSpace(string(text))
}
