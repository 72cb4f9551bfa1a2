package measure

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"landbridge/bench/load"
	"landbridge/internal/netlab"
)

const (
	requestPort = 6000
	sinkPort    = 6001
	slack       = 15 * time.Second // for a load process's start and end
)

// Datagrams searches the rate at which datagrams get along a path.
func (t Tools) Datagrams(ctx context.Context, p Path, plan load.Plan) (load.Rates, error) {
	ctx, cancel := context.WithTimeout(ctx, limit(plan))
	defer cancel()
	near, far, err := streamPair()
	if err != nil {
		return load.Rates{}, err
	}
	defer near.Close()
	stop, err := t.serve(ctx, p.To, []*os.File{far}, "sink", "-port", fmt.Sprint(sinkPort))
	far.Close()
	if err != nil {
		return load.Rates{}, err
	}
	defer stop()
	return t.search(ctx, p.From, near, plan, p.Addr)
}

// limit bounds a search.
func limit(plan load.Plan) time.Duration {
	const drained = 2 * time.Second // after a trial, until nothing more arrives
	return slack + plan.Flood + time.Duration(plan.Trials)*plan.Trial + time.Duration(plan.Trials+2)*drained
}

// search runs a search's sender.
func (t Tools) search(ctx context.Context, from *netlab.Host, control *os.File, plan load.Plan, to ...netip.Addr) (rates load.Rates, err error) {
	sinks := make([]string, len(to))
	for i, addr := range to {
		sinks[i] = netip.AddrPortFrom(addr, sinkPort).String()
	}
	c := from.Command(ctx, t.Self, "load", "search", "-to", strings.Join(sinks, ","), "-size", fmt.Sprint(plan.Size),
		"-flood", plan.Flood.String(), "-trial", plan.Trial.String(), "-trials", fmt.Sprint(plan.Trials), fmt.Sprintf("-unconnected=%t", plan.Unconnected))
	c.ExtraFiles = []*os.File{control}
	err = t.load(c, &rates)
	return rates, err
}

// Spread searches the rate at which datagrams get from a host to many addresses of another, to
// each in turn. This process counts them, on one socket.
func (t Tools) Spread(ctx context.Context, from, host *netlab.Host, to []netip.Addr, plan load.Plan) (rates load.Rates, err error) {
	ctx, cancel := context.WithTimeout(ctx, limit(plan))
	defer cancel()
	near, far, err := streamPair()
	if err != nil {
		return rates, err
	}
	defer far.Close()
	var sink *load.Sink
	err = host.Do(func() (err error) {
		sink, err = load.OpenSink(netip.AddrPortFrom(netip.IPv4Unspecified(), sinkPort))
		return err
	})
	if err != nil {
		near.Close()
		return rates, err
	}
	counted := make(chan error, 1)
	go func() { counted <- load.Count(far, sink) }()
	rates, err = t.search(ctx, from, near, plan, to...)
	near.Close()
	return rates, errors.Join(err, <-counted)
}

// streamPair makes a stream between two processes, whatever their namespaces.
func streamPair() (near, far *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, os.NewSyscallError("socketpair", err)
	}
	return os.NewFile(uintptr(fds[0]), "sender's end"), os.NewFile(uintptr(fds[1]), "sink's end"), nil
}

// Requests measures round trips of one byte over TCP: on one connection, or with a new
// connection for each.
func (t Tools) Requests(ctx context.Context, p Path, length time.Duration, newConnections bool) (load.Latency, error) {
	ctx, cancel := context.WithTimeout(ctx, length+slack)
	defer cancel()
	stop, err := t.serve(ctx, p.To, nil, "serve", "-port", fmt.Sprint(requestPort), "-cpu", "1")
	if err != nil {
		return load.Latency{}, err
	}
	defer stop()
	kind := "roundtrips"
	if newConnections {
		kind = "connects"
	}
	var l load.Latency
	c := p.From.Command(ctx, t.Self, "load", kind, "-to", fmt.Sprintf("%v:%d", p.Addr, requestPort), "-for", length.String(), "-cpu", "0")
	if err := t.load(c, &l); err != nil {
		return load.Latency{}, err
	}
	if l.Count == 0 {
		return load.Latency{}, fmt.Errorf("requests to %v: %w", p.Addr, ErrNothing)
	}
	return l, nil
}

// FirstEcho waits until the far end answers and returns how long after began that was.
func (p Path) FirstEcho(ctx context.Context, began time.Time) (time.Duration, error) {
	var fd int
	err := p.From.Do(func() (err error) {
		fd, err = load.EchoSocket()
		return err
	})
	if err != nil {
		return 0, err
	}
	done := make(chan error, 1)
	var took time.Duration
	go func() { // on a thread of its own
		err := load.FirstEcho(ctx, fd, p.Addr)
		took = time.Since(began)
		done <- err
	}()
	err = <-done
	return took, err
}
