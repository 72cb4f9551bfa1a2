package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"landbridge/console/api"
)

func (p *program) forwardCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:               "forward",
		Short:             "List, set and remove zones of which other DNS servers are asked",
		GroupID:           "look",
		Args:              noArguments,
		ValidArgsFunction: noFiles,
		Long: `List the zones of which this appliance asks other DNS servers for the hosts of its
segment: those that the configuration names (dns-forward), and those that were set by
landbridge forward set, which is kept over restarts. The zone . is all that isn't the group's. Names
in no such zone are refused, so that a host asks its next server. Each appliance has its
own.`,
		Example: `  sudo landbridge forward
  sudo landbridge forward set corp.example 10.0.0.53 10.0.0.54
  sudo landbridge forward set . 9.9.9.9
  sudo landbridge forward remove corp.example`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return p.withDaemon(cmd.Context(), func(ctx context.Context, c *api.Local) error {
				res, err := c.ListForwardersWithResponse(ctx)
				if err != nil {
					return transportError(err)
				}
				list, err := answer(res.JSON200, res.ApplicationProblemJSONDefault, res.HTTPResponse)
				if err != nil {
					return err
				}
				if p.json {
					return p.printJSON(list)
				}
				return p.printForwarders(list.Items, time.Now())
			})
		},
	}
	cmd.AddCommand(p.setForwardCommand(), p.removeForwardCommand())
	return cmd
}

// printForwarders prints forwarded zones for a person, a line for each server.
func (p *program) printForwarders(zones []api.Forwarder, now time.Time) error {
	if len(zones) == 0 {
		p.remark("Nothing is forwarded: landbridge forward set ZONE SERVER does that.")
		return nil
	}
	t := &table{columns: []column{
		{title: "ZONE", keep: true}, {title: "SERVER", keep: true}, {title: "STATE", keep: true}, {title: "ANSWERED"},
		{title: "ASKED", right: true, keep: true}, {title: "FAILED", right: true, keep: true}, {title: "BY"},
	}}
	for _, z := range zones {
		by := z.SetBy
		if z.Configured {
			by = "the configuration"
		}
		for i, s := range z.Servers {
			state := string(s.State)
			if s.Why != "" {
				state += ": " + s.Why
			}
			if i > 0 {
				t.add("", s.Address, state, ago(s.LastAnswer, now), "", "", "")
				continue
			}
			t.add(z.Zone, s.Address, state, ago(s.LastAnswer, now), fmt.Sprint(z.Asked), fmt.Sprint(z.Failed), by)
		}
	}
	return t.write(p.out)
}

func (p *program) setForwardCommand() *cobra.Command {
	return &cobra.Command{
		Use:               "set ZONE SERVER...",
		Short:             "Have names of a zone asked of these servers",
		ValidArgsFunction: noFiles,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) < 2 {
				return usageError{errors.New("want a zone and its servers, as corp.example 10.0.0.53")}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.withDaemon(cmd.Context(), func(ctx context.Context, c *api.Local) error {
				res, err := c.SetForwarderWithResponse(ctx, api.ForwarderSet{Zone: args[0], Servers: args[1:]})
				if err != nil {
					return transportError(err)
				}
				z, err := answer(res.JSON200, res.ApplicationProblemJSONDefault, res.HTTPResponse)
				if err != nil {
					return err
				}
				if p.json {
					return p.printJSON(z)
				}
				var servers []string
				for _, s := range z.Servers {
					servers = append(servers, clean(s.Address))
				}
				_, err = fmt.Fprintf(p.out, "Names of %s are asked of %s.\n", clean(z.Zone), strings.Join(servers, ", "))
				return err
			})
		},
	}
}

func (p *program) removeForwardCommand() *cobra.Command {
	return &cobra.Command{
		Use:               "remove ZONE",
		Short:             "End forwarding a zone",
		ValidArgsFunction: noFiles,
		Args:              exactly(1, "a zone, as corp.example, or ."),
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.withDaemon(cmd.Context(), func(ctx context.Context, c *api.Local) error {
				res, err := c.RemoveForwarderWithResponse(ctx, &api.RemoveForwarderParams{Zone: args[0]})
				if err != nil {
					return transportError(err)
				}
				z, err := answer(res.JSON200, res.ApplicationProblemJSONDefault, res.HTTPResponse)
				if err != nil {
					return err
				}
				if p.json {
					return p.printJSON(z)
				}
				_, err = fmt.Fprintf(p.out, "Names of %s are forwarded no longer.\n", clean(z.Zone))
				return err
			})
		},
	}
}
