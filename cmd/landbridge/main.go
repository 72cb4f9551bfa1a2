package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"landbridge/appliance"
	"landbridge/internal/config"
)

// version is set when the program is built: -ldflags "-X main.version=…".
var version string

func main() {
	os.Exit(start())
}

func start() int {
	if exit, done := asInit(os.Args); done {
		return exit
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the program at once

	// By its path, so that a restart takes the program that was installed meanwhile.
	self, err := os.Executable()
	code := execute(ctx, os.Args[1:], streams{in: os.Stdin, out: os.Stdout, err: os.Stderr}, engine{
		run:     run,
		recover: appliance.Recover,
		offline: func(state string, log *slog.Logger) (offline, error) {
			return appliance.OpenOffline(state, log)
		},
	})
	if code != exitRestart {
		return code
	}
	if ctx.Err() != nil {
		return exitOK // meanwhile it was asked to stop
	}
	if err == nil {
		err = syscall.Exec(self, os.Args, os.Environ()) // returns where it fails
	}
	fmt.Fprintf(os.Stderr, "landbridge: it is to restart, and can't by itself (%v): what supervises it must start it, as systemd does\n", err)
	return exitRestart
}

// run is appliance.Run, which knows nothing of exit codes.
func run(ctx context.Context, cfg config.Config, log *slog.Logger) error {
	err := appliance.Run(ctx, cfg, log)
	if !errors.Is(err, appliance.ErrRestart) {
		return err
	}
	if err.Error() != appliance.ErrRestart.Error() {
		log.Warn("not all was put back before the restart, which puts it right", "err", err)
	}
	return errRestart
}
