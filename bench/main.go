package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"landbridge/bench/peers"
	"landbridge/bench/underlay"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if len(os.Args) > 1 && os.Args[1] == "load" {
		if err := loadCommand(os.Args[2:]); err != nil {
			fmt.Fprintln(os.Stderr, "bench load:", err)
			os.Exit(1)
		}
		return
	}
	o, err := parse(os.Args[1:])
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err == nil {
		err = run(ctx, o)
	}
	switch {
	case ctx.Err() != nil:
		fmt.Fprintf(os.Stderr, "bench: interrupted; what ran has been removed, the samples so far are in %s\n", o.samples())
		os.Exit(130)
	case err != nil:
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// options is what the command line says.
type options struct {
	kinds     []peers.Kind
	profiles  []underlay.Profile
	measures  []string
	reps      int
	quick     bool
	turns     int   // in each repetition of "bench modes"; 0: the plan's
	add       bool  // to the samples of earlier runs
	members   []int // that get and send traffic, of a group of the largest number, in their order
	programs  peers.Programs
	out       string   // directory of samples and report
	docs      string   // directory of performance.md; empty: don't touch it
	from      string   // samples to report of, instead of measuring
	modes     bool     // of Landbridge are measured, and not other tunnels
	addresses bool     // and names are asked for, of Landbridge and of servers
	servers   []string // of these, by the beginnings of their names; empty: all
}

func (o options) samples() string { return filepath.Join(o.out, "samples.jsonl") }

// The groups of measures that -measures names. Startup and memory come with each peer.
const (
	groupPing    = "ping"
	groupTCP     = "tcp" // and CPU a gigabyte
	groupUDP     = "udp"
	groupRR      = "rr"
	groupWAN     = "wan"
	groupConsole = "console" // ping while the console is flooded
)

func groups() []string {
	return []string{groupPing, groupTCP, groupUDP, groupRR, groupWAN, groupConsole}
}

func parse(args []string) (o options, err error) {
	if len(args) > 0 && args[0] == "modes" {
		return parseModes(args[1:])
	}
	if len(args) > 0 && args[0] == "addresses" {
		return parseAddresses(args[1:])
	}
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	names := f.String("peers", "", "comma-separated `names`; all by default")
	profiles := f.String("profile", "nic,veth", "comma-separated profiles of the wire: nic cuts super-frames, veth doesn't")
	measures := f.String("measures", strings.Join(groups(), ","), "comma-separated: "+strings.Join(groups(), ", "))
	many := f.String("many", "", "also measure traffic between one Landbridge appliance and so `many` others of its group: comma-separated, at most 200; 1,10,30,100 compares them")
	f.BoolVar(&o.quick, "quick", false, "short measurements, once unless -reps says otherwise, nic alone unless -profile does")
	f.StringVar(&o.programs.Cache, "cache", ".cache/bench", "`directory` of the peers' programs (scripts/bench-peers)")
	given, err := o.parse(f, "performance.md", args)
	if err != nil {
		return o, err
	}
	if o.quick && !given["profile"] {
		*profiles = string(underlay.NIC)
	}
	if o.members, err = parseMany(*many); err != nil {
		return o, err
	}
	if err := o.choose(*measures, groups(), *profiles); err != nil {
		return o, err
	}
	o.kinds, err = peers.Choose(split(*names))
	return o, errors.Join(err, o.absolute())
}

// parse parses the arguments by the flags of f and those that all runs have, and returns
// which were given.
func (o *options) parse(f *flag.FlagSet, document string, args []string) (given map[string]bool, err error) {
	f.IntVar(&o.reps, "reps", 3, "repetitions")
	f.StringVar(&o.programs.Landbridge, "landbridge", "bin/landbridge", "the `program` under test")
	f.StringVar(&o.out, "out", "out/"+f.Name(), "`directory` for samples and report")
	f.BoolVar(&o.add, "add", false, "keep the samples of earlier runs, and report of all; of each peer's newest version alone")
	f.StringVar(&o.docs, "docs", "", "`directory` of "+document+", to write the report into")
	f.StringVar(&o.from, "from", "", "report of the samples in this `file`, and measure nothing")
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	if f.NArg() > 0 {
		return nil, fmt.Errorf("what is %q? See %s -help", f.Arg(0), f.Name())
	}
	given = make(map[string]bool)
	f.Visit(func(x *flag.Flag) { given[x.Name] = true })
	if o.quick && !given["reps"] {
		o.reps = 1
	}
	return given, nil
}

// choose takes measures, of those that there are, and profiles.
func (o *options) choose(measures string, there []string, profiles string) error {
	o.measures = split(measures)
	for _, m := range o.measures {
		if !slices.Contains(there, m) {
			return fmt.Errorf("no measures %q: there are %s", m, strings.Join(there, ", "))
		}
	}
	for _, name := range split(profiles) {
		p, err := underlay.ParseProfile(name)
		if err != nil {
			return err
		}
		o.profiles = append(o.profiles, p)
	}
	return nil
}

// absolute makes the programs' paths good on every host.
func (o *options) absolute() (err error) {
	for _, path := range []*string{&o.programs.Landbridge, &o.programs.Cache} {
		var aerr error
		*path, aerr = filepath.Abs(*path)
		err = errors.Join(err, aerr)
	}
	return err
}

func (o options) wants(group string) bool { return slices.Contains(o.measures, group) }

func split(list string) []string {
	return slices.DeleteFunc(strings.Split(list, ","), func(s string) bool { return s == "" })
}
