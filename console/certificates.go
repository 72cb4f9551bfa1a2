package console

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"landbridge/internal/health"
	"landbridge/internal/store"
)

// certificateRecord is a certificate of the door with its key.
type certificateRecord struct {
	DER   []byte   `cbor:"1,keyasint,omitempty"` // X.509; of states that were written before there was Chain
	Key   []byte   `cbor:"2,keyasint"`           // PKCS #8
	Chain [][]byte `cbor:"3,keyasint,omitempty"` // X.509; the first is the certificate
	Acme  bool     `cbor:"4,keyasint,omitempty"` // got by ACME
}

// The keys of the certificates in the state.
const (
	selfSignedKey = "certificate"
	uploadedKey   = "uploaded certificate" // or one got by ACME
)

func certificateBucket() store.Bucket[certificateRecord] {
	return store.NewBucket[certificateRecord]("console")
}

// Certificates is what the HTTPS door shows of itself: a certificate that was uploaded or got by ACME, else one
// that the appliance has made. It is kept in the state, and changed while the door is open. It is
// safe for concurrent use.
type Certificates struct {
	db      *store.DB
	name    func() string
	now     func() time.Time
	changed func()
	acme    renewals

	changing sync.Mutex // one change at a time
	current  atomic.Pointer[shownCertificate]
}

// shownCertificate is a certificate in use. It isn't changed.
type shownCertificate struct {
	tls.Certificate
	own  bool // uploaded, or got by ACME
	acme bool // got by ACME
}

// OpenCertificates returns the certificates of a state, and makes the appliance's own the first
// time, for what name returns. changed, if it isn't nil, is called after each change.
func OpenCertificates(db *store.DB, name func() string, changed func()) (*Certificates, error) {
	c := &Certificates{db: db, name: name, now: time.Now, changed: changed, acme: renewals{wake: make(chan struct{}, 1), random: rand.Float64}}
	made, err := newCertificate(name())
	if err != nil {
		return nil, fmt.Errorf("make the console's certificate: %w", err)
	}
	err = c.change(func(tx *store.Tx) error {
		_, ok, err := certificateBucket().Get(tx, []byte(selfSignedKey))
		if err != nil || ok {
			return err
		}
		return certificateBucket().Put(tx, []byte(selfSignedKey), made)
	})
	return c, err
}

// change changes the certificates in the state, and takes into use what is to be shown now.
func (c *Certificates) change(do func(*store.Tx) error) error {
	c.changing.Lock()
	defer c.changing.Unlock()
	var shown *shownCertificate
	var acme acmeRecord
	err := c.db.Update(func(tx *store.Tx) error {
		if err := do(tx); err != nil {
			return err
		}
		var err error
		if acme, _, err = acmeBucket().Get(tx, []byte(acmeKey)); err != nil {
			return err
		}
		record, own, err := certificateBucket().Get(tx, []byte(uploadedKey))
		if err == nil && !own {
			record, _, err = certificateBucket().Get(tx, []byte(selfSignedKey))
		}
		if err != nil {
			return err
		}
		shown, err = record.load(own)
		return err
	})
	if err != nil {
		return fmt.Errorf("keep the console's certificate: %w", err)
	}
	c.current.Store(shown)
	c.acme.record.Store(&acme)
	if c.changed != nil {
		c.changed()
	}
	return nil
}

// load reads a kept certificate.
func (r certificateRecord) load(own bool) (*shownCertificate, error) {
	chain := r.Chain
	if len(chain) == 0 {
		chain = [][]byte{r.DER}
	}
	key, err := x509.ParsePKCS8PrivateKey(r.Key)
	if err != nil {
		return nil, fmt.Errorf("read the key of the console's certificate: %w", err)
	}
	leaf, err := x509.ParseCertificate(chain[0])
	if err != nil {
		return nil, fmt.Errorf("read the console's certificate: %w", err)
	}
	return &shownCertificate{tls.Certificate{Certificate: chain, PrivateKey: key, Leaf: leaf}, own, r.Acme}, nil
}

// upload checks a certificate with its key, both in PEM, and has the door show it. No more are got by ACME, which
// would take its place.
func (c *Certificates) upload(certificate, key string) error {
	record, err := readPair([]byte(certificate), []byte(key), c.now())
	if err != nil {
		return err
	}
	return c.change(func(tx *store.Tx) error {
		return errors.Join(c.endAcme(tx), certificateBucket().Put(tx, []byte(uploadedKey), record))
	})
}

// errNotUploaded refuses to go back to where the door is.
var errNotUploaded = errors.New("no certificate was uploaded: the appliance's own is shown already")

// reset has the door show the appliance's own certificate again.
func (c *Certificates) reset() error {
	if !c.current.Load().own {
		return Conflict(errNotUploaded)
	}
	return c.change(func(tx *store.Tx) error {
		return errors.Join(c.endAcme(tx), certificateBucket().Delete(tx, []byte(uploadedKey)))
	})
}

// renew makes the appliance's own certificate anew.
func (c *Certificates) renew() error {
	made, err := newCertificate(c.name())
	if err != nil {
		return fmt.Errorf("make the console's certificate: %w", err)
	}
	return c.change(func(tx *store.Tx) error { return certificateBucket().Put(tx, []byte(selfSignedKey), made) })
}

// config returns how the door speaks TLS. Sessions aren't resumed: who connects is shown the
// certificate of now, and comes rarely enough.
func (c *Certificates) config() *tls.Config {
	return &tls.Config{
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &c.current.Load().Certificate, nil },
		MinVersion:     tls.VersionTLS12, SessionTicketsDisabled: true,
	}
}

// Before its end an uploaded certificate is spoken of for so long, or a third of its life where
// that is shorter.
const endsSoon = 30 * 24 * time.Hour

// Trouble says what is wrong with the certificate that is shown, or with getting another by ACME: that it has ended, which is an
// error, or will soon; or nothing.
func (c *Certificates) Trouble() (level health.Level, f health.Finding) {
	shown, acme := c.current.Load(), c.acme.record.Load()
	remedy := "Upload a new one (System, or landbridge console certificate set), or go back to the appliance's own."
	if acme.on() && acme.Remedy != "" {
		remedy = acme.Remedy
	}
	from, to := shown.Leaf.NotBefore, shown.Leaf.NotAfter
	left, over := to.Sub(c.now()), to.UTC().Format(time.DateOnly)
	switch {
	case shown.own && left <= 0:
		return health.Error, health.Finding{Text: fmt.Sprintf("The console's certificate has ended on %s, and browsers warn of it%s", over, acme.why()), Remedy: remedy}
	case acme.on() && acme.Failures > 0 && shown.acme:
		return health.Warning, health.Finding{Text: fmt.Sprintf("The console's certificate, which ends on %s, can't be renewed%s", over, acme.why()), Remedy: remedy}
	case acme.on() && acme.Failures > 0:
		return health.Warning, health.Finding{Text: "The console gets no certificate by ACME" + acme.why(), Remedy: remedy}
	case shown.own && !(acme.on() && shown.acme) && left < min(endsSoon, to.Sub(from)/3):
		return health.Warning, health.Finding{Text: fmt.Sprintf("The console's certificate ends on %s, and browsers will warn of it then.", over), Remedy: remedy}
	}
	return level, f
}
