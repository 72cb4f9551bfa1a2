package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"landbridge/internal/netlab"
)

func main() {
	binary := flag.String("landbridge", "bin/landbridge", "the program to show")
	verbose := flag.Bool("v", false, "appliances log in full; all of it is shown after a failure")
	once := flag.Bool("once", false, "exit after the checks, with 1 if one failed")
	measure := flag.Bool("measure", false, "also measure times, round trips and memory")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	failed, err := run(ctx, *binary, *once, *measure, *verbose)
	switch {
	case errors.Is(err, context.Canceled):
		fmt.Fprintln(os.Stderr, "demo: interrupted; everything has been removed")
		os.Exit(130)
	case err != nil:
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	case failed > 0:
		os.Exit(1)
	}
}

func run(ctx context.Context, binary string, once, measure, verbose bool) (failed int, err error) {
	if missing := netlab.Missing("dhclient", "udhcpc", "dhcpcd", "ping", "nc", "sha256sum"); len(missing) > 0 {
		return 0, errors.Join(missing...)
	}
	binary, err = filepath.Abs(binary)
	if err != nil {
		return 0, err
	}
	if _, err := os.Stat(binary); err != nil {
		return 0, fmt.Errorf("%w: build it with make build", err)
	}
	lab := netlab.New(slog.New(slog.DiscardHandler))
	defer lab.Close()
	d := &demo{view: newView(os.Stdout), lab: lab, binary: binary, verbose: verbose}
	d.introduce()
	if err := d.build(); err != nil {
		return 0, err
	}
	if err := d.boot(ctx); err != nil {
		return 0, errors.Join(err, d.logs())
	}
	d.verify(ctx)
	if measure {
		d.measure(ctx)
	}
	if failed = d.view.table(); failed > 0 {
		d.view.say("%v", d.logs())
	}
	if ctx.Err() != nil {
		return failed, ctx.Err()
	}
	if !once {
		d.hints(ctx)
		<-ctx.Done()
	}
	return failed, nil
}
