package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"time"

	"landbridge/bench/load"
)

// loadCommand is "bench load KIND": one end of a measurement, as a process of its own.
// Servers write a line when they are ready, clients what they have measured, as JSON. The
// stream between a sender and its sink is file descriptor 3.
func loadCommand(args []string) error {
	if len(args) == 0 {
		return errors.New("this is what bench runs of itself; there is nothing to see")
	}
	if args[0] == "crowd" {
		return crowdCommand(args[1:])
	}
	if args[0] == "flood" {
		return floodCommand(args[1:])
	}
	f := flag.NewFlagSet("load", flag.ContinueOnError)
	port := f.Uint("port", 0, "to listen on")
	to := f.String("to", "", "comma-separated addresses and ports of servers")
	length := f.Duration("for", time.Second, "length of the measurement")
	every := f.Duration("every", 10*time.Millisecond, "time between two echoes")
	cpu := f.Int("cpu", -1, "core to stay on; -1: any")
	var plan load.Plan
	f.IntVar(&plan.Size, "size", 64, "bytes of a datagram")
	f.DurationVar(&plan.Flood, "flood", time.Second, "length of the flood")
	f.DurationVar(&plan.Trial, "trial", time.Second, "length of a trial")
	f.IntVar(&plan.Trials, "trials", 7, "most trials")
	f.BoolVar(&plan.Unconnected, "unconnected", false, "send by an unconnected socket")
	if err := f.Parse(args[1:]); err != nil {
		return err
	}
	if *cpu >= 0 {
		runtime.LockOSThread()
		if err := load.Pin(min(*cpu, runtime.NumCPU()-1)); err != nil {
			return err
		}
	}
	local := netip.AddrPortFrom(netip.IPv4Unspecified(), uint16(*port))
	if args[0] == "sink" || args[0] == "serve" {
		return loadServer(args[0], local)
	}
	var remote []netip.AddrPort
	for _, text := range split(*to) {
		addr, err := netip.ParseAddrPort(text)
		if err != nil {
			return err
		}
		remote = append(remote, addr)
	}
	if len(remote) == 0 {
		return errors.New("no address to go to")
	}
	return loadClient(args[0], remote, plan, *length, *every)
}

const controlFD = 3

func loadServer(kind string, local netip.AddrPort) error {
	if kind == "sink" {
		s, err := load.OpenSink(local)
		if err != nil {
			return err
		}
		fmt.Fprintln(os.Stdout, "ready")
		return load.Count(os.NewFile(controlFD, "control"), s)
	}
	l, err := load.Listen(local)
	if err != nil {
		return err
	}
	fmt.Fprintln(os.Stdout, "ready")
	return l.Serve()
}

func loadClient(kind string, remote []netip.AddrPort, plan load.Plan, length, every time.Duration) error {
	var result any
	switch kind {
	case "echoes":
		times, err := load.Echoes(remote[0].Addr(), every, length)
		if err != nil {
			return err
		}
		result = times
	case "search":
		rates, err := load.Search(os.NewFile(controlFD, "control"), plan, remote...)
		if err != nil {
			return err
		}
		result = rates
	case "roundtrips", "connects":
		measure := load.RoundTrips
		if kind == "connects" {
			measure = load.Connects
		}
		times, err := measure(remote[0], length)
		if err != nil {
			return err
		}
		result = load.Summarize(times)
	default:
		return fmt.Errorf("no load %q", kind)
	}
	return json.NewEncoder(os.Stdout).Encode(result)
}
