package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"landbridge/console/api"
)

// fetchTimeout bounds downloads other than captures.
const fetchTimeout = 2 * time.Minute

func (p *program) captureCommand() *cobra.Command {
	var req api.CaptureRequest
	var file, where string
	cmd := &cobra.Command{
		Use:               "capture -w FILE",
		Short:             "Capture packets of the segment or the tunnel as pcapng",
		GroupID:           "look",
		Args:              noArguments,
		ValidArgsFunction: noFiles,
		Long: `Capture frames between this appliance and its LAN (or host), or IP packets to and from
members, as a pcapng file for Wireshark or tcpdump, until a bound is reached or it is
interrupted. It never delays what it captures: what comes too quickly is left out, and
counted in the file. Large packets are whole, as the kernel hands them over.

FILE - is the standard output.`,
		Example: `  sudo landbridge capture -w lan.pcapng
  sudo landbridge capture --where tunnel --seconds 60 -w tunnel.pcapng
  sudo landbridge capture -w - | tcpdump -n -r -`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if file == "" {
				return usageError{errors.New("want -w FILE, or -w - for the standard output")}
			}
			req.Where = api.CaptureWhere(where)
			return p.withDaemonFor(cmd.Context(), longest, func(ctx context.Context, c *api.Local) error {
				return p.fetch(ctx, file, func() (*http.Response, error) { return c.StartCapture(ctx, req) })
			})
		},
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.StringVarP(&file, "write", "w", "", "the `FILE` to write")
	f.Var(textFlag(&where, "PLACE", "segment"), "where", "segment, tunnel or both")
	f.IntVar(&req.Seconds, "seconds", 10, "for how long, 60 at most")
	f.IntVar(&req.Packets, "packets", 100_000, "how many packets at most")
	f.Int64Var(&req.Bytes, "bytes", 64<<20, "the most bytes of file")
	f.IntVar(&req.Snaplen, "snaplen", 65_535, "how many bytes of each packet are kept")
	f.Var(textFlag(&req.Group, "GROUP", ""), "group", "the group, by name or ID; needed in several")
	_ = cmd.RegisterFlagCompletionFunc("where", cobra.FixedCompletions([]string{"segment", "tunnel", "both"}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func (p *program) supportCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "support FILE",
		Short:   "Write what somebody who helps needs to know, without secrets",
		GroupID: "look",
		Args:    oneTarget("a file to write, as support.tar.gz"),
		Long: `Write a tar.gz of status, members, blocks, counters, doctor, the last lines of the log,
settings and version. It has names and addresses in it; keys, passwords, tokens and
invitations are not.`,
		Example: `  sudo landbridge support support.tar.gz`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.withDaemonFor(cmd.Context(), fetchTimeout, func(ctx context.Context, c *api.Local) error {
				return p.fetch(ctx, args[0], func() (*http.Response, error) { return c.GetSupportBundle(ctx) })
			})
		},
	}
}

func (p *program) backupCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "backup FILE",
		Short:   "Write a copy of the state, while the appliance runs",
		GroupID: "appliance",
		Args:    oneTarget("a file to write, as landbridge-backup.db"),
		Long: `Write a copy of the whole state of this moment. It holds the node key, and the CA key
of groups that were created here: keep it as you would keep keys.

To restore it: landbridge restore FILE, or the console's page of the system. Where the
appliance has leased anything since the copy was made, the other members notice, and it
hands out no addresses: that keeps two hosts from getting one address. It then has to
join anew, with an empty state. The copy is worth most for the appliance that keeps the
CA key: docs/backup.md says why.`,
		Example: `  sudo landbridge backup /root/landbridge-backup.db`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.withDaemonFor(cmd.Context(), fetchTimeout, func(ctx context.Context, c *api.Local) error {
				return p.fetch(ctx, args[0], func() (*http.Response, error) { return c.GetBackup(ctx) })
			})
		},
	}
}

// fetch writes a download to a file, which is whole or isn't there; - is the standard output. A
// download that ends with ctx is a capture that was interrupted, and kept.
func (p *program) fetch(ctx context.Context, file string, ask func() (*http.Response, error)) error {
	f, err := p.openDownload(file)
	if err != nil {
		return err
	}
	defer f.drop()
	res, err := ask()
	if err != nil {
		return transportError(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		var problem api.Problem
		if err := json.NewDecoder(io.LimitReader(res.Body, 1<<20)).Decode(&problem); err != nil {
			return fmt.Errorf("the appliance answered %s, which this landbridge doesn't understand: let both be of one version", res.Status)
		}
		return inFlags(&problem)
	}
	n, err := io.Copy(f, res.Body)
	if err := errors.Join(interrupted(ctx, unnamed(err)), f.keep()); err != nil {
		return fmt.Errorf("write %s: %w", file, err)
	}
	if file != "-" {
		p.remark("%s written, %s.", file, size(uint64(n)))
	}
	return nil
}

// destination is where a download goes: a file with a name of its own until it is whole, or the standard
// output.
type destination struct {
	io.Writer
	file *os.File // nil for the standard output
	name string
}

// openDownload opens the file before anything is asked of the appliance, which would note a copy that
// nobody has.
func (p *program) openDownload(file string) (destination, error) {
	if file == "-" {
		return destination{Writer: p.out}, nil
	}
	if at, err := os.Stat(file); err == nil && at.IsDir() {
		return destination{}, fmt.Errorf("write %s: it is a directory: name a file in it", file)
	}
	f, err := os.CreateTemp(filepath.Dir(file), "."+filepath.Base(file)+"-") // mode 0600
	if err != nil {
		err = unnamed(err)
		if errors.Is(err, fs.ErrNotExist) {
			err = fmt.Errorf("the directory %s doesn't exist: make it first, or name another", filepath.Dir(file))
		}
		return destination{}, fmt.Errorf("write %s: %w", file, err)
	}
	return destination{Writer: f, file: f, name: file}, nil
}

// keep has the file be there under its own name.
func (d destination) keep() error {
	if d.file == nil {
		return nil
	}
	if err := errors.Join(unnamed(d.file.Sync()), unnamed(d.file.Close())); err != nil {
		return err
	}
	return unnamed(os.Rename(d.file.Name(), d.name))
}

// drop removes what isn't kept.
func (d destination) drop() {
	if d.file != nil {
		_ = d.file.Close()
		_ = os.Remove(d.file.Name()) // none, where it has its own name by now
	}
}

// unnamed takes out of an error the name of the file on the way, which nobody has given.
func unnamed(err error) error {
	if path := new(fs.PathError); errors.As(err, &path) {
		return path.Err
	}
	if link := new(os.LinkError); errors.As(err, &link) {
		return link.Err
	}
	return err
}

// interrupted forgives what ends a copy that a person ended.
func interrupted(ctx context.Context, err error) error {
	if errors.Is(ctx.Err(), context.Canceled) {
		return nil
	}
	return err
}

func (p *program) logsCommand() *cobra.Command {
	var params api.ListLogsParams
	var follow bool
	cmd := &cobra.Command{
		Use:               "logs",
		Short:             "Show what the appliance has logged lately",
		GroupID:           "look",
		Args:              noArguments,
		ValidArgsFunction: noFiles,
		Long: `Show the last lines that the running appliance has logged: the 2,000 that it keeps in
memory, whatever becomes of its standard error.`,
		Example: `  sudo landbridge logs
  sudo landbridge logs --level warn --search site-b
  sudo landbridge logs -f`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return p.withDaemonFor(cmd.Context(), longest, func(ctx context.Context, c *api.Local) error {
				return p.logs(ctx, c, params, follow)
			})
		},
	}
	f := cmd.Flags()
	f.Var(textFlag(&params.Level, "LEVEL", ""), "level", "this level and worse: debug, info, warn or error")
	f.Var(textFlag(&params.Search, "TEXT", ""), "search", "lines with this text, in capitals or not")
	f.IntVarP(&params.Limit, "lines", "n", 2000, "how many lines at most, the last ones")
	f.BoolVarP(&follow, "follow", "f", false, "go on with what is logged from now on")
	_ = cmd.RegisterFlagCompletionFunc("level", cobra.FixedCompletions([]string{"debug", "info", "warn", "error"}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

// followEvery is how often logs -f asks for more.
const followEvery = time.Second

func (p *program) logs(ctx context.Context, c *api.Local, params api.ListLogsParams, follow bool) error {
	tick := time.NewTicker(followEvery)
	defer tick.Stop()
	for {
		res, err := c.ListLogsWithResponse(ctx, &params)
		if ctx.Err() != nil {
			return nil //nolint:nilerr // it was interrupted, as -f is
		}
		if err != nil {
			return transportError(err)
		}
		list, err := answer(res.JSON200, res.ApplicationProblemJSONDefault, res.HTTPResponse)
		if err != nil {
			return err
		}
		if p.json {
			err = p.printJSON(list)
		} else {
			err = writeLogs(p.out, list.Items)
		}
		if err != nil || !follow {
			return err
		}
		params.After = list.Next
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

func writeLogs(w io.Writer, lines []api.LogLine) error {
	var b strings.Builder
	for _, l := range lines {
		fmt.Fprintf(&b, "%s %-5s %s", l.Time.UTC().Format("2006-01-02 15:04:05.000"), l.Level, clean(l.Message))
		for _, f := range l.Fields {
			fmt.Fprintf(&b, " %s=%s", clean(f.Name), clean(f.Value))
		}
		b.WriteByte('\n')
	}
	_, err := io.WriteString(w, b.String())
	return err
}
