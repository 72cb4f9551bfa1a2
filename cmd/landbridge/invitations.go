package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"landbridge/console/api"
	"landbridge/internal/group"
)

func (p *program) groupInviteCommand() *cobra.Command {
	req := api.InvitationCreate{Uses: 1}
	life := 24 * time.Hour
	cmd := &cobra.Command{
		Use:               "invite [GROUP]",
		Short:             "Make an invitation for one more appliance, or several",
		Args:              oneArgument,
		ValidArgsFunction: p.completeGroups,
		Long: `Make an invitation: a token that admits one appliance, or as many as --uses says,
until it expires. It carries the group's ID, addresses at which this appliance is
found, and a secret: give it to nobody else.

--address names where the newcomer reaches this appliance, where it can't tell by
itself: the router's public address or name, and the port that it forwards here
(4860 where none is given).

The token alone goes to standard output. Run this on the appliance that created
the group.`,
		Example: `  sudo landbridge group invite --address site-a.example.com:4860
  sudo landbridge group invite office --uses 5 --expires 7d --note "the branch offices"
  sudo landbridge group invite office --expires 1h --address 203.0.113.5:4860 --address [2001:db8::5]:4860
  sudo landbridge group invite --uses 20 --expires 30d --approve
  sudo landbridge group invite | ssh root@site-b landbridge join -`,
		RunE: func(cmd *cobra.Command, args []string) error {
			var err error
			if req.TTLSeconds, err = seconds("expires", life, group.MinInvitationLife, group.MaxInvitationLife); err != nil {
				return err
			}
			if req.Uses < 1 || req.Uses > group.MaxInvitationUses {
				return usageError{fmt.Errorf("--uses %d: want 1 to %d", req.Uses, group.MaxInvitationUses)}
			}
			return p.withGroup(cmd.Context(), strings.Join(args, ""), func(ctx context.Context, m memberships, g api.Group) error {
				inv, err := m.Invite(ctx, g.ID, req)
				if err != nil {
					return err
				}
				if p.json {
					return p.printJSON(inv)
				}
				if _, err := fmt.Fprintln(p.out, inv.Token); err != nil {
					return err
				}
				p.invited(inv)
				return nil
			})
		},
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.IntVar(&req.Uses, "uses", 1, fmt.Sprintf("how many appliances it admits, `N`: 1 to %d", group.MaxInvitationUses))
	f.Var((*durationFlag)(&life), "expires", "for how long the invitation is good: "+span(group.MinInvitationLife, group.MaxInvitationLife))
	f.Var((*durationFlag)(&life), "ttl", "as --expires, as it was called before")
	_ = f.MarkHidden("ttl")
	f.BoolVar(&req.Approval, "approve", false, "who uses it waits until somebody approves: landbridge group requests")
	f.Var(textFlag(&req.Note, "TEXT", ""), "note", "what landbridge group invitations says beside it")
	f.StringArrayVar(&req.Addresses, "address", nil, "`HOST[:PORT]` at which the newcomer reaches this appliance; may be given more than once")
	return cmd
}

// withGroup calls f with the group that ref names.
func (p *program) withGroup(ctx context.Context, ref string, f func(context.Context, memberships, api.Group) error) error {
	return p.withMemberships(ctx, askTimeout, func(ctx context.Context, m memberships, _ bool) error {
		groups, err := m.Groups(ctx)
		if err != nil {
			return err
		}
		g, err := api.FindGroup(groups, ref)
		if err != nil {
			return err
		}
		return f(ctx, m, g)
	})
}

// invited says beside a token what it is for.
func (p *program) invited(inv api.Invitation) {
	whom := "one appliance"
	if inv.Uses > 1 {
		whom = fmt.Sprintf("%d appliances", inv.Uses)
	}
	p.remark("\nThis invites %s to group %s until %s. There, run sudo landbridge join with the line above.",
		whom, inv.GroupName, inv.Expires.Local().Format("2006-01-02 15:04 MST"))
	if inv.Approval {
		p.remark("Who uses it waits until you approve: landbridge group requests")
	}
	p.remark("To end it sooner: landbridge group invitations revoke %s", inv.ID)
	places := api.Places(inv.Addresses)
	if len(places) == 0 {
		p.remark("It names no place where this appliance is found, so only a newcomer on the same LAN finds it: give --address HOST:PORT for others.")
		return
	}
	p.remark("It finds this appliance at:\n  %s", strings.Join(places, "\n  "))
}

func (p *program) groupInvitationsCommand() *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use:               "invitations [GROUP]",
		SuggestFor:        []string{"invites", "tokens"},
		Short:             "List invitations and who used them; revoke one",
		Args:              oneArgument,
		ValidArgsFunction: p.completeGroups,
		Long: `List the invitations that are open, with how often each was used and by whom. With
--all, those too that have ended within the last 30 days. The tokens themselves are
kept nowhere. Run this on the appliance that created the group.`,
		Example: `  sudo landbridge group invitations
  sudo landbridge group invitations office --all
  sudo landbridge group invitations revoke 5b1f0c9a3e7d2846`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.withGroup(cmd.Context(), strings.Join(args, ""), func(ctx context.Context, m memberships, g api.Group) error {
				list, err := m.Invitations(ctx, g.ID)
				if err != nil {
					return err
				}
				return p.printInvitations(list, all)
			})
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "those that have ended, too")
	cmd.AddCommand(p.revokeInvitationCommand())
	return cmd
}

func (p *program) printInvitations(list []api.IssuedInvitation, all bool) error {
	shown := []api.IssuedInvitation{}
	for _, i := range list {
		if all || i.State == api.InvitationStateOpen {
			shown = append(shown, i)
		}
	}
	if p.json {
		return p.printJSON(api.IssuedInvitationList{Items: shown})
	}
	switch {
	case len(shown) > 0:
		return invitationTable(shown, time.Now()).write(p.out)
	case len(list) > 0:
		p.remark("No invitation is open; --all shows those that have ended.")
	default:
		p.remark("No invitation is open. Make one with landbridge group invite.")
	}
	return nil
}

func invitationTable(list []api.IssuedInvitation, now time.Time) *table {
	t := &table{columns: []column{
		{title: "ID", keep: true}, {title: "STATE", keep: true}, {title: "USED", right: true, keep: true}, {title: "ENDS IN", right: true, keep: true},
		{title: "USED BY"}, {title: "NOTE"},
	}}
	for _, i := range list {
		users := make([]string, len(i.Users))
		for n, u := range i.Users {
			users[n] = cmp.Or(clean(u.Name), short(u.MemberID))
		}
		ends := ""
		if i.State == api.InvitationStateOpen {
			ends = until(i.Expires, now)
		}
		t.add(i.ID, string(i.State), fmt.Sprintf("%d of %d", len(i.Users), i.Uses), ends, strings.Join(users, ", "), clean(i.Note))
	}
	return t
}

func (p *program) revokeInvitationCommand() *cobra.Command {
	return &cobra.Command{
		Use:               "revoke INVITATION [GROUP]",
		SuggestFor:        []string{"rm", "remove", "delete", "withdraw"},
		Short:             "Revoke an invitation",
		ValidArgsFunction: noFiles,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) < 1 || len(args) > 2 {
				return usageError{errors.New("want the ID of one INVITATION, and GROUP at most: landbridge group invitations lists them")}
			}
			return nil
		},
		Long:    "Revoke an invitation, named by its ID: it admits nobody any more. Whom it has admitted stays a member.",
		Example: "  sudo landbridge group invitations revoke 5b1f0c9a3e7d2846",
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.withGroup(cmd.Context(), strings.Join(args[1:], ""), func(ctx context.Context, m memberships, g api.Group) error {
				gone, err := m.RevokeInvitation(ctx, g.ID, args[0])
				if err != nil {
					return err
				}
				if p.json {
					return p.printJSON(gone)
				}
				_, err = fmt.Fprintf(p.out, "The invitation %s admits nobody any more; it was used %d of %s.\n", gone.ID, len(gone.Users), counted(gone.Uses, "time"))
				return err
			})
		},
	}
}
