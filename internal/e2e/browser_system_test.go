package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"landbridge/internal/store"
)

// A session outlives a kill of the appliance, and after its time the password is asked for once more; a
// backup is downloaded, and restored after a look at what it changes; a certificate is taken into use.
func TestAnOperatorKeepsTheSystemInABrowser(t *testing.T) {
	t.Parallel()
	wan, d, _, address := newOffice(t)
	dir := t.TempDir()
	certificate, key, wrong := newCertificateFiles(t, dir)
	browse(t, wan.Host("operator"), "system.mjs", address, dir).serve(map[string]func(string) string{
		"CODE": func(string) string { return d.setupCode() },
		"AGED": func(string) string {
			d.end(syscall.SIGKILL)
			d.ageSessions(11 * time.Minute)
			d.start()
			return "done"
		},
		"CERTIFICATE": func(string) string { return strings.Join([]string{certificate, key, wrong}, " ") },
		"SHOWN": func(string) string {
			at, err := url.Parse(address)
			if err != nil {
				t.Fatal(err)
			}
			raw, err := d.Dial(t.Context(), "tcp", at.Host)
			if err != nil {
				t.Fatal(err)
			}
			defer raw.Close()
			conn := tls.Client(raw, &tls.Config{InsecureSkipVerify: true}) // it is looked at
			if err := conn.Handshake(); err != nil {
				t.Fatal(err)
			}
			if got := conn.ConnectionState().PeerCertificates[0].Subject.CommonName; got != "console.example" {
				t.Errorf("the door shows the certificate of %s", got)
			}
			return "done"
		},
	})
}

// ageSessions has the passwords of an appliance that doesn't run have been given so much earlier.
func (m *machine) ageSessions(by time.Duration) {
	m.t.Helper()
	type session struct { // as console/access keeps it
		User   string     `cbor:"1,keyasint"`
		Remote netip.Addr `cbor:"2,keyasint"`
		Began  time.Time  `cbor:"3,keyasint"`
		Used   time.Time  `cbor:"4,keyasint"`
		Reauth time.Time  `cbor:"5,keyasint"`
	}
	db, err := store.Open(m.Path(m.state() + "/landbridge.db"))
	if err != nil {
		m.t.Fatal(err)
	}
	aged := 0
	err = db.Update(func(tx *store.Tx) (err error) {
		bucket := store.NewBucket[session]("access", "sessions")
		for key, s := range bucket.Scan(tx, nil, &err) {
			s.Reauth = s.Reauth.Add(-by)
			aged++
			if err := bucket.Put(tx, key, s); err != nil {
				return err
			}
		}
		return err
	})
	if err := errors.Join(err, db.Close()); err != nil || aged == 0 {
		m.t.Fatalf("%d sessions aged: %v", aged, err)
	}
}

// newCertificateFiles makes files of a certificate, its key, and another key.
func newCertificateFiles(t *testing.T, dir string) (certificate, key, wrong string) {
	t.Helper()
	write := func(name, kind string, der []byte, err error) string {
		t.Helper()
		file := filepath.Join(dir, name)
		if err := errors.Join(err, os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600)); err != nil {
			t.Fatal(err)
		}
		return file
	}
	var keys []*ecdsa.PrivateKey
	for range 2 {
		k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, k)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "console.example"}, DNSNames: []string{"console.example"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(90 * 24 * time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, keys[0].Public(), keys[0])
	certificate = write("console.pem", "CERTIFICATE", der, err)
	der, err = x509.MarshalPKCS8PrivateKey(keys[0])
	key = write("console.key", "PRIVATE KEY", der, err)
	der, err = x509.MarshalPKCS8PrivateKey(keys[1])
	wrong = write("wrong.key", "PRIVATE KEY", der, err)
	return certificate, key, wrong
}
