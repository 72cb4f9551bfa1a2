package measure

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"strings"
	"time"

	"landbridge/bench/load"
	"landbridge/bench/underlay"
	"landbridge/internal/netlab"
)

// Flood is what a crowd is asked for: datagrams from its first members to the hub.
type Flood struct {
	Members int
	Hub     netip.Addr
	Plan    load.Plan
}

// Crowd is the members of a group but the hub, as one process of the program's own ("load
// crowd"). It is one goroutine's.
type Crowd struct {
	Addrs []netip.Addr // that they have leased

	tools       Tools
	cmd         *netlab.Cmd
	asks        io.WriteCloser
	answers     *json.Decoder
	count, sink *os.File // streams on which arrivals are asked for: of the crowd, and by it
}

// Crowd starts members on a host, whose states are in dir there; they are at these addresses
// and meet a hub. It returns when all have an address of the group.
func (t Tools) Crowd(ctx context.Context, h *netlab.Host, dir string, hub netip.AddrPort, members []netip.Addr) (_ *Crowd, err error) {
	c := &Crowd{tools: t}
	defer func() {
		if err != nil {
			c.Close()
		}
	}()
	count, countFar, err := streamPair()
	if err != nil {
		return nil, err
	}
	defer countFar.Close()
	c.count = count
	sink, sinkFar, err := streamPair()
	if err != nil {
		return nil, err
	}
	defer sinkFar.Close()
	c.sink = sink
	var list []string
	for _, m := range members {
		list = append(list, m.String())
	}
	c.cmd = h.Command(ctx, t.Self, "load", "crowd", "-dir", dir, "-hub", hub.String(), "-members", strings.Join(list, ","), "-port", fmt.Sprint(sinkPort))
	c.cmd.ExtraFiles = []*os.File{countFar, sinkFar}
	c.cmd.Env = append(c.cmd.Env, underlay.Mark) // it counts until all are calm
	c.cmd.Stderr = os.Stderr
	if c.asks, err = c.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	answers, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	c.answers = json.NewDecoder(answers)
	if err := c.cmd.Start(); err != nil {
		return nil, err
	}
	if err := c.answers.Decode(&c.Addrs); err != nil {
		return nil, fmt.Errorf("the crowd doesn't come up: %w", err)
	}
	return c, nil
}

// To searches the rate at which datagrams get from the hub to the first n members, to each in
// turn.
func (c *Crowd) To(ctx context.Context, hub *netlab.Host, n int, plan load.Plan) (load.Rates, error) {
	ctx, cancel := context.WithTimeout(ctx, limit(plan))
	defer cancel()
	return c.tools.search(ctx, hub, c.count, plan, c.Addrs[:n]...)
}

// From searches the rate at which datagrams get from the first n members, one of each in turn,
// to the hub's address.
func (c *Crowd) From(ctx context.Context, hub *netlab.Host, addr netip.Addr, n int, plan load.Plan) (rates load.Rates, err error) {
	stop, err := c.tools.serve(ctx, hub, []*os.File{c.sink}, "sink", "-port", fmt.Sprint(sinkPort))
	if err != nil {
		return rates, err
	}
	defer stop()
	if err := json.NewEncoder(c.asks).Encode(Flood{Members: n, Hub: addr, Plan: plan}); err != nil {
		return rates, err
	}
	answered := make(chan error, 1)
	go func() { answered <- c.answers.Decode(&rates) }()
	select {
	case err = <-answered:
		return rates, err
	case <-time.After(limit(plan)):
		c.Close() // which ends the answers
		return load.Rates{}, errors.Join(fmt.Errorf("a flood of %d members doesn't end", n), <-answered)
	}
}

// Close ends the crowd.
func (c *Crowd) Close() {
	for _, f := range []io.Closer{c.count, c.sink} {
		_ = f.Close() // a nil *os.File doesn't mind
	}
	if c.cmd != nil && c.cmd.Process != nil {
		_ = c.cmd.Process.Kill()
		_ = c.cmd.Wait()
	}
}
