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
	"syscall"
	"time"

	"landbridge/internal/netlab"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	o, err := parse(os.Args[1:])
	if err == nil {
		err = soak(ctx, o)
	}
	interrupted := ctx.Err() != nil
	stop()
	switch {
	case errors.Is(err, flag.ErrHelp):
	case interrupted:
		fmt.Fprintf(os.Stderr, "soak: interrupted; what ran has been removed, the daemons' logs are in %s\n", o.logs)
		os.Exit(130)
	case err != nil:
		fmt.Fprintln(os.Stderr, "soak: FAILED:", err)
		os.Exit(1)
	}
}

// options is what the command line says.
type options struct {
	binary string        // the program under test
	logs   string        // directory of the daemons' logs
	length time.Duration // of the traffic
	every  time.Duration // between two lines of progress
	rate   int64         // bits per second of payload, of all flows together
	seed   uint64        // of the traffic
	link   netlab.Link   // of each site
	out    io.Writer
}

func parse(args []string) (options, error) {
	o := options{out: os.Stdout}
	f := flag.NewFlagSet("soak", flag.ContinueOnError)
	f.StringVar(&o.binary, "landbridge", "bin/landbridge", "the `program` under test")
	f.StringVar(&o.logs, "out", "out/soak", "`directory` for the daemons' logs")
	f.DurationVar(&o.length, "for", time.Hour, "how long traffic goes")
	f.DurationVar(&o.every, "every", 15*time.Second, "time between two lines of progress")
	rate := f.Float64("rate", 50, "Mbit/s of payload at most, of all flows together")
	f.Uint64Var(&o.seed, "seed", uint64(time.Now().UnixNano()), "of sizes and bytes; the time by default")
	f.Float64Var(&o.link.Loss, "loss", 0.01, "share of frames that each link loses")
	f.Float64Var(&o.link.Reorder, "reorder", 0.03, "share of frames that each link holds back")
	f.DurationVar(&o.link.Hold, "hold", 3*time.Millisecond, "for how long")
	f.DurationVar(&o.link.Delay, "delay", 2*time.Millisecond, "of each link, one way")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	o.rate = int64(*rate * 1e6)
	switch {
	case f.NArg() > 0:
		return o, fmt.Errorf("what is %q? See soak -help", f.Arg(0))
	case o.length < 5*time.Second || o.every < time.Second || o.rate < 1e6 || o.rate > 1e9:
		return o, errors.New("it takes -for 5s, -every 1s and -rate 1 at least, and -rate 1000 at most")
	case o.link.Reorder == 0:
		o.link.Hold = 0
	}
	var err error
	o.binary, err = filepath.Abs(o.binary)
	return o, err
}
