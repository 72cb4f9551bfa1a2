package issuance

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/acme"
)

// attemptTimeout is how long an attempt may take, besides the waits for records.
const attemptTimeout = 10 * time.Minute

// Issued is what an attempt has brought.
type Issued struct {
	Chain [][]byte // X.509; the first is the certificate
	Key   *ecdsa.PrivateKey
}

// NewKey makes the key of an account, or of a certificate: ECDSA P-256, which all authorities and browsers take.
func NewKey() (*ecdsa.PrivateKey, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) }

// attempt is one attempt at a certificate.
type attempt struct {
	Settings
	acme      *acme.Client
	publisher publisher
}

// Obtain gets a certificate. account is the key of the account, which is made if there is none. terms is told where the
// authority's terms are, as soon as that is known. It takes minutes; its error is a *Error, or that of ctx.
func (s Settings) Obtain(ctx context.Context, account crypto.Signer, terms func(url string)) (Issued, error) {
	client, done := newClient(s.Roots)
	defer done()
	limited, cancel := context.WithTimeout(ctx, attemptTimeout+maxNames*s.Wait)
	defer cancel()
	a := &attempt{s, &acme.Client{Key: account, DirectoryURL: s.Directory, HTTPClient: client, UserAgent: "landbridge", RetryBackoff: again}, s.publisher(client)}
	issued, err := a.run(limited, terms)
	switch {
	case ctx.Err() != nil:
		return Issued{}, ctx.Err()
	case err != nil:
		return Issued{}, s.explain(err)
	}
	return issued, nil
}

// tidyTimeout is how long what was published may take to be taken back once the attempt is told to end.
const tidyTimeout = 3 * time.Second

// outliving returns a context that goes on for tidyTimeout after ctx is done.
func outliving(ctx context.Context) (context.Context, context.CancelFunc) {
	after, end := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(tidyTimeout, end) })
	return after, func() { stop(); end() }
}

// again is when a request is repeated that a server refused for the moment.
func again(n int, _ *http.Request, res *http.Response) time.Duration {
	if n > 3 || res.StatusCode == http.StatusTooManyRequests {
		return 0 // no more: the whole attempt is repeated, later
	}
	return time.Duration(n) * time.Second
}

func (a *attempt) run(ctx context.Context, terms func(string)) (issued Issued, err error) {
	directory, err := a.acme.Discover(ctx)
	if err != nil {
		return issued, fmt.Errorf("ask for its directory: %w", err)
	}
	terms(line(directory.Terms))
	switch {
	case directory.OrderURL == "":
		return issued, errNoDirectory
	case directory.Terms != "" && !a.TermsAgreed:
		return issued, &termsError{line(directory.Terms)}
	case directory.ExternalAccountRequired:
		return issued, errExternalAccount
	}
	if err := a.register(ctx); err != nil {
		return issued, fmt.Errorf("make an account: %w", err)
	}
	order, err := a.acme.AuthorizeOrder(ctx, acme.DomainIDs(a.Names...))
	if err != nil {
		return issued, fmt.Errorf("order a certificate: %w", err)
	}
	if err := a.prove(ctx, order.AuthzURLs); err != nil {
		return issued, err
	}
	uri := order.URI
	if order, err = a.acme.WaitOrder(ctx, uri); err != nil {
		return issued, fmt.Errorf("wait for the order: %w", err)
	}
	order.URI = uri
	return a.fetch(ctx, order)
}

// register makes the account, or finds it again.
func (a *attempt) register(ctx context.Context) error {
	var account acme.Account
	if a.Email != "" {
		account.Contact = []string{"mailto:" + a.Email}
	}
	_, err := a.acme.Register(ctx, &account, acme.AcceptTOS)
	if !errors.Is(err, acme.ErrAccountAlreadyExists) {
		return err
	}
	if a.Email == "" {
		return nil // the library can't take an address back
	}
	_, err = a.acme.UpdateReg(ctx, &account)
	return err
}

// proof is what the authority wants shown of one name.
type proof struct {
	record
	challenge *acme.Challenge
	authz     string // its URL
}

// prove shows that the names are the operator's.
func (a *attempt) prove(ctx context.Context, authorizations []string) error {
	if len(authorizations) > 2*maxNames {
		return errors.New("order a certificate: it wants more shown than there are names")
	}
	var wanted []proof
	after, cancel := outliving(ctx)
	defer cancel()
	defer func() { a.giveUp(after, wanted) }()
	for _, uri := range authorizations {
		z, err := a.acme.GetAuthorization(ctx, uri)
		if err != nil {
			return fmt.Errorf("ask what is to be shown: %w", err)
		}
		if z.Status == acme.StatusValid {
			continue // shown lately
		}
		name := z.Identifier.Value
		at := slices.IndexFunc(z.Challenges, func(c *acme.Challenge) bool { return c.Type == "dns-01" })
		switch {
		case at < 0:
			return fmt.Errorf("it takes no TXT record for a proof of %s (dns-01)", line(name))
		case !slices.ContainsFunc(a.Names, func(n string) bool { return strings.TrimPrefix(n, "*.") == name }):
			return fmt.Errorf("it wants a proof of %s, which nobody has asked for", line(name))
		}
		text, err := a.acme.DNS01ChallengeRecord(z.Challenges[at].Token)
		if err != nil {
			return err
		}
		wanted = append(wanted, proof{record{"_acme-challenge." + name, text}, z.Challenges[at], z.URI})
	}
	for len(wanted) > 0 {
		n := min(len(wanted), a.publisher.atOnce())
		if err := a.show(ctx, after, wanted[:n]); err != nil {
			return err
		}
		wanted = wanted[n:]
	}
	return nil
}

// show publishes the records of some proofs, and has the authority look for them; it takes them back while after lasts.
func (a *attempt) show(ctx, after context.Context, proofs []proof) error {
	var records []record
	for _, p := range proofs {
		records = append(records, p.record)
	}
	defer func() {
		limited, cancel := context.WithTimeout(after, stepTimeout)
		defer cancel()
		_ = a.publisher.retract(limited, records) // else they are replaced by the next attempt's
	}()
	if err := a.publisher.publish(ctx, records); err != nil {
		return err // they may be there all the same, where the answer was lost
	}
	stood := time.NewTimer(a.Wait)
	defer stood.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-stood.C:
	}
	for _, p := range proofs {
		if _, err := a.acme.Accept(ctx, p.challenge); err != nil {
			return fmt.Errorf("have it look for the TXT record of %s: %w", p.name, err)
		}
	}
	for _, p := range proofs {
		if _, err := a.acme.WaitAuthorization(ctx, p.authz); err != nil {
			return unproven(p.name, err)
		}
	}
	return nil
}

// errUnseen marks a proof that the authority doesn't take.
var errUnseen = errors.New("it doesn't take the TXT record of")

// unproven says why a name isn't proven: the authority doesn't take its record, or doesn't say.
func unproven(name string, err error) error {
	var refused *acme.AuthorizationError
	if errors.As(err, &refused) {
		return fmt.Errorf("%w %s: %w", errUnseen, name, err)
	}
	return fmt.Errorf("ask whether it has found the TXT record of %s: %w", name, err)
}

// giveUp takes back what was not shown: authorities bound how many may wait.
func (a *attempt) giveUp(ctx context.Context, proofs []proof) {
	limited, cancel := context.WithTimeout(ctx, stepTimeout)
	defer cancel()
	for _, p := range proofs {
		_ = a.acme.RevokeAuthorization(limited, p.authz) // else it ends by itself, in days
	}
}

// fetch has the order's certificate made for a new key, and checks it.
func (a *attempt) fetch(ctx context.Context, order *acme.Order) (issued Issued, err error) {
	if issued.Key, err = NewKey(); err != nil {
		return issued, err
	}
	request, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{DNSNames: a.Names}, issued.Key)
	if err != nil {
		return issued, err
	}
	if issued.Chain, _, err = a.acme.CreateCertFromOrder(ctx, order, request, true); err != nil {
		return issued, fmt.Errorf("fetch the certificate: %w", err)
	}
	if len(issued.Chain) == 0 {
		return issued, errors.New("fetch the certificate: it sends none")
	}
	leaf, err := x509.ParseCertificate(issued.Chain[0])
	if err != nil {
		return issued, fmt.Errorf("fetch the certificate: %w", err)
	}
	if !issued.Key.PublicKey.Equal(leaf.PublicKey) {
		return issued, errors.New("fetch the certificate: it is for another key")
	}
	for _, n := range a.Names {
		if !slices.ContainsFunc(leaf.DNSNames, func(has string) bool { return strings.EqualFold(has, n) }) {
			return issued, fmt.Errorf("fetch the certificate: it isn't for %s", n)
		}
	}
	return issued, nil
}
