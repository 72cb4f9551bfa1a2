package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"landbridge/console/api"
)

const (
	restartTimeout = 60 * time.Second
	restartPoll    = 100 * time.Millisecond
)

func (p *program) restartCommand() *cobra.Command {
	return &cobra.Command{
		Use:               "restart",
		Short:             "Start the running appliance anew",
		GroupID:           "appliance",
		Args:              noArguments,
		ValidArgsFunction: noFiles,
		Long: fmt.Sprintf(`Have the running appliance end as when it is stopped, and start again at once: the same
process, with the program that is installed by then and the configuration as it is by
then. Wait until it has. Meanwhile, a second as a rule, nothing goes between the sites;
hosts keep their addresses.

Where it can't start itself it ends with exit code %d, so that systemd starts it.`, exitRestart),
		Example: `  sudo landbridge restart`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var before api.Status
			err := p.withDaemon(cmd.Context(), func(ctx context.Context, c *api.Local) (err error) {
				if before, err = p.statusOf(ctx, c); err != nil {
					return err
				}
				res, err := c.RestartWithResponse(ctx)
				if err != nil {
					return transportError(err)
				}
				if res.StatusCode() != http.StatusAccepted {
					_, err = answer[struct{}](nil, res.ApplicationProblemJSONDefault, res.HTTPResponse)
				}
				return err
			})
			if err != nil {
				return err
			}
			return p.awaitRestart(cmd.Context(), before.StartedAt)
		},
	}
}

// statusOf asks the daemon how it is.
func (p *program) statusOf(ctx context.Context, c *api.Local) (api.Status, error) {
	return said(c.GetStatusWithResponse(ctx))
}

// awaitRestart waits until the daemon on the state is one that started after before.
func (p *program) awaitRestart(ctx context.Context, before time.Time) error {
	began := time.Now()
	ctx, cancel := context.WithTimeout(ctx, restartTimeout)
	defer cancel()
	poll := time.NewTicker(restartPoll)
	defer poll.Stop()
	for {
		if client, err := api.Dial(ctx, p.socket()); err == nil {
			now, err := p.statusOf(ctx, client)
			client.Close()
			if err == nil && !now.StartedAt.Equal(before) {
				p.remark("The appliance has started anew, %.1f s later, as version %s.", time.Since(began).Seconds(), clean(now.Version))
				return nil
			}
		}
		select {
		case <-poll.C:
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.Canceled) {
				return errors.New("interrupted; it restarts all the same")
			}
			return fmt.Errorf("the appliance hasn't started again within %v: look at its log, and start it (landbridge run, or systemctl start landbridge)", restartTimeout)
		}
	}
}

func (p *program) applianceNameCommand() *cobra.Command {
	return &cobra.Command{
		Use:               "set-name NAME",
		Short:             "Call the running appliance otherwise",
		GroupID:           "appliance",
		Args:              oneTarget("a name, as site-a"),
		ValidArgsFunction: noFiles,
		Long: `Call the running appliance otherwise, from now on and after restarts. Groups keep the
name under which it has joined them.`,
		Example: `  sudo landbridge set-name site-a`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return show(p, cmd, func(ctx context.Context, c *api.Local) (api.ApplianceName, error) {
				return said(c.RenameApplianceWithResponse(ctx, api.ApplianceName{Name: args[0]}))
			}, func(now api.ApplianceName) error {
				p.remark("The appliance is called %s.", now.Name)
				return nil
			})
		},
	}
}
