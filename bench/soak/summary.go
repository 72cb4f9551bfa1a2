package main

import (
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"landbridge/bench/traffic"
)

func (o options) introduce() {
	fmt.Fprintf(o.out, "Soak: traffic of up to %.0f Mbit/s for %v, over links that lose %.3g %% of the frames and hold %.3g %% back for %v; seed %d\n",
		float64(o.rate)/1e6, o.length, 100*o.link.Loss, 100*o.link.Reorder, o.link.Hold, o.seed)
}

// start tells that traffic begins, and between whom.
func (w *watch) start() {
	var ends []string
	for _, e := range w.scene.ends {
		ends = append(ends, fmt.Sprintf("%s (%v)", e.Name, e.Addr))
	}
	fmt.Fprintf(w.out, "Three members run and reach each other. Traffic between %s; the daemons' logs go to %s\n", strings.Join(ends, ", "), w.logs)
}

// progress tells in a line how it goes.
func (w *watch) progress() {
	t := w.run.Totals()
	d := t.Datagrams()
	var memory []string
	for _, m := range w.scene.members {
		if all := w.samples[m]; len(all) > 0 {
			memory = append(memory, fmt.Sprintf("%s %.1f", m.Name, mb(all[len(all)-1].rss)))
		}
	}
	took := time.Since(w.began)
	fmt.Fprintf(w.out, "%8v  %.1f Mbit/s; %d transfers, %d requests, %d connections; %d datagrams, %.2f %% lost, %.2f %% late; RSS %s MB\n",
		took.Round(time.Second), float64(t.Bytes())*8/1e6/took.Seconds(), t.Transfers, t.Requests, t.Connections,
		d.Sent, 100*d.Loss(), 100*d.LateShare(), strings.Join(memory, ", "))
}

// summary tells what has been verified, and what it took.
func (w *watch) summary() {
	took := time.Since(w.began)
	fmt.Fprintf(w.out, "\nAfter %v, of verified payload:\n", took.Round(time.Second))
	table := tabwriter.NewWriter(w.out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "  \tMB\ttransfers\trequests\tconnections\tdatagrams\tlost %\tlate %\t")
	row := func(name string, t traffic.Totals) {
		d := t.Datagrams()
		fmt.Fprintf(table, "  %s\t%.1f\t%d\t%d\t%d\t%d\t%.2f\t%.2f\t\n", name, float64(t.Bytes())/1e6, t.Transfers, t.Requests, t.Connections,
			d.Sent, 100*d.Loss(), 100*d.LateShare())
	}
	for _, d := range w.run.Directions() {
		row(d.From+" to "+d.To, d.Totals)
	}
	total := w.run.Totals()
	row("all", total)
	_ = table.Flush() // to w.out, whose failures nobody could be told
	fmt.Fprintf(w.out, "\n  %.1f Mbit/s in all; datagrams by size:", float64(total.Bytes())*8/1e6/took.Seconds())
	for _, class := range traffic.Classes() {
		d := total.Classes[class]
		fmt.Fprintf(w.out, " %v %d of %d (%.2f %% lost)", class, d.Received, d.Sent, 100*d.Loss())
	}
	c := w.scene.carried()
	frames := float64(max(1, c.Frames+c.Lost+c.Dropped))
	fmt.Fprintf(w.out, "\n  the links carried %d frames (%.1f GB), lost %.2f %%, held %.2f %% back, dropped %d\n",
		c.Frames, float64(c.Bytes)/1e9, 100*float64(c.Lost)/frames, 100*float64(c.Held)/frames, c.Dropped)
	w.tellMembers()
}

// tellMembers tells what each daemon used, and of its sessions.
func (w *watch) tellMembers() {
	for _, m := range w.scene.members {
		all := w.samples[m]
		if len(all) == 0 {
			continue
		}
		var peak sample
		for _, s := range all {
			peak = most(peak, s)
		}
		first, last := all[0], all[len(all)-1]
		fmt.Fprintf(w.out, "  daemon of %s: RSS %.1f MB at first, %.1f at the end, %.1f at most; file descriptors %d, %d, %d; threads %d, %d, %d;",
			m.Name, mb(first.rss), mb(last.rss), mb(peak.rss), first.fds, last.fds, peak.fds, first.threads, last.threads, peak.threads)
		for _, p := range w.sessions[m] {
			fmt.Fprintf(w.out, " %s %s, keys renewed %d times;", p.Name, p.Path, p.Rekeys)
		}
		fmt.Fprintf(w.out, " %d sessions made anew\n", w.anew[m])
	}
	if w.length < shortestFlat {
		fmt.Fprintf(w.out, "  (shorter than %v: that memory is bounded was judged, not that it is flat)\n", shortestFlat)
	}
	fmt.Fprintln(w.out)
}
