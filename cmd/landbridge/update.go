package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"landbridge/console/api"
)

// How long an update takes until the version that is kept runs: written, a restart, a trial of five
// minutes at most, and where that fails another restart.
const (
	updateTimeout = 15 * time.Minute
	updatePoll    = time.Second
)

func (p *program) updateCommand() *cobra.Command {
	var yes, older bool
	cmd := &cobra.Command{
		Use:     "update FILE|URL",
		Short:   "Update an appliance of the image",
		GroupID: "appliance",
		Args:    oneTarget("an update, the file landbridge.update of make image or where it is on the web"),
		Long: `Update an appliance of the image. The update is handed in and its signature checked; then
you are told what it is and does, and are asked. It is written to the slot that doesn't
run, the machine restarts with it, and it is kept once it is well; else the version
before comes back by itself. Wait for that.

On a host, where this is a program and not the image, the package manager updates it:
landbridge restart then runs the new version.`,
		Example: `  landbridge update landbridge.update
  landbridge update https://updates.example.com/landbridge.update
  landbridge update status
  landbridge update rollback`,
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, cancel := context.WithTimeout(cmd.Context(), uploadTimeout)
			defer cancel()
			return p.update(ctx, args[0], yes, older)
		},
	}
	cmd.Flags().BoolVar(&yes, "yes", false, "make it without a question")
	cmd.Flags().BoolVar(&older, "older", false, "also where it isn't newer than what runs")
	cmd.AddCommand(&cobra.Command{
		Use:               "status",
		Short:             "Show which version is in which slot, and how the last update ended",
		Args:              noArguments,
		ValidArgsFunction: noFiles,
		Example:           `  landbridge update status`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return show(p, cmd, func(ctx context.Context, c *api.Local) (api.Update, error) {
				return said(c.GetUpdateWithResponse(ctx))
			}, func(u api.Update) error { return writeUpdate(p.out, u) })
		},
	}, p.updateRollbackCommand())
	return cmd
}

func (p *program) updateRollbackCommand() *cobra.Command {
	return &cobra.Command{
		Use:               "rollback",
		Short:             "Start the version in the other slot",
		Args:              noArguments,
		ValidArgsFunction: noFiles,
		Long: `Start the version in the other slot, on trial as after an update. Groups, leases and
users stay as they are. Wait until it is kept, or taken back.`,
		Example: `  landbridge update rollback`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			err := p.withDaemon(cmd.Context(), func(ctx context.Context, c *api.Local) error {
				res, err := c.RollbackUpdateWithResponse(ctx)
				if err != nil {
					return transportError(err)
				}
				return accepted(res.HTTPResponse, res.ApplicationProblemJSONDefault)
			})
			if err != nil {
				return err
			}
			return p.followUpdate(cmd.Context(), time.Now())
		},
	}
}

// accepted returns why what was asked isn't being done.
func accepted(res *http.Response, problem *api.Problem) error {
	if res.StatusCode == http.StatusAccepted {
		return nil
	}
	_, err := answer[struct{}](nil, problem, res)
	return err
}

// update hands an update in, says what it is, asks, and has it made.
func (p *program) update(ctx context.Context, from string, yes, older bool) error {
	content, err := openUpdate(ctx, from)
	if err != nil {
		return err
	}
	defer content.Close()
	began := time.Now()
	err = p.withDaemonFor(ctx, uploadTimeout, func(ctx context.Context, c *api.Local) error {
		res, err := c.CheckUpdateWithBodyWithResponse(ctx, "application/octet-stream", content)
		if err != nil {
			return transportError(err)
		}
		offer, err := answer(res.JSON200, res.ApplicationProblemJSONDefault, res.HTTPResponse)
		if err != nil {
			return err
		}
		if p.json {
			err = p.printJSON(offer)
		} else {
			err = writeOffer(p.out, offer)
		}
		if err != nil {
			return err
		}
		if !offer.Newer && !older {
			return errors.New("nothing is changed: it isn't newer than what runs; to make it all the same give --older")
		}
		if err := p.agreed(yes); err != nil {
			return err
		}
		began = time.Now()
		order, err := c.ApplyUpdateWithResponse(ctx, api.UpdateOrder{ID: offer.ID, Older: older})
		if err != nil {
			return transportError(err)
		}
		return accepted(order.HTTPResponse, order.ApplicationProblemJSONDefault)
	})
	if err != nil {
		return err
	}
	return p.followUpdate(ctx, began)
}

// agreed asks whether the update is to be made.
func (p *program) agreed(yes bool) error {
	if yes {
		return nil
	}
	if !isTerminal(p.in) {
		return usageError{errors.New("nothing is changed: to make this update without a question, give --yes")}
	}
	fmt.Fprint(p.err, "Make this update, and restart? Type yes: ")
	line, _ := bufio.NewReader(io.LimitReader(p.in, 64)).ReadString('\n')
	if strings.TrimSpace(line) != "yes" {
		return errors.New("nothing is changed")
	}
	return nil
}

// openUpdate opens a file, or what is at a URL: whoever it is from, it counts by its signature.
func openUpdate(ctx context.Context, from string) (io.ReadCloser, error) {
	if !strings.HasPrefix(from, "https://") && !strings.HasPrefix(from, "http://") {
		return os.Open(from)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, from, nil)
	if err != nil {
		return nil, usageError{err}
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, fmt.Errorf("get the update: %w", err)
	}
	if res.StatusCode != http.StatusOK {
		_ = res.Body.Close()
		return nil, fmt.Errorf("get the update: %s answers %s: is the address right?", from, res.Status)
	}
	return res.Body, nil
}

// followUpdate waits until an update that was ordered then has ended, and says how.
func (p *program) followUpdate(ctx context.Context, ordered time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, updateTimeout)
	defer cancel()
	poll := time.NewTicker(updatePoll)
	defer poll.Stop()
	stage := api.UpdateStageIdle
	for {
		select {
		case <-poll.C:
		case <-ctx.Done():
			return errors.New("it isn't known yet how the update ends: landbridge update status shows it")
		}
		var u api.Update
		err := p.withDaemon(ctx, func(ctx context.Context, c *api.Local) (err error) {
			u, err = said(c.GetUpdateWithResponse(ctx))
			return err
		})
		if err != nil {
			continue // it restarts
		}
		if u.Stage != stage {
			stage = u.Stage
			p.remark("%s", stageText(u))
		}
		if u.Stage != api.UpdateStageIdle || u.Last.At.Before(ordered.Add(-time.Minute)) { // the machine's clock isn't this one's
			continue
		}
		if u.Last.Result != api.UpdateResultKept {
			return errors.New(clean(u.Last.Text))
		}
		p.remark("%s", clean(u.Last.Text))
		return nil
	}
}

func stageText(u api.Update) string {
	switch u.Stage {
	case api.UpdateStageWriting:
		return fmt.Sprintf("Version %s is written to the other slot.", clean(u.Target))
	case api.UpdateStageRestarting:
		return fmt.Sprintf("The machine restarts with version %s.", clean(u.Target))
	case api.UpdateStageTrial:
		return fmt.Sprintf("Version %s is on trial until %s UTC at the latest.", clean(u.Target), u.Until.UTC().Format(time.TimeOnly))
	}
	return fmt.Sprintf("Version %s runs.", clean(u.Version))
}

func writeUpdate(w io.Writer, u api.Update) error {
	s := &sheet{}
	s.row("Version", clean(u.Version))
	if !u.Image {
		s.row("Updates", "by the host's package manager: this isn't the image")
		_, err := io.WriteString(w, s.b.String())
		return err
	}
	s.row("Slot", clean(u.Slot))
	if u.OtherVersion != "" {
		s.row("Other slot", clean(u.OtherVersion))
	}
	if u.Stage != api.UpdateStageIdle {
		s.row("Now", stageText(u))
	}
	if u.Waiting.ID != "" {
		s.row("Waiting", clean(u.Waiting.Version))
	}
	if u.Last.Text != "" {
		s.row("Last", clean(u.Last.Text)+" ("+u.Last.At.UTC().Format(time.DateTime)+" UTC)")
	}
	if u.DevelopmentKey {
		s.row("Careful", "updates are taken by the development key, which everybody has")
	}
	_, err := io.WriteString(w, s.b.String())
	return err
}

func writeOffer(w io.Writer, o api.UpdateOffer) error {
	s := &sheet{}
	s.row("Version", clean(o.Version))
	s.row("Made", o.Built.UTC().Format(time.DateTime)+" UTC")
	for line := range strings.Lines(o.Changes) {
		if line = clean(strings.TrimSpace(line)); line != "" {
			s.row("New", line)
		}
	}
	for _, e := range o.Effects {
		s.row("Then", clean(e))
	}
	if o.DevelopmentKey {
		s.row("Careful", "it is signed by the development key, which everybody has")
	}
	_, err := io.WriteString(w, s.b.String())
	return err
}
