package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"landbridge/console/api"
)

// maxTokenInput bounds what join reads from standard input.
const maxTokenInput = 16 << 10

func (p *program) joinCommand() *cobra.Command {
	var name string
	var noWait bool
	cmd := &cobra.Command{
		Use:               "join TOKEN",
		Short:             "Join a group by an invitation",
		GroupID:           "network",
		ValidArgsFunction: noFiles,
		Args:              oneToken,
		Long: `Join a group by an invitation. The appliance that made it is asked for a certificate,
so it must be running and reachable now. A token admits one appliance, unless it was made
for more.

An invitation may demand that somebody approves of this appliance. Then the command
shows the fingerprint to compare, and waits. Where it is interrupted, or with --no-wait,
the appliance goes on asking as long as it runs: landbridge status says what came of it.

With - the token is read from standard input, which keeps it out of the shell's
history and the list of processes.

An appliance may be in several groups. In router mode its configuration then says which
hosts of the LAN are of which: group-host, default-group and group-port.`,
		Example: `  sudo landbridge join lb1...
  sudo landbridge join - < token.txt`,
		RunE: func(cmd *cobra.Command, args []string) error {
			token, err := p.token(args[0])
			if err != nil {
				return err
			}
			return p.withMemberships(cmd.Context(), joinTimeout, func(ctx context.Context, m memberships, running bool) error {
				j, err := m.Join(ctx, api.JoinRequest{Token: token, MemberName: name})
				if err == nil && j.Waiting != nil {
					if noWait {
						return p.waits(*j.Waiting, running)
					}
					j.Group, err = p.waitForApproval(cmd.Context(), m, *j.Waiting, running)
				}
				if err != nil {
					return err
				}
				if p.json {
					return p.printJSON(j.Group)
				}
				if err := writeGroup(p.out, j.Group); err != nil {
					return err
				}
				p.joined(j.Group, j.Already, running)
				return nil
			})
		},
	}
	cmd.Flags().BoolVar(&noWait, "no-wait", false, "don't wait here for approval, where the invitation demands it")
	cmd.AddCommand(p.joinCancelCommand())
	cmd.Flags().Var(textFlag(&name, "NAME", ""), "name", "this appliance's name in the group (default: its own or the host's)")
	return cmd
}

// oneToken wants a TOKEN, and knows what becomes of one that a terminal or a mail has broken.
func oneToken(_ *cobra.Command, args []string) error {
	switch {
	case len(args) == 1:
		return nil
	case len(args) > 1 && strings.HasPrefix(strings.ToLower(args[0]), "lb1"):
		return usageError{fmt.Errorf("the invitation is in %d pieces, and must be one argument: a line break or a space has got into it. "+
			"Put the pieces together without anything between, or give them to landbridge join - on standard input", len(args))}
	}
	return usageError{errors.New("want one TOKEN: what landbridge group invite printed, or - to read it from standard input")}
}

// joined says what this appliance is after a join.
func (p *program) joined(g api.Group, already, running bool) {
	name := ""
	for _, m := range g.Members {
		if m.Self {
			name = ", as " + clean(m.Name)
		}
	}
	if already {
		p.remark("\nThis appliance is a member of group %s already%s: nothing is changed, and the invitation isn't needed.", g.Name, name)
	} else {
		p.remark("\nThis appliance is a member of group %s now%s.", g.Name, name)
	}
	if g.NameTaken != "" {
		p.remark("Another member is called %s. To have another name here, leave the group and join anew with --name.", clean(g.NameTaken))
	}
	p.nextSteps(running, "")
}

// token returns the token that an argument gives, without spaces at its ends.
func (p *program) token(arg string) (string, error) {
	if arg == "-" {
		content, err := io.ReadAll(io.LimitReader(p.in, maxTokenInput))
		if err != nil {
			return "", fmt.Errorf("read the token from standard input: %w", err)
		}
		arg = string(content)
	}
	token := strings.TrimSpace(arg)
	if token == "" {
		return "", usageError{errors.New("the token is empty: give what landbridge group invite printed")}
	}
	return token, nil
}
