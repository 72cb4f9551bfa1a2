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

// floodCommand is "bench load flood": with a setup code, the console's first user, whose cookie
// it writes; without, who is hard on it: it writes a line when all streams stand, and, when its
// input ends, what became of the flood, as JSON.
func floodCommand(args []string) error {
	f := flag.NewFlagSet("flood", flag.ContinueOnError)
	url := f.String("console", "", "where it is: https://HOST:PORT")
	code := f.String("code", "", "that sets it up")
	cookie := f.String("cookie", "", "of a session")
	if err := f.Parse(args); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	if *code != "" {
		cookie, err := flood.SetUp(ctx, *url, *code)
		if err != nil {
			return err
		}
		return json.NewEncoder(os.Stdout).Encode(cookie)
	}
	go func() {
		defer cancel()
		_, _ = io.Copy(io.Discard, os.Stdin)
	}()
	counts, err := flood.Run(ctx, *url, *cookie, func() { fmt.Fprintln(os.Stdout, "ready") })
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(counts)
}
