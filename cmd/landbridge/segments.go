package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"landbridge/console/api"
)

func (p *program) segmentsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:               "segments",
		Short:             "Show what each group is attached to and whom it serves, and change that",
		GroupID:           "look",
		Args:              noArguments,
		ValidArgsFunction: noFiles,
		Long: `Show the segment of each group: LAN port and VLAN, which hosts of the port are the
group's, other DHCP servers and gateways there, and the appliances on it: who serves
what share of the LAN, since when, and who does another's work.

"segments set" changes which hosts get addresses there, while the appliance runs.`,
		Example: `  sudo landbridge segments
  sudo landbridge segments set --dhcp registered
  sudo landbridge segments --json | jq '.items[].neighbours'`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return show(p, cmd, func(ctx context.Context, c *api.Local) (api.SegmentList, error) {
				return said(c.ListSegmentsWithResponse(ctx))
			}, func(list api.SegmentList) error {
				if len(list.Items) == 0 {
					p.remark("This appliance is in no group yet, and nothing is attached.")
					return nil
				}
				return writeSegments(p.out, list.Items, time.Now())
			})
		},
	}
	cmd.AddCommand(p.setSegmentCommand())
	return cmd
}

func (p *program) setSegmentCommand() *cobra.Command {
	var req api.SegmentChange
	var isDefault, only bool
	cmd := &cobra.Command{
		Use:               "set [GROUP]",
		Short:             "Change which hosts of a LAN get addresses of a group, while the appliance runs",
		Args:              oneArgument,
		ValidArgsFunction: p.completeGroups,
		Long: `Change which hosts of its LAN a group gives addresses to, and whose the hosts are that
nobody named. It counts at once and after restarts; what isn't given stays. What the
configuration says (dhcp, dhcp-ports, default-group) goes before, and can't be changed here.

A host that isn't served any more keeps its address until its lease ends. One that is of
another group from now on is refused its address as it asks to renew it. With --plan you
see what would change and what hosts notice, and nothing is done.`,
		Example: `  sudo landbridge segments set --dhcp registered --plan
  sudo landbridge segments set --dhcp vendor-class --dhcp-vendor-class PXEClient
  sudo landbridge segments set --dhcp-ports 1067/1068
  sudo landbridge segments set lab --default`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if cmd.Flags().Changed("default") {
				req.Remainder = &isDefault
			}
			return p.withDaemon(cmd.Context(), func(ctx context.Context, c *api.Local) error {
				groups, err := said(c.ListGroupsWithResponse(ctx))
				if err != nil {
					return err
				}
				g, err := api.FindGroup(groups.Items, strings.Join(args, ""))
				if err != nil {
					return err
				}
				return p.setSegment(ctx, c, g.ID, req, only)
			})
		},
	}
	f := cmd.Flags()
	f.Var(textFlag(&req.Serve, "WHOM", ""), "dhcp", "which hosts get addresses: open, vendor-class or registered")
	f.StringArrayVar(&req.VendorClasses, "dhcp-vendor-class", nil, "beginning, `TEXT`, of the vendor classes of hosts that get addresses; may be given more than once")
	f.Var(textFlag(&req.DhcpPorts, "SERVER/CLIENT", ""), "dhcp-ports", "UDP ports of DHCP, as 1067/1068")
	f.BoolVar(&isDefault, "default", false, "the hosts of the LAN port that nobody named are of this group; --default=false: of none")
	f.BoolVar(&only, "plan", false, "show what would change, and do nothing")
	_ = cmd.RegisterFlagCompletionFunc("dhcp", cobra.FixedCompletions([]string{"open", "vendor-class", "registered"}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

// setSegment changes a segment's rules, or shows only what that would do.
func (p *program) setSegment(ctx context.Context, c *api.Local, group string, req api.SegmentChange, only bool) (err error) {
	var plan api.SegmentPlan
	if only {
		plan, err = said(c.PlanSegmentWithResponse(ctx, group, req))
	} else {
		plan, err = said(c.SetSegmentWithResponse(ctx, group, req))
	}
	if err != nil {
		return err
	}
	if p.json {
		return p.printJSON(plan)
	}
	return writeSegmentPlan(p.out, plan)
}

// writeSegmentPlan prints for a person what is different, and what hosts notice.
func writeSegmentPlan(w io.Writer, plan api.SegmentPlan) error {
	var b strings.Builder
	for _, c := range plan.Changes {
		setting := map[string]string{"serve": "dhcp", "dhcpPorts": "dhcp-ports", "remainder": "default-group"}[c.Field]
		fmt.Fprintf(&b, "%s: %s → %s\n", setting, clean(c.From), clean(c.To))
	}
	if len(plan.Changes) == 0 {
		b.WriteString("It is so already.\n")
	}
	for _, n := range plan.Notices {
		fmt.Fprintf(&b, "  %s\n", clean(n))
	}
	if plan.Ended > 0 {
		fmt.Fprintf(&b, "Leases that have ended: %d\n", plan.Ended)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// writeSegments prints segments for a person.
func writeSegments(w io.Writer, segments []api.Segment, now time.Time) error {
	s := &sheet{}
	for i, seg := range segments {
		if i > 0 {
			s.b.WriteByte('\n')
		}
		vlan := ""
		if seg.Vlan > 0 {
			vlan = fmt.Sprintf("VLAN %d of %s", seg.Vlan, seg.Trunk)
		}
		s.row("Group", joined(" ", seg.GroupName, seg.Prefix.String()))
		s.row("  Attached by", joined(", ", attachment(seg.Attachment), vlan))
		s.row("  Services", seg.ServiceAddress.String()+" (DHCP, DNS)")
		if seg.Attachment.Bridge != "" {
			s.row("  Hosts", fmt.Sprintf("%s served here; %s", counted(seg.Hosts, "lease"), whoseHosts(seg)))
			s.rows("  Named hosts", seg.Assigned)
			s.row("  DHCP", whomDHCPServes(seg.Dhcp))
		}
		for j, n := range seg.Neighbours {
			label := ""
			if j == 0 {
				label = "  Appliances"
			}
			s.row(label, neighbourText(n, now))
		}
		s.rows("  On the LAN", alsoThere(seg.Attachment))
	}
	_, err := io.WriteString(w, s.b.String())
	return err
}

// whomDHCPServes says which of them get addresses.
func whomDHCPServes(d api.SegmentDhcp) string {
	whom := map[api.ServeRule]string{
		api.ServeRuleOpen: "serves all of them", api.ServeRuleRegistered: "serves registered ones alone",
		api.ServeRuleVendorClass: "serves registered ones, and those whose vendor class begins with " + strings.Join(d.VendorClasses, ", "),
	}[d.Serve]
	if d.ServeConfigured {
		whom += " (as the configuration says)"
	}
	ports := ""
	if d.Ports != "67/68" {
		ports = "at the ports " + d.Ports
	}
	return joined(", ", whom, ports)
}

// whoseHosts says which hosts of the port are the group's.
func whoseHosts(s api.Segment) string {
	named := ""
	if len(s.Assigned) > 0 {
		named = counted(len(s.Assigned), "named host") + " of the port"
	}
	switch {
	case s.Remainder && named != "":
		return named + ", and all that are named for no group"
	case s.Remainder:
		return "all hosts of the port"
	case named != "":
		return named
	}
	return "no host of the port yet"
}

// neighbourText says in a line who an appliance on a segment is, and what it does there.
func neighbourText(n api.Neighbour, now time.Time) string {
	self, share, here := "", "", ""
	if n.Self {
		self = "(this one)"
	} else if !n.Since.IsZero() {
		here = "here for " + ago(n.Since, now)
	}
	if n.Percent > 0 {
		share = fmt.Sprintf("%d %%", n.Percent)
	}
	state := map[api.NeighbourState]string{
		api.NeighbourStateServing: "serves hosts", api.NeighbourStateReady: "well, takes no part yet",
		api.NeighbourStateLanDown: "its LAN port is down", api.NeighbourStateWanDown: "reaches no other member",
		api.NeighbourStateSilent: "isn't heard", api.NeighbourStateHost: "a host, hybrid mode",
	}[n.State]
	does := ""
	if n.StandIn != "" {
		does = n.StandIn + " does its work"
	}
	return joined(", ", joined(" ", n.Name, self), state, share, does, n.MAC, here)
}
