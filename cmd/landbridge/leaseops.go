package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"landbridge/console/api"
	"landbridge/console/leasefile"
)

// leaseCommands are what is done with leases.
func (p *program) leaseCommands() []*cobra.Command {
	return []*cobra.Command{
		p.reserveCommand(), p.unreserveCommand(), p.endCommand("release", "End a lease, as if its host had released it"),
		p.endCommand("evict", "End a lease, and have its host ask anew"), p.renameCommand(), p.noteCommand(),
		p.historyCommand(), p.exportCommand(), p.importCommand(),
	}
}

// words takes one to most arguments.
func words(most int, want string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) == 0 || len(args) > most {
			return usageError{errors.New("want " + want)}
		}
		return nil
	}
}

func (p *program) reserveCommand() *cobra.Command {
	var req api.ReservationCreate
	cmd := &cobra.Command{
		Use: "reserve ADDRESS [MAC]", Short: "Reserve an address for a host", ValidArgsFunction: noFiles,
		Args: words(2, "an address, and the hardware address of a host unless one has the address now"),
		Long: `Reserve an address for a host: for the one with this MAC, for the DHCP client with the
identifier --client-id, or for the host that has the address now. No site gives it to
another host. A host that has another address here is refused that when it renews, and
is offered this one.`,
		Example: `  sudo landbridge leases reserve 10.9.0.7
  sudo landbridge leases reserve 10.9.0.7 52:54:00:12:34:56 --name printer`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				req.MAC = args[1]
			}
			return p.changeLease(cmd, "is reserved", func(ctx context.Context, c *api.Local) (api.Lease, error) {
				return said(c.ReserveLeaseWithResponse(ctx, args[0], req))
			})
		},
	}
	cmd.Flags().Var(textFlag(&req.ClientID, "HEX", ""), "client-id", "for the client with this identifier, in hexadecimal digits")
	cmd.Flags().Var(textFlag(&req.Name, "NAME", ""), "name", "what to call the host in DNS")
	cmd.Flags().Var(textFlag(&req.Note, "TEXT", ""), "note", "a note, at most 200 characters")
	return cmd
}

func (p *program) unreserveCommand() *cobra.Command {
	return &cobra.Command{
		Use: "unreserve ADDRESS", Short: "End a reservation", ValidArgsFunction: noFiles, Args: words(1, "an address"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.changeLease(cmd, "is not reserved any more", func(ctx context.Context, c *api.Local) (api.Lease, error) {
				return said(c.UnreserveLeaseWithResponse(ctx, args[0]))
			})
		},
	}
}

func (p *program) renameCommand() *cobra.Command {
	return &cobra.Command{
		Use: "rename ADDRESS [NAME]", Short: "Give a host another name in DNS", ValidArgsFunction: noFiles,
		Args: words(2, "an address, and a name; without one the host gets its own back"),
		RunE: func(cmd *cobra.Command, args []string) error {
			name := strings.Join(args[1:], "")
			return p.changeLease(cmd, "has the name "+name, func(ctx context.Context, c *api.Local) (api.Lease, error) {
				return said(c.RenameLeaseWithResponse(ctx, args[0], api.LeaseName{Name: name}))
			})
		},
	}
}

func (p *program) noteCommand() *cobra.Command {
	return &cobra.Command{
		Use: "note ADDRESS [TEXT]", Short: "Note something of a host", ValidArgsFunction: noFiles,
		Args: words(2, "an address, and a text; without one the note is taken off"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.changeLease(cmd, "is noted", func(ctx context.Context, c *api.Local) (api.Lease, error) {
				return said(c.NoteLeaseWithResponse(ctx, args[0], api.LeaseNote{Note: strings.Join(args[1:], "")}))
			})
		},
	}
}

// changeLease does something to a lease and says that it is done.
func (p *program) changeLease(cmd *cobra.Command, done string, do func(context.Context, *api.Local) (api.Lease, error)) error {
	return show(p, cmd, do, func(l api.Lease) error {
		_, err := fmt.Fprintf(p.out, "%s %s.\n", l.Address, strings.TrimSuffix(clean(done), " "))
		return err
	})
}

// endCommand is release and evict.
func (p *program) endCommand(name, short string) *cobra.Command {
	return &cobra.Command{
		Use: name + " ADDRESS", Short: short, ValidArgsFunction: noFiles, Args: words(1, "an address"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return show(p, cmd, func(ctx context.Context, c *api.Local) (api.LeaseEnd, error) {
				return endLease(ctx, c, name, args[0])
			}, func(end api.LeaseEnd) error {
				_, err := fmt.Fprintf(p.out, "The lease of %s is ended. %s\nIts host renews it within %s.\n", end.Lease.Address, end.Text, until(end.NoticedBy, time.Now()))
				return err
			})
		},
	}
}

func endLease(ctx context.Context, c *api.Local, name, addr string) (api.LeaseEnd, error) {
	if name == "evict" {
		return said(c.EvictLeaseWithResponse(ctx, addr))
	}
	return said(c.ReleaseLeaseWithResponse(ctx, addr))
}

func (p *program) historyCommand() *cobra.Command {
	params := api.ListLeaseHistoryParams{Limit: new(int)}
	cmd := &cobra.Command{
		Use: "history [SEARCH]", Short: "What became of leases, newest first", ValidArgsFunction: noFiles, Args: oneArgument,
		Long: `What became of the leases that this appliance served, newest first: for 90 days, and at most
200,000 changes. SEARCH is a part of an address, hardware address or name, or of who ordered it.`,
		Example: `  sudo landbridge leases history printer
  sudo landbridge leases history --address 10.9.0.7 --since 2026-11-01T00:00:00Z`,
		RunE: func(cmd *cobra.Command, args []string) error {
			params.Search = strings.Join(args, "")
			return show(p, cmd, func(ctx context.Context, c *api.Local) (api.LeaseHistory, error) {
				return said(c.ListLeaseHistoryWithResponse(ctx, &params))
			}, func(list api.LeaseHistory) error {
				return historyTable(list.Items).write(p.out)
			})
		},
	}
	f := cmd.Flags()
	f.Var(textFlag(&params.Address, "ADDRESS", ""), "address", "only of this address")
	f.Var(textFlag(&params.MAC, "MAC", ""), "mac", "only of the host with this hardware address")
	f.Var(textFlag(&params.Name, "NAME", ""), "name", "only of hosts with this in their name")
	f.Var(textFlag(&params.Group, "GROUP", ""), "group", "only of this group (name or ID)")
	f.Var(textFlag(&params.Since, "TIME", ""), "since", "not before this time (RFC 3339)")
	f.Var(textFlag(&params.Until, "TIME", ""), "until", "not after this time (RFC 3339)")
	f.IntVar(params.Limit, "limit", 100, "at most `N` changes, up to 1000")
	_ = cmd.RegisterFlagCompletionFunc("group", p.completeGroups)
	return cmd
}

func historyTable(entries []api.LeaseHistoryEntry) *table {
	t := &table{columns: []column{
		{title: "WHEN", keep: true}, {title: "WHAT", keep: true}, {title: "ADDRESS", keep: true}, {title: "NAME", keep: true},
		{title: "MAC", keep: true}, {title: "BY"}, {title: "WHY"},
	}}
	for _, e := range entries {
		t.add(e.At.Local().Format(time.DateTime), string(e.What), e.Address.String(), e.Name, e.MAC, e.By, e.Why)
	}
	return t
}

func (p *program) exportCommand() *cobra.Command {
	var format string
	var reservations bool
	cmd := &cobra.Command{
		Use: "export", Short: "Write leases and reservations as CSV or JSON", ValidArgsFunction: noFiles, Args: noArguments,
		Example: `  sudo landbridge leases export > leases.csv
  sudo landbridge leases export --reservations --format json > reservations.json`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if format != "csv" && format != "json" {
				return usageError{fmt.Errorf("--format %s: want csv or json", format)}
			}
			return p.withDaemon(cmd.Context(), func(ctx context.Context, c *api.Local) error {
				params := api.ListLeasesParams{}
				if reservations {
					params.State = api.LeaseFilterReserved
				}
				list, err := leasesLike(ctx, c, params, 0)
				switch {
				case err != nil:
					return err
				case format == "json" && reservations:
					return p.printJSON(reservationsOf(list.Items))
				case format == "json":
					return p.printJSON(list)
				}
				return leasefile.Write(p.out, leasefile.CSV, func() (page []api.Lease, err error) {
					page, list.Items = list.Items, nil
					return page, nil
				})
			})
		},
	}
	cmd.Flags().Var(textFlag(&format, "csv|json", "csv"), "format", "csv or json")
	cmd.Flags().BoolVar(&reservations, "reservations", false, "only reservations; what import takes")
	return cmd
}

func reservationsOf(leases []api.Lease) api.ReservationList {
	list := api.ReservationList{Items: []api.Reservation{}}
	for _, l := range leases {
		list.Items = append(list.Items, leasefile.Reservation(l))
	}
	return list
}

func (p *program) importCommand() *cobra.Command {
	var dry bool
	cmd := &cobra.Command{
		Use: "import FILE", Short: "Reserve the addresses of a file: CSV, JSON, Kea's or dnsmasq's", Args: words(1, "a file, or - for standard input"),
		Long: `Reserve the addresses of a file, told by what is in it: CSV with a head line (address, mac, clientId, name, note; others
are passed over, and so are rows whose column reserved says false), JSON as export writes it, the reservations of a
configuration of Kea, its lease file, lines dhcp-host of dnsmasq, or its lease file. The file is checked whole, then applied all
or not at all.`,
		Example: "  sudo landbridge leases import reservations.csv --dry-run",
		RunE: func(cmd *cobra.Command, args []string) error {
			file, err := readReservations(args[0], cmd.InOrStdin())
			if err != nil {
				return err
			}
			return p.withDaemon(cmd.Context(), func(ctx context.Context, c *api.Local) error {
				plan, err := said(c.ImportReservationsWithResponse(ctx, &api.ImportReservationsParams{DryRun: dry}, api.ReservationList{Items: file.Reservations()}))
				if err != nil {
					return err
				}
				return p.printPlan(file, plan, dry)
			})
		},
	}
	cmd.Flags().BoolVar(&dry, "dry-run", false, "only say what would be changed, and what is wrong")
	return cmd
}

// printPlan says what an import does; rows that are wrong make the command fail.
func (p *program) printPlan(file leasefile.File, plan api.ReservationPlan, dry bool) error {
	if p.json {
		if err := p.printJSON(plan); err != nil {
			return err
		}
	} else {
		t := &table{columns: []column{{title: "LINE", right: true, keep: true}, {title: "ADDRESS", keep: true}, {title: "ACTION", keep: true}, {title: "WHY"}}}
		for _, i := range plan.Items {
			if i.Action != api.ReservationActionKeep {
				t.add(fmt.Sprint(file.Rows[i.Row-1].Line), i.Address, string(i.Action), i.Why)
			}
		}
		if err := t.write(p.out); err != nil {
			return err
		}
	}
	switch {
	case plan.Wrong > 0:
		return fmt.Errorf("%s wrong: nothing was changed", counted(plan.Wrong, "row"))
	case dry:
		p.remark("%s would be changed; without --dry-run it is done.", counted(plan.Changes, "reservation"))
	default:
		p.remark("%s changed.", counted(plan.Changes, "reservation"))
	}
	return nil
}

// readReservations reads a file, "-" for in.
func readReservations(path string, in io.Reader) (leasefile.File, error) {
	if path != "-" {
		f, err := os.Open(filepath.Clean(path))
		if err != nil {
			return leasefile.File{}, err
		}
		defer f.Close()
		in = f
	}
	raw, err := io.ReadAll(io.LimitReader(in, 8<<20))
	if err != nil {
		return leasefile.File{}, err
	}
	file, err := leasefile.Read(raw)
	if err != nil {
		return file, fmt.Errorf("%s: %w", path, err)
	}
	if len(file.Faults) > 0 {
		var all []error
		for _, f := range file.Faults {
			all = append(all, fmt.Errorf("%s:%d: %s", path, f.Line, f.Text))
		}
		return file, errors.Join(all...)
	}
	return file, nil
}
