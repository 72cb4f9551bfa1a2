package group

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"net/url"
	"time"
)

const (
	// CertificateLife is how long a member's certificate is good for.
	CertificateLife = 90 * 24 * time.Hour
	// ClockSkew is how far the CA's clock may be ahead of a verifier's.
	ClockSkew = 5 * time.Minute
	// caLife is the group's: the CA's key can't be replaced, it names the group.
	caLife = 30 * 365 * 24 * time.Hour

	uriScheme = "landbridge"
)

func groupURI(group ID) *url.URL { return &url.URL{Scheme: uriScheme, Host: group.String()} }

func memberURI(group ID, m MemberID) *url.URL {
	return &url.URL{Scheme: uriScheme, Host: group.String(), Path: "/" + m.String()}
}

// makeCA makes the group's self-signed certificate.
func makeCA(key ed25519.PrivateKey, name string, now time.Time) ([]byte, error) {
	serial, err := newSerial()
	if err != nil {
		return nil, err
	}
	group := IDOf(publicKey(key))
	template := &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{CommonName: "Landbridge group " + name},
		NotBefore:             now.UTC(),
		NotAfter:              now.UTC().Add(caLife),
		KeyUsage:              x509.KeyUsageCertSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLenZero:        true,
		SubjectKeyId:          group[:20],
		URIs:                  []*url.URL{groupURI(group)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("make the CA certificate: %w", err)
	}
	return der, nil
}

// issue makes a member's certificate.
func issue(key ed25519.PrivateKey, ca *x509.Certificate, member Entry, now time.Time) ([]byte, error) {
	serial, err := newSerial()
	if err != nil {
		return nil, err
	}
	end := now.UTC().Add(CertificateLife)
	if end.After(ca.NotAfter) {
		end = ca.NotAfter
	}
	template := &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{CommonName: member.Name},
		NotBefore:             now.UTC(),
		NotAfter:              end,
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
		URIs:                  []*url.URL{memberURI(IDOf(publicKey(key)), member.ID)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, ca, member.ID.Key(), key)
	if err != nil {
		return nil, fmt.Errorf("certify %v: %w", member.ID, err)
	}
	return der, nil
}

// newSerial is 127 random bits, with the top one set so that it is never short.
func newSerial() (*big.Int, error) {
	var b [16]byte
	if _, err := rand.Read(b[:]); err != nil {
		return nil, err
	}
	b[0] = b[0]&0x7f | 0x40
	return new(big.Int).SetBytes(b[:]), nil
}

// parseCA reads a group's certificate. It checks all but the time.
func parseCA(der []byte, group ID) (*x509.Certificate, error) {
	ca, err := parseX509(der)
	if err != nil {
		return nil, fmt.Errorf("CA certificate: %w", err)
	}
	key, ok := ca.PublicKey.(ed25519.PublicKey)
	switch {
	case !ok:
		return nil, fmt.Errorf("CA certificate: the key is %v, not Ed25519", ca.PublicKeyAlgorithm)
	case IDOf(key) != group:
		return nil, fmt.Errorf("CA certificate: its key is of group %s, not %s", IDOf(key).Short(), group.Short())
	case !ca.BasicConstraintsValid || !ca.IsCA || ca.KeyUsage&x509.KeyUsageCertSign == 0:
		return nil, fmt.Errorf("CA certificate: doesn't say that it is a CA")
	}
	if err := ca.CheckSignature(ca.SignatureAlgorithm, ca.RawTBSCertificate, ca.Signature); err != nil {
		return nil, fmt.Errorf("CA certificate: %w", err)
	}
	return ca, nil
}

func parseX509(der []byte) (*x509.Certificate, error) {
	if len(der) > MaxCertificateSize {
		return nil, fmt.Errorf("%d bytes long, at most %d are allowed", len(der), MaxCertificateSize)
	}
	return x509.ParseCertificate(der)
}

// checkCertificate verifies that der is the CA's word that from is a member of the
// group, good at now: chain, time (with ClockSkew at its beginning), key, name.
func checkCertificate(ca *x509.Certificate, group ID, from MemberID, der []byte, now time.Time) (*x509.Certificate, error) {
	cert, err := parseX509(der)
	if err != nil {
		return nil, fmt.Errorf("%w of %v: %w", ErrCertificate, from, err)
	}
	key, ok := cert.PublicKey.(ed25519.PublicKey)
	if !ok || MemberOf(key) != from {
		return nil, fmt.Errorf("%w of %v: it certifies another key", ErrCertificate, from)
	}
	if want := memberURI(group, from).String(); len(cert.URIs) != 1 || cert.URIs[0].String() != want {
		return nil, fmt.Errorf("%w of %v: it names %v, not %s", ErrCertificate, from, cert.URIs, want)
	}
	if cert.IsCA {
		return nil, fmt.Errorf("%w of %v: a member's certificate can't be a CA's", ErrCertificate, from)
	}
	roots := x509.NewCertPool()
	roots.AddCert(ca)
	_, err = cert.Verify(x509.VerifyOptions{
		Roots:       roots,
		CurrentTime: tolerant(now, cert.NotBefore),
		KeyUsages:   []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	if err != nil {
		return nil, fmt.Errorf("%w of %v: %w", ErrCertificate, from, err)
	}
	return cert, nil
}

// tolerant returns now, or notBefore where now is a little earlier.
func tolerant(now, notBefore time.Time) time.Time {
	if now.Before(notBefore) && notBefore.Sub(now) <= ClockSkew {
		return notBefore
	}
	return now
}

func publicKey(key ed25519.PrivateKey) ed25519.PublicKey { return key.Public().(ed25519.PublicKey) }
