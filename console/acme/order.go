package acme

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/acme"
)

const (
	orderTime   = 30 * time.Minute // for all of an order
	showTime    = 10 * time.Minute // for a record to be shown by all name servers of its zone
	showPause   = 5 * time.Second  // between looks
	clearTime   = 15 * time.Second
	maxOffset   = 5 * time.Minute // that the CA's clock may differ from ours
	maxChain    = 8
	maxTries    = 5 // of one question that the CA can't answer now
	firstYear   = 2025
	contactType = "mailto:"
)

// Step is how far an order is.
type Step string

// The steps of an order. Those of a name come once for each.
const (
	Asking     Step = "asking"     // the CA for its terms and our account
	Ordering   Step = "ordering"   // a certificate
	Setting    Step = "setting"    // the record of a name
	Showing    Step = "showing"    // its name servers are asked until they show it
	Validating Step = "validating" // the CA looks
	Issuing    Step = "issuing"    // the CA makes the certificate
)

// Account is one at a CA.
type Account struct {
	Directory string `cbor:"1,keyasint,omitempty"`
	Key       []byte `cbor:"2,keyasint,omitempty"` // PKCS #8
	Email     string `cbor:"3,keyasint,omitempty"` // that the CA knows
}

// Keeper keeps what must outlive a kill. An error ends the order.
type Keeper interface {
	// KeepAccount is called before the CA hears of the account.
	KeepAccount(a Account) error
	// KeepDelegate is called with the user that was registered at acme-dns.
	KeepDelegate(d Delegate) error
	// KeepRecords is called with the records that may be set from now on: before they are.
	KeepRecords(all []Record) error
	// Tell is called as a step begins; about is the name that it is about, where it is about one.
	Tell(step Step, about string)
}

// Job is one order, and what is kept from those before it.
type Job struct {
	Settings Settings
	Account  Account
	Delegate Delegate
	Leftover []Record // that an interrupted order may have left
}

// Issued is a certificate with its key.
type Issued struct {
	Chain [][]byte // X.509; the first is the certificate
	Key   crypto.Signer
}

// Orderer carries out orders. It is safe for concurrent use.
type Orderer struct {
	now  func() time.Time
	wait func(context.Context, time.Duration) error
	port string // of name servers
}

// NewOrderer returns one.
func NewOrderer() *Orderer { return &Orderer{now: time.Now, wait: rest, port: "53"} }

func rest(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// ordering is an order that is carried out.
type ordering struct {
	*Orderer
	job    Job
	keep   Keeper
	net    *transport
	http   *http.Client
	client *acme.Client
	finder *finder
	solver Solver
}

// Order has the CA issue a certificate. An error is an *Error, but where ctx has ended.
func (o *Orderer) Order(ctx context.Context, job Job, keep Keeper) (Issued, error) {
	s := job.Settings
	whole, cancel := context.WithTimeout(ctx, orderTime)
	defer cancel()
	t := newTransport(s.Roots, o.now)
	f := &finder{port: o.port}
	if s.Resolver != "" {
		f.resolver = atPort(s.Resolver, "53")
	}
	r := ordering{Orderer: o, job: job, keep: keep, net: t, http: t.client(), finder: f}
	if base, ok := t.base.(*http.Transport); ok {
		defer base.CloseIdleConnections()
	}
	issued, err := r.run(whole)
	switch {
	case err == nil:
		return issued, nil
	case ctx.Err() != nil:
		return Issued{}, ctx.Err()
	}
	return Issued{}, explain(s.Directory, err)
}

func (r *ordering) run(ctx context.Context) (Issued, error) {
	if err := r.enter(ctx); err != nil {
		return Issued{}, err
	}
	if err := r.prepareSolver(ctx); err != nil {
		return Issued{}, err
	}
	r.keep.Tell(Ordering, "")
	order, err := r.client.AuthorizeOrder(ctx, acme.DomainIDs(r.job.Settings.Names...))
	if err != nil {
		return Issued{}, err
	}
	if len(order.AuthzURLs) > MaxNames {
		return Issued{}, r.strange("wants more proofs than there are names")
	}
	for _, u := range order.AuthzURLs {
		if err := r.authorize(ctx, u); err != nil {
			return Issued{}, err
		}
	}
	return r.fetch(ctx, order)
}

// enter asks the CA for its directory, compares clocks, and sees that there is an account.
func (r *ordering) enter(ctx context.Context) error {
	r.keep.Tell(Asking, "")
	if now := r.now(); now.Year() < firstYear {
		return clockOff(fmt.Sprintf("The clock here says %s, so it hasn't been set", now.UTC().Format(time.DateOnly)))
	}
	s, account := r.job.Settings, r.job.Account
	if account.Directory != s.Directory {
		account = Account{Directory: s.Directory}
	}
	key, err := r.accountKey(&account)
	if err != nil {
		return err
	}
	r.client = &acme.Client{Key: key, DirectoryURL: s.Directory, HTTPClient: r.http, UserAgent: "landbridge", RetryBackoff: backOff}
	dir, err := r.client.Discover(ctx)
	if err != nil {
		return err
	}
	if ahead := r.net.ahead(); ahead.Abs() > maxOffset {
		word := "behind"
		if ahead < 0 {
			word = "ahead of"
		}
		return clockOff(fmt.Sprintf("The clock here is %v %s that of %s", ahead.Abs().Round(time.Second), word, hostOf(s.Directory)))
	}
	switch {
	case dir.RegURL == "" || dir.OrderURL == "" || dir.NonceURL == "":
		return &Error{Text: fmt.Sprintf("%s is no directory of an ACME CA.", s.Directory), Remedy: "Give the URL that the CA names for ACME (RFC 8555), as " + LetsEncrypt + "."}
	case dir.Terms != "" && !s.Agree:
		return &Error{Text: "The CA wants its terms of service agreed to first: " + short(dir.Terms, maxWords) + ".", Remedy: "Read them, and agree in the settings.", Terms: short(dir.Terms, maxWords)}
	}
	return r.register(ctx, account)
}

func clockOff(text string) error {
	return &Error{Text: text + ": certificates are judged by it.", Remedy: "Set it, by NTP where that is to be had, and try again."}
}

// accountKey returns the account's key, which is made, and kept, the first time.
func (r *ordering) accountKey(a *Account) (crypto.Signer, error) {
	if len(a.Key) == 0 {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return nil, err
		}
		if a.Key, err = x509.MarshalPKCS8PrivateKey(key); err != nil {
			return nil, err
		}
		return key, r.keep.KeepAccount(*a)
	}
	key, err := x509.ParsePKCS8PrivateKey(a.Key)
	signer, ok := key.(crypto.Signer)
	if err != nil || !ok {
		return nil, fmt.Errorf("read the key of the account: %w", err)
	}
	return signer, nil
}

// register makes the account, or finds it by its key, and tells the CA of another e-mail address.
func (r *ordering) register(ctx context.Context, a Account) error {
	email := r.job.Settings.Email
	want := &acme.Account{}
	if email != "" {
		want.Contact = []string{contactType + email}
	}
	_, err := r.client.Register(ctx, want, acme.AcceptTOS)
	if errors.Is(err, acme.ErrAccountAlreadyExists) {
		if err = nil; a.Email != email {
			_, err = r.client.UpdateReg(ctx, want)
		}
	}
	if err != nil || a.Email == email {
		return err
	}
	a.Email = email
	return r.keep.KeepAccount(a)
}

// prepareSolver makes the solver, registers where that is to be done, and clears what an interrupted order has left.
func (r *ordering) prepareSolver(ctx context.Context) error {
	s := r.job.Settings
	if s.Solver == ByAcmeDNS {
		d := s.Delegate(r.job.Delegate)
		if d.Server == "" {
			var err error
			if d, err = register(ctx, r.http, s.Server); err != nil {
				return err
			}
			if err := r.keep.KeepDelegate(d); err != nil {
				return err
			}
		}
		r.job.Delegate, r.solver = d, &acmeDNS{r.http, d}
	} else {
		r.solver = newUpdater(s, r.finder)
	}
	if len(r.job.Leftover) == 0 {
		return nil
	}
	for _, old := range r.job.Leftover {
		_ = r.solver.Clear(ctx, old) // it may never have been set, or elsewhere
	}
	return r.keep.KeepRecords(nil)
}

// authorize proves one name to the CA.
func (r *ordering) authorize(ctx context.Context, url string) error {
	z, err := r.client.GetAuthorization(ctx, url)
	if err != nil {
		return err
	}
	name := strings.ToLower(z.Identifier.Value)
	at := slices.IndexFunc(z.Challenges, func(c *acme.Challenge) bool { return c != nil && c.Type == "dns-01" })
	switch {
	case !slices.Contains(r.job.Settings.Names, name) || z.Wildcard:
		return r.strange("wants a proof for another name than was asked for")
	case z.Status == acme.StatusValid:
		return nil // proved a short while ago
	case at < 0:
		return &Error{Text: fmt.Sprintf("The CA %s takes no proof by DNS (dns-01) for %s.", hostOf(r.job.Settings.Directory), name), Remedy: "Have its administrator allow it, or choose another CA."}
	}
	challenge := z.Challenges[at]
	value, err := r.client.DNS01ChallengeRecord(challenge.Token)
	if err != nil {
		return err
	}
	record, err := r.place(ctx, name, value)
	if err != nil {
		return err
	}
	if err := r.keep.KeepRecords([]Record{record}); err != nil {
		return err
	}
	defer r.clear(ctx, record)
	r.keep.Tell(Setting, name)
	if err := r.solver.Set(ctx, record); err != nil {
		return err
	}
	r.keep.Tell(Showing, name)
	if err := r.untilShown(ctx, record); err != nil {
		return err
	}
	r.keep.Tell(Validating, name)
	if _, err := r.client.Accept(ctx, challenge); err != nil {
		return err
	}
	_, err = r.client.WaitAuthorization(ctx, url)
	var refused *acme.AuthorizationError
	if errors.As(err, &refused) && refused.Identifier == "" {
		refused.Identifier = name
	}
	return err
}

// place returns the record that is to be set: there to where CNAMEs lead.
func (r *ordering) place(ctx context.Context, name, value string) (Record, error) {
	from := "_acme-challenge." + name + "."
	to, err := r.finder.follow(ctx, from)
	if err != nil {
		return Record{}, err
	}
	d := r.job.Delegate
	if r.job.Settings.Solver == ByAcmeDNS && !strings.HasPrefix(to, strings.ToLower(d.Subdomain)+".") {
		target := d.Domain
		if target == "" {
			target = d.Subdomain + ".… (the full domain that acme-dns gave)"
		}
		return Record{}, &Error{
			Text:   fmt.Sprintf("There is no CNAME at %s that leads to acme-dns.", strings.TrimSuffix(from, ".")),
			Remedy: fmt.Sprintf("Set it once, in the zone of %s, to %s.", name, target),
		}
	}
	return Record{Name: to, Value: value}, nil
}

// clear takes a record away, even where the order has been given up.
func (r *ordering) clear(ctx context.Context, record Record) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), clearTime)
	defer cancel()
	if r.solver.Clear(ctx, record) == nil {
		_ = r.keep.KeepRecords(nil) // else it is cleared once more, before the next order
	}
}

// untilShown waits until all name servers of the record's zone that answer have it.
func (r *ordering) untilShown(ctx context.Context, record Record) error {
	zone, servers, err := r.finder.serversOf(ctx, record.Name)
	if err != nil {
		return err
	}
	for end := r.now().Add(showTime); ; {
		without := r.finder.shows(ctx, servers, record)
		if len(without) == 0 {
			return nil
		}
		if !r.now().Before(end) {
			return &Error{
				Text:   fmt.Sprintf("The record at %s was set, and isn't to be seen after %v: %s.", strings.TrimSuffix(record.Name, "."), showTime, short(strings.Join(without, ", "), maxWords)),
				Remedy: fmt.Sprintf("See that all name servers of the zone %s follow the one where it is set; or name a resolver in the settings that sees the zone as the Internet does.", zone),
			}
		}
		if err := r.wait(ctx, showPause); err != nil {
			return err
		}
	}
}

// fetch has the certificate made, and checks it.
func (r *ordering) fetch(ctx context.Context, order *acme.Order) (Issued, error) {
	r.keep.Tell(Issuing, "")
	if _, err := r.client.WaitOrder(ctx, order.URI); err != nil {
		return Issued{}, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return Issued{}, err
	}
	names := r.job.Settings.Names
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{}, DNSNames: names}, key)
	if err != nil {
		return Issued{}, err
	}
	chain, _, err := r.client.CreateCertFromOrder(ctx, order, csr, true)
	if err != nil {
		return Issued{}, err
	}
	if err := checkIssued(chain, key, names, r.now()); err != nil {
		return Issued{}, r.strange("has issued a certificate that can't be used: " + err.Error())
	}
	return Issued{chain, key}, nil
}

// checkIssued refuses a chain whose certificate isn't for the key and all names, or isn't good now.
func checkIssued(chain [][]byte, key *ecdsa.PrivateKey, names []string, now time.Time) error {
	if len(chain) == 0 || len(chain) > maxChain {
		return fmt.Errorf("it comes with %d certificates: want 1 to %d", len(chain), maxChain)
	}
	leaf, err := x509.ParseCertificate(chain[0])
	if err != nil {
		return err
	}
	if !key.PublicKey.Equal(leaf.PublicKey) {
		return errors.New("it is for another key")
	}
	for _, n := range names {
		if err := leaf.VerifyHostname(n); err != nil {
			return err
		}
	}
	if !now.Before(leaf.NotAfter) || now.Add(maxOffset).Before(leaf.NotBefore) {
		return fmt.Errorf("it is good from %s to %s alone", leaf.NotBefore.UTC().Format(time.DateTime), leaf.NotAfter.UTC().Format(time.DateTime))
	}
	return nil
}

// strange says that the CA does what it shouldn't.
func (r *ordering) strange(what string) error {
	return &Error{Text: fmt.Sprintf("The CA %s %s.", hostOf(r.job.Settings.Directory), short(what, maxWords)), Remedy: "Choose another CA, or tell its administrator."}
}

// backOff says how long to wait before a question is asked again that the CA couldn't answer; 0: not again.
func backOff(n int, _ *http.Request, res *http.Response) time.Duration {
	pause := min(minPause<<(n-1), maxPause)
	if after := res.Header.Get("Retry-After"); after != "" {
		pause = (&transport{now: time.Now}).pause(after)
	}
	if n > maxTries || pause > maxPause {
		return 0
	}
	return pause
}
