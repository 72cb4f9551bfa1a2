package console

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"net"
	"strings"
	"time"

	"landbridge/internal/store"
)

// certificateRecord is the door's certificate with its key.
type certificateRecord struct {
	DER []byte `cbor:"1,keyasint"` // X.509
	Key []byte `cbor:"2,keyasint"` // PKCS #8
}

// Certificate returns the HTTPS door's certificate from the state, and makes it the first
// time: self-signed, ECDSA P-256 as browsers don't take Ed25519, for name and localhost. It
// never ends, as nobody trusts it for its dates: people compare its fingerprint.
func Certificate(db *store.DB, name string) (tls.Certificate, error) {
	bucket := store.NewBucket[certificateRecord]("console")
	made, err := newCertificate(name)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("make the console's certificate: %w", err)
	}
	var kept certificateRecord
	err = db.Update(func(tx *store.Tx) error {
		var ok bool
		kept, ok, err = bucket.Get(tx, []byte("certificate"))
		if err != nil || ok {
			return err
		}
		kept = made
		return bucket.Put(tx, []byte("certificate"), made)
	})
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("keep the console's certificate: %w", err)
	}
	key, err := x509.ParsePKCS8PrivateKey(kept.Key)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("read the key of the console's certificate: %w", err)
	}
	leaf, err := x509.ParseCertificate(kept.DER)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("read the console's certificate: %w", err)
	}
	return tls.Certificate{Certificate: [][]byte{kept.DER}, PrivateKey: key, Leaf: leaf}, nil
}

func newCertificate(name string) (certificateRecord, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return certificateRecord{}, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return certificateRecord{}, err
	}
	template := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: name, Organization: []string{"Landbridge"}},
		DNSNames:     []string{name, name + ".local", "localhost"},
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
		// Fixed: the clock of a machine that has just been made may be years off.
		NotBefore: time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC), NotAfter: time.Date(2049, 12, 31, 0, 0, 0, 0, time.UTC),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return certificateRecord{}, err
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	return certificateRecord{DER: der, Key: pkcs8}, err
}

// fingerprint returns the SHA-256 of a certificate as browsers show it: AB:CD:…
func fingerprint(c tls.Certificate) string {
	if len(c.Certificate) == 0 {
		return ""
	}
	sum := sha256.Sum256(c.Certificate[0])
	parts := make([]string, len(sum))
	for i, b := range sum {
		parts[i] = fmt.Sprintf("%02X", b)
	}
	return strings.Join(parts, ":")
}
