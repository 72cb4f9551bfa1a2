package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"landbridge/internal/netlab"
)

const usage = `scale costs|kills [FLAGS]: see scale costs -help, scale kills -help`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	o, err := parse(os.Args[1:])
	if err == nil {
		err = run(ctx, o)
	}
	interrupted := ctx.Err() != nil
	stop()
	switch {
	case errors.Is(err, flag.ErrHelp):
	case interrupted:
		fmt.Fprintf(os.Stderr, "scale: interrupted; what ran has been removed, the daemons' logs are in %s\n", o.logs)
		os.Exit(130)
	case err != nil:
		fmt.Fprintln(os.Stderr, "scale: FAILED:", err)
		os.Exit(1)
	}
}

// options is what the command line says.
type options struct {
	command string
	program string // under test
	logs    string // directory of the daemons' logs
	out     io.Writer

	// Of costs.
	sizes []int         // of the group, growing
	rest  time.Duration // how long members that do nothing are watched, at each size
	pairs int           // that meet for the first time, at each size
	docs  string        // directory of scale.md; empty: it isn't written

	// Of kills.
	members int
	length  time.Duration // for which members are killed
	within  time.Duration // living members have to reach each other after a kill
	seed    uint64
}

func parse(args []string) (options, error) {
	o := options{out: os.Stdout}
	if len(args) == 0 || args[0] != "costs" && args[0] != "kills" {
		return o, errors.New(usage)
	}
	o.command = args[0]
	f := flag.NewFlagSet("scale "+o.command, flag.ContinueOnError)
	f.StringVar(&o.program, "landbridge", "bin/landbridge", "the `program` under test")
	f.StringVar(&o.logs, "out", "out/scale", "`directory` for the daemons' logs")
	var sizes string
	if o.command == "costs" {
		f.StringVar(&sizes, "sizes", "10,30,100", "`numbers` of members, growing, 5 to 250")
		f.DurationVar(&o.rest, "rest", time.Minute, "how long members at rest are watched, at each size")
		f.IntVar(&o.pairs, "pairs", 60, "members that meet for the first time, at each size")
		f.StringVar(&o.docs, "docs", "", "`directory` of scale.md, whose table and plot are written")
	} else {
		f.IntVar(&o.members, "members", 30, "of the group, 5 to 250")
		f.DurationVar(&o.length, "for", 10*time.Minute, "how long a third is killed each 10 s")
		f.DurationVar(&o.within, "within", 5*time.Second, "after a kill, every two living members have to reach each other")
		f.Uint64Var(&o.seed, "seed", uint64(time.Now().UnixNano()), "of who is killed; the time by default")
	}
	if err := f.Parse(args[1:]); err != nil {
		return o, err
	}
	if f.NArg() > 0 {
		return o, fmt.Errorf("what is %q? See scale %s -help", f.Arg(0), o.command)
	}
	for word := range strings.SplitSeq(sizes, ",") {
		if word == "" {
			continue
		}
		n, err := strconv.Atoi(strings.TrimSpace(word))
		if err != nil {
			return o, fmt.Errorf("-sizes: want numbers with commas between them, as 10,30,100: %q is none", word)
		}
		o.sizes = append(o.sizes, n)
	}
	if o.command == "kills" {
		o.sizes = []int{o.members}
	}
	switch {
	case len(o.sizes) == 0 || o.sizes[0] < 5 || o.sizes[len(o.sizes)-1] > 250 || !slices.IsSorted(o.sizes):
		return o, errors.New("a group has 5 to 250 members here, and grows")
	case o.command == "costs" && (o.rest < 5*time.Second || o.pairs < 1 || o.pairs > 10*o.sizes[0]):
		return o, errors.New("it takes -rest 5s at least, and 1 to ten times as many -pairs as the smallest group has members")
	}
	var err error
	o.program, err = filepath.Abs(o.program)
	return o, err
}

// run does what the command line says, and returns what was wrong.
func run(ctx context.Context, o options) error {
	if missing := netlab.Missing(); len(missing) > 0 {
		return errors.Join(missing...)
	}
	if _, err := os.Stat(o.program); err != nil {
		return fmt.Errorf("%w: build it with make build", err)
	}
	if err := os.MkdirAll(o.logs, 0o755); err != nil {
		return err
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	g := newGroup(o, stop)
	defer g.close()
	work := g.kills
	if o.command == "costs" {
		work = g.costs
	}
	err := work(ctx)
	if cause := context.Cause(ctx); err != nil && cause != nil && !errors.Is(cause, context.Canceled) {
		return cause // a daemon has ended: what else went wrong followed
	}
	return err
}
