package group

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"net/url"
	"strings"
	"testing"
	"time"
)

// ca opens the lab's CA.
func (l *lab) ca() (ed25519.PrivateKey, *x509.Certificate) {
	return l.authority.key, l.founder.Descriptor().ca
}

// certificate issues one for node n that differs from a good one as change says.
func (l *lab) certificate(n int, change func(*x509.Certificate)) []byte {
	l.t.Helper()
	key, ca := l.ca()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: l.now, NotAfter: l.now.Add(CertificateLife),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		BasicConstraintsValid: true,
		URIs:                  []*url.URL{memberURI(l.founder.Group(), testMember(n))},
	}
	change(template)
	der, err := x509.CreateCertificate(rand.Reader, template, ca, publicKey(testKey(n)), key)
	if err != nil {
		l.t.Fatal(err)
	}
	return der
}

func TestACertificateIsGoodFromSkewBeforeItsBeginningToItsEnd(t *testing.T) {
	l := newLab(t)
	m := l.join(1)
	for _, test := range []struct {
		at   time.Duration
		good bool
	}{
		{-ClockSkew - time.Second, false},
		{-ClockSkew, true},
		{0, true},
		{CertificateLife, true},
		{CertificateLife + time.Second, false},
	} {
		err := l.founder.CheckCertificate(m.Self(), m.Certificate(), start().Add(test.at))
		if test.good != (err == nil) || (!test.good && !errors.Is(err, ErrCertificate)) {
			t.Errorf("at %v: %v", test.at, err)
		}
		err = l.founder.Authorized(m.Self(), start().Add(test.at))
		if test.good != (err == nil) || (!test.good && !errors.Is(err, ErrNoCertificate)) {
			t.Errorf("authorized at %v: %v", test.at, err)
		}
	}
}

func TestACertificateThatSaysSomethingElseIsRefused(t *testing.T) {
	l := newLab(t)
	l.join(1)
	one := testMember(1)
	uri := func(s string) []*url.URL {
		u, err := url.Parse(s)
		if err != nil {
			t.Fatal(err)
		}
		return []*url.URL{u}
	}
	group := l.founder.Group().String()
	if err := l.founder.CheckCertificate(one, l.certificate(1, func(*x509.Certificate) {}), l.now); err != nil {
		t.Fatalf("the good one: %v", err)
	}
	for name, change := range map[string]func(*x509.Certificate){
		"no name":   func(c *x509.Certificate) { c.URIs = nil },
		"two names": func(c *x509.Certificate) { c.URIs = append(c.URIs, c.URIs[0]) },
		"another group": func(c *x509.Certificate) {
			c.URIs = uri("landbridge://" + strings.Repeat("0", 64) + "/" + one.String())
		},
		"another member":   func(c *x509.Certificate) { c.URIs = uri("landbridge://" + group + "/" + testMember(2).String()) },
		"another scheme":   func(c *x509.Certificate) { c.URIs = uri("https://" + group + "/" + one.String()) },
		"a query":          func(c *x509.Certificate) { c.URIs = uri("landbridge://" + group + "/" + one.String() + "?x") },
		"a CA":             func(c *x509.Certificate) { c.IsCA = true },
		"for servers only": func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} },
		"a critical unknown extension": func(c *x509.Certificate) {
			c.ExtraExtensions = []pkix.Extension{{Id: []int{1, 2, 3, 4}, Critical: true, Value: []byte{5, 0}}}
		},
		"too long": func(c *x509.Certificate) { c.Subject.CommonName = strings.Repeat("x", MaxCertificateSize) },
	} {
		err := l.founder.CheckCertificate(one, l.certificate(1, change), l.now)
		if !errors.Is(err, ErrCertificate) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := l.founder.CheckCertificate(testMember(2), l.certificate(1, func(*x509.Certificate) {}), l.now); !errors.Is(err, ErrCertificate) {
		t.Errorf("shown by another node: %v", err)
	}
	crossed := l.certificate(2, func(c *x509.Certificate) { c.URIs[0] = memberURI(l.founder.Group(), one) })
	if err := l.founder.CheckCertificate(one, crossed, l.now); !errors.Is(err, ErrCertificate) {
		t.Errorf("our name over another's key: %v", err)
	}
}

func TestACertificateOfAnotherCAIsRefused(t *testing.T) {
	l, other := newLab(t), newLab(t)
	m := l.join(1)
	for name, der := range map[string][]byte{
		"of another group":               other.join(1).Certificate(),
		"of another CA, with our name":   forge(t, testKey(5), l.founder.Group(), 1),
		"signed by a member as if a CA":  forge(t, testKey(0), l.founder.Group(), 1),
		"the CA's own":                   l.founder.Descriptor().CA,
		"empty":                          nil,
		"the founder's":                  l.founder.Certificate(),
		"a good one with a byte missing": m.Certificate()[:len(m.Certificate())-1],
	} {
		if err := l.founder.CheckCertificate(m.Self(), der, l.now); !errors.Is(err, ErrCertificate) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := l.founder.Authorized(m.Self(), l.now); !errors.Is(err, ErrNoCertificate) {
		t.Errorf("after all those: %v", err)
	}
}

// forge certifies node n for the group with a key that isn't its CA's.
func forge(t *testing.T, key ed25519.PrivateKey, group ID, n int) []byte {
	t.Helper()
	der, err := makeCA(key, "lab", start())
	if err != nil {
		t.Fatal(err)
	}
	ca, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: start(), NotAfter: start().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		URIs: []*url.URL{memberURI(group, testMember(n))},
	}
	der, err = x509.CreateCertificate(rand.Reader, template, ca, publicKey(testKey(n)), key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func TestNoByteOfACertificateCanBeChanged(t *testing.T) {
	l := newLab(t)
	m := l.join(1)
	der := m.Certificate()
	for i := range der {
		b := append([]byte(nil), der...)
		b[i] ^= 1
		if err := l.founder.CheckCertificate(m.Self(), b, l.now); !errors.Is(err, ErrCertificate) {
			t.Fatalf("byte %d of %d changed: %v", i, len(der), err)
		}
	}
}
