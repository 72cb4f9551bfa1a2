package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"runtime"
	"time"

	"landbridge/bench/crowd"
	"landbridge/bench/measure"
)

const (
	countFD = 3 // on which a sender asks what has arrived
	floodFD = 4 // on which the hub's sink is asked
)

// crowdCommand is "bench load crowd": a group's members but one, in one process. It writes a
// line of JSON when they stand, with their addresses, and one for each line that it reads: a
// flood is made.
func crowdCommand(args []string) (err error) {
	f := flag.NewFlagSet("crowd", flag.ContinueOnError)
	dir := f.String("dir", "", "with the members' states")
	hub := f.String("hub", "", "address and port of the hub")
	members := f.String("members", "", "comma-separated addresses")
	port := f.Uint("port", 0, "whose datagrams are counted")
	patience := f.Duration("patience", time.Minute, "until all have their addresses")
	verbose := f.Bool("v", false, "log")
	if err := f.Parse(args); err != nil {
		return err
	}
	cfg := crowd.Config{Dir: *dir, Port: uint16(*port), Log: slog.New(slog.DiscardHandler)}
	if *verbose {
		cfg.Log = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	if cfg.Hub, err = netip.ParseAddrPort(*hub); err != nil {
		return err
	}
	for _, text := range split(*members) {
		addr, err := netip.ParseAddr(text)
		if err != nil {
			return err
		}
		cfg.Members = append(cfg.Members, addr)
	}
	runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) + 1) // as the program does, for the loop
	ctx, cancel := context.WithTimeout(context.Background(), *patience)
	defer cancel()
	c, err := crowd.Open(ctx, cfg)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	return obey(c)
}

// obey tells the addresses and makes floods until nobody asks for any more.
func obey(c *crowd.Crowd) error {
	told := json.NewEncoder(os.Stdout)
	if err := told.Encode(c.Addrs()); err != nil {
		return err
	}
	go func() {
		if err := c.Count(os.NewFile(countFD, "count")); err != nil {
			fmt.Fprintln(os.Stderr, "count:", err)
		}
	}()
	flood := os.NewFile(floodFD, "flood")
	for asked := json.NewDecoder(os.Stdin); ; {
		var order measure.Flood
		if err := asked.Decode(&order); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		rates, err := c.Flood(flood, order.Members, order.Hub, order.Plan)
		if err != nil {
			return err
		}
		if err := told.Encode(rates); err != nil {
			return err
		}
	}
}
