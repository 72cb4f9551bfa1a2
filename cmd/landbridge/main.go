package main

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"landbridge/appliance"
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

	return execute(ctx, os.Args[1:], streams{in: os.Stdin, out: os.Stdout, err: os.Stderr}, engine{
		run:     appliance.Run,
		recover: appliance.Recover,
		offline: func(state string, log *slog.Logger) (offline, error) {
			return appliance.OpenOffline(state, log)
		},
	})
}
