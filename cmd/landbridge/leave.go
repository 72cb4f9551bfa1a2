package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"landbridge/console/api"
)

func (p *program) groupLeaveCommand() *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use:               "leave [GROUP]",
		SuggestFor:        []string{"quit", "exit", "part", "delete"},
		Short:             "Leave a group",
		Args:              oneArgument,
		ValidArgsFunction: p.completeGroups,
		Long: `Leave a group: undo what group create or join did. The group's devices are taken down,
and its membership and leases forgotten; hosts of this LAN have no way to the other
sites any more. Blocks of addresses in which nothing is leased are given back, others
lapse with their time. The group's authority is asked to take this appliance out of
the roster; where it can't be reached, it can do so later by group remove.

An appliance that has left can join this or another group by a new invitation.

On the appliance that created the group, leaving destroys the group's CA key, for good:
nobody can be invited, removed or given a new certificate any more, and the other
members go on only until their certificates end.

On a terminal the group's name is asked for. Elsewhere leaving takes --yes where it
destroys the CA key.`,
		Example: `  sudo landbridge group leave
  sudo landbridge group leave office --yes`,
		RunE: func(cmd *cobra.Command, args []string) error {
			g, err := p.groupToLeave(cmd.Context(), strings.Join(args, ""))
			if err != nil {
				return err
			}
			if !yes && (g.Authority || isTerminal(p.in)) {
				if err := p.confirm(cmd.Context(), g); err != nil {
					return err
				}
			}
			return p.withMemberships(cmd.Context(), joinTimeout, func(ctx context.Context, m memberships, running bool) error {
				d, err := m.Leave(ctx, g.ID, g.Authority)
				if err != nil {
					return err
				}
				if p.json {
					return p.printJSON(d)
				}
				return p.left(d, len(g.Members)-1, running)
			})
		},
	}
	cmd.Flags().BoolVar(&yes, "yes", false, "leave without a question, also where that destroys the CA key")
	return cmd
}

// groupToLeave finds the group. The state isn't kept while a person thinks.
func (p *program) groupToLeave(ctx context.Context, ref string) (g api.Group, err error) {
	if err := p.mustHaveState(); err != nil {
		return api.Group{}, err
	}
	err = p.withMemberships(ctx, askTimeout, func(ctx context.Context, m memberships, _ bool) error {
		groups, err := m.Groups(ctx)
		if err != nil {
			return err
		}
		g, err = api.FindGroup(groups, ref)
		return err
	})
	return g, err
}

// confirm asks whether to leave. Where there is nobody to ask, --yes is wanted.
func (p *program) confirm(ctx context.Context, g api.Group) error {
	lost := fmt.Sprintf("hosts of this LAN have no way to the other sites of group %s any more, and the way back is a new invitation", g.Name)
	if g.Authority {
		lost = lostWithAuthority(g)
	}
	if !isTerminal(p.in) {
		return usageError{fmt.Errorf("%s. If that is what you want, give --yes", lost)}
	}
	fmt.Fprintf(p.err, "Careful: %s.\nType the group's name to leave it: ", lost)
	typed := make(chan string, 1)
	go func() { // a read from a terminal can't be interrupted; the program ends soon, and it with it
		line, _ := bufio.NewReader(p.in).ReadString('\n')
		typed <- line
	}()
	select {
	case line := <-typed:
		if strings.EqualFold(strings.TrimSpace(line), g.Name) {
			return nil
		}
		return errors.New("that isn't the group's name: nothing was done")
	case <-ctx.Done():
		return errors.New("interrupted: nothing was done")
	}
}

// lostWithAuthority says what a group loses when its authority leaves.
func lostWithAuthority(g api.Group) string {
	lost := fmt.Sprintf("this appliance keeps the CA key of group %s, and leaving destroys it for good: nobody can be invited, removed or given a new certificate any more", g.Name)
	if others := len(g.Members) - 1; others > 0 {
		lost += fmt.Sprintf(", and its %s can go on only until their certificates end", counted(others, "other member"))
	}
	return lost
}

// isTerminal reports whether a person may be typing.
func isTerminal(in any) bool {
	f, ok := in.(*os.File)
	if !ok {
		return false
	}
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}

// left says what a departure has done and what is left to do.
func (p *program) left(d api.Departure, others int, running bool) error {
	_, err := fmt.Fprintf(p.out, "This appliance, %s, has left group %s.\n", clean(d.Name), d.GroupName)
	p.remark("")
	switch {
	case d.Authority:
		p.remark("The group's CA key is destroyed.")
	case d.InRoster:
		p.remark("The appliance that created the group couldn't be told, so the others count this one as away. There, run:\n  sudo landbridge group remove %s", clean(d.Name))
	default:
		p.remark("The group's roster is without it now.")
	}
	if others > 0 && d.BlocksReleased > 0 {
		p.remark("Given back: %s of addresses.", counted(d.BlocksReleased, "block"))
	}
	if others > 0 && d.BlocksLapsing > 0 {
		p.remark("Not given back: %s, for what is leased there, or for want of an answer. The others can claim them after %s.",
			counted(d.BlocksLapsing, "block"), age(time.Duration(d.LapseSeconds)*time.Second))
	}
	then := "Start anew: landbridge group create, or landbridge join with a new invitation."
	if running {
		then = "The appliance goes on running, in no group. " + then
	}
	p.remark("%s", then)
	return err
}
