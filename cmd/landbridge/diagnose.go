package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"landbridge/console/api"
)

// longest bounds commands that go on until they are interrupted.
const longest = 30 * 24 * time.Hour

// oneTarget wants one argument.
func oneTarget(what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != 1 {
			return usageError{fmt.Errorf("want %s", what)}
		}
		return nil
	}
}

func (p *program) pingCommand() *cobra.Command {
	var group string
	var count int
	var interval, wait time.Duration
	cmd := &cobra.Command{
		Use:               "ping TARGET",
		Short:             "Measure round trips to a member or a host, with the path of each packet",
		GroupID:           "look",
		Args:              oneTarget("an address of the group, the name of a host, or a member's name or ID"),
		ValidArgsFunction: noFiles,
		Long: `Measure round trips through the tunnel until it is interrupted, and say how each packet
went: lan, direct, tcp or relay. A first packet has a session made; the path gets better
while one looks.

TARGET is a member's name or ID, a host's name, or an address of the group. A member is
asked inside its session. A host elsewhere is asked, by ARP, by the member that serves
it; one of this LAN by this appliance.`,
		Example: `  sudo landbridge ping site-b
  sudo landbridge ping -c 3 printer
  sudo landbridge ping 10.9.3.7`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if count < 0 || interval < 10*time.Millisecond || wait < 10*time.Millisecond || wait > 10*time.Second {
				return usageError{errors.New("want --count 0 or more, --interval 10ms or more, and --wait 10ms to 10s")}
			}
			return p.withDaemonFor(cmd.Context(), longest, func(ctx context.Context, c *api.Local) error {
				req := api.PingRequest{Group: group, Target: args[0], Count: 1, TimeoutMilliseconds: int(wait / time.Millisecond)}
				return p.ping(ctx, c, req, count, interval)
			})
		},
	}
	f := cmd.Flags()
	f.IntVarP(&count, "count", "c", 0, "how many packets; 0 until interrupted")
	f.DurationVarP(&interval, "interval", "i", time.Second, "from one packet to the next")
	f.DurationVarP(&wait, "wait", "W", 2*time.Second, "how long to wait for an answer")
	f.Var(textFlag(&group, "GROUP", ""), "group", "the group, by name or ID; needed in several")
	return cmd
}

// ping sends packets one by one, so that each is shown as it is answered.
func (p *program) ping(ctx context.Context, c *api.Local, req api.PingRequest, count int, interval time.Duration) error {
	sum := api.PingResult{Packets: []api.PingPacket{}}
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for seq := 1; ; seq++ {
		res, err := c.PingTargetWithResponse(ctx, req)
		if ctx.Err() != nil {
			break
		}
		if err != nil {
			return p.pingEnds(sum, transportError(err))
		}
		one, err := answer(res.JSON200, res.ApplicationProblemJSONDefault, res.HTTPResponse)
		if err != nil {
			return p.pingEnds(sum, err)
		}
		if err := p.pingLine(one, seq, &sum); err != nil {
			return err
		}
		if seq == count {
			break
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
	return p.pingSum(sum)
}

// pingEnds sums up what was sent before an error ended it.
func (p *program) pingEnds(sum api.PingResult, err error) error {
	if sum.Sent > 0 {
		_ = p.pingSum(sum) // that nothing was answered is the lesser news
	}
	return err
}

// pingLine shows what became of one packet, and adds it to the sum.
func (p *program) pingLine(one api.PingResult, seq int, sum *api.PingResult) error {
	sent, received, packets := sum.Sent, sum.Received, sum.Packets
	*sum = one
	sum.Sent, sum.Received = sent+one.Sent, received+one.Received
	for i := range one.Packets {
		one.Packets[i].Seq = seq
	}
	if len(packets) < 10_000 {
		sum.Packets = append(packets, one.Packets...)
	}
	if p.json {
		return nil
	}
	if seq == 1 && one.Note != "" {
		p.remark("%s", one.Note)
	}
	for _, k := range one.Packets {
		if _, err := fmt.Fprintln(p.out, clean(pingText(one, k))); err != nil {
			return err
		}
	}
	return nil
}

func pingText(r api.PingResult, k api.PingPacket) string {
	how := string(k.Path)
	switch {
	case r.Kind == api.PingKindSelf:
		how = "this appliance itself"
	case k.Native:
		how = "native"
	case k.Via != "":
		how = "relay " + k.ViaName
	case k.Endpoint.IsValid():
		how += " " + k.Endpoint.String()
	}
	who := r.MemberName
	if r.Address.IsValid() {
		who = r.Address.String()
	}
	if !k.Answered {
		return joined("", fmt.Sprintf("%s: seq %d, no answer, by %s", who, k.Seq, how), ifAny(": ", k.Why))
	}
	return joined("", fmt.Sprintf("%s: seq %d, ", who, k.Seq), ifAny("", rtt(k.RttMicroseconds)), ", by "+how, ifAny("; not better: ", k.Why))
}

// ifAny puts lead before a text, where there is one.
func ifAny(lead, text string) string {
	if text == "" {
		return ""
	}
	return lead + text
}

// pingSum ends a ping: nothing answered is a failure.
func (p *program) pingSum(sum api.PingResult) error {
	if p.json {
		if err := p.printJSON(sum); err != nil {
			return err
		}
	} else if sum.Sent > 0 {
		low, high, all := int64(1)<<62, int64(0), int64(0)
		for _, k := range sum.Packets {
			if k.Answered {
				low, high, all = min(low, k.RttMicroseconds), max(high, k.RttMicroseconds), all+k.RttMicroseconds
			}
		}
		times := ""
		if sum.Received > 0 && high > 0 {
			times = fmt.Sprintf("; round trip %s at least, %s on average, %s at most", rtt(low), rtt(all/int64(sum.Received)), rtt(high))
		}
		p.remark("%d sent, %d answered%s", sum.Sent, sum.Received, times)
	}
	if sum.Sent > 0 && sum.Received == 0 {
		return errors.New("nothing was answered: landbridge path and landbridge doctor say why")
	}
	return nil
}

func (p *program) pathCommand() *cobra.Command {
	var group string
	cmd := &cobra.Command{
		Use:               "path TARGET",
		Short:             "Say what would happen to a packet from here to an address",
		GroupID:           "look",
		Args:              oneTarget("an address of the group, the name of a host, or a member's name or ID"),
		ValidArgsFunction: noFiles,
		Long: `Say what would happen to a packet from here to TARGET: whether anybody has the address,
which member serves it, how packets get there, why not by a better way, and what would
help.`,
		Example: `  sudo landbridge path 10.9.3.7
  sudo landbridge path site-b`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return show(p, cmd, func(ctx context.Context, c *api.Local) (api.PathReport, error) {
				return said(c.GetPathWithResponse(ctx, &api.GetPathParams{Target: args[0], Group: group}))
			}, func(r api.PathReport) error {
				return writePath(p.out, r)
			})
		},
	}
	cmd.Flags().Var(textFlag(&group, "GROUP", ""), "group", "the group, by name or ID; needed in several")
	return cmd
}

func writePath(w io.Writer, r api.PathReport) error {
	s := &sheet{}
	s.row("Way", hopText(r.Hops))
	s.rows("What happens", r.Steps)
	s.row("Round trip", rtt(r.RttMicroseconds))
	s.row("Not better", r.Why)
	s.row("Would help", r.Help)
	_, err := io.WriteString(w, s.b.String())
	return err
}

func hopText(hops []api.PathHop) string {
	var names []string
	for _, h := range hops {
		names = append(names, joined(" ", h.Name, ifAny("at ", h.Address)))
	}
	return strings.Join(names, " -> ")
}

func (p *program) queryCommand() *cobra.Command {
	var group string
	cmd := &cobra.Command{
		Use:               "query NAME [TYPE]",
		Short:             "Ask this appliance's DNS, with the reasons for its answer",
		GroupID:           "look",
		ValidArgsFunction: noFiles,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) < 1 || len(args) > 2 {
				return usageError{errors.New("want a name or an address, and a type where it is not A or PTR")}
			}
			return nil
		},
		Example: `  sudo landbridge query printer.office.internal
  sudo landbridge query 10.9.3.7
  sudo landbridge query office.internal SOA`,
		RunE: func(cmd *cobra.Command, args []string) error {
			q := api.DNSQuery{Group: group, Name: args[0]}
			if len(args) == 2 {
				q.Type = args[1]
			}
			return show(p, cmd, func(ctx context.Context, c *api.Local) (api.DNSAnswer, error) {
				return said(c.QueryDNSWithResponse(ctx, q))
			}, func(a api.DNSAnswer) error {
				return writeQuery(p.out, a)
			})
		},
	}
	cmd.Flags().Var(textFlag(&group, "GROUP", ""), "group", "the group, by name or ID; needed in several")
	return cmd
}

func writeQuery(w io.Writer, a api.DNSAnswer) error {
	s := &sheet{}
	s.row("Asked", fmt.Sprintf("%s %s of %v", a.Name, a.Type, a.Server))
	s.row("Code", a.Code)
	record := func(r api.DNSRecord) string { return fmt.Sprintf("%s %d %s %s", r.Name, r.TTL, r.Type, r.Data) }
	for _, r := range a.Answers {
		s.row("Answer", record(r))
	}
	for _, r := range a.Authority {
		s.row("Authority", record(r))
	}
	s.rows("Because", a.Reasons)
	_, err := io.WriteString(w, s.b.String())
	return err
}

func (p *program) doctorCommand() *cobra.Command {
	return &cobra.Command{
		Use:               "doctor",
		Short:             "Check what commonly goes wrong, with what to do",
		GroupID:           "look",
		Args:              noArguments,
		ValidArgsFunction: noFiles,
		Long: `Check clock, ports, NAT, the path to each member, MTU, LAN port, other DHCP servers,
certificates, addresses, disk, state and kernel, and say of each what is wrong and what
would help, the worst first. The exit code is 1 where a check failed.`,
		Example: `  sudo landbridge doctor
  sudo landbridge doctor --json | jq '.checks[] | select(.state != "ok")'`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return p.withDaemon(cmd.Context(), func(ctx context.Context, c *api.Local) error {
				r, err := said(c.GetDoctorWithResponse(ctx))
				if err != nil {
					return err
				}
				if p.json {
					err = p.printJSON(r)
				} else {
					err = writeDoctor(p.out, r)
				}
				if err == nil && r.State == api.CheckStateFailed {
					return errors.New("a check failed")
				}
				return err
			})
		},
	}
}

func writeDoctor(w io.Writer, r api.DoctorReport) error {
	var b strings.Builder
	for _, c := range r.Checks {
		fmt.Fprintf(&b, "%-8s %s: %s\n", c.State, clean(c.Title), clean(c.Text))
		if c.Remedy != "" {
			fmt.Fprintf(&b, "         -> %s\n", clean(c.Remedy))
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}
