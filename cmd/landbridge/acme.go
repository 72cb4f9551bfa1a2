package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"landbridge/console/api"
)

// acmeLook is how often it is looked how far an order is.
const acmeLook = time.Second

func (p *program) acmeCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:               "acme",
		Short:             "Show how the certificate is had from a CA, or change it",
		Args:              noArguments,
		ValidArgsFunction: noFiles,
		Long: `Show how the console's certificate is had from a CA by ACME, how far the order is that
is carried out, why the last one failed, and when it is renewed.`,
		Example: `  sudo landbridge console certificate acme
  sudo landbridge console certificate acme set console.example.com --server ns1.example.com --user landbridge --secret-file tsig.key --agree
  sudo landbridge console certificate acme set console.example.com --solver acme-dns --server https://auth.example.com --agree
  sudo landbridge console certificate acme order`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return show(p, cmd, func(ctx context.Context, c *api.Local) (api.Acme, error) { return said(c.GetAcmeWithResponse(ctx)) },
				func(a api.Acme) error { return writeAcme(p.out, a) })
		},
	}
	cmd.AddCommand(p.acmeSetCommand(), p.acmeOrderCommand(), &cobra.Command{
		Use:               "remove",
		Short:             "Have the certificate renewed no longer",
		Args:              noArguments,
		ValidArgsFunction: noFiles,
		Long: `Have the certificate renewed no longer. Settings, secrets and the account's key are
forgotten, and an order that is carried out is given up. What is shown stays.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return show(p, cmd, func(ctx context.Context, c *api.Local) (api.Acme, error) {
				return said(c.RemoveAcmeWithResponse(ctx))
			}, func(api.Acme) error { p.remark("The certificate is renewed no longer."); return nil })
		},
	})
	return cmd
}

func (p *program) acmeSetCommand() *cobra.Command {
	var req api.AcmeSettings
	var solver, secretFile, rootsFile string
	cmd := &cobra.Command{
		Use:               "set NAME...",
		Short:             "Have the certificate issued, and renewed, by a CA",
		ValidArgsFunction: noFiles,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usageError{errors.New("want the names by which browsers open the console, as console.example.com")}
			}
			return nil
		},
		Long: `Have the certificate for these names issued by a CA, and renewed after two thirds of
its life. That the names are yours is proved by records in the DNS, so nobody needs to
reach the console. They are set by signed updates of the zone's primary name server
(RFC 2136: BIND, Knot, PowerDNS, Windows), or at an acme-dns server, to which a CNAME
at _acme-challenge.NAME leads; without a user, one is registered there, and the CNAME is
said. The order's steps are shown until its end; ended by Ctrl-C, it goes on by itself.
A secret that isn't given stays as it is.`,
		Example: `  sudo landbridge console certificate acme set console.example.com --server ns1.example.com --user landbridge --secret-file tsig.key --agree
  sudo landbridge console certificate acme set console.example.com --solver acme-dns --server https://auth.example.com --agree
  sudo landbridge console certificate acme set console.corp.example --directory https://ca.corp.example/acme/acme/directory --roots root.pem --server 10.0.0.53 --user landbridge --secret-file tsig.key`,
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			req.Names, req.Solver = args, api.AcmeSolver(solver)
			if rootsFile != "" {
				if req.Roots, err = readPEM(rootsFile); err != nil {
					return err
				}
			}
			if secretFile != "" {
				secret, err := readPEM(secretFile) // as small
				if err != nil {
					return err
				}
				req.Secret = strings.TrimSpace(secret)
			}
			return p.follow(cmd, func(ctx context.Context, c *api.Local) (api.Acme, error) {
				return said(c.SetAcmeWithResponse(ctx, req))
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&solver, "solver", string(api.AcmeSolverByUpdate), "how records are set: rfc2136 or acme-dns")
	f.StringVar(&req.Server, "server", "", "the zone's primary name server, HOST or HOST:PORT; or the URL of acme-dns")
	f.StringVar(&req.User, "user", "", "the name of the TSIG key; or the user of acme-dns")
	f.StringVar(&secretFile, "secret-file", "", "a file with the TSIG key in base64; or with the user's password")
	f.StringVar(&req.Algorithm, "algorithm", "", "of the TSIG key (default hmac-sha256)")
	f.StringVar(&req.Zone, "zone", "", "the zone to update (default: the one that the server says)")
	f.StringVar(&req.Subdomain, "subdomain", "", "of the user of acme-dns")
	f.StringVar(&req.Directory, "directory", "", "URL of the CA's ACME directory (default: Let's Encrypt's)")
	f.StringVar(&rootsFile, "roots", "", "a file with root certificates of a CA of your own")
	f.StringVar(&req.Email, "email", "", "where the CA may write to")
	f.StringVar(&req.Resolver, "resolver", "", "the DNS resolver that finds zones and name servers (default: this machine's)")
	f.BoolVar(&req.Agree, "agree", false, "agree to the CA's terms of service; without this the order stops where it wants that, and says which they are")
	return cmd
}

func (p *program) acmeOrderCommand() *cobra.Command {
	var req api.AcmeOrder
	cmd := &cobra.Command{
		Use:               "order",
		Short:             "Have the certificate issued anew now",
		Args:              noArguments,
		ValidArgsFunction: noFiles,
		Long: `Have the certificate issued anew now, though it isn't due yet or the last order has
just failed. A CA allows few failures an hour.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return p.follow(cmd, func(ctx context.Context, c *api.Local) (api.Acme, error) {
				return said(c.OrderCertificateWithResponse(ctx, req))
			})
		},
	}
	cmd.Flags().StringVar(&req.Terms, "terms", "", "agree to the terms of service that the CA has named, by their address")
	return cmd
}

// follow has an order begin, and says each of its steps until it has ended.
func (p *program) follow(cmd *cobra.Command, begin func(context.Context, *api.Local) (api.Acme, error)) error {
	return p.withDaemon(cmd.Context(), func(ctx context.Context, c *api.Local) error {
		a, err := begin(ctx, c)
		asked := time.Now()
		for told := 0; err == nil; a, err = said(c.GetAcmeWithResponse(ctx)) {
			for told = min(told, len(a.Steps)); told < len(a.Steps); told++ {
				p.remark("%s", stageWords(a.Steps[told]))
			}
			// An order begins within a moment of having been asked for.
			if done := !a.Running && (len(a.Steps) > 0 || a.Failure.Text != "" && time.Since(asked) > 5*acmeLook); done || !a.On {
				break
			}
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(acmeLook):
			}
		}
		switch {
		case err != nil:
			return err
		case p.json:
			return p.printJSON(a)
		case a.Failure.Text != "":
			return fmt.Errorf("%s %s", clean(a.Failure.Text), clean(a.Failure.Remedy))
		}
		return writeAcme(p.out, a)
	})
}

// stageWords says a step of an order.
func stageWords(s api.AcmeStep) string {
	words := map[api.AcmeStage]string{
		api.AcmeStageAsking: "The CA is asked for its terms and our account.", api.AcmeStageOrdering: "The order is placed.",
		api.AcmeStageSetting: "Its record is set.", api.AcmeStageShowing: "Its name servers are asked until they show it.", api.AcmeStageValidating: "The CA looks.",
		api.AcmeStageIssuing: "The CA makes the certificate.", api.AcmeStageUsed: "The certificate is in use.",
	}[s.Stage]
	if s.About != "" {
		return clean(s.About) + ": " + words
	}
	return words
}

func writeAcme(w io.Writer, a api.Acme) error {
	s := &sheet{}
	switch {
	case a.Running:
		s.row("From a CA", "an order is carried out")
	case a.On:
		s.row("From a CA", "yes")
	default:
		s.row("From a CA", "no")
	}
	if len(a.Settings.Names) > 0 {
		s.row("CA", clean(a.Settings.Directory))
		s.row("For", clean(strings.Join(a.Settings.Names, ", ")))
		s.row("Records", clean(fmt.Sprintf("%s at %s", a.Settings.Solver, a.Settings.Server)))
	}
	for _, alias := range a.Aliases {
		s.row("CNAME", clean(alias.Name+" to "+alias.Target))
	}
	if !a.Next.IsZero() {
		s.row("Next order", a.Next.Format(time.DateTime)+" UTC")
	}
	if a.Terms != "" {
		s.row("Terms", clean(a.Terms)+" (agree: landbridge console certificate acme order --terms URL)")
	}
	if a.Failure.Text != "" {
		s.row("Failed", clean(a.Failure.Text))
		s.row("To do", clean(a.Failure.Remedy))
	}
	_, err := io.WriteString(w, s.b.String())
	return err
}
