package main

import (
	"context"
	"fmt"
	"io"
	"math"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"landbridge/console/api"
)

func (p *program) throughputCommand() *cobra.Command {
	var day bool
	cmd := &cobra.Command{
		Use:               "throughput",
		Short:             "Show how fast traffic with other members was, of the last minutes or the day",
		GroupID:           "look",
		Args:              noArguments,
		ValidArgsFunction: noFiles,
		Long: `Show how fast hosts' traffic through the tunnel was: now, on average and at most, and
in spans of time, the oldest first. It is remembered for a day, and since the appliance
started. With --json each second of five minutes, and each minute of the day.`,
		Example: `  sudo landbridge throughput
  sudo landbridge throughput --day
  sudo landbridge throughput --json | jq '.fiveMinutes.sent | max'`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return show(p, cmd, func(ctx context.Context, c *api.Local) (api.Throughput, error) {
				return said(c.GetThroughputWithResponse(ctx))
			}, func(t api.Throughput) error {
				series, span := t.FiveMinutes, 15*time.Second
				if day {
					series, span = t.Day, time.Hour
				}
				if len(series.Sent) == 0 {
					p.remark("Nothing was measured yet: look again in a moment.")
					return nil
				}
				return writeThroughput(p.out, series, span)
			})
		},
	}
	cmd.Flags().BoolVar(&day, "day", false, "the day, by hours, rather than five minutes")
	return cmd
}

// writeThroughput prints a series for a person: its sum, and a row for each span of time, of which
// the last ends now.
func writeThroughput(w io.Writer, r api.RateSeries, span time.Duration) error {
	last := len(r.Sent) - 1
	s := &sheet{}
	s.row("Now", fmt.Sprintf("sent %s, received %s", bitRate(r.Sent[last]), bitRate(r.Received[last])))
	s.row("On average", fmt.Sprintf("sent %s, received %s", bitRate(mean(r.Sent)), bitRate(mean(r.Received))))
	s.row("At most", fmt.Sprintf("sent %s, received %s", bitRate(slices.Max(r.Sent)), bitRate(slices.Max(r.Received))))
	s.b.WriteByte('\n')
	if _, err := io.WriteString(w, s.b.String()); err != nil {
		return err
	}
	t := &table{columns: []column{{title: "UNTIL (UTC)", keep: true}, {title: "SENT", right: true, keep: true}, {title: "RECEIVED", right: true, keep: true}}}
	step := time.Duration(max(1, r.StepSeconds)) * time.Second
	each := max(1, int(span/step))
	for end := len(r.Sent); end > 0; end -= each {
		from := max(0, end-each)
		t.add(r.Until.Add(-time.Duration(len(r.Sent)-end)*step).UTC().Format(time.TimeOnly), bitRate(mean(r.Sent[from:end])), bitRate(mean(r.Received[from:end])))
	}
	slices.Reverse(t.rows)
	return t.write(w)
}

// mean returns the mean of rates, 0 of none.
func mean(rates []int64) int64 {
	var sum float64
	for _, r := range rates {
		sum += float64(r)
	}
	return int64(math.Round(sum / float64(max(1, len(rates)))))
}

// bitRate writes bits per second with three digits: "31.2 Mbit/s".
func bitRate(bits int64) string {
	n := size(uint64(max(0, bits)))
	return n[:len(n)-1] + "bit/s"
}

func (p *program) timeCommand() *cobra.Command {
	return &cobra.Command{
		Use:               "time",
		Short:             "Show whether the clock is kept, and how it compares with the members'",
		GroupID:           "look",
		Args:              noArguments,
		ValidArgsFunction: noFiles,
		Long: `Show the appliance's clock: whether something keeps it, as NTP does, by how much it may
be wrong, and how it compares with the clocks of the members, as they said hello last.`,
		Example: `  sudo landbridge time
  sudo landbridge time --json | jq '.members[] | select(.offsetSeconds > 1)'`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return show(p, cmd, func(ctx context.Context, c *api.Local) (api.Time, error) {
				return said(c.GetTimeWithResponse(ctx))
			}, func(t api.Time) error {
				return writeTime(p.out, t)
			})
		},
	}
}

// writeTime prints what is known of the clock.
func writeTime(w io.Writer, t api.Time) error {
	s := &sheet{}
	s.row("Clock", t.Now.UTC().Format("2006-01-02 15:04:05 UTC"))
	kept := "nothing keeps it (NTP): it drifts"
	switch {
	case !t.Known:
		kept = "the kernel doesn't say"
	case t.Synchronized:
		kept = fmt.Sprintf("yes, wrong by %s at most", inSeconds(t.ErrorSeconds))
	}
	s.row("Kept", kept)
	if len(t.Members) == 0 {
		s.row("Members", "no member's clock is known")
	}
	_, err := io.WriteString(w, s.b.String())
	if err != nil || len(t.Members) == 0 {
		return err
	}
	list := &table{columns: []column{{title: "MEMBER", keep: true}, {title: "ITS CLOCK IS", right: true, keep: true}, {title: "WITHIN", right: true, keep: true}, {title: "SEEN", right: true, keep: true}}}
	for _, m := range t.Members {
		where := "ahead"
		if m.OffsetSeconds < 0 {
			where = "behind"
		}
		list.add(m.Name, inSeconds(math.Abs(m.OffsetSeconds))+" "+where, inSeconds(m.WithinSeconds), ago(m.Seen, t.Now)+" ago")
	}
	if _, err := io.WriteString(w, "\n"); err != nil {
		return err
	}
	return list.write(w)
}

// inSeconds writes a part of a minute, exact to a millisecond, and what is longer as an age.
func inSeconds(s float64) string {
	if s >= 60 {
		return age(time.Duration(s * float64(time.Second)))
	}
	return fmt.Sprintf("%.3f s", s)
}
