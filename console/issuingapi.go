package console

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"landbridge/console/access"
	"landbridge/console/acme"
	"landbridge/console/api"
	"landbridge/internal/health"
	"landbridge/internal/store"
)

var (
	errNoAcme     = errors.New("no CA is set from which the certificate would be had: set one first (PUT /api/v1/console/certificate/acme, or landbridge console certificate acme set)")
	errTerms      = errors.New("the CA's terms of service must be agreed to first: read them, and send their address along as terms")
	errOtherTerms = errors.New("the CA has named other terms of service: read those, and send their address along as terms")
)

// GetAcme tells how the certificate is had from a CA.
func (h *handlers) GetAcme(context.Context, api.GetAcmeRequestObject) (api.GetAcmeResponseObject, error) {
	c, err := h.certificates()
	if err != nil {
		return nil, err
	}
	now, err := c.describeAcme()
	return api.GetAcme200JSONResponse(now), err
}

// SetAcme has the certificate issued by a CA.
func (h *handlers) SetAcme(ctx context.Context, req api.SetAcmeRequestObject) (api.SetAcmeResponseObject, error) {
	var check checker
	check.bounds(req.Body)
	check.oneOf("solver", string(req.Body.Solver), req.Body.Solver.Valid(), "rfc2136 or acme-dns")
	if err := check.err(); err != nil {
		return nil, err
	}
	c, err := h.certificates()
	if err != nil {
		return nil, err
	}
	b := req.Body
	s := acme.Settings{
		Directory: b.Directory, Roots: b.Roots, Email: b.Email, Names: b.Names, Agree: b.Agree, Solver: string(b.Solver), Server: b.Server,
		Zone: b.Zone, User: b.User, Algorithm: b.Algorithm, Secret: b.Secret, Subdomain: b.Subdomain, Resolver: b.Resolver,
	}.Normal()
	old, _, err := c.acmeRecord()
	if err != nil {
		return nil, err
	}
	if s.Secret == "" && s.User != "" && s.SamePlace(old.Settings) {
		s.Secret = old.Settings.Secret
	}
	for _, f := range s.Check() {
		check.add(f.Field, "%s", f.Detail)
	}
	if err := check.err(); err != nil || api.IsCheck(ctx) {
		return nil, err
	}
	access.About(ctx, strings.Join(s.Names, " "))
	if err := c.setAcme(s); err != nil {
		return nil, err
	}
	now, err := c.describeAcme()
	return api.SetAcme200JSONResponse(now), err
}

// RemoveAcme has the certificate renewed no longer.
func (h *handlers) RemoveAcme(context.Context, api.RemoveAcmeRequestObject) (api.RemoveAcmeResponseObject, error) {
	c, err := h.certificates()
	if err != nil {
		return nil, err
	}
	if err := c.removeAcme(); err != nil {
		return nil, err
	}
	now, err := c.describeAcme()
	return api.RemoveAcme200JSONResponse(now), err
}

// OrderCertificate has the certificate issued anew now.
func (h *handlers) OrderCertificate(ctx context.Context, req api.OrderCertificateRequestObject) (api.OrderCertificateResponseObject, error) {
	var check checker
	check.bounds(req.Body)
	if err := check.err(); err != nil {
		return nil, err
	}
	c, err := h.certificates()
	if err != nil {
		return nil, err
	}
	access.About(ctx, req.Body.Terms)
	if err := c.orderNow(req.Body.Terms); err != nil {
		return nil, err
	}
	now, err := c.describeAcme()
	return api.OrderCertificate200JSONResponse(now), err
}

// setAcme sets how the certificate is had from now on, and has an order begin.
func (c *Certificates) setAcme(s acme.Settings) error {
	c.issuing.mu.Lock()
	defer c.issuing.mu.Unlock()
	err := c.keepIssuing(func(r *acmeRecord, _ bool) error {
		*r = acmeRecord{Settings: s, Version: r.Version + 1, Now: true, Account: r.Account, Delegate: r.Delegate, Leftover: r.Leftover}
		return nil
	})
	if err != nil {
		return fmt.Errorf("keep how the certificate is had: %w", err)
	}
	c.issuing.steps = nil
	c.issuing.giveUp()
	c.issuing.rouse()
	c.tell()
	return nil
}

// removeAcme forgets how the certificate was had.
func (c *Certificates) removeAcme() error {
	c.issuing.mu.Lock()
	defer c.issuing.mu.Unlock()
	err := c.db.Update(func(tx *store.Tx) error {
		_, set, err := acmeBucket().Get(tx, []byte(acmeKey))
		if err == nil && !set {
			err = Conflict(errNoAcme)
		}
		if err != nil {
			return err
		}
		return acmeBucket().Delete(tx, []byte(acmeKey))
	})
	if err != nil {
		return err
	}
	c.issuing.steps = nil
	c.issuing.giveUp()
	c.tell()
	return nil
}

// orderNow has an order begin, and agrees to terms where the CA has asked for that.
func (c *Certificates) orderNow(terms string) error {
	c.issuing.mu.Lock()
	defer c.issuing.mu.Unlock()
	if c.issuing.cancel != nil {
		return nil // one is carried out
	}
	r, set, err := c.acmeRecord()
	switch {
	case err != nil:
		return err
	case !set || r.Off:
		return Conflict(errNoAcme)
	case r.Terms != "" && terms == "":
		return Conflict(errTerms)
	case terms != "" && terms != r.Terms:
		return Conflict(errOtherTerms)
	}
	err = c.keepIssuing(func(r *acmeRecord, _ bool) error {
		r.Settings.Agree = r.Settings.Agree || terms != ""
		r.Terms, r.Now = "", true
		return nil
	})
	c.issuing.steps = nil
	c.issuing.rouse()
	return err
}

// turnOff has nothing ordered any more, as another certificate was chosen. It is called in the transaction that chooses, with
// c.issuing.mu held.
func (c *Certificates) turnOff(tx *store.Tx) error {
	r, set, err := acmeBucket().Get(tx, []byte(acmeKey))
	if err != nil || !set {
		return err
	}
	r.Off, r.Fulfilled, r.Version = true, false, r.Version+1
	c.issuing.giveUp()
	return acmeBucket().Put(tx, []byte(acmeKey), r)
}

// describeAcme tells the API how the certificate is had from a CA.
func (c *Certificates) describeAcme() (api.Acme, error) {
	c.issuing.mu.Lock()
	defer c.issuing.mu.Unlock()
	r, set, err := c.acmeRecord()
	if err != nil {
		return api.Acme{}, err
	}
	a := api.Acme{On: set && !r.Off, Running: c.issuing.cancel != nil, Steps: append([]api.AcmeStep{}, c.issuing.steps...), Aliases: []api.AcmeAlias{}}
	if !set {
		return a, nil
	}
	s := r.Settings
	a.HasSecret, a.Terms = s.Secret != "", r.Terms
	a.Settings = api.AcmeSettings{
		Directory: s.Directory, Roots: s.Roots, Email: s.Email, Names: s.Names, Agree: s.Agree, Solver: api.AcmeSolver(s.Solver), Server: s.Server,
		Zone: s.Zone, User: s.User, Algorithm: s.Algorithm, Subdomain: s.Subdomain, Resolver: s.Resolver,
	}
	if d := s.Delegate(r.Delegate); d.Domain != "" {
		for _, n := range s.Names {
			a.Aliases = append(a.Aliases, api.AcmeAlias{Name: "_acme-challenge." + n, Target: d.Domain})
		}
	}
	if r.Text != "" {
		a.Failure = api.AcmeFailure{At: r.Began.UTC(), Times: r.Failures, Text: r.Text, Remedy: r.Remedy}
	}
	if at, due := c.nextOrder(r, set); due && !a.Running {
		if now := c.now(); at.Before(now) {
			at = now
		}
		a.Next = at.UTC()
	}
	return a, nil
}

// After so many failed orders it is spoken of that there is no certificate yet.
const patienceOfOrders = 3

// issuingTrouble says what is wrong with a certificate that a CA is to issue; known reports whether one is.
func (c *Certificates) issuingTrouble() (level health.Level, f health.Finding, known bool) {
	r, set, err := c.acmeRecord()
	if err != nil || !set || r.Off {
		return level, f, false
	}
	shown := c.current.Load()
	from, to, now := shown.Leaf.NotBefore, shown.Leaf.NotAfter, c.now()
	why, remedy := strings.TrimSpace("It couldn't be renewed. "+r.Text), r.Remedy
	if remedy == "" {
		remedy = "See at System, Certificate, how its renewal goes."
	}
	fulfilled := shown.issued && r.Fulfilled
	switch {
	case fulfilled && !now.Before(to):
		return health.Error, health.Finding{Text: fmt.Sprintf("The console's certificate has ended on %s, and browsers warn of it. %s", to.UTC().Format(time.DateOnly), why), Remedy: remedy}, true
	case fulfilled && acme.Overdue(from, to, now):
		return health.Warning, health.Finding{Text: fmt.Sprintf("The console's certificate ends on %s. %s", to.UTC().Format(time.DateTime), why), Remedy: remedy}, true
	case !fulfilled && r.Text != "" && (r.Terms != "" || r.Failures >= patienceOfOrders):
		return health.Warning, health.Finding{Text: "The console has no certificate from the CA yet. " + r.Text, Remedy: remedy}, true
	}
	return level, f, true
}
