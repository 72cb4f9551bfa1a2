package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"

	"github.com/spf13/cobra"

	"landbridge/internal/config"
)

// Exit codes.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
	// exitRestart is that of an appliance that was asked to start anew and couldn't by itself: a
	// supervisor that restarts what has failed, as systemd does, starts it (EX_TEMPFAIL of sysexits.h).
	exitRestart = 75
)

// errRestart is returned by an engine's run where the appliance is to start anew.
var errRestart = errors.New("the appliance is to start anew")

// streams are the program's input and outputs.
type streams struct {
	in       io.Reader
	out, err io.Writer
}

// engine is what package appliance does for the commands.
type engine struct {
	run     func(ctx context.Context, cfg config.Config, log *slog.Logger) error
	offline func(state string, log *slog.Logger) (offline, error)
	recover func(state string, log *slog.Logger) error
}

// program is what all commands share.
type program struct {
	streams
	engine
	state string // --state
	json  bool   // --json
}

// usageError marks an error of the command line itself.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// execute runs one command line and returns the exit code.
func execute(ctx context.Context, args []string, s streams, e engine) int {
	p := &program{streams: s, engine: e}
	root := p.root()
	root.SetArgs(args)
	root.SetIn(s.in)
	root.SetOut(s.out)
	root.SetErr(s.err)
	called, err := root.ExecuteContextC(ctx)
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, errRestart):
		return exitRestart
	}
	fmt.Fprintf(s.err, "landbridge: %s\n", indentRest(err.Error()))
	var usage usageError
	var faulty *config.Error
	switch {
	case errors.As(err, &faulty):
		return exitUsage
	case errors.As(err, &usage), !called.HasParent(): // the root has nothing that could fail
		fmt.Fprintf(s.err, "See %s --help.\n", called.CommandPath())
		return exitUsage
	}
	return exitFailed
}

// indentRest indents the lines after the first, where they aren't already.
func indentRest(text string) string {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	for i, line := range lines[1:] {
		if line != "" && line[0] != ' ' && line[0] != '\t' {
			lines[i+1] = "  " + line
		}
	}
	return strings.Join(lines, "\n")
}

func (p *program) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "landbridge",
		Short: "Join the LANs of many sites into one private network",
		Long: `Landbridge joins the LANs of many sites, and single hosts between them, into one
flat private IP network, with no central server.

One appliance creates a group and invites the others; each joins with its
invitation and runs. With --mode router, the hosts of its LAN take part by plain
DHCP, with nothing installed.

The state and the running appliance belong to the user who runs it, root as a rule:
hence the sudo in all examples.`,
		Example: `  At the first site, whose router forwards port 4860, UDP and TCP, to this machine:
    sudo landbridge group create --name office --prefix 10.9.0.0/16
    sudo landbridge run --mode router --lan-port eth1 --announce site-a.example.com:4860
    sudo landbridge group invite --address site-a.example.com:4860

  At the second site:
    sudo landbridge join lb1...
    sudo landbridge run --mode router --lan-port eth1

  Anywhere:
    sudo landbridge status`,
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	flags := root.PersistentFlags()
	flags.Var(textFlag(&p.state, "DIR", config.DefaultState), "state", "where the node key, the groups and the leases are")
	flags.BoolVar(&p.json, "json", false, "print the API's objects as JSON")
	// Not cobra's Version: its template would have the linker keep every method there is
	// (docs/decisions/0006-memory.md).
	version := root.Flags().Bool("version", false, "print the program's version")
	root.RunE = func(cmd *cobra.Command, _ []string) error {
		if !*version {
			return cmd.Help()
		}
		_, err := fmt.Fprintln(p.out, versionLine())
		return err
	}
	root.SetFlagErrorFunc(wrongFlag)
	root.AddGroup(
		&cobra.Group{ID: "network", Title: "Make and join a network:"},
		&cobra.Group{ID: "appliance", Title: "Run an appliance:"},
		&cobra.Group{ID: "look", Title: "Look at a running appliance:"},
	)
	root.AddCommand(
		p.groupCommand(), p.joinCommand(),
		p.runCommand(), p.restartCommand(), p.applianceNameCommand(), p.modeCommand(), p.recoverCommand(), p.userDataCommand(),
		p.statusCommand(), p.peersCommand(), p.segmentsCommand(), p.throughputCommand(), p.timeCommand(), p.leasesCommand(), p.namesCommand(), p.forwardCommand(), p.hostsCommand(), p.blocksCommand(), p.countersCommand(), p.consoleCommand(),
		p.pingCommand(), p.traceCommand(), p.pathCommand(), p.queryCommand(), p.doctorCommand(), p.captureCommand(), p.logsCommand(), p.supportCommand(), p.backupCommand(), p.restoreCommand(), p.updateCommand(),
		p.versionCommand(),
	)
	root.InitDefaultCompletionCmd()
	for _, cmd := range root.Commands() {
		if cmd.Name() == "completion" {
			tidyCompletion(cmd)
		}
	}
	return root
}

// tidyCompletion makes cobra's command one of ours. Landbridge runs on Linux only, where
// powershell is nobody's shell.
func tidyCompletion(cmd *cobra.Command) {
	cmd.Short = "Print a completion script for a shell"
	cmd.Args = noArguments
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	for _, shell := range cmd.Commands() {
		if shell.Name() == "powershell" {
			cmd.RemoveCommand(shell)
		}
	}
}

// noArguments refuses arguments.
func noArguments(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	if cmd.HasSubCommands() {
		return usageError{fmt.Errorf("%s has no command %q: %s", cmd.CommandPath(), args[0], meant(cmd, args[0]))}
	}
	return usageError{fmt.Errorf("%s takes no arguments, and %q is one", cmd.CommandPath(), args[0])}
}

// near says which command of cmd may have been meant by a word that is so many letters off at most, "" where
// there is none.
func near(cmd *cobra.Command, word string, letters int) string {
	cmd.SuggestionsMinimumDistance = letters
	if all := cmd.SuggestionsFor(word); len(all) > 0 {
		return fmt.Sprintf("did you mean %s?", strings.Join(all, " or "))
	}
	return ""
}

// mistyped refuses a search that has found nothing where it is like a command of cmd.
func mistyped(cmd *cobra.Command, search string, found int) error {
	const telling = 3 // fewer letters are the beginning of anything
	if found > 0 || len(search) < telling {
		return nil
	}
	if of := near(cmd, search, len(search)/telling); of != "" {
		return usageError{fmt.Errorf("%s finds nothing with %q in it, and has no command of that name: %s", cmd.CommandPath(), search, of)}
	}
	return nil
}

// meant says which command of cmd may have been meant, or which there are.
func meant(cmd *cobra.Command, word string) string {
	if of := near(cmd, word, 2); of != "" {
		return of
	}
	var names []string
	for _, c := range cmd.Commands() {
		names = append(names, c.Name())
	}
	return "its commands are " + strings.Join(names, ", ")
}

// oneArgument refuses more than one argument.
func oneArgument(cmd *cobra.Command, args []string) error {
	if len(args) <= 1 {
		return nil
	}
	return usageError{fmt.Errorf("%s takes one argument at most, and %q is another", cmd.CommandPath(), args[1])}
}

// noFiles completes arguments with nothing, where the shell would offer file names.
func noFiles(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return nil, cobra.ShellCompDirectiveNoFileComp
}

// printJSON prints a value of the API as it travels, indented.
func (p *program) printJSON(v any) error {
	e := json.NewEncoder(p.out)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

// remark prints a line for a person beside the output.
func (p *program) remark(format string, args ...any) {
	fmt.Fprintf(p.err, format+"\n", args...)
}
