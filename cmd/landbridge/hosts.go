package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"landbridge/console/api"
)

func (p *program) hostsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:               "hosts",
		Short:             "List, register and forget the hosts that DHCP serves in any case",
		GroupID:           "look",
		Args:              noArguments,
		ValidArgsFunction: noFiles,
		Long: `List the hosts of the LAN that get an address by DHCP whatever the setting dhcp says:
those that the configuration names (dhcp-host), and those that were registered by
landbridge hosts add, which is kept over restarts. With dhcp: registered, nobody else
is served.`,
		Example: `  sudo landbridge hosts
  sudo landbridge hosts add 52:54:00:12:34:56
  sudo landbridge hosts remove 52:54:00:12:34:56`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return show(p, cmd, func(ctx context.Context, c *api.Local) (api.RegisteredHostList, error) {
				return said(c.ListHostsWithResponse(ctx))
			}, func(list api.RegisteredHostList) error {
				return p.printHosts(list.Items, time.Now())
			})
		},
	}
	cmd.AddCommand(
		p.hostCommand("add", "Have DHCP serve hosts in any case", "is registered", func(ctx context.Context, c *api.Local, mac string) (api.RegisteredHost, error) {
			return said(c.RegisterHostWithResponse(ctx, mac))
		}),
		p.hostCommand("remove", "End the registration of hosts", "is not registered any more", func(ctx context.Context, c *api.Local, mac string) (api.RegisteredHost, error) {
			return said(c.ForgetHostWithResponse(ctx, mac))
		}))
	return cmd
}

// hostCommand makes a command that does something with each hardware address given.
func (p *program) hostCommand(name, short, done string, do func(context.Context, *api.Local, string) (api.RegisteredHost, error)) *cobra.Command {
	return &cobra.Command{
		Use:               name + " MAC...",
		Short:             short,
		ValidArgsFunction: noFiles,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usageError{errors.New("want hardware addresses, as 52:54:00:12:34:56")}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.withDaemon(cmd.Context(), func(ctx context.Context, c *api.Local) error {
				all := []api.RegisteredHost{}
				for _, mac := range args {
					host, err := do(ctx, c, mac)
					if err != nil {
						return err
					}
					all = append(all, host)
					if p.json {
						continue
					}
					if _, err := fmt.Fprintf(p.out, "%s %s.\n", clean(host.MAC), done); err != nil {
						return err
					}
				}
				if p.json {
					return p.printJSON(api.RegisteredHostList{Items: all})
				}
				return nil
			})
		},
	}
}

// printHosts prints registered hosts for a person.
func (p *program) printHosts(hosts []api.RegisteredHost, now time.Time) error {
	if len(hosts) == 0 {
		p.remark("No host is registered: landbridge hosts add MAC does that.")
		return nil
	}
	t := &table{columns: []column{{title: "MAC", keep: true}, {title: "BY", keep: true}, {title: "SINCE"}}}
	for _, h := range hosts {
		by, since := "landbridge hosts add", ago(h.Since, now)
		if h.Configured {
			by, since = "the configuration", ""
		}
		t.add(h.MAC, by, since)
	}
	return t.write(p.out)
}
