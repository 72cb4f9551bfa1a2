package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/spf13/cobra"

	"landbridge/console/api"
	"landbridge/internal/group"
)

// Defaults of a new group.
const (
	defaultGroupName = "landbridge"
	defaultPrefix    = "10.9.0.0/16"
)

func (p *program) groupCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "group",
		Short:   "Create, show, change and leave groups, invite and remove others",
		GroupID: "network",
		Long:    "A group is one private network: a prefix of addresses, a DNS zone, and the appliances that are its members.",
		Args:    noArguments,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(p.groupCreateCommand(), p.groupInviteCommand(), p.groupInvitationsCommand(),
		p.groupRequestsCommand(), p.groupApproveCommand(), p.groupDenyCommand(), p.groupShowCommand(), p.groupSetCommand(), p.groupRemoveCommand(), p.groupLeaveCommand())
	return cmd
}

func (p *program) groupCreateCommand() *cobra.Command {
	var req api.GroupCreate
	lease, hold := time.Hour, 7*24*time.Hour
	cmd := &cobra.Command{
		Use:               "create",
		Short:             "Create a group with this appliance as its first member",
		Args:              noArguments,
		ValidArgsFunction: noFiles,
		Long: `Create a group with this appliance as its first member. The group's CA key is made
and kept here: only this appliance can invite others, so keep its state safe.

Choose a prefix that is in use at none of the sites, within 10.0.0.0/8,
172.16.0.0/12, 192.168.0.0/16 or 100.64.0.0/10. Its first address is where hosts find
DHCP and DNS, at each site.`,
		Example: `  sudo landbridge group create --name office --prefix 10.9.0.0/16
  sudo landbridge group create --name lab --prefix 172.20.0.0/20 --zone lab.example.com --lease-time 12h`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var err error
			if req.LeaseSeconds, err = seconds("lease-time", lease, group.MinLeaseTime, group.MaxLeaseTime); err != nil {
				return err
			}
			if req.HoldSeconds, err = seconds("hold-time", hold, group.MinHoldTime, group.MaxHoldTime); err != nil {
				return err
			}
			if req.MTU < group.MinMTU || req.MTU > group.MaxMTU {
				return usageError{fmt.Errorf("--mtu %d: want %d to %d", req.MTU, group.MinMTU, group.MaxMTU)}
			}
			return p.withMemberships(cmd.Context(), askTimeout, func(ctx context.Context, m memberships, running bool) error {
				g, err := m.CreateGroup(ctx, req)
				if err != nil {
					return err
				}
				if p.json {
					return p.printJSON(g)
				}
				if err := writeGroup(p.out, g); err != nil {
					return err
				}
				p.remark("\nGroup %s is created; its CA key is in %s and nowhere else.", g.Name, p.state)
				p.nextSteps(running, "Invite the other sites: landbridge group invite --address HOST:PORT")
				return nil
			})
		},
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.Var(textFlag(&req.Name, "NAME", defaultGroupName), "name", "what people call the group: letters, digits and hyphens")
	f.Var(textFlag(&req.Prefix, "PREFIX", defaultPrefix), "prefix", "the network's IPv4 addresses")
	f.Var(textFlag(&req.Zone, "ZONE", ""), "zone", "DNS zone of the hosts' names (default NAME.internal)")
	f.BoolVar(&req.AllowPublicPrefix, "allow-public-prefix", false, "take a prefix of public addresses: they are your organisation's own")
	f.Var((*durationFlag)(&lease), "lease-time", "for how long a host gets its address: "+span(group.MinLeaseTime, group.MaxLeaseTime))
	f.Var((*durationFlag)(&hold), "hold-time", "for how long a site that is cut off keeps its blocks of addresses: "+span(group.MinHoldTime, group.MaxHoldTime)+", and twice the lease time at least")
	f.IntVar(&req.MTU, "mtu", group.DefaultMTU, fmt.Sprintf("largest packet inside the network, in `BYTES`: %d to %d", group.MinMTU, group.MaxMTU))
	f.Var(textFlag(&req.MemberName, "NAME", ""), "member-name", "this appliance's name in the group (default: its own or the host's)")
	return cmd
}

// seconds returns a flag's duration in whole seconds.
func seconds(flag string, d, least, most time.Duration) (int64, error) {
	given := age(d)
	if d < 0 || d%time.Second != 0 {
		given = d.String()
	}
	if d < least || d > most || d%time.Second != 0 {
		return 0, usageError{fmt.Errorf("--%s %s: want %s in whole seconds, as 90s, 30m, 24h or 7d", flag, given, span(least, most))}
	}
	return int64(d / time.Second), nil
}

// span writes what a duration may be: "10s to 30d".
func span(least, most time.Duration) string { return age(least) + " to " + age(most) }

// nextSteps says what to do after the membership of this appliance has changed.
func (p *program) nextSteps(running bool, then string) {
	if !running {
		p.remark("Start the appliance: landbridge run, or landbridge run --mode router --lan-port IFACE for a whole LAN.")
	}
	if then != "" {
		p.remark("%s", then)
	}
}

func (p *program) groupShowCommand() *cobra.Command {
	return &cobra.Command{
		Use:               "show [GROUP]",
		SuggestFor:        []string{"list", "ls", "lst", "members"},
		Short:             "Show groups and their members",
		Args:              oneArgument,
		ValidArgsFunction: p.completeGroups,
		Long:              "Show the groups that this appliance is a member of, or the one that GROUP names by its name or ID.",
		Example: `  sudo landbridge group show
  sudo landbridge group show office
  sudo landbridge group show --json | jq -r '.items[].members[].name'`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := p.mustHaveState(); err != nil {
				return err
			}
			return p.withMemberships(cmd.Context(), askTimeout, func(ctx context.Context, m memberships, _ bool) error {
				groups, err := m.Groups(ctx)
				if err != nil {
					return err
				}
				if len(args) == 1 {
					g, err := api.FindGroup(groups, args[0])
					if err != nil {
						return err
					}
					groups = []api.Group{g}
				}
				return p.printGroups(groups)
			})
		},
	}
}

// mustHaveState refuses where there is no state: who only looks must not make one.
func (p *program) mustHaveState() error {
	if _, err := os.Stat(p.state); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("there is no state in %s: create or join a group first, or name another state with --state", p.state)
	}
	return nil
}

func (p *program) printGroups(groups []api.Group) error {
	if p.json {
		return p.printJSON(api.GroupList{Items: append([]api.Group{}, groups...)})
	}
	if len(groups) == 0 {
		p.remark("This appliance is in no group. Create one with landbridge group create, or join one with landbridge join.")
	}
	for i, g := range groups {
		if i > 0 {
			fmt.Fprintln(p.out)
		}
		if err := writeGroup(p.out, g); err != nil {
			return err
		}
	}
	return nil
}

// writeGroup prints a group for a person.
func writeGroup(w io.Writer, g api.Group) error {
	s := &sheet{}
	s.row("Group", g.Name)
	s.row("ID", g.ID)
	s.row("Prefix", g.Prefix.String())
	s.row("Zone", g.Zone)
	s.row("Services", g.ServiceAddress.String()+" (DHCP, DNS)")
	s.row("Times", fmt.Sprintf("leases %s, blocks %s", age(time.Duration(g.LeaseSeconds)*time.Second), age(time.Duration(g.HoldSeconds)*time.Second)))
	s.row("MTU", fmt.Sprint(g.MTU))
	if !g.CertificateExpires.IsZero() {
		s.row("Certificate", "expires "+g.CertificateExpires.UTC().Format("2006-01-02 15:04 UTC"))
	}
	s.row("Members", fmt.Sprintf("%d, as of version %d of their list", len(g.Members), g.DescriptorVersion))
	if _, err := io.WriteString(w, s.b.String()); err != nil {
		return err
	}
	if len(g.Members) == 0 {
		return nil
	}
	t := &table{columns: []column{{title: "MEMBER", keep: true}, {title: "ID", keep: true}, {title: "CERTIFICATE"}, {title: "ROLE"}}}
	now := time.Now()
	for _, m := range g.Members {
		self, authority := "", ""
		if m.Self {
			self = "this appliance"
		}
		if m.Authority {
			authority = "keeps the CA key"
		}
		t.add(m.Name, m.MemberID, certificateText(m.Certificate, now), joined(", ", self, authority))
	}
	if _, err := fmt.Fprintln(w); err != nil {
		return err
	}
	if err := t.write(w); err != nil {
		return err
	}
	return writeFormer(w, g)
}

// certificateText says for how long a member's certificate is good, where that is known.
func certificateText(c api.MemberCertificate, now time.Time) string {
	switch c.State {
	case "":
		return ""
	case api.MemberCertificateStateExpired:
		return "ended " + ago(c.Expires, now) + " ago"
	case api.MemberCertificateStateDue:
		return until(c.Expires, now) + ", being renewed"
	case api.MemberCertificateStateLate:
		return until(c.Expires, now) + ", not renewed"
	}
	return until(c.Expires, now)
}

// writeFormer prints who was removed from a group, or has left, and why.
func writeFormer(w io.Writer, g api.Group) error {
	if len(g.Removed) == 0 {
		return nil
	}
	t := &table{columns: []column{{title: "GONE", keep: true}, {title: "ID", keep: true}, {title: "WHEN", keep: true}, {title: "WHY"}}}
	for _, m := range g.Removed {
		when := ""
		if !m.At.IsZero() {
			when = m.At.Local().Format("2006-01-02 15:04")
		}
		t.add(clean(m.Name), m.MemberID, when, clean(m.Reason))
	}
	if _, err := fmt.Fprintln(w); err != nil {
		return err
	}
	return t.write(w)
}

// completeGroups offers the names of the running appliance's groups to the shell.
func (p *program) completeGroups(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var names []string
	_ = p.withDaemon(cmd.Context(), func(ctx context.Context, c *api.Local) error {
		groups, err := remote{c}.Groups(ctx)
		for _, g := range groups {
			names = append(names, g.Name)
		}
		return err
	})
	return names, cobra.ShellCompDirectiveNoFileComp
}
