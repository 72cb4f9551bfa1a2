package main

import (
	"cmp"
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
those that the configuration names (dhcp-host, group-host), and those that were registered
by landbridge hosts add, which is kept over restarts. With dhcp: registered, nobody else
is served.

Where this appliance is in several groups, --group says of which one a host is from now on.`,
		Example: `  sudo landbridge hosts
  sudo landbridge hosts add 52:54:00:12:34:56
  sudo landbridge hosts add 52:54:00:12:34:56 --group lab --note "the oscilloscope"
  sudo landbridge hosts remove 52:54:00:12:34:56`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return show(p, cmd, func(ctx context.Context, c *api.Local) (api.RegisteredHostList, error) {
				return said(c.ListHostsWithResponse(ctx))
			}, func(list api.RegisteredHostList) error {
				return p.printHosts(list.Items, time.Now())
			})
		},
	}
	cmd.AddCommand(p.addHostCommand(), p.hostCommand("remove", "End the registration of hosts", "is not registered any more", func(ctx context.Context, c *api.Local, mac string) (api.RegisteredHost, error) {
		return said(c.ForgetHostWithResponse(ctx, mac))
	}))
	return cmd
}

func (p *program) addHostCommand() *cobra.Command {
	var group, note string
	var cmd *cobra.Command
	cmd = p.hostCommand("add", "Have DHCP serve hosts in any case, or have them be of another group", "is registered", func(ctx context.Context, c *api.Local, mac string) (api.RegisteredHost, error) {
		var req api.HostRegistration // what isn't given stays
		if cmd.Flags().Changed("group") {
			req.Group = &group
		}
		if cmd.Flags().Changed("note") {
			req.Note = &note
		}
		return said(c.RegisterHostWithResponse(ctx, mac, req))
	})
	cmd.Long = `Register hosts, so that DHCP serves them whatever the setting dhcp says, or change what
is known of hosts that are registered.

With --group they are of that group alone, from now on. What a host has leased in another
group here ends: it is refused that as it asks to renew it, and gets an address of its new
group. Until then it reaches nobody; a restart of its network ends that at once. Other
hosts notice nothing. --group "" takes a host out of the group that it was registered in.`
	cmd.Flags().StringVar(&group, "group", "", "the `GROUP` that they are of, by name or ID; \"\" for none")
	cmd.Flags().StringVar(&note, "note", "", "`TEXT` to remember with them")
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
					if err := p.printHostDone(host, done); err != nil {
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
	t := &table{columns: []column{{title: "MAC", keep: true}, {title: "GROUP", keep: true}, {title: "BY", keep: true}, {title: "SINCE"}, {title: "NOTE"}}}
	for _, h := range hosts {
		by, since := cmp.Or(h.By, "landbridge hosts add"), ago(h.Since, now)
		if h.Configured {
			by, since = "the configuration", ""
		}
		t.add(h.MAC, groupOfHost(h), by, since, h.Note)
	}
	return t.write(p.out)
}

// groupOfHost says of which group a registered host is by name.
func groupOfHost(h api.RegisteredHost) string {
	if h.Elsewhere {
		return cmp.Or(h.GroupName, "one") + " (this appliance isn't in it)"
	}
	return h.GroupName
}

// printHostDone says for a person what was done with a host, and what became of its leases.
func (p *program) printHostDone(h api.RegisteredHost, done string) error {
	in := ""
	if h.GroupName != "" && done == "is registered" {
		in = " in the group " + groupOfHost(h)
	}
	if _, err := fmt.Fprintf(p.out, "%s %s%s.\n", clean(h.MAC), done, clean(in)); err != nil {
		return err
	}
	for _, l := range h.Ended {
		if _, err := fmt.Fprintf(p.out, "Its lease of %v in the group %s has ended: it is refused that as it asks to renew it, within %s, and reaches nobody until then. Restart its network to have it ask at once.\n",
			l.Address, clean(l.GroupName), until(l.NoticedBy, time.Now())); err != nil {
			return err
		}
	}
	return nil
}
