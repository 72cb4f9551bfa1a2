package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"landbridge/console/api"
)

// uploadTimeout bounds how long a copy takes to be handed in and checked.
const uploadTimeout = 10 * time.Minute

// restorer is where a copy of a state is restored: the daemon, or the state where none runs.
type restorer interface {
	CheckRestore(ctx context.Context, r io.Reader) (api.Restore, error)
	ApplyRestore(ctx context.Context, id string) error
}

func (p *program) restoreCommand() *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use:     "restore FILE",
		Short:   "Go on from a copy of the state",
		GroupID: "appliance",
		Args:    oneTarget("the copy of a state, as landbridge backup has written it"),
		Long: `Go on from a copy of the state. It is checked whole; then you are told what it changes
and what it can do harm to, and are asked. A running appliance starts anew with it;
otherwise the next start takes it. A kill at any moment leaves the old state or the new
one. What was before is kept beside it, as landbridge.before-restore.db.

Where the appliance has leased anything since the copy was made, the other members
notice, and it hands out no addresses: docs/backup.md says when a copy helps.`,
		Example: `  sudo landbridge restore /root/landbridge-backup.db`,
		RunE: func(cmd *cobra.Command, args []string) error {
			f, err := os.Open(args[0])
			if err != nil {
				return err
			}
			defer f.Close()
			return p.withRestorer(cmd.Context(), func(ctx context.Context, to restorer, running bool) error {
				return p.restore(ctx, to, f, yes, running)
			})
		},
	}
	cmd.Flags().BoolVar(&yes, "yes", false, "restore it without a question")
	return cmd
}

// withRestorer calls f with the daemon on the state, or with the state.
func (p *program) withRestorer(ctx context.Context, f func(ctx context.Context, to restorer, running bool) error) error {
	limited, cancel := context.WithTimeout(ctx, uploadTimeout)
	defer cancel()
	client, err := api.Dial(limited, p.socket())
	if errors.Is(err, api.ErrNoDaemon) {
		state, err := p.offline(p.state, slog.New(newPlainLog(p.err)))
		if err != nil {
			return err
		}
		return errors.Join(f(limited, state, false), state.Close())
	}
	if err != nil {
		return err
	}
	before, err := p.statusOf(limited, client)
	if err == nil {
		err = f(limited, remote{client}, true)
	}
	client.Close()
	if err != nil {
		return err
	}
	return p.awaitRestart(ctx, before.StartedAt)
}

// restore has a copy checked, says what it changes, asks, and applies it.
func (p *program) restore(ctx context.Context, to restorer, copied io.Reader, yes, running bool) error {
	r, err := to.CheckRestore(ctx, copied)
	if err != nil {
		return err
	}
	if p.json {
		err = p.printJSON(r)
	} else {
		err = writeRestore(p.out, r)
	}
	if err != nil {
		return err
	}
	if !yes {
		if !isTerminal(p.in) {
			return usageError{errors.New("nothing is changed: to restore this copy without a question, give --yes")}
		}
		fmt.Fprint(p.err, "Restore it? Type yes: ")
		line, _ := bufio.NewReader(io.LimitReader(p.in, 64)).ReadString('\n')
		if strings.TrimSpace(line) != "yes" {
			return errors.New("nothing is changed")
		}
	}
	if err := to.ApplyRestore(ctx, r.ID); err != nil {
		return err
	}
	if !running {
		p.remark("The next start goes on from the copy.")
	}
	return nil
}

func writeRestore(w io.Writer, r api.Restore) error {
	s := &sheet{}
	if r.Made.IsZero() {
		s.row("Made", "the copy doesn't say")
	} else {
		s.row("Made", r.Made.Format(time.DateTime)+" UTC")
	}
	of := "this appliance"
	if !r.SameAppliance {
		of = "another appliance"
	}
	s.row("Of", of+", "+clean(r.MemberID))
	for _, g := range r.Groups {
		change := map[api.RestoreChange]string{api.RestoreChangeStays: "stays", api.RestoreChangeComes: "comes back", api.RestoreChangeGoes: "is gone"}[g.Change]
		s.row("Group", fmt.Sprintf("%s %s: leases %d (now %d), roster %d (now %d)", clean(g.Name), change, g.Leases, g.LeasesNow, g.Roster, g.RosterNow))
	}
	s.row("Users", clean(strings.Join(r.Users, ", ")))
	s.row("Users now", clean(strings.Join(r.UsersNow, ", ")))
	for _, d := range r.Dangers {
		s.row("Careful", clean(d))
	}
	_, err := io.WriteString(w, s.b.String())
	return err
}

// CheckRestore hands a copy in to the daemon.
func (r remote) CheckRestore(ctx context.Context, copied io.Reader) (api.Restore, error) {
	res, err := r.client.CheckRestoreWithBodyWithResponse(ctx, "application/octet-stream", copied)
	if err != nil {
		return api.Restore{}, transportError(err)
	}
	return answer(res.JSON200, res.ApplicationProblemJSONDefault, res.HTTPResponse)
}

// ApplyRestore has the daemon start anew with the copy.
func (r remote) ApplyRestore(ctx context.Context, id string) error {
	res, err := r.client.ApplyRestoreWithResponse(ctx, api.RestoreOrder{ID: id})
	if err != nil {
		return transportError(err)
	}
	if res.StatusCode() != http.StatusAccepted {
		_, err = answer[struct{}](nil, res.ApplicationProblemJSONDefault, res.HTTPResponse)
	}
	return err
}
