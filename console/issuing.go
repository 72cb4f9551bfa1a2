package console

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"landbridge/console/acme"
	"landbridge/console/api"
	"landbridge/internal/store"
)

const (
	maxSteps       = 64          // of an order that are told
	lookAgain      = time.Hour   // whether an order is due: the clock may be set
	retryInTrouble = time.Minute // where the state can't be written
)

// acmeRecord is what is kept of certificates that a CA issues.
type acmeRecord struct {
	Settings  acme.Settings `cbor:"1,keyasint"`
	Version   uint64        `cbor:"2,keyasint"`           // of the settings: an order for others isn't finished
	Off       bool          `cbor:"3,keyasint,omitempty"` // another certificate was chosen since
	Fulfilled bool          `cbor:"4,keyasint,omitempty"` // the issued certificate is of these settings
	Now       bool          `cbor:"5,keyasint,omitempty"` // somebody wants an order at once

	Account  acme.Account  `cbor:"6,keyasint"`
	Delegate acme.Delegate `cbor:"7,keyasint"`
	Leftover []acme.Record `cbor:"8,keyasint,omitempty"`

	// Of the orders since the last that was fulfilled. An order counts as failed from its beginning on, so that kills
	// don't make more of them than a CA takes.
	Failures int       `cbor:"9,keyasint,omitempty"`
	Began    time.Time `cbor:"10,keyasint"`
	Text     string    `cbor:"11,keyasint,omitempty"` // empty: it is carried out, or was interrupted
	Remedy   string    `cbor:"12,keyasint,omitempty"`
	Terms    string    `cbor:"13,keyasint,omitempty"` // that must be agreed to first
	After    time.Time `cbor:"14,keyasint"`           // before which the CA wants to hear nothing
}

func acmeBucket() store.Bucket[acmeRecord] { return store.NewBucket[acmeRecord]("console", "acme") }

const acmeKey = "settings"

// issuing is the carrying out of orders.
type issuing struct {
	order func(context.Context, acme.Job, acme.Keeper) (acme.Issued, error)
	wake  chan struct{} // the settings were changed, or an order is wanted

	mu     sync.Mutex         // held while settings are changed, and while an order begins and ends
	cancel context.CancelFunc // of the order that is carried out; nil: none is
	steps  []api.AcmeStep
	jitter float64 // 0 to 1, of the next retry
}

func newIssuing() *issuing {
	return &issuing{
		order: func(ctx context.Context, job acme.Job, keep acme.Keeper) (acme.Issued, error) {
			return acme.NewOrderer().Order(ctx, job, keep)
		},
		wake: make(chan struct{}, 1), jitter: rand.Float64(),
	}
}

// rouse has it looked at once whether an order is due.
func (i *issuing) rouse() {
	select {
	case i.wake <- struct{}{}:
	default: // it will be anyway
	}
}

// give up the order that is carried out. Called with mu held.
func (i *issuing) giveUp() {
	if i.cancel != nil {
		i.cancel()
	}
}

// acmeRecord returns what is kept, if anything is.
func (c *Certificates) acmeRecord() (r acmeRecord, set bool, err error) {
	err = c.db.View(func(tx *store.Tx) (err error) { r, set, err = acmeBucket().Get(tx, []byte(acmeKey)); return err })
	return r, set, err
}

// keepIssuing has what is kept changed by do.
func (c *Certificates) keepIssuing(do func(r *acmeRecord, set bool) error) error {
	return c.db.Update(func(tx *store.Tx) error {
		r, set, err := acmeBucket().Get(tx, []byte(acmeKey))
		if err != nil {
			return err
		}
		if err := do(&r, set); err != nil {
			return err
		}
		return acmeBucket().Put(tx, []byte(acmeKey), r)
	})
}

// nextOrder returns when the next order is to begin; due reports whether any is.
func (c *Certificates) nextOrder(r acmeRecord, set bool) (at time.Time, due bool) {
	switch {
	case !set || r.Off || r.Terms != "":
		return at, false
	case r.Now:
		return at, true
	}
	if shown := c.current.Load(); shown.issued && r.Fulfilled {
		at = acme.Due(shown.Leaf.NotBefore, shown.Leaf.NotAfter)
	}
	return acme.Next(at, acme.Attempts{Failures: r.Failures, Began: r.Began, Failed: r.Text != "", After: r.After}, c.issuing.jitter), true
}

// KeepIssued has certificates issued and renewed as it is set, until ctx is done.
func (c *Certificates) KeepIssued(ctx context.Context, log *slog.Logger) {
	for ctx.Err() == nil {
		r, set, err := c.acmeRecord()
		pause := lookAgain
		c.issuing.mu.Lock()
		at, due := c.nextOrder(r, set)
		c.issuing.mu.Unlock()
		switch {
		case err == nil && due && !c.now().Before(at):
			if err = c.orderOnce(ctx, log); err == nil {
				continue
			}
			pause = retryInTrouble
		case due:
			pause = min(pause, at.Sub(c.now()))
		}
		if err != nil {
			log.Error("the console's certificate can't be renewed: its settings can't be read or kept", "err", err)
		}
		timer := time.NewTimer(max(pause, time.Second))
		select {
		case <-ctx.Done():
		case <-c.issuing.wake:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// orderOnce carries out one order. An error says that the state can't be written.
func (c *Certificates) orderOnce(ctx context.Context, log *slog.Logger) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	r, err := c.beginOrder(cancel)
	if errors.Is(err, errSuperseded) {
		return nil
	}
	if err != nil {
		return err
	}
	issued, err := c.issuing.order(ctx, acme.Job{Settings: r.Settings, Account: r.Account, Delegate: r.Delegate, Leftover: r.Leftover}, &keeper{c, r.Version})
	err = c.endOrder(ctx, r.Version, issued, err)
	var why *acme.Error
	switch {
	case err == nil:
		log.Info("the console has a certificate from a CA", "expires", c.current.Load().Leaf.NotAfter)
	case ctx.Err() != nil || errors.Is(err, errSuperseded): // the next is another's
	case errors.As(err, &why):
		log.Warn("the console's certificate wasn't issued", "err", why.Text)
	default:
		return err
	}
	return nil
}

// errSuperseded ends an order for settings that have been changed since.
var errSuperseded = errors.New("the settings were changed")

// beginOrder notes that an order begins, and returns for what.
func (c *Certificates) beginOrder(cancel context.CancelFunc) (begun acmeRecord, err error) {
	c.issuing.mu.Lock()
	defer c.issuing.mu.Unlock()
	err = c.keepIssuing(func(r *acmeRecord, set bool) error {
		if !set || r.Off {
			return errSuperseded
		}
		r.Failures, r.Began, r.Now = min(r.Failures+1, 1<<20), c.now(), false
		r.Text, r.Remedy, r.Terms, r.After = "", "", "", time.Time{}
		begun = *r
		return nil
	})
	if err == nil {
		c.issuing.cancel, c.issuing.steps, c.issuing.jitter = cancel, nil, rand.Float64()
	}
	return begun, err
}

// endOrder takes an issued certificate into use, or notes why there is none, and returns that.
func (c *Certificates) endOrder(ctx context.Context, version uint64, issued acme.Issued, err error) error {
	c.issuing.mu.Lock()
	defer c.issuing.mu.Unlock()
	c.issuing.cancel = nil
	if err == nil {
		err = c.takeIssued(version, issued)
	}
	if err == nil {
		c.issuing.note(api.AcmeStageUsed, "", c.now())
		return nil
	}
	var why *acme.Error
	if ctx.Err() != nil || !errors.As(err, &why) {
		return err // it was given up; the next start begins anew
	}
	err = c.keepIssuing(func(r *acmeRecord, set bool) error {
		if !set || r.Version != version {
			return errSuperseded
		}
		r.Text, r.Remedy, r.Terms = why.Text, why.Remedy, why.Terms
		if why.Rest > 0 {
			r.After = c.now().Add(why.Rest)
		}
		return nil
	})
	c.tell()
	return errors.Join(why, err)
}

// tell has health look at the certificate.
func (c *Certificates) tell() {
	if c.changed != nil {
		c.changed()
	}
}

// takeIssued has the door show a certificate, as if it had been uploaded, unless the settings were changed since it was ordered.
func (c *Certificates) takeIssued(version uint64, issued acme.Issued) error {
	var chain bytes.Buffer
	for _, der := range issued.Chain {
		_ = pem.Encode(&chain, &pem.Block{Type: "CERTIFICATE", Bytes: der}) // into memory
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(issued.Key)
	if err != nil {
		return err
	}
	record, err := readPair(chain.Bytes(), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}), c.now())
	if err != nil {
		return &acme.Error{Text: "The CA has issued a certificate that browsers wouldn't take: " + err.Error() + ".", Remedy: "Choose another CA, or tell its administrator."}
	}
	return c.change(func(tx *store.Tx) error {
		r, set, err := acmeBucket().Get(tx, []byte(acmeKey))
		switch {
		case err != nil:
			return err
		case !set || r.Version != version || r.Off:
			return errSuperseded
		}
		r.Fulfilled, r.Failures = true, 0
		if err := acmeBucket().Put(tx, []byte(acmeKey), r); err != nil {
			return err
		}
		if err := certificateBucket().Delete(tx, []byte(uploadedKey)); err != nil {
			return err
		}
		return certificateBucket().Put(tx, []byte(issuedKey), record)
	})
}

// note adds a step. Called with mu held.
func (i *issuing) note(stage api.AcmeStage, about string, at time.Time) {
	if len(i.steps) < maxSteps {
		i.steps = append(i.steps, api.AcmeStep{Stage: stage, About: about, At: at.UTC()})
	}
}

// keeper is the acme.Keeper of an order for settings of this version.
type keeper struct {
	c       *Certificates
	version uint64
}

func (k *keeper) keep(do func(r *acmeRecord)) error {
	err := k.c.keepIssuing(func(r *acmeRecord, set bool) error {
		if !set || r.Version != k.version {
			return errSuperseded
		}
		do(r)
		return nil
	})
	if err == nil || errors.Is(err, errSuperseded) {
		return err
	}
	return &acme.Error{Text: "The order can't go on, as the state can't be written: " + err.Error() + ".", Remedy: "See that the disk has room (landbridge doctor)."}
}

// KeepAccount keeps the account at the CA.
func (k *keeper) KeepAccount(a acme.Account) error {
	return k.keep(func(r *acmeRecord) { r.Account = a })
}

// KeepDelegate keeps the user at acme-dns.
func (k *keeper) KeepDelegate(d acme.Delegate) error {
	return k.keep(func(r *acmeRecord) { r.Delegate = d })
}

// KeepRecords keeps which records may be set.
func (k *keeper) KeepRecords(all []acme.Record) error {
	return k.keep(func(r *acmeRecord) { r.Leftover = all })
}

// Tell notes how far the order is.
func (k *keeper) Tell(step acme.Step, about string) {
	i := k.c.issuing
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.cancel != nil {
		i.note(api.AcmeStage(step), about, k.c.now())
	}
}
