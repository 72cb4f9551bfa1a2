package issuance

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/acme"

	"landbridge/console/api"
	"landbridge/internal/acmelab"
)

// atAcmeDNS are settings for an acme-dns server.
func atAcmeDNS(url string) api.AcmeSettings {
	return api.AcmeSettings{
		Names: []string{"console.example.com"}, Publish: api.AcmePublishAcmeDNS, TermsAgreed: true,
		URL: url, Subdomain: acmelab.Subdomain, Username: acmelab.Username, Password: acmelab.Password,
	}
}

func get(t *testing.T, client *http.Client, url string) (*http.Response, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	return client.Do(req)
}

// obtain reads settings, and tries once.
func obtain(t *testing.T, s api.AcmeSettings, a acmelab.Authority) (Issued, error) {
	t.Helper()
	s.Directory, s.Roots = a.Directory, a.Roots
	settings, wrong := Read(s, Settings{})
	if len(wrong) > 0 {
		t.Fatal(wrong)
	}
	account, err := NewKey()
	if err != nil {
		t.Fatal(err)
	}
	return settings.Obtain(t.Context(), account, func(string) {})
}

// check wants a certificate with its key for names, which leads to the authority's own.
func check(t *testing.T, issued Issued, names ...string) {
	t.Helper()
	if len(issued.Chain) < 2 {
		t.Fatalf("a chain of %d", len(issued.Chain))
	}
	pair := tls.Certificate{Certificate: issued.Chain, PrivateKey: issued.Key}
	leaf, err := x509.ParseCertificate(pair.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range names {
		if err := leaf.VerifyHostname(strings.Replace(n, "*", "any", 1)); err != nil {
			t.Error(err)
		}
	}
	above, err := x509.ParseCertificate(issued.Chain[1])
	if err != nil {
		t.Fatal(err)
	}
	if err := leaf.CheckSignatureFrom(above); err != nil {
		t.Error(err)
	}
}

func TestACertificateIsGotByDynamicUpdates(t *testing.T) {
	z := acmelab.StartZone(t)
	a := acmelab.StartAuthority(t, z.Addr)
	s := byUpdate()
	s.Server, s.TermsAgreed, s.WaitSeconds = z.Addr, true, 0
	s.Names = []string{"example.com", "*.example.com", "console.example.com"} // the first two are shown by records of one name
	issued, err := obtain(t, s, a)
	if err != nil {
		t.Fatalf("%v\n%s", err, a.Said())
	}
	check(t, issued, s.Names...)
	if added, left := z.Added(); added != 3 || left != 0 {
		t.Errorf("published %d records, and left %d", added, left)
	}
}

func TestACertificateIsGotByAcmeDNS(t *testing.T) {
	z := acmelab.StartZone(t)
	a := acmelab.StartAuthority(t, z.Addr)
	s := atAcmeDNS(acmelab.StartAcmeDNS(t, z))
	s.Names = []string{"console.example.com", "b.example.com", "c.example.com", "*.c.example.com"} // more than its two records at a time
	z.Alias("console.example.com", "b.example.com", "c.example.com")
	issued, err := obtain(t, s, a)
	if err != nil {
		t.Fatalf("%v\n%s", err, a.Said())
	}
	check(t, issued, s.Names...)
}

func TestAFailureSaysWhatToDo(t *testing.T) {
	z := acmelab.StartZone(t)
	a := acmelab.StartAuthority(t, z.Addr)
	good := byUpdate()
	good.Server, good.TermsAgreed, good.WaitSeconds = z.Addr, true, 0
	byAcmeDNS := atAcmeDNS(acmelab.StartAcmeDNS(t, z))
	for name, c := range map[string]struct {
		settings     api.AcmeSettings
		change       func(*api.AcmeSettings, *acmelab.Authority)
		says, remedy string
	}{
		"terms":         {good, func(s *api.AcmeSettings, _ *acmelab.Authority) { s.TermsAgreed = false }, "data:text/plain", "agree to them"},
		"no root":       {good, func(_ *api.AcmeSettings, a *acmelab.Authority) { a.Roots = "" }, "unknown authority", "root certificate"},
		"no directory":  {good, func(_ *api.AcmeSettings, a *acmelab.Authority) { a.Directory += "/none" }, "404", "URL of the directory"},
		"nobody there":  {good, func(_ *api.AcmeSettings, a *acmelab.Authority) { a.Directory = "https://" + acmelab.FreePort(t) }, "refused", "reaches it"},
		"wrong key":     {good, func(s *api.AcmeSettings, _ *acmelab.Authority) { s.Secret = "YW5vdGhlciBrZXkgdGhhbg==" }, "NOTAUTH", "mend them"},
		"unknown key":   {good, func(s *api.AcmeSettings, _ *acmelab.Authority) { s.KeyName = "nobody" }, "NOTAUTH", "mend them"},
		"another zone":  {good, func(s *api.AcmeSettings, _ *acmelab.Authority) { s.Zone, s.Names = "org", []string{"a.org"} }, "NOTZONE", "mend them"},
		"no DNS server": {good, func(s *api.AcmeSettings, _ *acmelab.Authority) { s.Server = acmelab.FreePort(t) }, "refused", "can be reached"},
		"no CNAME":      {byAcmeDNS, func(*api.AcmeSettings, *acmelab.Authority) {}, "TXT record of _acme-challenge.console.example.com", "is a CNAME of"},
		"no user":       {byAcmeDNS, func(s *api.AcmeSettings, _ *acmelab.Authority) { s.Username = "nobody" }, "doesn't know this user name", "mend them"},
		"no acme-dns":   {byAcmeDNS, func(s *api.AcmeSettings, _ *acmelab.Authority) { s.URL += "/else" }, "404", "mend them"},
	} {
		settings, authority := c.settings, a
		c.change(&settings, &authority)
		_, err := obtain(t, settings, authority)
		var why *Error
		if !errors.As(err, &why) || !strings.Contains(why.Text, c.says) || !strings.Contains(why.Remedy, c.remedy) {
			t.Errorf("%s: %#v, want that it says %q and %q", name, err, c.says, c.remedy)
			continue
		}
		t.Logf("%s: %s. %s", name, why.Text, why.Remedy)
	}
}

// begun is an attempt that goes on.
type begun struct {
	*testing.T
	zone      *acmelab.Zone
	authority acmelab.Authority
	tell      context.CancelFunc // it to end
	ended     chan error
}

// begin begins an attempt whose record is to stand for ten minutes.
func begin(t *testing.T, z *acmelab.Zone) *begun {
	t.Helper()
	b := &begun{T: t, zone: z, authority: acmelab.StartAuthority(t, z.Addr), ended: make(chan error, 1)}
	s := byUpdate()
	s.Directory, s.Roots, s.Server, s.TermsAgreed, s.WaitSeconds = b.authority.Directory, b.authority.Roots, z.Addr, true, 600
	settings, wrong := Read(s, Settings{})
	account, err := NewKey()
	if len(wrong) > 0 || err != nil {
		t.Fatal(wrong, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	b.tell = cancel
	go func() {
		_, err := settings.Obtain(ctx, account, func(string) {})
		b.ended <- err
	}()
	return b
}

// published waits until the record stands.
func (b *begun) published() {
	b.Helper()
	for published := false; !published; {
		added, _ := b.zone.Added()
		published = added > 0
		select {
		case err := <-b.ended:
			b.Fatalf("it ended: %v\n%s", err, b.authority.Said())
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// ends tells it to end, and waits for that; by half the time that one request to a server may take.
func (b *begun) ends() {
	b.Helper()
	b.tell()
	select {
	case err := <-b.ended:
		if !errors.Is(err, context.Canceled) {
			b.Error(err)
		}
	case <-time.After(stepTimeout / 2):
		b.Error("it goes on")
	}
}

func TestAnAttemptEndsWhenItIsTold(t *testing.T) {
	b := begin(t, acmelab.StartZone(t))
	b.published()
	b.ends()
	if _, left := b.zone.Added(); left > 0 {
		t.Errorf("%d records are left behind", left)
	}
}

func TestAnAttemptEndsThoughTheDNSServerSaysNothing(t *testing.T) {
	t.Run("to the record", func(t *testing.T) {
		z := acmelab.StartZone(t)
		asked := z.Mute()
		b := begin(t, z)
		<-asked
		b.ends()
	})
	t.Run("to its end", func(t *testing.T) {
		b := begin(t, acmelab.StartZone(t))
		b.published()
		b.zone.Mute()
		b.ends()
	})
}

func TestTheAuthorityIsToldOfAnotherMailAddress(t *testing.T) {
	z := acmelab.StartZone(t)
	a := acmelab.StartAuthority(t, z.Addr)
	account, err := NewKey()
	if err != nil {
		t.Fatal(err)
	}
	for _, email := range []string{"first@example.com", "second@example.com"} {
		s := byUpdate()
		s.Directory, s.Roots, s.Server, s.TermsAgreed, s.WaitSeconds, s.Email = a.Directory, a.Roots, z.Addr, true, 0, email
		settings, wrong := Read(s, Settings{})
		if len(wrong) > 0 {
			t.Fatal(wrong)
		}
		if _, err := settings.Obtain(t.Context(), account, func(string) {}); err != nil {
			t.Fatal(err)
		}
		client, done := newClient(a.Roots)
		defer done()
		has, err := (&acme.Client{Key: account, DirectoryURL: a.Directory, HTTPClient: client}).GetReg(t.Context(), "")
		if err != nil || !slices.Equal(has.Contact, []string{"mailto:" + email}) {
			t.Errorf("with %s the account has %v, %v", email, has, err)
		}
	}
}

func TestAnAuthorityThatWantsToBeLeftAloneIsAskedOnce(t *testing.T) {
	var asked atomic.Int32
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		w.Header().Set("Retry-After", "3600")
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(http.StatusTooManyRequests)
		_, _ = io.WriteString(w, `{"type": "urn:ietf:params:acme:error:rateLimited", "detail": "too many"}`)
	}))
	defer server.Close()
	root := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	_, err := obtain(t, byUpdate(), acmelab.Authority{Directory: server.URL, Roots: string(root)})
	var why *Error
	if !errors.As(err, &why) || why.After != time.Hour || asked.Load() != 1 {
		t.Errorf("asked %d times: %#v", asked.Load(), err)
	}
}

func TestARecordIsToBlameWhereTheAuthoritySaysSo(t *testing.T) {
	s, _ := Read(byAcmeDNS(), Settings{})
	for _, c := range []struct {
		err  error
		want string
	}{
		{&acme.AuthorizationError{Errors: []error{errors.New("no TXT record")}}, "is a CNAME of"},
		{&url.Error{Op: "Post", URL: "https://acme.example.com", Err: errors.New("refused")}, "reaches it"},
		{context.DeadlineExceeded, "reaches it"},
	} {
		if why := s.explain(unproven("_acme-challenge.example.com", c.err)); !strings.Contains(why.Remedy, c.want) {
			t.Errorf("%v: %+v", c.err, why)
		}
	}
}

func TestWhatServersSayIsBounded(t *testing.T) {
	endless := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusBadRequest)
		for chunk := bytes.Repeat([]byte("x\x1b[31m\n"), 1000); ; {
			if _, err := w.Write(chunk); err != nil {
				return
			}
		}
	}))
	defer endless.Close()
	client, done := newClient("")
	defer done()
	res, err := get(t, client, endless.URL)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(res.Body)
	_ = res.Body.Close()
	if len(b) != maxAnswer || err != nil {
		t.Errorf("read %d bytes, %v", len(b), err)
	}
	if said := line(string(b)); len(said) > maxSaid+3 || strings.ContainsAny(said, "\x1b\n") {
		t.Errorf("said: %q", said)
	}
	elsewhere := httptest.NewServer(http.RedirectHandler(endless.URL, http.StatusTemporaryRedirect))
	defer elsewhere.Close()
	res, err = get(t, client, elsewhere.URL)
	if err != nil || res.StatusCode != http.StatusTemporaryRedirect {
		t.Errorf("a redirect was followed: %v, %v", res, err)
	} else {
		_ = res.Body.Close()
	}
}
