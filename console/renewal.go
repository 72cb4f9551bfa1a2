package console

import (
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"landbridge/console/api"
	"landbridge/console/issuance"
	"landbridge/internal/store"
)

// acmeRecord is how certificates are got by ACME, and how that goes. The zero value: they aren't.
type acmeRecord struct {
	Settings issuance.Settings `cbor:"1,keyasint"`
	Account  []byte            `cbor:"2,keyasint"` // the key of the account, PKCS #8
	Tried    time.Time         `cbor:"3,keyasint"` // the last attempt's end
	Next     time.Time         `cbor:"4,keyasint"` // the next attempt; zero: now
	Failures int               `cbor:"5,keyasint"` // in a row
	Trouble  string            `cbor:"6,keyasint"` // why the last attempt failed
	Remedy   string            `cbor:"7,keyasint"`
	Terms    string            `cbor:"8,keyasint"` // the authority's, URL
}

const acmeKey = "settings"

func acmeBucket() store.Bucket[acmeRecord] { return store.NewBucket[acmeRecord]("acme") }

func (r *acmeRecord) on() bool { return len(r.Account) > 0 }

// why ends a sentence by why the last attempt failed.
func (r *acmeRecord) why() string {
	if r.Trouble == "" {
		return "."
	}
	return ": " + r.Trouble + "."
}

// renewals is what Certificates knows of ACME.
type renewals struct {
	record  atomic.Pointer[acmeRecord] // as it is in the state
	working atomic.Bool                // an attempt runs
	wake    chan struct{}              // somebody has changed the record
	random  func() float64
	cancel  context.CancelFunc // of the attempt that runs; with Certificates.changing held
}

// endAcme forgets how certificates are got, and ends the attempt that runs.
func (c *Certificates) endAcme(tx *store.Tx) error {
	c.stopAttempt()
	return acmeBucket().Delete(tx, []byte(acmeKey))
}

// stopAttempt has the attempt that runs come to nothing. Called with changing held.
func (c *Certificates) stopAttempt() {
	if c.acme.cancel != nil {
		c.acme.cancel()
	}
}

// setAcme has certificates be got so from now on: at once, unless the one that is shown was got so already.
func (c *Certificates) setAcme(s issuance.Settings) error {
	return c.changeAcme(func(r *acmeRecord) error {
		was := *r
		*r = acmeRecord{Settings: s, Account: was.Account, Terms: was.Terms}
		if was.Settings.Directory != s.Directory {
			key, err := newAccount()
			if err != nil {
				return err
			}
			r.Account, r.Terms = key, ""
		}
		if was.on() && was.Failures == 0 && was.Settings.Directory == s.Directory && slices.Equal(was.Settings.Names, s.Names) && c.current.Load().acme {
			r.Tried, r.Next = was.Tried, was.Next
		}
		return nil
	})
}

func newAccount() ([]byte, error) {
	key, err := issuance.NewKey()
	if err != nil {
		return nil, err
	}
	return x509.MarshalPKCS8PrivateKey(key)
}

// errNoAcme refuses to try what nobody has set up.
var errNoAcme = errors.New("certificates aren't got by ACME here: set that up first (PUT /api/v1/console/certificate/acme)")

// tryNow has the next attempt begin, unless one runs.
func (c *Certificates) tryNow() error {
	if !c.acme.record.Load().on() {
		return Conflict(errNoAcme)
	}
	if c.acme.working.Load() {
		return nil
	}
	return c.changeAcme(func(r *acmeRecord) error {
		if !r.on() {
			return Conflict(errNoAcme)
		}
		r.Next = time.Time{}
		return nil
	})
}

// changeAcme changes how certificates are got. An attempt that runs comes to nothing.
func (c *Certificates) changeAcme(do func(*acmeRecord) error) error {
	err := c.change(func(tx *store.Tx) error {
		r := *c.acme.record.Load()
		if err := do(&r); err != nil {
			return err
		}
		c.stopAttempt()
		return acmeBucket().Put(tx, []byte(acmeKey), r)
	})
	if err == nil {
		select {
		case c.acme.wake <- struct{}{}:
		default: // it will be looked at anyway
		}
	}
	return err
}

// KeepRenewed gets certificates by ACME, where somebody has set that up, each time that one is due, until ctx is done.
func (c *Certificates) KeepRenewed(ctx context.Context, log *slog.Logger) {
	var unkept time.Time // until then nothing is tried: its outcome can't be kept
	for ctx.Err() == nil {
		if now := c.now(); c.acme.record.Load().due(now) && !now.Before(unkept) {
			if err := c.attempt(ctx, log); err != nil {
				log.Error("the outcome of an attempt at a certificate can't be kept", "err", err)
				unkept = now.Add(lookAgain)
			}
			continue
		}
		c.awaitDue(ctx)
	}
}

// lookAgain is how often at least it is looked whether a certificate is due: clocks are set.
const lookAgain = 10 * time.Minute

func (r *acmeRecord) due(now time.Time) bool { return r.on() && !now.Before(r.Next) }

// awaitDue waits until it is to be looked again whether a certificate is due.
func (c *Certificates) awaitDue(ctx context.Context) {
	var later <-chan time.Time
	if r := c.acme.record.Load(); r.on() {
		timer := time.NewTimer(min(max(r.Next.Sub(c.now()), time.Second), lookAgain))
		defer timer.Stop()
		later = timer.C
	}
	select {
	case <-ctx.Done():
	case <-c.acme.wake:
	case <-later:
	}
}

// attempt tries to get a certificate, has the door show it, and notes how it went.
func (c *Certificates) attempt(ctx context.Context, log *slog.Logger) error {
	working, r := c.beginAttempt(ctx)
	defer c.endAttempt()
	if !r.due(c.now()) {
		return nil // somebody has changed it just now
	}
	account, err := r.account()
	if err != nil {
		return err
	}
	terms := r.Terms
	issued, err := r.Settings.Obtain(working, account, func(url string) { terms = url })
	if working.Err() != nil {
		return nil // it ends, or begins anew with other settings
	}
	var made certificateRecord
	var leaf *x509.Certificate
	if err == nil {
		made, leaf, err = c.takeIssued(issued)
	}
	next := c.after(r, err, leaf)
	next.Terms = terms
	if err != nil {
		log.Warn("no certificate was got for the console", "err", err)
	} else {
		log.Info("a certificate was got for the console", "expires", leaf.NotAfter)
	}
	return c.change(func(tx *store.Tx) error {
		if working.Err() != nil {
			return nil
		}
		if next.Failures == 0 {
			if err := certificateBucket().Put(tx, []byte(uploadedKey), made); err != nil {
				return err
			}
		}
		return acmeBucket().Put(tx, []byte(acmeKey), next)
	})
}

// beginAttempt returns how to try, as of now. Whoever changes that cancels the attempt.
func (c *Certificates) beginAttempt(ctx context.Context) (context.Context, acmeRecord) {
	c.changing.Lock()
	defer c.changing.Unlock()
	working, cancel := context.WithCancel(ctx)
	c.acme.cancel = cancel
	c.acme.working.Store(true)
	return working, *c.acme.record.Load()
}

func (c *Certificates) endAttempt() {
	c.changing.Lock()
	defer c.changing.Unlock()
	c.acme.cancel()
	c.acme.cancel = nil
	c.acme.working.Store(false)
}

// account returns the key of the account.
func (r *acmeRecord) account() (crypto.Signer, error) {
	key, err := x509.ParsePKCS8PrivateKey(r.Account)
	if err != nil {
		return nil, fmt.Errorf("read the key of the account at %s: %w", r.Settings.Authority(), err)
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("the key of the account at %s is a %T", r.Settings.Authority(), key)
	}
	return signer, nil
}

// takeIssued checks what an authority has issued as what is uploaded.
func (c *Certificates) takeIssued(issued issuance.Issued) (r certificateRecord, leaf *x509.Certificate, err error) {
	if leaf, err = x509.ParseCertificate(issued.Chain[0]); err != nil {
		return r, nil, err
	}
	if err := checkLeaf(leaf, c.now()); err != nil {
		return r, nil, fmt.Errorf("what was issued can't be used: %w", err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(issued.Key)
	return certificateRecord{Chain: issued.Chain[:min(len(issued.Chain), maxChain)], Key: pkcs8, Acme: true}, leaf, err
}

// after is the record after an attempt, which has brought a certificate or failed.
func (c *Certificates) after(r acmeRecord, failed error, leaf *x509.Certificate) acmeRecord {
	r.Tried, r.Trouble, r.Remedy = c.now(), "", ""
	if failed == nil {
		r.Failures, r.Next = 0, issuance.RenewAt(leaf, r.Tried, c.acme.random())
		return r
	}
	var left time.Duration
	if shown := c.current.Load(); shown.acme {
		left = shown.Leaf.NotAfter.Sub(r.Tried)
	}
	var why *issuance.Error
	if !errors.As(failed, &why) {
		why = &issuance.Error{Text: failed.Error()}
	}
	r.Failures++
	r.Trouble, r.Remedy = why.Text, why.Remedy
	r.Next = r.Tried.Add(issuance.Wait(r.Failures, left, why.After, c.acme.random()))
	return r
}

// describeAcme tells the API how certificates are got.
func (c *Certificates) describeAcme() api.Acme {
	r := c.acme.record.Load()
	if !r.on() {
		return api.Acme{State: api.AcmeStateOff}
	}
	a := api.Acme{
		State: api.AcmeStateGood, Settings: r.Settings.Shown(), HasSecret: true, Terms: r.Terms,
		Next: utcOf(r.Next), Tried: utcOf(r.Tried), Failures: r.Failures, Trouble: r.Trouble, Remedy: r.Remedy,
	}
	switch {
	case c.acme.working.Load():
		a.State = api.AcmeStateWorking
	case r.Failures > 0:
		a.State = api.AcmeStateFailing
	case r.due(c.now()):
		a.State = api.AcmeStateDue
	}
	return a
}

// utcOf is a time as the API has it; none stays none.
func utcOf(t time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	return t.UTC()
}
