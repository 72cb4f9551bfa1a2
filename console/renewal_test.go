package console

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"landbridge/console/api"
	"landbridge/internal/acmelab"
	"landbridge/internal/health"
	"landbridge/internal/store"
)

// acmeAt are settings for an authority that looks at a zone.
func acmeAt(a acmelab.Authority, z *acmelab.Zone) api.AcmeSettings {
	return api.AcmeSettings{
		Directory: a.Directory, Roots: a.Roots, Names: []string{"console.example.com"}, TermsAgreed: true, Publish: api.AcmePublishRfc2136,
		Server: z.Addr, Zone: "example.com", KeyName: acmelab.KeyName, Secret: acmelab.KeySecret,
	}
}

// keeps has the door's certificates be renewed until the test ends, by a clock that runs ahead by what is returned.
func (p *person) keeps() (c *Certificates, ahead *atomic.Int64) {
	p.t.Helper()
	c, ahead = p.server.door.Load().Certificates, new(atomic.Int64)
	c.now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	c.acme.random = func() float64 { return 0 }
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { c.KeepRenewed(ctx, slog.New(slog.DiscardHandler)) })
	p.t.Cleanup(func() { cancel(); running.Wait() })
	return c, ahead
}

// acme asks for how certificates are got, until it is as wanted.
func (p *person) acme(wanted string, is func(api.Acme) bool) api.Acme {
	p.t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(20 * time.Millisecond) { // in which the authority has the cores
		res, body := p.ask(http.MethodGet, "/api/v1/console/certificate/acme", "")
		var a api.Acme
		if err := json.Unmarshal(body, &a); res.StatusCode != http.StatusOK || err != nil {
			p.t.Fatalf("%d %s", res.StatusCode, body)
		}
		if strings.Contains(string(body), acmelab.KeySecret) {
			p.t.Fatalf("the secret is shown: %s", body)
		}
		if is(a) {
			return a
		}
		if time.Now().After(deadline) {
			p.t.Fatalf("not %s: %s", wanted, body)
		}
	}
}

func (p *person) setAcme(s api.AcmeSettings) (reply, []byte) {
	p.t.Helper()
	body, err := json.Marshal(s)
	if err != nil {
		p.t.Fatal(err)
	}
	return p.ask(http.MethodPut, "/api/v1/console/certificate/acme", string(body))
}

func isGood(a api.Acme) bool { return a.State == api.AcmeStateGood }

func TestACertificateIsGotByACMEAndRenewedByItself(t *testing.T) {
	z := acmelab.StartZone(t)
	authority := acmelab.StartAuthority(t, z.Addr)
	p := atDoor(t, newServer(t, &fake{}), everybody)
	p.setUp()
	c, ahead := p.keeps()
	if res, body := p.setAcme(acmeAt(authority, z)); res.StatusCode != http.StatusOK || strings.Contains(string(body), acmelab.KeySecret) {
		t.Fatalf("%d %s", res.StatusCode, body)
	}
	good := p.acme("good", isGood)
	first := c.current.Load()
	if now := c.describe(); !now.Acme || !now.Own || now.Names[0] != "console.example.com" || !strings.Contains(now.Issuer, "Pebble") {
		t.Errorf("shown: %+v", now)
	}
	begins, ends := first.Leaf.NotBefore, first.Leaf.NotAfter
	if third := ends.Add(-ends.Sub(begins) / 3); !good.Next.Equal(third) {
		t.Errorf("the next at %v, want when a third of the life from %v to %v is left, at %v", good.Next, begins, ends, third)
	}
	if _, f := c.Trouble(); f != (health.Finding{}) {
		t.Errorf("trouble: %s", f)
	}

	same := acmeAt(authority, z)
	same.Secret = "" // stays
	if res, body := p.setAcme(same); res.StatusCode != http.StatusOK {
		t.Fatalf("%d %s", res.StatusCode, body)
	}
	if a := p.acme("good", isGood); !a.Next.Equal(good.Next) {
		t.Errorf("the same settings have another certificate be got at %v", a.Next)
	}

	ahead.Store(int64(time.Until(good.Next)))
	c.acme.wake <- struct{}{}
	p.acme("renewed", func(a api.Acme) bool { return isGood(a) && a.Tried.After(good.Next.Add(-time.Second)) })
	if again := c.current.Load(); again.Leaf.SerialNumber.Cmp(first.Leaf.SerialNumber) == 0 || again.Leaf.PublicKey == first.Leaf.PublicKey {
		t.Error("it isn't renewed, or with the former key")
	}

	_, log := p.ask(http.MethodGet, "/api/v1/audit", "")
	if strings.Contains(string(log), acmelab.KeySecret) || !strings.Contains(string(log), "setAcme") || !strings.Contains(string(log), "console.example.com") {
		t.Errorf("the audit log has the secret in it, or not what was done:\n%s", log)
	}
}

func TestARenewalThatFailsIsToldAndTheFormerCertificateStays(t *testing.T) {
	z := acmelab.StartZone(t)
	authority := acmelab.StartAuthority(t, z.Addr)
	p := atDoor(t, newServer(t, &fake{}), everybody)
	p.setUp()
	c, ahead := p.keeps()
	wrong := acmeAt(authority, z)
	wrong.Secret = "YW5vdGhlciBrZXkgdGhhbg=="
	p.setAcme(wrong)
	failing := p.acme("failing", func(a api.Acme) bool { return a.State == api.AcmeStateFailing })
	if level, f := c.Trouble(); level != health.Warning || !strings.Contains(f.Text, "no certificate by ACME") || !strings.Contains(f.Text, "NOTAUTH") || f.Remedy != failing.Remedy {
		t.Errorf("trouble: %s", f)
	}
	if wait := failing.Next.Sub(failing.Tried); failing.Failures != 1 || wait != 5*time.Minute || !strings.Contains(failing.Trouble, "NOTAUTH") {
		t.Errorf("%+v, again after %v", failing, wait)
	}
	if now := c.describe(); now.Own {
		t.Errorf("shown: %+v", now)
	}

	p.setAcme(acmeAt(authority, z))
	p.acme("good", isGood)
	shown := c.current.Load()
	wrong.Names = []string{"b.example.com"} // another certificate, at once
	p.setAcme(wrong)
	p.acme("failing", func(a api.Acme) bool { return a.State == api.AcmeStateFailing })
	if _, f := c.Trouble(); c.describe().Fingerprint != fingerprint(shown.Leaf.Raw) || !strings.Contains(f.Text, "can't be renewed: ") {
		t.Errorf("shown %+v; trouble: %s", c.describe(), f)
	}
	ahead.Store(int64(shown.Leaf.NotAfter.Sub(shown.Leaf.NotBefore)))
	if level, f := c.Trouble(); level != health.Error || !strings.Contains(f.Text, "has ended") {
		t.Errorf("after its end: %s", f)
	}
	ahead.Store(0)

	if res, body := p.ask(http.MethodDelete, "/api/v1/console/certificate/acme", ""); res.StatusCode != http.StatusOK || !strings.Contains(string(body), `"off"`) {
		t.Errorf("ended: %d %s", res.StatusCode, body)
	}
	if !c.describe().Acme {
		t.Error("the certificate has gone with the settings")
	}
	for _, r := range [][2]string{{http.MethodDelete, "/api/v1/console/certificate/acme"}, {http.MethodPost, "/api/v1/console/certificate/acme/attempt"}} {
		if res, body := p.ask(r[0], r[1], ""); res.StatusCode != http.StatusConflict {
			t.Errorf("%s %s where it isn't set up: %d %s", r[0], r[1], res.StatusCode, body)
		}
	}
	if err := c.db.View(func(tx *store.Tx) error {
		if n := acmeBucket().Len(tx); n != 0 {
			t.Errorf("%d records are left", n)
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
}

func TestSettingsOfACMEThatCantBeAreRefusedAndChangeNothing(t *testing.T) {
	p := atDoor(t, newServer(t, &fake{}), everybody)
	p.setUp()
	c := p.server.door.Load().Certificates
	res, body := p.setAcme(api.AcmeSettings{Names: []string{"console"}, Publish: api.AcmePublishRfc2136, Zone: strings.Repeat("a", 300), Directory: "http://example.com"})
	var problem api.Problem
	if err := json.Unmarshal(body, &problem); err != nil || res.StatusCode != http.StatusUnprocessableEntity {
		t.Fatalf("%d %s", res.StatusCode, body)
	}
	said := make(map[string]int)
	for _, e := range problem.Errors {
		said[e.Field]++
	}
	for _, field := range []string{"names", "zone", "directory", "server", "keyName", "secret"} {
		if said[field] != 1 {
			t.Errorf("%s is spoken of %d times: %s", field, said[field], body)
		}
	}
	if c.describeAcme().State != api.AcmeStateOff {
		t.Errorf("%+v", c.describeAcme())
	}
	checkOnly := func(r *http.Request) { r.Header.Set(api.CheckHeader, "true") }
	good := `{"names": ["console.example.com"], "publish": "acme-dns", "url": "https://auth.example.com", "subdomain": "a", "username": "b", "password": "c"}`
	if res, body := p.ask(http.MethodPut, "/api/v1/console/certificate/acme", good, checkOnly); res.StatusCode != http.StatusNoContent || c.describeAcme().State != api.AcmeStateOff {
		t.Errorf("only checked: %d %s", res.StatusCode, body)
	}

	if res, body := p.ask(http.MethodPut, "/api/v1/console/certificate/acme", good); res.StatusCode != http.StatusOK || c.describeAcme().State != api.AcmeStateDue {
		t.Errorf("%d %s", res.StatusCode, body)
	}
	key := newKey(t)
	upload, _ := json.Marshal(api.CertificateUpload{Certificate: inPEM(issuer{t: t}.sign(key, nil)), Key: keyPEM(t, key)})
	if res, body := p.ask(http.MethodPut, "/api/v1/console/certificate", string(upload)); res.StatusCode != http.StatusOK || c.describeAcme().State != api.AcmeStateOff {
		t.Errorf("an upload goes on with ACME: %d %s", res.StatusCode, body)
	}
}
