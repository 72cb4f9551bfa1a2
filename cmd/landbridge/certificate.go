package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"landbridge/console/api"
)

// maxPEM bounds a file with a certificate or a key.
const maxPEM = 32 << 10

func (p *program) certificateCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:               "certificate",
		Short:             "Show the console's certificate, or change it",
		Args:              noArguments,
		ValidArgsFunction: noFiles,
		Long: `Show the certificate by which browsers know the console: one that the appliance has
made, one of your own, or one got by ACME. It is changed while the appliance runs; connections that
there are go on.`,
		Example: `  sudo landbridge console certificate
  sudo landbridge console certificate set console.pem console.key
  sudo landbridge console certificate acme
  sudo landbridge console certificate reset`,
		RunE: p.withCertificate("", func(ctx context.Context, c *api.Local) (api.ConsoleCertificate, error) {
			return said(c.GetCertificateWithResponse(ctx))
		}),
	}
	cmd.AddCommand(p.certificateSetCommand(), p.acmeCommand(), &cobra.Command{
		Use:               "reset",
		Short:             "Go back to the certificate that the appliance has made",
		Args:              noArguments,
		ValidArgsFunction: noFiles,
		Long:              "Go back to the certificate that the appliance has made. Yours is forgotten, and its key. No more are got by ACME.",
		RunE: p.withCertificate("The appliance's own certificate is shown again.", func(ctx context.Context, c *api.Local) (api.ConsoleCertificate, error) {
			return said(c.ResetCertificateWithResponse(ctx))
		}),
	}, &cobra.Command{
		Use:               "renew",
		Short:             "Make the appliance's own certificate anew",
		Args:              noArguments,
		ValidArgsFunction: noFiles,
		Long: `Make the appliance's own certificate anew, with another key and the name that the
appliance has now. Browsers warn once more, of another fingerprint.`,
		RunE: p.withCertificate("The appliance's own certificate is new.", func(ctx context.Context, c *api.Local) (api.ConsoleCertificate, error) {
			return said(c.RenewCertificateWithResponse(ctx))
		}),
	})
	return cmd
}

func (p *program) certificateSetCommand() *cobra.Command {
	var req api.CertificateUpload
	set := p.withCertificate("Browsers are shown this certificate from now on.", func(ctx context.Context, c *api.Local) (api.ConsoleCertificate, error) {
		return said(c.SetCertificateWithResponse(ctx, req))
	})
	return &cobra.Command{
		Use:   "set CERTIFICATE [KEY]",
		Short: "Show a certificate of your own",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) < 1 || len(args) > 2 {
				return usageError{errors.New("want a file with the certificate, and one with its key unless both are in one")}
			}
			return nil
		},
		Long: `Show a certificate of your own: a PEM file with the certificate and those that lead to
an issuer which browsers know, and one with its key, not encrypted. Both may be in one
file. The key is RSA of 2048 to 4096 bits or ECDSA, as browsers take no other.`,
		Example: `  sudo landbridge console certificate set console.pem console.key`,
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if req.Certificate, err = readPEM(args[0]); err != nil {
				return err
			}
			if len(args) == 2 {
				if req.Key, err = readPEM(args[1]); err != nil {
					return err
				}
			}
			return set(cmd, nil)
		},
	}
}

// readPEM reads a file of certificates or with a key.
func readPEM(file string) (string, error) {
	f, err := os.Open(file)
	if err != nil {
		return "", err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxPEM+1))
	if err == nil && len(b) > maxPEM {
		err = fmt.Errorf("is larger than %d bytes, and so no certificate or key in PEM", maxPEM)
	}
	if err != nil {
		return "", fmt.Errorf("read %s: %w", file, err)
	}
	return string(b), nil
}

// withCertificate is a command that asks the appliance for something of its certificate, says that it is
// done, and shows the certificate.
func (p *program) withCertificate(done string, ask func(context.Context, *api.Local) (api.ConsoleCertificate, error)) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, _ []string) error {
		return show(p, cmd, ask, func(now api.ConsoleCertificate) error {
			if done != "" {
				p.remark("%s", done)
			}
			return writeCertificate(p.out, now)
		})
	}
}

func writeCertificate(w io.Writer, c api.ConsoleCertificate) error {
	s := &sheet{}
	if c.Own {
		s.row("Certificate", map[bool]string{false: "your own", true: "got by ACME"}[c.Acme])
		s.row("Subject", clean(c.Subject))
		s.row("Issuer", clean(c.Issuer))
	} else {
		s.row("Certificate", "made by this appliance")
	}
	s.row("For", clean(strings.Join(c.Names, ", ")))
	s.row("Key", c.Key)
	if c.Own {
		s.row("Good from", c.Begins.Format(time.DateTime)+" UTC")
		s.row("Ends", c.Ends.Format(time.DateTime)+" UTC")
	}
	s.row("Fingerprint", c.Fingerprint)
	_, err := io.WriteString(w, s.b.String())
	return err
}
