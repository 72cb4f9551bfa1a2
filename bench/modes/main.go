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
	"strings"
	"syscall"
	"time"

	"landbridge/bench/peers"
	"landbridge/bench/report"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	o, err := parse(os.Args[1:])
	if err == nil {
		err = run(ctx, o)
	}
	switch {
	case errors.Is(err, flag.ErrHelp):
	case ctx.Err() != nil:
		fmt.Fprintln(os.Stderr, "modes: interrupted; what ran has been removed")
		os.Exit(130)
	case err != nil:
		fmt.Fprintln(os.Stderr, "modes:", err)
		os.Exit(1)
	}
}

// options is what the command line says.
type options struct {
	programs peers.Programs
	page     string // the document; empty: none is touched
	rounds   int    // of bare and native in turn
	length   time.Duration
	parts    []string
	out      io.Writer // for people
}

// The parts that -parts names.
const (
	partHybrid = "hybrid" // two hosts of a LAN
	partLAN    = "lan"    // two hosts of a router's LAN
	partCPU    = "cpu"    // against bandwidth, by mode
)

func parse(args []string) (o options, err error) {
	o.out = os.Stdout
	f := flag.NewFlagSet("modes", flag.ContinueOnError)
	f.StringVar(&o.programs.Landbridge, "landbridge", "bin/landbridge", "the `program` under test")
	f.StringVar(&o.page, "page", "", "`document` to write the result into")
	f.IntVar(&o.rounds, "rounds", 7, "how often bare and native are measured in turn")
	f.DurationVar(&o.length, "length", 3*time.Second, "of each transfer")
	parts := f.String("parts", strings.Join([]string{partHybrid, partLAN, partCPU}, ","), "comma-separated: what is measured; a document takes all")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	o.parts = strings.Split(*parts, ",")
	if f.NArg() > 0 || o.rounds < 1 || o.length < time.Second {
		return o, errors.New("it takes -rounds 1 and -length 1s at least, and no arguments; see modes -help")
	}
	o.programs.Landbridge, err = filepath.Abs(o.programs.Landbridge)
	return o, err
}

// run measures all, and shows it.
func run(ctx context.Context, o options) error {
	var r results
	for _, n := range []struct {
		part, name string
		peer       peers.Native
	}{
		{partHybrid, "hybrid to hybrid", peers.NewHybrid(o.programs)},
		{partLAN, "hosts of a router's LAN", peers.NewLAN(o.programs)},
	} {
		if !slices.Contains(o.parts, n.part) {
			continue
		}
		fmt.Fprintln(o.out, n.name)
		got, err := o.native(ctx, n.peer)
		if err != nil {
			return fmt.Errorf("%s: %w", n.name, err)
		}
		got.name = n.name
		r.native = append(r.native, got)
	}
	if slices.Contains(o.parts, partCPU) {
		if err := o.cpus(ctx, &r); err != nil {
			return err
		}
	}
	text := r.markdown(o, time.Now(), commit(ctx))
	fmt.Fprintln(o.out, text)
	if o.page == "" {
		return nil
	}
	old, err := os.ReadFile(o.page)
	if err != nil {
		return err
	}
	next, err := report.Insert(string(old), text)
	if err != nil {
		return err
	}
	return os.WriteFile(o.page, []byte(next), 0o644)
}
