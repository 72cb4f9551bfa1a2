package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"landbridge/console/access"
	"landbridge/console/api"
)

func (p *program) consoleCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:               "console",
		Short:             "Show where the console is, and its setup code",
		GroupID:           "look",
		Args:              noArguments,
		ValidArgsFunction: noFiles,
		Long: `Show where a browser finds the console, the fingerprint of its certificate (the
SHA-256 that the browser shows when it warns: they must be equal), and, until there
is an administrator, the setup code that the first visitor is asked for.`,
		Example: `  sudo landbridge console
  sudo landbridge console reset-password alice
  sudo landbridge console certificate set console.pem console.key`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return p.withDaemon(cmd.Context(), func(ctx context.Context, c *api.Local) error {
				res, err := c.GetConsoleWithResponse(ctx)
				if err != nil {
					return transportError(err)
				}
				a, err := answer(res.JSON200, res.ApplicationProblemJSONDefault, res.HTTPResponse)
				if err != nil {
					return err
				}
				if p.json {
					return p.printJSON(a)
				}
				return writeConsole(p.out, a)
			})
		},
	}
	cmd.AddCommand(p.resetPasswordCommand(), p.hashPasswordCommand(), p.certificateCommand())
	return cmd
}

func writeConsole(w io.Writer, a api.Console) error {
	s := &sheet{}
	if len(a.Urls) == 0 {
		s.row("Console", "nowhere: name an address with --console-listen")
	}
	s.rows("Console", a.Urls)
	if len(a.Urls) > 0 && !slices.ContainsFunc(a.Urls, func(u string) bool { return !ownOnly(u) }) {
		s.row("From elsewhere", "ssh -L 4861:"+strings.Trim(strings.TrimPrefix(a.Urls[0], "https://"), "/")+" root@THIS-HOST, then https://127.0.0.1:4861/ there; or --console-listen")
	}
	s.row("Certificate", a.Fingerprint)
	if a.SetUp {
		s.row("Set up", "yes: log in")
	} else {
		s.row("Set up", "not yet: the first visitor becomes administrator with the setup code")
		s.row("Setup code", a.SetupCode)
	}
	_, err := io.WriteString(w, s.b.String())
	return err
}

// ownOnly reports whether a console's URL leads there from its own machine alone.
func ownOnly(u string) bool {
	at, err := url.Parse(u)
	if err != nil {
		return false
	}
	addr, err := netip.ParseAddr(at.Hostname())
	return err == nil && addr.IsLoopback()
}

func (p *program) resetPasswordCommand() *cobra.Command {
	var noTOTP bool
	cmd := &cobra.Command{
		Use:               "reset-password NAME",
		Short:             "Give a user of the console another password",
		ValidArgsFunction: noFiles,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usageError{errors.New("want the name of one user of the console")}
			}
			return nil
		},
		Long: `Give a user of the console another password, also while the appliance doesn't run. On a
terminal it is asked for twice and not shown, else it is a line of the standard input.
The user's sessions end, and their API tokens are revoked.`,
		Example: `  sudo landbridge console reset-password alice
  sudo landbridge console reset-password alice --no-totp < password.txt`,
		RunE: func(cmd *cobra.Command, args []string) error {
			password, err := p.newPassword()
			if err != nil {
				return err
			}
			u, err := p.changeUser(cmd.Context(), args[0], api.UserChange{Password: password, RemoveTotp: noTOTP})
			if err != nil {
				return err
			}
			if p.json {
				return p.printJSON(u)
			}
			p.remark("%s has the new password.", u.Name)
			return nil
		},
	}
	cmd.Flags().BoolVar(&noTOTP, "no-totp", false, "have logging in ask for no authenticator's code any more, too")
	return cmd
}

func (p *program) hashPasswordCommand() *cobra.Command {
	return &cobra.Command{
		Use:               "hash-password NAME",
		Short:             "Hash a password for the image's user-data",
		ValidArgsFunction: noFiles,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usageError{errors.New("want the name of the administrator whose password it will be")}
			}
			return access.CheckName(args[0])
		},
		Long: `Hash a password, read as a line of the standard input, for an appliance that is to be
set up by user-data (docs/image.md). Nothing is kept.`,
		Example: `  landbridge console hash-password alice`,
		RunE: func(_ *cobra.Command, args []string) error {
			password, err := p.newPassword()
			if err != nil {
				return err
			}
			text, err := access.HashText(args[0], password, rand.Reader)
			if err != nil {
				return err
			}
			if p.json {
				return p.printJSON(map[string]string{"administrator": args[0], "passwordHash": text})
			}
			p.remark("")
			_, err = fmt.Fprintf(p.out, "administrator: %s\npassword-hash: %q\n", args[0], text)
			return err
		},
	}
}
