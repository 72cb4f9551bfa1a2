package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"landbridge/internal/config"
)

func (p *program) runCommand() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:               "run",
		Short:             "Run the appliance in the foreground",
		GroupID:           "appliance",
		Args:              noArguments,
		ValidArgsFunction: noFiles,
		Long: `Run the appliance in the foreground until SIGINT or SIGTERM, then put the network
devices back as they were. A second signal ends it at once; what it then leaves behind
the next start puts right.

A mode that was switched to and confirmed (landbridge mode) outlives restarts, also where
--mode or the file say still what they said before the switch; one that was changed
since then counts again.

Settings come from flags, then from the file of --config, then from the defaults. The
file is YAML with the flags' names as keys; all that is wrong with it is listed at
once, and nothing is started. It needs CAP_NET_ADMIN, as root has it.`,
		Example: `  sudo landbridge run
  sudo landbridge run --mode router --lan-port eth1
  sudo landbridge run --config /etc/landbridge.yaml --log-level debug`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := config.Load(file, changed(cmd.Flags()))
			if err != nil {
				return err
			}
			cfg.Version = programVersion()
			log := newLogger(p.err, cfg)
			defer tellOfStop(cmd.Context(), log)()
			return p.run(cmd.Context(), cfg, log)
		},
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.Var(textFlag(&file, "FILE", ""), "config", "YAML file with settings")
	defaults := config.Default()
	for _, s := range config.Settings() {
		if s.Key == "state" {
			continue // every command has it
		}
		addSetting(f, s, defaults)
	}
	_ = cmd.MarkFlagFilename("config", "yaml", "yml")
	completions := map[string][]string{
		"mode":       {"interface\tattach this host", "router\tattach the LAN behind --lan-port"},
		"dhcp":       {"open\tevery host that no other DHCP server serves", "vendor-class\thosts of --dhcp-vendor-class", "registered\thosts of --dhcp-host alone"},
		"log-level":  {"debug", "info", "warn", "error"},
		"log-format": {"text", "json"},
	}
	for flag, values := range completions {
		_ = cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
	}
	_ = cmd.RegisterFlagCompletionFunc("lan-port", completeInterfaces)
	return cmd
}

// tellOfStop logs that the appliance stops as soon as ctx ends. What it returns waits for a
// line that is being written.
func tellOfStop(ctx context.Context, log *slog.Logger) (end func()) {
	told := make(chan struct{})
	cancel := context.AfterFunc(ctx, func() {
		defer close(told)
		log.Info("landbridge stops, and puts the network devices back; a second signal ends it at once, and leaves that to the next start")
	})
	return func() {
		if !cancel() {
			<-told
		}
	}
}

// addSetting adds the flag of a setting. Its value is parsed with the file's, not here.
func addSetting(f *pflag.FlagSet, s config.Setting, defaults config.Config) {
	if s.Kind == config.List {
		f.StringArray(s.Key, nil, s.Usage)
		return
	}
	f.Var(textFlag(new(string), s.Value, s.Default(defaults)), s.Key, s.Usage)
}

// changed returns the settings that were given as flags.
func changed(f *pflag.FlagSet) map[string][]string {
	settings := make(map[string]bool)
	for _, s := range config.Settings() {
		settings[s.Key] = true
	}
	given := make(map[string][]string)
	f.Visit(func(flag *pflag.Flag) {
		if !settings[flag.Name] {
			return
		}
		if list, ok := flag.Value.(pflag.SliceValue); ok {
			given[flag.Name] = list.GetSlice()
			return
		}
		given[flag.Name] = []string{flag.Value.String()}
	})
	return given
}

// newLogger makes the daemon's logger.
func newLogger(w io.Writer, cfg config.Config) *slog.Logger {
	options := &slog.HandlerOptions{Level: cfg.LogLevel}
	if cfg.LogFormat == config.LogJSON {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}

// completeInterfaces offers this host's network interfaces to the shell.
func completeInterfaces(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	ifaces, err := net.Interfaces()
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	var names []string
	for _, i := range ifaces {
		if i.Flags&net.FlagLoopback == 0 {
			names = append(names, i.Name+"\t"+i.HardwareAddr.String())
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

// programVersion returns the version that the build set, else the module's.
func programVersion() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "unknown"
}

func (p *program) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:               "version",
		Short:             "Show the program's version",
		Args:              noArguments,
		ValidArgsFunction: noFiles,
		RunE: func(*cobra.Command, []string) error {
			if p.json {
				return p.printJSON(map[string]string{
					"version": programVersion(), "go": runtime.Version(), "platform": runtime.GOOS + "/" + runtime.GOARCH,
				})
			}
			_, err := fmt.Fprintln(p.out, versionLine())
			return err
		},
	}
}

func versionLine() string {
	return fmt.Sprintf("landbridge %s (%s, %s/%s)", programVersion(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
}
