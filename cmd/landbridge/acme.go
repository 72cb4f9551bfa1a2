package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"landbridge/console/api"
)

func (p *program) acmeCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:               "acme",
		Short:             "Get the console's certificate by ACME, or show how that goes",
		Args:              noArguments,
		ValidArgsFunction: noFiles,
		Long: `Show how the console's certificate is got by ACME (RFC 8555): from Let's Encrypt or another
authority, and again by itself when a third of its life is left.`,
		Example: `  sudo landbridge console certificate acme
  sudo landbridge console certificate acme set --name console.example.com --agree-to-terms \
    --dns-server ns1.example.com --zone example.com --key console --secret-file console.key
  sudo landbridge console certificate acme try
  sudo landbridge console certificate acme off`,
		RunE: p.withAcme("", func(ctx context.Context, c *api.Local) (api.Acme, error) {
			return said(c.GetAcmeWithResponse(ctx))
		}),
	}
	cmd.AddCommand(p.acmeSetCommand(), &cobra.Command{
		Use:               "try",
		Short:             "Ask for a certificate now",
		Args:              noArguments,
		ValidArgsFunction: noFiles,
		Long: `Ask for a certificate now, before the next attempt is due, as when you have mended what made
the last one fail. Authorities allow few attempts an hour.`,
		RunE: p.withAcme("A certificate is asked for now, which takes some minutes at most.", func(ctx context.Context, c *api.Local) (api.Acme, error) {
			return said(c.TryAcmeWithResponse(ctx))
		}),
	}, &cobra.Command{
		Use:               "off",
		Short:             "Get no more certificates by ACME",
		Args:              noArguments,
		ValidArgsFunction: noFiles,
		Long: `Get no more certificates by ACME. The settings are forgotten with their secrets, and the
account's key. The certificate that is shown stays.`,
		RunE: p.withAcme("No more certificates are got by ACME. The one that is shown stays.", func(ctx context.Context, c *api.Local) (api.Acme, error) {
			return said(c.EndAcmeWithResponse(ctx))
		}),
	})
	return cmd
}

func (p *program) acmeSetCommand() *cobra.Command {
	var s api.AcmeSettings
	var roots, passwordFile, secretFile, algorithm string
	var wait time.Duration
	set := p.withAcme("A certificate is got, which takes some minutes at most: landbridge console certificate acme tells how it goes.", func(ctx context.Context, c *api.Local) (api.Acme, error) {
		return said(c.SetAcmeWithResponse(ctx, s))
	})
	cmd := &cobra.Command{
		Use:               "set --name NAME...",
		Short:             "Get the console's certificate by ACME",
		Args:              noArguments,
		ValidArgsFunction: noFiles,
		Long: `Get the console's certificate by ACME, now and again when a third of its life is left. The
authority wants a TXT record for each name (the challenge dns-01; the console needn't be
reached from outside), which is published in one of two ways:

acme-dns (--acme-dns): a server that is for nothing else. Register there once (curl -X POST
URL/register), and have _acme-challenge.NAME be a CNAME of the full domain that it gives.

Dynamic updates (--dns-server): of the zone itself, by RFC 2136 with TSIG. BIND, Knot and
PowerDNS take them. The file of the key may be the one that tsig-keygen writes; then it says
the key's name and algorithm, too.

A file with a secret may be - for standard input. Without it, the secret that is kept stays, where
it is for the same server and registration.`,
		Example: `  sudo landbridge console certificate acme set --name console.example.com --agree-to-terms \
    --dns-server ns1.example.com --zone example.com --key console --secret-file console.key
  sudo landbridge console certificate acme set --name console.example.com --agree-to-terms \
    --acme-dns https://auth.example.com --subdomain d420c923-bbd7-4056-ab64-c3ca54c9b3cf \
    --username eabcdb41-d89f-4580-826f-3e62e9755ef2 --password-file password.txt`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case s.URL != "" && s.Server != "":
				return usageError{errors.New("want --acme-dns or --dns-server, not both")}
			case s.URL == "" && s.Server == "":
				return usageError{errors.New("say how records are published: by --acme-dns or --dns-server")}
			case s.URL != "":
				s.Publish = api.AcmePublishAcmeDNS
			default:
				s.Publish = api.AcmePublishRfc2136
			}
			s.Algorithm, s.WaitSeconds = api.TsigAlgorithm(algorithm), int64(wait/time.Second)
			if err := p.readAcmeFiles(&s, roots, passwordFile, secretFile); err != nil {
				return err
			}
			return set(cmd, nil)
		},
	}
	acmeFlags(cmd.Flags(), &s)
	f := cmd.Flags()
	f.StringVar(&roots, "roots", "", "a PEM `file` of certificates by which a private authority is known")
	f.StringVar(&passwordFile, "password-file", "", "acme-dns: a `file` with the password of the registration")
	f.StringVar(&algorithm, "algorithm", "", "of the TSIG key: hmac-sha256 (default), hmac-sha384 or hmac-sha512")
	f.StringVar(&secretFile, "secret-file", "", "a `file` with the TSIG key: in base64, or as tsig-keygen writes it")
	f.DurationVar(&wait, "wait", 0, "for how long a record stands before the authority looks, until all servers of the zone have it")
	return cmd
}

// acmeFlags are those that hold a setting as it is.
func acmeFlags(f *pflag.FlagSet, s *api.AcmeSettings) {
	f.StringSliceVar(&s.Names, "name", nil, "a `name` that the certificate is for; once for each, 8 at most")
	f.StringVar(&s.Directory, "directory", "", "the `URL` of the authority's directory (that of Let's Encrypt)")
	f.StringVar(&s.Email, "email", "", "the `address` to which the authority may write")
	f.BoolVar(&s.TermsAgreed, "agree-to-terms", false, "agree to the authority's terms of service")
	f.StringVar(&s.URL, "acme-dns", "", "the `URL` of an acme-dns server's API")
	f.StringVar(&s.Subdomain, "subdomain", "", "acme-dns: the `subdomain` of the registration")
	f.StringVar(&s.Username, "username", "", "acme-dns: the `user` of the registration")
	f.StringVar(&s.Server, "dns-server", "", "the `server` that takes updates of the zone, HOST or HOST:PORT")
	f.StringVar(&s.Zone, "zone", "", "the `zone` that is updated")
	f.StringVar(&s.KeyName, "key", "", "the `name` of the TSIG key")
}

// readSecret reads a small file, or standard input for -; nothing where there is none to read.
func (p *program) readSecret(file string) (string, error) {
	switch file {
	case "":
		return "", nil
	case "-":
		b, err := io.ReadAll(io.LimitReader(p.in, maxPEM))
		return strings.TrimSpace(string(b)), err
	}
	text, err := readPEM(file)
	return strings.TrimSpace(text), err
}

// readAcmeFiles reads what is in files, where they are named.
func (p *program) readAcmeFiles(s *api.AcmeSettings, roots, password, secret string) (err error) {
	for _, f := range []struct {
		file string
		to   *string
	}{{roots, &s.Roots}, {password, &s.Password}, {secret, &s.Secret}} {
		if *f.to, err = p.readSecret(f.file); err != nil {
			return err
		}
	}
	if err := readTSIGKey(s); err != nil {
		return usageError{err}
	}
	return nil
}

// readTSIGKey takes apart a secret that is a whole key, with its name and its algorithm, as tsig-keygen writes it and BIND's
// configuration has it.
func readTSIGKey(s *api.AcmeSettings) error {
	if !strings.HasPrefix(s.Secret, "key") || !strings.Contains(s.Secret, "{") {
		return nil // it is the secret itself
	}
	k := regexp.MustCompile(`^key\s+"?([^"\s{]+)"?\s*\{\s*algorithm\s+"?([^"\s;]+)"?\s*;\s*secret\s+"?([^"\s;]+)"?\s*;\s*\}\s*;?$`).FindStringSubmatch(s.Secret)
	if k == nil {
		return errors.New("--secret-file: want one TSIG key as tsig-keygen writes it, with its algorithm and its secret and nothing else, or the secret alone in base64")
	}
	for _, f := range []struct {
		flag, has string
		said      *string
	}{{"--key", k[1], &s.KeyName}, {"--algorithm", k[2], (*string)(&s.Algorithm)}} {
		if *f.said == "" {
			*f.said = f.has
		} else if !strings.EqualFold(*f.said, f.has) {
			return fmt.Errorf("%s says %s, and the key in --secret-file has %s: leave %s out", f.flag, *f.said, f.has, f.flag)
		}
	}
	s.Secret = k[3]
	return nil
}

// withAcme is a command that asks the appliance for something of ACME, says that it is done, and shows how it goes.
func (p *program) withAcme(done string, ask func(context.Context, *api.Local) (api.Acme, error)) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, _ []string) error {
		return show(p, cmd, ask, func(now api.Acme) error {
			if done != "" {
				p.remark("%s", done)
			}
			return writeAcme(p.out, now)
		})
	}
}

func writeAcme(w io.Writer, a api.Acme) error {
	s := &sheet{}
	s.row("ACME", acmeText(a))
	if a.State != api.AcmeStateOff {
		s.row("For", strings.Join(a.Settings.Names, ", "))
		s.row("Authority", a.Settings.Directory)
		if a.Terms != "" {
			s.row("Its terms", a.Terms)
		}
		if a.Settings.Publish == api.AcmePublishAcmeDNS {
			s.row("Records by", "acme-dns at "+a.Settings.URL)
		} else {
			s.row("Records by", "updates of "+a.Settings.Zone+" at "+a.Settings.Server)
		}
	}
	if !a.Tried.IsZero() {
		s.row("Asked last", a.Tried.Format(time.DateTime)+" UTC")
	}
	if !a.Next.IsZero() {
		s.row("Asked next", a.Next.Format(time.DateTime)+" UTC")
	}
	if a.Trouble != "" {
		s.row("Trouble", a.Trouble+".")
		s.row("", a.Remedy)
	}
	_, err := io.WriteString(w, s.b.String())
	return err
}

func acmeText(a api.Acme) string {
	switch a.State {
	case api.AcmeStateOff:
		return "off: landbridge console certificate acme set --help tells how to begin"
	case api.AcmeStateWorking:
		return "a certificate is asked for now"
	case api.AcmeStateDue:
		return "a certificate is about to be asked for"
	case api.AcmeStateFailing:
		return fmt.Sprintf("the last attempt has failed (%d in a row)", a.Failures)
	}
	return "the certificate was got, and is renewed by itself"
}
