package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"landbridge/console/api"
)

func (p *program) segmentsCommand() *cobra.Command {
	return &cobra.Command{
		Use:               "segments",
		Short:             "Show what each group is attached to, whose hosts it has, and who else is there",
		GroupID:           "look",
		Args:              noArguments,
		ValidArgsFunction: noFiles,
		Long: `Show the segment of each group: LAN port and VLAN, which hosts of the port are the
group's, other DHCP servers and gateways there, and the appliances on it: who serves
what share of the LAN, since when, and who does another's work.`,
		Example: `  sudo landbridge segments
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
