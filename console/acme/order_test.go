package acme

import (
	"context"
	"crypto/x509"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"
)

// refused returns why an order failed.
func refused(t *testing.T, err error) *Error {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) || e.Text == "" || e.Remedy == "" {
		t.Fatalf("%v: want words, and what to do", err)
	}
	return e
}

func TestACertificateIsIssuedAndRenewedByUpdates(t *testing.T) {
	t.Parallel()
	z := newZone(t)
	p := newPebble(t, z)
	k := &kept{job: Job{Settings: p.settings(z)}}
	k.job.Settings.Names = []string{"console.example.test", "landbridge.example.test"}
	issued, err := k.order(t.Context(), orderer(z))
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(issued.Chain[0])
	if err != nil || len(issued.Chain) != 2 || leaf.VerifyHostname("console.example.test") != nil || leaf.VerifyHostname("landbridge.example.test") != nil {
		t.Fatalf("%d certificates, for %v: %v", len(issued.Chain), leaf.DNSNames, err)
	}
	told := strings.Join(k.told, ", ")
	for _, step := range []string{"asking, ordering, setting ", "setting console.example.test, showing console.example.test, validating console.example.test", "validating landbridge.example.test", "issuing"} {
		if !strings.Contains(told, step) {
			t.Errorf("told %s: want %q", told, step)
		}
	}
	if left := z.left(); len(left) > 0 || len(k.job.Leftover) > 0 || z.updates != 4 {
		t.Errorf("%v is left after %d updates, and %v to be cleared", left, z.updates, k.job.Leftover)
	}

	account := string(k.job.Account.Key)
	k.job.Settings.Email = "admin@example.test" // the CA is told with the next order
	again, err := k.order(t.Context(), orderer(z))
	if err != nil {
		t.Fatal(err)
	}
	if string(again.Chain[0]) == string(issued.Chain[0]) || string(k.job.Account.Key) != account || k.job.Account.Email != "admin@example.test" {
		t.Errorf("renewed: want another certificate of the same account, %+v", k.job.Account)
	}
}

func TestACertificateIsIssuedByAcmeDNSOnceACNAMELeadsThere(t *testing.T) {
	t.Parallel()
	z := newZone(t)
	p, server := newPebble(t, z), fakeAcmeDNS(t, z)
	s := p.settings(z)
	s.Solver, s.Server, s.User, s.Secret = ByAcmeDNS, server.URL, "", ""
	s.Roots += "\n" + rootOf(server)
	k := &kept{job: Job{Settings: s.Normal()}}
	_, err := k.order(t.Context(), orderer(z))
	e := refused(t, err)
	d := k.job.Delegate
	if d.Domain == "" || !strings.Contains(e.Text, "no CNAME at _acme-challenge.console.example.test") || !strings.Contains(e.Remedy, d.Domain) {
		t.Fatalf("%+v: %v", d, e)
	}
	z.mu.Lock()
	z.aliases["_acme-challenge.console.example.test."] = d.Domain + "."
	z.mu.Unlock()
	if _, err := k.order(t.Context(), orderer(z)); err != nil {
		t.Fatal(err)
	}
	if k.job.Delegate != d {
		t.Error("it has registered twice")
	}

	k.job.Account = Account{} // the CA remembers what an account has proved
	k.job.Settings.User, k.job.Settings.Secret, k.job.Settings.Subdomain = d.User, "wrong", d.Subdomain
	_, err = k.order(t.Context(), orderer(z))
	if e := refused(t, err); !strings.Contains(e.Text, "401") || !strings.Contains(e.Remedy, "password") {
		t.Errorf("a wrong password: %v", e)
	}
}

func TestWhyAnOrderFailsIsSaidInWords(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change    func(*Settings, *zone)
		text, say string
	}{
		"wrong secret":     {func(s *Settings, _ *zone) { s.Secret = "d3Jvbmc=" }, "isn't that which the name server", "secret"},
		"wrong key name":   {func(s *Settings, _ *zone) { s.User = "other.example.test" }, "knows no TSIG key other.example.test", "name and algorithm"},
		"no key":           {func(s *Settings, _ *zone) { s.User, s.Secret = "", "" }, "refuses to change the zone", "update-policy"},
		"another zone":     {func(s *Settings, _ *zone) { s.Zone = "test" }, "isn't the primary of the zone test.", "primary"},
		"never shown":      {func(_ *Settings, z *zone) { z.hidden = true }, "isn't to be seen after 10m0s: ns.example.test doesn't have it", "follow the one"},
		"refused name":     {func(s *Settings, _ *zone) { s.Names = []string{"no.blocked.test"} }, "rejectedIdentifier", "Choose a name"},
		"terms not agreed": {func(s *Settings, _ *zone) { s.Agree = false }, "terms of service", "agree"},
		"unknown root":     {func(s *Settings, _ *zone) { s.Roots = "" }, "certificate signed by unknown authority", "root certificate"},
		"no directory":     {func(s *Settings, _ *zone) { s.Directory = strings.Replace(s.Directory, "/dir", "/roots/0", 1) }, "127.0.0.1", "ACME"},
		"nobody there":     {func(s *Settings, _ *zone) { s.Directory = "https://127.0.0.1:1/dir" }, "can't be asked", "443"},
		"no name server":   {func(s *Settings, _ *zone) { s.Server = "127.0.0.1:1" }, "127.0.0.1:1", "primary"},
		"no resolver":      {func(s *Settings, _ *zone) { s.Resolver = "127.0.0.1:1" }, "127.0.0.1:1", "name another"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			z := newZone(t)
			p := newPebble(t, z, "blocked.test")
			k := &kept{job: Job{Settings: p.settings(z)}}
			c.change(&k.job.Settings, z)
			_, err := k.order(t.Context(), orderer(z))
			if e := refused(t, err); !strings.Contains(e.Text, c.text) || !strings.Contains(e.Remedy, c.say) && name != "no directory" || (e.Terms != "") != (name == "terms not agreed") {
				t.Errorf("%q, %q: want %q and %q", e.Text, e.Remedy, c.text, c.say)
			}
			if left := z.left(); len(left) > 0 || name == "never shown" && len(k.job.Leftover) > 0 {
				t.Errorf("%v is left, %v to be cleared", left, k.job.Leftover)
			}
		})
	}
}

func TestTheCASaysWhyItDoesNotBelieveAName(t *testing.T) {
	t.Parallel()
	z := newZone(t)
	p := newPebble(t, z)
	k := &kept{job: Job{Settings: p.settings(z)}, step: func(s Step) {
		if s == Validating { // what the CA sees isn't what was seen here
			z.mu.Lock()
			z.records[0].Value = strings.Repeat("x", 43)
			z.mu.Unlock()
		}
	}}
	_, err := k.order(t.Context(), orderer(z))
	if e := refused(t, err); !strings.Contains(e.Text, "console.example.test: Correct value not found for DNS challenge (unauthorized)") || !strings.Contains(e.Remedy, "name servers") {
		t.Errorf("%v", e)
	}
}

func TestAClockThatIsOffIsSaidBeforeAnythingIsOrdered(t *testing.T) {
	t.Parallel()
	z := newZone(t)
	p := newPebble(t, z)
	p.asked = func(r *http.Request) {
		if r.Method == http.MethodPost {
			t.Errorf("%s was asked", r.URL)
		}
	}
	for off, want := range map[time.Duration]string{-time.Hour: " behind that of", time.Hour: " ahead of that of", -50 * 365 * 24 * time.Hour: "hasn't been set"} {
		o := orderer(z)
		o.now = func() time.Time { return time.Now().Add(off) }
		_, err := (&kept{job: Job{Settings: p.settings(z)}}).order(t.Context(), o)
		if e := refused(t, err); !strings.Contains(e.Text, want) {
			t.Errorf("%v off: %v", off, e)
		}
	}
}

func TestAnOrderThatAKillHasEndedLeavesNothingBehindAfterTheNext(t *testing.T) {
	t.Parallel()
	for _, at := range []Step{Asking, Ordering, Setting, Showing, Validating, Issuing} {
		t.Run(string(at), func(t *testing.T) {
			t.Parallel()
			z := newZone(t)
			p := newPebble(t, z)
			k := &kept{job: Job{Settings: p.settings(z)}}
			killed := make(chan struct{})
			var disk Job // as it is when the kill comes
			k.step = func(s Step) {
				if s == at {
					disk = k.job
					panic(http.ErrAbortHandler)
				}
			}
			go func() {
				defer close(killed)
				defer func() { _ = recover() }()
				_, _ = k.order(t.Context(), orderer(z))
			}()
			<-killed
			if at == Showing || at == Validating { // a kill runs no deferred clearing
				z.mu.Lock()
				z.records = append(z.records, disk.Leftover...)
				z.mu.Unlock()
				if len(disk.Leftover) != 1 {
					t.Errorf("%v is kept for the next start", disk.Leftover)
				}
			}
			next := &kept{job: disk}
			if _, err := next.order(t.Context(), orderer(z)); err != nil {
				t.Fatal(err)
			}
			if left := z.left(); len(left) > 0 || len(next.job.Leftover) > 0 {
				t.Errorf("%v is left", left)
			}
			if at != Asking && string(next.job.Account.Key) != string(disk.Account.Key) {
				t.Error("another account was made")
			}
		})
	}
}

func TestAnOrderThatIsGivenUpEndsAtOnceAndClearsItsRecord(t *testing.T) {
	t.Parallel()
	z := newZone(t)
	p := newPebble(t, z)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	k := &kept{job: Job{Settings: p.settings(z)}, step: func(s Step) {
		if s == Validating {
			cancel()
		}
	}}
	if _, err := k.order(ctx, orderer(z)); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if left := z.left(); len(left) > 0 {
		t.Errorf("%v is left", left)
	}
}
