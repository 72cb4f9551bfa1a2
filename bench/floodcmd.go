package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"

	"landbridge/bench/flood"
)

// floodCommand is "bench load flood": who is hard on a console. It writes a line when all
// streams stand, and, when its input ends, what became of the flood, as JSON.
func floodCommand(args []string) error {
	f := flag.NewFlagSet("flood", flag.ContinueOnError)
	url := f.String("console", "", "where it is: https://HOST:PORT")
	code := f.String("code", "", "that sets it up")
	if err := f.Parse(args); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		defer cancel()
		_, _ = io.Copy(io.Discard, os.Stdin)
	}()
	counts, err := flood.Run(ctx, *url, *code, func() { fmt.Fprintln(os.Stdout, "ready") })
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(counts)
}
