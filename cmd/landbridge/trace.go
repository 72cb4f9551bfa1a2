package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"landbridge/console/api"
)

func (p *program) traceCommand() *cobra.Command {
	var group string
	var count int
	var wait time.Duration
	cmd := &cobra.Command{
		Use:               "traceroute TARGET",
		Short:             "Measure round trips to each whom a packet passes",
		GroupID:           "look",
		Args:              oneTarget("an address of the group, the name of a host, or a member's name or ID"),
		ValidArgsFunction: noFiles,
		Long: `Measure round trips to each whom a packet from here to TARGET passes, one after the
other: the member that relays, the member that has the host, the host. A host's own
traceroute sees one hop, its appliance, and then the host: what is between is sealed.

TARGET is a member's name or ID, a host's name, or an address of the group.`,
		Example: `  sudo landbridge traceroute printer
  sudo landbridge traceroute -c 10 site-b`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if count < 1 || count > 10 || wait < 10*time.Millisecond || wait > 5*time.Second {
				return usageError{errors.New("want --count 1 to 10, and --wait 10ms to 5s")}
			}
			return p.withDaemonFor(cmd.Context(), longest, func(ctx context.Context, c *api.Local) error {
				return p.trace(ctx, c, api.TraceRequest{Group: group, Target: args[0], Count: count, TimeoutMilliseconds: int(wait / time.Millisecond)})
			})
		},
	}
	f := cmd.Flags()
	f.IntVarP(&count, "count", "c", 3, "how many packets each gets")
	f.DurationVarP(&wait, "wait", "W", 2*time.Second, "how long to wait for an answer")
	f.Var(textFlag(&group, "GROUP", ""), "group", "the group, by name or ID; needed in several")
	return cmd
}

// trace asks for one hop after the other, so that each is shown as it answers.
func (p *program) trace(ctx context.Context, c *api.Local, req api.TraceRequest) error {
	all := api.TraceResult{Total: 1, Hops: []api.TraceHop{}}
	for req.Hop = 1; req.Hop <= all.Total; req.Hop++ {
		one, err := said(c.TraceRouteWithResponse(ctx, req))
		if ctx.Err() != nil { // who asked has seen enough
			break
		}
		if err != nil {
			return err
		}
		hops := append(all.Hops, one.Hops...)
		all = one
		all.Hops = hops
		if p.json {
			continue
		}
		for _, h := range one.Hops {
			if _, err := fmt.Fprintln(p.out, clean(hopLine(h))); err != nil {
				return err
			}
		}
	}
	return p.traceSum(all)
}

// hopLine says in a line who a hop is and what became of its packets.
func hopLine(h api.TraceHop) string {
	address := h.Address
	if address == h.Name {
		address = ""
	}
	line := joined("  ", fmt.Sprintf("%2d", h.Number), joined(" ", h.Name, ifAny("at ", address)), string(h.Kind))
	why := ""
	for _, k := range h.Packets {
		if !k.Answered {
			line, why = line+"  *", k.Why
			continue
		}
		line += "  " + rtt(max(1, k.RttMicroseconds))
	}
	return line + ifAny("  ", why)
}

// traceSum ends a trace: a target that doesn't answer is a failure.
func (p *program) traceSum(all api.TraceResult) error {
	if p.json {
		if err := p.printJSON(all); err != nil {
			return err
		}
	} else {
		for _, text := range []string{all.Note, ifAny("Not better: ", all.Why), ifAny("Would help: ", all.Help)} {
			if text != "" {
				p.remark("%s", text)
			}
		}
	}
	if !all.Reached && len(all.Hops) == all.Total {
		return fmt.Errorf("%s isn't reached: landbridge path and landbridge doctor say why", clean(all.Target))
	}
	return nil
}
