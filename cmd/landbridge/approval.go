package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"landbridge/console/api"
	"landbridge/internal/group"
)

// approvalLook is how often the command looks whether somebody has decided.
const approvalLook = time.Second

// waits says for what this appliance waits.
func (p *program) waits(a api.JoinApplication, running bool) error {
	if p.json {
		return p.printJSON(a)
	}
	p.remark("Waiting for approval, fingerprint %s\n\nSomebody must approve of this appliance where the invitation was made: on the console's\n"+
		"page of members, or with landbridge group requests. They compare the fingerprint with this one.", a.Fingerprint)
	if !running {
		p.remark("It is asked for again as long as this appliance runs: landbridge run.")
	}
	return nil
}

// waitForApproval looks again and again until somebody has decided. Each look is bounded by
// itself: people take their time.
func (p *program) waitForApproval(ctx context.Context, m memberships, a api.JoinApplication, running bool) (api.Group, error) {
	if !p.json {
		if err := p.waits(a, true); err != nil {
			return api.Group{}, err
		}
	}
	said := ""
	for {
		select {
		case <-ctx.Done():
			goesOn := "it goes on as long as this appliance runs: landbridge run"
			if running {
				goesOn = "the appliance goes on waiting, and takes the group up as soon as it is let in"
			}
			return api.Group{}, errors.New("interrupted while waiting for approval; " + goesOn)
		case <-time.After(approvalLook):
		}
		now, still, err := applicationNow(ctx, m, a.Group)
		switch {
		case ctx.Err() != nil:
		case err != nil:
			return api.Group{}, err
		case !still:
			return joinedGroup(ctx, m, a.Group)
		case now.State == api.JoinStateRefused:
			return api.Group{}, errors.New(now.Why)
		case now.Why != said && now.Why != "":
			p.remark("Still waiting: %s", clean(now.Why))
		}
		said = now.Why
	}
}

// applicationNow returns how it stands with an application, and whether there is one.
func applicationNow(ctx context.Context, m memberships, group string) (api.JoinApplication, bool, error) {
	ctx, cancel := context.WithTimeout(ctx, joinTimeout)
	defer cancel()
	all, err := m.Applications(ctx)
	for _, a := range all {
		if a.Group == group {
			return a, true, err
		}
	}
	return api.JoinApplication{}, false, err
}

// joinedGroup returns the group that this appliance was let into.
func joinedGroup(ctx context.Context, m memberships, id string) (api.Group, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	groups, err := m.Groups(ctx)
	if err != nil {
		return api.Group{}, err
	}
	for _, g := range groups {
		if g.ID == id {
			return g, nil
		}
	}
	return api.Group{}, errors.New("the wait was ended by landbridge join cancel, or on the console")
}

func (p *program) joinCancelCommand() *cobra.Command {
	return &cobra.Command{
		Use:               "cancel GROUP",
		Short:             "Wait no longer to be let into a group",
		ValidArgsFunction: noFiles,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 || len(args[0]) < 4 {
				return usageError{errors.New("want the ID of one GROUP, or its beginning: landbridge status says for which one this appliance waits")}
			}
			return nil
		},
		Long:    "Wait no longer to be let into a group, or forget that it was refused. GROUP is the group's ID, or its beginning.",
		Example: "  sudo landbridge join cancel 5b1f0c9a",
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.withMemberships(cmd.Context(), askTimeout, func(ctx context.Context, m memberships, _ bool) error {
				a, err := m.WithdrawApplication(ctx, args[0])
				if err != nil {
					return err
				}
				if p.json {
					return p.printJSON(a)
				}
				_, err = fmt.Fprintf(p.out, "This appliance doesn't wait for the group %.8s any more.\n", a.Group)
				return err
			})
		},
	}
}

func (p *program) groupRequestsCommand() *cobra.Command {
	return &cobra.Command{
		Use:               "requests [GROUP]",
		SuggestFor:        []string{"waiting", "pending"},
		Short:             "List who waits to be let in",
		Args:              oneArgument,
		ValidArgsFunction: p.completeGroups,
		Long: `List the appliances that have used an invitation which demands approval, and wait.
Compare the fingerprint with what the appliance shows itself, by telephone for instance:
its name is whatever it says. Run this on the appliance that created the group.`,
		Example: `  sudo landbridge group requests
  sudo landbridge group approve k3f7-m2qx-5rta-wd4e`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.withGroup(cmd.Context(), strings.Join(args, ""), func(ctx context.Context, m memberships, g api.Group) error {
				list, err := m.Requests(ctx, g.ID)
				if err != nil {
					return err
				}
				if p.json {
					return p.printJSON(api.ApplicantList{Items: append([]api.Applicant{}, list...)})
				}
				if len(list) == 0 {
					p.remark("Nobody waits to be let into the group %s.", g.Name)
					return nil
				}
				return applicantTable(list, time.Now()).write(p.out)
			})
		},
	}
}

func applicantTable(list []api.Applicant, now time.Time) *table {
	t := &table{columns: []column{
		{title: "FINGERPRINT", keep: true}, {title: "NAME", keep: true}, {title: "FROM", keep: true}, {title: "WAITS FOR", right: true}, {title: "ASKED", right: true}, {title: "INVITATION"}, {title: "NOTE"},
	}}
	for _, r := range list {
		t.add(r.Fingerprint, clean(r.Name), r.Address, ago(r.Since, now), ago(r.Seen, now), r.Invitation, clean(r.Note))
	}
	return t
}

// oneApplicant wants MEMBER, and GROUP at most.
func oneApplicant(_ *cobra.Command, args []string) error {
	if len(args) < 1 || len(args) > 2 {
		return usageError{errors.New("want the fingerprint, member ID or name of one MEMBER, and GROUP at most: landbridge group requests lists who waits")}
	}
	return nil
}

func (p *program) groupApproveCommand() *cobra.Command {
	return &cobra.Command{
		Use:               "approve MEMBER [GROUP]",
		SuggestFor:        []string{"admit", "accept", "allow"},
		Short:             "Let an appliance in that waits",
		Args:              oneApplicant,
		ValidArgsFunction: noFiles,
		Long:              "Let an appliance into the group that waits for approval, named by its fingerprint, member ID or name. A use of its invitation is counted.",
		Example:           "  sudo landbridge group approve k3f7-m2qx-5rta-wd4e",
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.withGroup(cmd.Context(), strings.Join(args[1:], ""), func(ctx context.Context, m memberships, g api.Group) error {
				in, err := m.Approve(ctx, g.ID, args[0])
				if err != nil {
					return err
				}
				if p.json {
					return p.printJSON(in)
				}
				_, err = fmt.Fprintf(p.out, "%s (%s) is a member of group %s now.\n", clean(in.Name), in.MemberID, g.Name)
				return err
			})
		},
	}
}

func (p *program) groupDenyCommand() *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use:               "deny MEMBER [GROUP]",
		SuggestFor:        []string{"refuse", "reject"},
		Short:             "Refuse an appliance that waits",
		Args:              oneApplicant,
		ValidArgsFunction: noFiles,
		Long:              "Refuse an appliance that waits for approval, named by its fingerprint, member ID or name. It is told the reason, and stays refused with that invitation.",
		Example:           `  sudo landbridge group deny k3f7-m2qx-5rta-wd4e --reason "nobody here knows it"`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(reason) > group.MaxReason {
				return usageError{fmt.Errorf("--reason: %d bytes long, at most %d are allowed", len(reason), group.MaxReason)}
			}
			return p.withGroup(cmd.Context(), strings.Join(args[1:], ""), func(ctx context.Context, m memberships, g api.Group) error {
				who, err := m.Deny(ctx, g.ID, args[0], reason)
				if err != nil {
					return err
				}
				if p.json {
					return p.printJSON(who)
				}
				_, err = fmt.Fprintf(p.out, "%s (%s) is refused.\n", clean(who.Name), who.Fingerprint)
				return err
			})
		},
	}
	cmd.Flags().Var(textFlag(&reason, "TEXT", ""), "reason", "what it is told")
	return cmd
}
