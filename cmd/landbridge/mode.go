package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"landbridge/console/api"
	"landbridge/internal/modes"
)

const modeLong = `Show how the appliance is attached, the switch that waits for confirmation, how the last
one ended, and which ports this host has.

Switching is safe to try: "mode set" says what it does, does it, and verifies it; then it
waits for "mode confirm". Without that the appliance goes back by itself, after a
minute unless --timeout says otherwise, and at the next start, however it ended. Sessions
with other members, leases and blocks stay; what other hosts say to each other isn't
touched. A confirmed mode is that of the next starts, too.`

func (p *program) modeCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:               "mode",
		Short:             "Show the mode, and switch it while the appliance runs",
		GroupID:           "appliance",
		Args:              noArguments,
		ValidArgsFunction: noFiles,
		Long:              modeLong,
		Example: `  sudo landbridge mode
  sudo landbridge mode plan router --lan-port eth1
  sudo landbridge mode set router --lan-port eth1 && sudo landbridge mode confirm`,
		RunE: func(cmd *cobra.Command, _ []string) error { return p.showMode(cmd.Context()) },
	}
	cmd.AddCommand(p.modePlanCommand(), p.modeSetCommand(), p.modeEndCommand("confirm", "Keep the mode that was switched to",
		func(ctx context.Context, c *api.Local) (api.ModeStatus, error) {
			return said(c.ConfirmModeWithResponse(ctx))
		}), p.modeEndCommand("rollback", "Go back to the mode before the switch at once",
		func(ctx context.Context, c *api.Local) (api.ModeStatus, error) {
			return said(c.RollbackModeWithResponse(ctx))
		}))
	return cmd
}

// showMode shows the mode of the appliance, or that of the next start where none runs.
func (p *program) showMode(ctx context.Context) error {
	show := func(s api.ModeStatus, running bool) error {
		if p.json {
			return p.printJSON(s)
		}
		return writeMode(p.out, s, running, time.Now())
	}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	client, err := api.Dial(ctx, p.socket())
	if errors.Is(err, api.ErrNoDaemon) {
		return p.withState(func(o offline) error {
			s, err := o.Mode(ctx)
			if err != nil {
				return err
			}
			return show(s, false)
		})
	}
	if err != nil {
		return err
	}
	defer client.Close()
	s, err := said(client.GetModeWithResponse(ctx))
	if err != nil {
		return err
	}
	return show(s, true)
}

// withState calls f with the state, while no appliance runs on it.
func (p *program) withState(f func(offline) error) error {
	if err := p.mustHaveState(); err != nil {
		return err
	}
	o, err := p.offline(p.state, slog.New(newPlainLog(p.err)))
	if err != nil {
		return err
	}
	return errors.Join(f(o), o.Close())
}

// modeFlags are what a plan and a switch take.
type modeFlags struct {
	lanPort string
	timeout durationFlag
	yes     bool
}

func (f *modeFlags) request(args []string) api.ModeRequest {
	return api.ModeRequest{
		Mode: strings.Join(args, ""), LanPort: f.lanPort, Confirm: f.yes,
		TimeoutSeconds: int64((time.Duration(f.timeout) + time.Second - 1) / time.Second), Operator: operatorConnection(),
	}
}

func (p *program) modePlanCommand() *cobra.Command {
	var f modeFlags
	cmd := &cobra.Command{
		Use:               "plan MODE",
		Short:             "Show what a switch would do, and do nothing",
		Args:              oneMode,
		ValidArgsFunction: completeModes,
		Example:           `  sudo landbridge mode plan router --lan-port eth1`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return show(p, cmd, func(ctx context.Context, c *api.Local) (api.ModePlan, error) {
				return planMode(ctx, c, f.request(args))
			}, func(plan api.ModePlan) error { return writePlan(p.out, plan) })
		},
	}
	f.addPort(cmd)
	return cmd
}

func (f *modeFlags) addPort(cmd *cobra.Command) {
	cmd.Flags().Var(textFlag(&f.lanPort, "IFACE", ""), "lan-port", "network interface of the LAN, in modes that have one")
	_ = cmd.RegisterFlagCompletionFunc("lan-port", completeInterfaces)
}

func (p *program) modeSetCommand() *cobra.Command {
	f := modeFlags{timeout: durationFlag(time.Minute)}
	cmd := &cobra.Command{
		Use:               "set MODE",
		SuggestFor:        []string{"switch", "change"},
		Short:             "Switch the mode, until it is confirmed or the time is over",
		Args:              oneMode,
		ValidArgsFunction: completeModes,
		Long: `Switch the mode: show the plan, apply it, and verify that the devices stand, that the
service address answers on the segment, and that a member that could be reached still
can. Whatever fails, the former mode is back when this returns.

Then landbridge mode confirm keeps the mode. Without it the appliance goes back by itself
when the time is over. What would cut your own connection (SSH) is refused.`,
		Example: `  sudo landbridge mode set router --lan-port eth1
  sudo landbridge mode set interface --timeout 5m`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.withDaemonFor(cmd.Context(), modeTimeout, func(ctx context.Context, c *api.Local) error {
				return p.setMode(ctx, c, f.request(args))
			})
		},
	}
	f.addPort(cmd)
	cmd.Flags().Var(&f.timeout, "timeout", "how long the switch waits for confirmation, at least 1s")
	cmd.Flags().BoolVar(&f.yes, "yes", false, "confirm by itself, once it is verified")
	return cmd
}

func (p *program) setMode(ctx context.Context, c *api.Local, req api.ModeRequest) error {
	if req.TimeoutSeconds < 1 {
		return usageError{errors.New("--timeout: want at least 1s")}
	}
	plan, err := planMode(ctx, c, req)
	if err != nil {
		return err
	}
	if !p.json {
		if err := writePlan(p.out, plan); err != nil {
			return err
		}
		fmt.Fprintln(p.out)
	}
	s, err := said(c.SwitchModeWithResponse(ctx, req))
	if err != nil {
		return err
	}
	if p.json {
		return p.printJSON(s)
	}
	if req.Confirm {
		_, err = fmt.Fprintf(p.out, "The appliance is in %s now.\n", setupWords(s.Now))
		p.remarkConfigured(s)
		return err
	}
	_, err = fmt.Fprintf(p.out, "The appliance is in %s now, verified. Keep it within %s:\n  sudo landbridge mode confirm\nOtherwise it goes back to %s by itself.\n",
		setupWords(s.Now), age(time.Duration(s.Pending.SecondsLeft)*time.Second), setupWords(s.Pending.Back))
	return err
}

func planMode(ctx context.Context, c *api.Local, req api.ModeRequest) (api.ModePlan, error) {
	return said(c.PlanModeWithResponse(ctx, req))
}

// modeEndCommand is the command that ends a switch, either way.
func (p *program) modeEndCommand(name, short string, end func(context.Context, *api.Local) (api.ModeStatus, error)) *cobra.Command {
	return &cobra.Command{
		Use:               name,
		Short:             short,
		Args:              noArguments,
		ValidArgsFunction: noFiles,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return p.withDaemonFor(cmd.Context(), modeTimeout, func(ctx context.Context, c *api.Local) error {
				s, err := end(ctx, c)
				if err != nil {
					return err
				}
				if p.json {
					return p.printJSON(s)
				}
				kept := "again"
				if s.Last.Outcome == api.ModeOutcomeKindConfirmed {
					kept = "and stays so, also after restarts"
				}
				_, err = fmt.Fprintf(p.out, "The appliance is in %s %s.\n", setupWords(s.Now), kept)
				p.remarkConfigured(s)
				return err
			})
		},
	}
}

// remarkConfigured says where the configuration says something else than what was committed.
func (p *program) remarkConfigured(s api.ModeStatus) {
	if c := s.Configured; c.Mode != "" && c != s.Now {
		p.remark("Its configuration (--mode or the file) says %s, which doesn't count until it is changed: let it say the same, or nothing of the mode.", setupWords(c))
	}
}

// oneMode takes the name of a mode.
func oneMode(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return usageError{fmt.Errorf("%s needs a mode: %s", cmd.CommandPath(), modeNames())}
	}
	return oneArgument(cmd, args)
}

func modeNames() string {
	var names []string
	for _, m := range modes.All() {
		names = append(names, string(m))
	}
	return strings.Join(names, " or ")
}

func completeModes(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return strings.Split(modeNames(), " or "), cobra.ShellCompDirectiveNoFileComp
}

// setupWords names a mode with its port: "router mode on eth1".
func setupWords(s api.ModeSetup) string {
	return joined(" on ", string(s.Mode)+" mode", clean(s.LanPort))
}

// writePlan prints a plan for a person.
func writePlan(w io.Writer, plan api.ModePlan) error {
	var b strings.Builder
	fmt.Fprintf(&b, "From %s to %s:\n", setupWords(plan.From), setupWords(plan.To))
	for _, s := range plan.Steps {
		fmt.Fprintf(&b, "  %-7s %s\n", s.Action, clean(s.Text))
	}
	if len(plan.Notices) > 0 {
		b.WriteString("What hosts will notice:\n")
	}
	for _, n := range plan.Notices {
		fmt.Fprintf(&b, "  %s\n", clean(n))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// writeMode prints the mode for a person.
func writeMode(w io.Writer, st api.ModeStatus, running bool, now time.Time) error {
	s := &sheet{}
	mode := setupWords(st.Now)
	if !running {
		mode += ", at the next start: no appliance is running"
	}
	s.row("Mode", mode)
	if c := st.Configured; c.Mode != "" && c != st.Now && st.Pending.State == "" {
		s.row("Configured", setupWords(c)+", which doesn't count until it is changed")
	}
	if st.Pending.State != "" {
		s.row("Switch", pendingWords(st.Pending))
	}
	if l := st.Last; l.Outcome != "" {
		how := "confirmed"
		if l.Outcome == api.ModeOutcomeKindRolledBack {
			how = joined(": ", "rolled back to "+setupWords(l.Back), l.Why)
		}
		s.row("Last switch", fmt.Sprintf("to %s, %s ago, %s", setupWords(l.To), age(now.Sub(l.At)), how))
	}
	s.b.WriteByte('\n')
	t := &table{columns: []column{{title: "PORT", keep: true}, {title: "LINK", keep: true}, {title: "MAC"}, {title: "LAN PORT IN"}, {title: "WHY NOT"}}}
	for _, port := range st.Ports {
		link := "down"
		if port.Up {
			link = "up"
		}
		var modes []string
		for _, m := range port.Modes {
			modes = append(modes, string(m))
		}
		t.add(port.Name, link, port.MAC, joined(", ", modes...), port.Why)
	}
	if _, err := io.WriteString(w, s.b.String()); err != nil {
		return err
	}
	return t.write(w)
}

func pendingWords(p api.ModePending) string {
	switch p.State {
	case api.ModePendingStateApplying:
		return fmt.Sprintf("to %s: being applied", setupWords(p.To))
	case api.ModePendingStateReturning:
		return fmt.Sprintf("to %s: failed; going back to %s", setupWords(p.To), setupWords(p.Back))
	}
	return fmt.Sprintf("to %s: waits for landbridge mode confirm for another %s, then goes back to %s",
		setupWords(p.To), age(time.Duration(p.SecondsLeft)*time.Second), setupWords(p.Back))
}
