package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"landbridge/console/api"
)

func (p *program) groupRemoveCommand() *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use:               "remove MEMBER [GROUP]",
		SuggestFor:        []string{"rm", "kick", "expel"},
		Short:             "Remove a member from a group",
		ValidArgsFunction: p.completeMembers,
		Args: func(_ *cobra.Command, args []string) error {
			switch len(args) {
			case 1, 2:
				return nil
			case 0:
				return usageError{errors.New("want one MEMBER, by name or member ID: landbridge group show lists them")}
			}
			return usageError{fmt.Errorf("landbridge group remove takes MEMBER and GROUP at most, and %q is another", args[2])}
		},
		Long: `Remove a member, named by its name or member ID, from a group. It is done at once
and isn't asked about. Each appliance that hears of it cuts its sessions with the
member and answers it no more; the member's leases and blocks aren't renewed and
end, and its certificate is worthless. It is told, too.

It can be let in again by a new invitation. Run this on the appliance that created
the group.`,
		Example: `  sudo landbridge group remove site-b
  sudo landbridge group remove site-b --reason "the site has closed"
  sudo landbridge group remove 12D3KooW... office --json`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.withMemberships(cmd.Context(), askTimeout, func(ctx context.Context, m memberships, running bool) error {
				groups, err := m.Groups(ctx)
				if err != nil {
					return err
				}
				g, err := api.FindGroup(groups, strings.Join(args[1:], ""))
				if err != nil {
					return err
				}
				member, err := api.FindMember(g, args[0])
				if err != nil {
					return err
				}
				r, err := m.Remove(ctx, g.ID, member.MemberID, reason)
				if err != nil {
					return err
				}
				if p.json {
					return p.printJSON(r)
				}
				return p.removed(r, running)
			})
		},
	}
	cmd.Flags().Var(textFlag(&reason, "TEXT", ""), "reason", "why; all members see it, the removed one too")
	return cmd
}

// removed says what a removal has done.
func (p *program) removed(r api.Removal, running bool) error {
	_, err := fmt.Fprintf(p.out, "%s (%s) is removed from group %s by version %d of its descriptor.\n",
		r.Name, r.MemberID, r.GroupName, r.DescriptorVersion)
	if running {
		p.remark("\nIts sessions are cut, here now and elsewhere as soon as the others hear of it: at once, where they are connected.")
	} else {
		p.remark("\nThe others hear of it, and cut their sessions with it, once this appliance runs: landbridge run.")
	}
	p.remark("Its leases and blocks aren't renewed and end; its certificate is worthless.\nTo let it in again: landbridge group invite.")
	return err
}

// completeMembers offers the names of members that can be removed to the shell, then
// those of groups.
func (p *program) completeMembers(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return p.completeGroups(cmd, args[1:], typed)
	}
	var names []string
	_ = p.withDaemon(cmd.Context(), func(ctx context.Context, c *api.Local) error {
		groups, err := remote{c}.Groups(ctx)
		for _, g := range groups {
			for _, m := range g.Members {
				if !m.Authority {
					names = append(names, m.Name)
				}
			}
		}
		return err
	})
	return names, cobra.ShellCompDirectiveNoFileComp
}
