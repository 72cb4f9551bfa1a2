package console

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"landbridge/console/api"
	"landbridge/internal/health"
	"landbridge/internal/store"
)

// issuer signs certificates of a test.
type issuer struct {
	t    testing.TB
	cert *x509.Certificate
	key  crypto.Signer
}

func newKey(t testing.TB) crypto.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// sign returns a certificate for a key, by which issuer is to be changed.
func (i issuer) sign(key crypto.Signer, change func(*x509.Certificate)) *x509.Certificate {
	i.t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "console.example"}, DNSNames: []string{"console.example"},
		IPAddresses: []net.IP{net.IPv4(192, 0, 2, 1)}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(90 * 24 * time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, BasicConstraintsValid: true,
	}
	if change != nil {
		change(template)
	}
	parent, signer := i.cert, i.key
	if parent == nil {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		i.t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		i.t.Fatal(err)
	}
	return c
}

func authority(name string) func(*x509.Certificate) {
	return func(c *x509.Certificate) {
		c.Subject, c.IsCA, c.KeyUsage, c.DNSNames, c.IPAddresses = pkix.Name{CommonName: name}, true, x509.KeyUsageCertSign, nil, nil
	}
}

func inPEM(all ...*x509.Certificate) string {
	var b bytes.Buffer
	for _, c := range all {
		_ = pem.Encode(&b, &pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
	}
	return b.String()
}

func keyPEM(t testing.TB, key crypto.Signer) string {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

func TestAnUploadedCertificateIsShownAtOnceAndConnectionsGoOn(t *testing.T) {
	p := atDoor(t, newServer(t, &fake{}), everybody)
	p.setUp()
	shown := func() string {
		t.Helper()
		conn, err := tls.Dial("tcp", p.addr, &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		return fingerprint(conn.ConnectionState().PeerCertificates[0].Raw)
	}
	first := shown()
	before, err := tls.Dial("tcp", p.addr, &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer before.Close()

	key := newKey(t)
	cert := issuer{t: t}.sign(key, nil)
	body, _ := json.Marshal(api.CertificateUpload{Certificate: inPEM(cert), Key: keyPEM(t, key)})
	res, content := p.ask(http.MethodPut, "/api/v1/console/certificate", string(body))
	var now api.ConsoleCertificate
	if err := json.Unmarshal(content, &now); res.StatusCode != http.StatusOK || err != nil {
		t.Fatalf("%d %s", res.StatusCode, content)
	}
	if want := fingerprint(cert.Raw); shown() != want || now.Fingerprint != want || !now.Own || strings.Join(now.Names, " ") != "console.example 192.0.2.1" {
		t.Errorf("uploaded %s; the door shows %s, and tells\n%+v", want, shown(), now)
	}
	if _, err := before.Write([]byte("GET /healthz HTTP/1.0\r\n\r\n")); err != nil {
		t.Error(err)
	}
	if n, err := before.Read(make([]byte, 1)); n != 1 {
		t.Errorf("a connection that was open has ended: %v", err)
	}
	_, content = p.ask(http.MethodGet, "/api/v1/audit", "")
	if key := keyPEM(t, key); strings.Contains(string(content), key[40:80]) || !strings.Contains(string(content), now.Fingerprint) {
		t.Errorf("the audit log has the key in it, or not what was uploaded:\n%s", content)
	}

	if res, content := p.ask(http.MethodDelete, "/api/v1/console/certificate", ""); res.StatusCode != http.StatusOK || shown() != first {
		t.Errorf("back to its own: %d %s", res.StatusCode, content)
	}
	if res, _ := p.ask(http.MethodDelete, "/api/v1/console/certificate", ""); res.StatusCode != http.StatusConflict {
		t.Errorf("once more: %d", res.StatusCode)
	}
	if res, content := p.ask(http.MethodPost, "/api/v1/console/certificate/renewal", ""); res.StatusCode != http.StatusOK || shown() == first {
		t.Errorf("renewed: %d %s", res.StatusCode, content)
	}
}

func TestWhatBrowsersDontTakeIsRefusedByItsField(t *testing.T) {
	self := issuer{t: t}
	key := newKey(t)
	small, err := rsa.GenerateKey(rand.Reader, 1024) //nolint:gosec // it is to be refused
	if err != nil {
		t.Fatal(err)
	}
	_, edwards, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	good := self.sign(key, nil)
	for name, c := range map[string]struct {
		certificate, key string
		field, says      string
	}{
		"nothing":      {"", keyPEM(t, key), "certificate", "BEGIN CERTIFICATE"},
		"no key":       {inPEM(good), "", "certificate", "BEGIN PRIVATE KEY"},
		"another key":  {inPEM(good), keyPEM(t, newKey(t)), "key", "not the key"},
		"a broken key": {inPEM(good), "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "key", "can't be read"},
		"encrypted":    {inPEM(good), "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n", "key", "openssl pkey"},
		"broken":       {"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", keyPEM(t, key), "certificate", "can't be read"},
		"over": {inPEM(self.sign(key, func(c *x509.Certificate) {
			c.NotBefore, c.NotAfter = time.Now().Add(-48*time.Hour), time.Now().Add(-time.Hour)
		})), keyPEM(t, key), "certificate", "has ended"},
		"not yet":          {inPEM(self.sign(key, func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Hour) })), keyPEM(t, key), "certificate", "clock"},
		"no name":          {inPEM(self.sign(key, func(c *x509.Certificate) { c.DNSNames, c.IPAddresses = nil, nil })), keyPEM(t, key), "certificate", "has no host's name"},
		"a client's":       {inPEM(self.sign(key, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} })), keyPEM(t, key), "certificate", "serverAuth"},
		"small RSA":        {inPEM(self.sign(small, nil)), keyPEM(t, small), "key", "1024 bits"},
		"Ed25519":          {inPEM(self.sign(edwards, nil)), keyPEM(t, edwards), "key", "Ed25519"},
		"a stranger along": {inPEM(good, self.sign(newKey(t), authority("Stranger"))), keyPEM(t, key), "certificate", "Stranger"},
		"too many":         {strings.Repeat(inPEM(good), maxChain+1), keyPEM(t, key), "certificate", "at most"},
	} {
		_, err := readPair([]byte(c.certificate), []byte(c.key), time.Now())
		var e *Error
		if !errors.As(err, &e) || len(e.fields) != 1 || e.fields[0].Field != c.field || !strings.Contains(e.fields[0].Detail, c.says) {
			t.Errorf("%s: %v, want the field %s, and that it says %q", name, err, c.field, c.says)
		}
	}
}

func TestAChainIsPutInOrder(t *testing.T) {
	rootKey, middleKey, key := newKey(t), newKey(t), newKey(t)
	root := issuer{t: t}.sign(rootKey, authority("Root"))
	middle := issuer{t, root, rootKey}.sign(middleKey, authority("Middle"))
	leaf := issuer{t, middle, middleKey}.sign(key, nil)
	r, err := readPair([]byte(keyPEM(t, key)+inPEM(root, leaf, middle)), nil, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []*x509.Certificate{leaf, middle, root} {
		if len(r.Chain) != 3 || !bytes.Equal(r.Chain[i], want.Raw) {
			t.Errorf("the chain's no. %d isn't %s", i+1, want.Subject)
		}
	}
}

func TestWhatOpenSSLHasMadeIsRead(t *testing.T) {
	b, err := os.ReadFile("testdata/openssl.pem") // leaf, CA and "EC PRIVATE KEY"
	if err != nil {
		t.Fatal(err)
	}
	r, err := readPair(b, nil, time.Now())
	if err != nil || len(r.Chain) != 2 {
		t.Fatalf("%d certificates, %v", len(r.Chain), err)
	}
	if shown, err := r.load(true); err != nil || shown.Leaf.DNSNames[0] != "console.example" {
		t.Errorf("%v", err)
	}
}

func TestTheCertificateIsKeptAndItsEndIsToldInTime(t *testing.T) {
	db, err := store.Open(filepath.Join(t.TempDir(), "state.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	open := func(name string) *Certificates {
		t.Helper()
		c, err := OpenCertificates(db, func() string { return name }, nil)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	first := open("site-a")
	if again := open("site-b"); again.describe().Fingerprint != first.describe().Fingerprint {
		t.Error("another start makes another certificate")
	}
	if _, f := first.Trouble(); f != (health.Finding{}) {
		t.Errorf("the appliance's own: %s", f)
	}
	key := newKey(t)
	if err := first.upload(inPEM(issuer{t: t}.sign(key, nil)), keyPEM(t, key)); err != nil {
		t.Fatal(err)
	}
	kept := open("site-a")
	if !kept.describe().Own {
		t.Error("the uploaded certificate isn't kept")
	}
	for days, want := range map[int]string{0: "", 59: "", 61: " ends on", 91: "has ended"} {
		kept.now = func() time.Time { return time.Now().Add(time.Duration(days) * 24 * time.Hour) }
		if level, f := kept.Trouble(); (want == "") != (f == (health.Finding{})) || !strings.Contains(f.Text, want) || (f.Remedy == "") != (want == "") || (level == health.Error) != (days > 90) {
			t.Errorf("after %d days of 90: %q", days, f)
		}
	}
}

func FuzzReadPair(f *testing.F) {
	b, err := os.ReadFile("testdata/openssl.pem")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b, []byte(nil))
	f.Add([]byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), []byte("-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----\n"))
	f.Fuzz(func(t *testing.T, certificate, key []byte) {
		r, err := readPair(certificate, key, time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC))
		if err != nil {
			return
		}
		if _, err := r.load(true); err != nil {
			t.Errorf("what was taken can't be shown: %v", err)
		}
	})
}
