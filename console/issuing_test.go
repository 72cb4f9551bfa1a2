package console

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"landbridge/console/acme"
	"landbridge/console/api"
	"landbridge/internal/health"
	"landbridge/internal/store"
)

// authorityDesk is a CA in memory: an order waits until a test decides about it.
type authorityDesk struct {
	t      *testing.T
	orders chan deskOrder
}

// deskOrder is an order at the desk.
type deskOrder struct {
	ctx    context.Context
	job    acme.Job
	keep   acme.Keeper
	answer chan<- deskAnswer
}

type deskAnswer struct {
	issued acme.Issued
	err    error
}

func newDesk(t *testing.T) *authorityDesk { return &authorityDesk{t, make(chan deskOrder)} }

func (d *authorityDesk) order(ctx context.Context, job acme.Job, keep acme.Keeper) (acme.Issued, error) {
	answer := make(chan deskAnswer, 1)
	select {
	case d.orders <- deskOrder{ctx, job, keep, answer}:
	case <-ctx.Done():
		return acme.Issued{}, ctx.Err()
	}
	select {
	case a := <-answer:
		return a.issued, a.err
	case <-ctx.Done():
		return acme.Issued{}, ctx.Err()
	}
}

// next returns the next order.
func (d *authorityDesk) next() deskOrder {
	d.t.Helper()
	select {
	case o := <-d.orders:
		return o
	case <-time.After(20 * time.Second):
		d.t.Fatal("nothing is ordered")
	}
	return deskOrder{}
}

// fulfil issues what is ordered, good from at on for 90 days.
func (d *authorityDesk) fulfil(o deskOrder, at time.Time) *x509.Certificate {
	d.t.Helper()
	key := newKey(d.t)
	cert := issuer{t: d.t}.sign(key, func(c *x509.Certificate) {
		c.Subject.CommonName, c.DNSNames, c.IPAddresses, c.NotBefore, c.NotAfter = "", o.job.Settings.Names, nil, at, at.AddDate(0, 0, 90)
	})
	o.answer <- deskAnswer{issued: acme.Issued{Chain: [][]byte{cert.Raw}, Key: key}}
	return cert
}

// clerk is Certificates whose orders go to a desk, with a clock of the test's.
type clerk struct {
	*Certificates
	desk *authorityDesk
	db   *store.DB

	mu   sync.Mutex
	time time.Time
}

func newClerk(t *testing.T, db *store.DB) *clerk {
	t.Helper()
	if db == nil {
		var err error
		if db, err = store.Open(filepath.Join(t.TempDir(), "state.db")); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = db.Close() })
	}
	c, err := OpenCertificates(db, func() string { return "site-a" }, nil)
	if err != nil {
		t.Fatal(err)
	}
	k := &clerk{Certificates: c, desk: newDesk(t), db: db, time: time.Now()}
	c.issuing.order = k.desk.order
	c.now = func() time.Time { k.mu.Lock(); defer k.mu.Unlock(); return k.time }
	return k
}

// start has orders carried out until stop is called.
func (k *clerk) start(t *testing.T) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); k.KeepIssued(ctx, slog.New(slog.DiscardHandler)) }()
	stop = func() { cancel(); <-done }
	t.Cleanup(stop)
	return stop
}

// later has the clock go on, and has it looked whether an order is due.
func (k *clerk) later(d time.Duration) {
	k.mu.Lock()
	k.time = k.time.Add(d)
	k.mu.Unlock()
	k.issuing.rouse()
}

// until waits until a state is as wanted.
func (k *clerk) until(what string, ok func(api.Acme) bool) api.Acme {
	k.desk.t.Helper()
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		a, err := k.describeAcme()
		if err != nil {
			k.desk.t.Fatal(err)
		}
		if ok(a) {
			return a
		}
		if time.Now().After(end) {
			k.desk.t.Fatalf("not %s: %+v", what, a)
		}
	}
}

func rests(a api.Acme) bool { return !a.Running && !a.Next.IsZero() }

func someSettings() acme.Settings {
	return acme.Settings{Names: []string{"console.example.com"}, Agree: true, Solver: acme.ByUpdate, Server: "192.0.2.53", User: "key", Secret: "c2VjcmV0"}.Normal()
}

func TestAnIssuedCertificateIsShownAndRenewedAfterTwoThirdsOfItsLife(t *testing.T) {
	k := newClerk(t, nil)
	k.start(t)
	self := k.describe().Fingerprint
	if err := k.setAcme(someSettings()); err != nil {
		t.Fatal(err)
	}
	o := k.desk.next()
	o.keep.Tell(acme.Showing, "console.example.com")
	if a := k.until("under way", func(a api.Acme) bool { return a.Running && len(a.Steps) == 1 }); !a.On || a.Steps[0].About != "console.example.com" || k.describe().Fingerprint != self {
		t.Errorf("%+v, and %s is shown", a, k.describe().Fingerprint)
	}
	cert := k.desk.fulfil(o, k.now())
	a := k.until("issued", rests)
	if now := k.describe(); now.Fingerprint != fingerprint(cert.Raw) || !now.Own || !now.Issued || now.Subject != "console.example.com" {
		t.Errorf("%+v is shown", now)
	}
	if want := cert.NotBefore.AddDate(0, 0, 60); !a.Next.Equal(want) || a.Steps[len(a.Steps)-1].Stage != api.AcmeStageUsed {
		t.Errorf("next %v, want %v: %+v", a.Next, want, a.Steps)
	}
	k.later(61 * 24 * time.Hour)
	again := k.desk.fulfil(k.desk.next(), k.now())
	k.until("renewed", rests)
	if got := k.describe().Fingerprint; got != fingerprint(again.Raw) {
		t.Errorf("%s is shown", got)
	}
	if kept := newClerk(t, k.db); kept.describe().Fingerprint != fingerprint(again.Raw) {
		t.Error("it isn't kept")
	}
}

func TestAFailedOrderIsToldWaitedOutAndSpokenOfInTime(t *testing.T) {
	k := newClerk(t, nil)
	k.start(t)
	if err := k.setAcme(someSettings()); err != nil {
		t.Fatal(err)
	}
	why := &acme.Error{Text: "The key is wrong.", Remedy: "Give another."}
	began := k.now()
	k.desk.next().answer <- deskAnswer{err: why}
	a := k.until("failed", rests)
	if pause := a.Next.Sub(began); a.Failure.Text != why.Text || a.Failure.Remedy != why.Remedy || a.Failure.Times != 1 || pause < 11*time.Minute || pause > 15*time.Minute {
		t.Errorf("in %v: %+v", pause, a.Failure)
	}
	if _, f := k.Trouble(); f != (health.Finding{}) {
		t.Errorf("at once: %v", f)
	}
	k.later(time.Hour)
	k.desk.next().answer <- deskAnswer{err: &acme.Error{Text: why.Text, Remedy: why.Remedy, Rest: 20 * time.Hour}}
	if a := k.until("failed twice", func(a api.Acme) bool { return rests(a) && a.Failure.Times == 2 }); a.Next.Sub(k.now()) != 20*time.Hour {
		t.Errorf("next %v, though the CA wants to hear nothing for 20 h", a.Next)
	}
	k.later(21 * time.Hour)
	k.desk.next().answer <- deskAnswer{err: why}
	k.until("failed again", func(a api.Acme) bool { return rests(a) && a.Failure.Times == 3 })
	if level, f := k.Trouble(); level != health.Warning || !strings.Contains(f.Text, why.Text) || f.Remedy != why.Remedy {
		t.Errorf("%v %v", level, f)
	}
	k.later(time.Hour)
	cert := k.desk.fulfil(k.desk.next(), k.now())
	k.until("issued", func(a api.Acme) bool { return rests(a) && a.Failure == (api.AcmeFailure{}) })

	for _, c := range []struct {
		days  int
		level health.Level
		says  string
	}{{59, 0, ""}, {61, 0, ""}, {70, health.Warning, "ends on " + cert.NotAfter.UTC().Format(time.DateTime) + ". It couldn't be renewed. The key is wrong."}, {91, health.Error, "has ended"}} {
		k.later(cert.NotBefore.AddDate(0, 0, c.days).Sub(k.now()))
		if c.days > 60 {
			k.desk.next().answer <- deskAnswer{err: why}
			k.until("failed", rests)
		}
		if level, f := k.Trouble(); level != c.level && c.says != "" || (c.says == "") != (f == (health.Finding{})) || !strings.Contains(f.Text, c.says) {
			t.Errorf("after %d days: %v %v", c.days, level, f)
		}
	}
	if k.describe().Fingerprint != fingerprint(cert.Raw) {
		t.Error("another certificate is shown")
	}
}

func TestSettingsThatAreChangedEndTheOrderThatIsCarriedOut(t *testing.T) {
	k := newClerk(t, nil)
	k.start(t)
	first := someSettings()
	if err := k.setAcme(first); err != nil {
		t.Fatal(err)
	}
	old := k.desk.next()
	second := first
	second.Names = []string{"other.example.com"}
	if err := k.setAcme(second); err != nil {
		t.Fatal(err)
	}
	<-old.ctx.Done()
	if err := old.keep.KeepAccount(acme.Account{Directory: "old"}); !errors.Is(err, errSuperseded) {
		t.Errorf("the former order goes on keeping: %v", err)
	}
	now := k.desk.next()
	if now.job.Settings.Names[0] != "other.example.com" || now.job.Account.Directory != "" {
		t.Errorf("%+v is ordered", now.job)
	}
	cert := k.desk.fulfil(now, k.now())
	k.until("issued", rests)
	if k.describe().Fingerprint != fingerprint(cert.Raw) {
		t.Error("it isn't shown")
	}

	key := newKey(t) // another certificate is chosen while one is ordered
	if err := k.orderNow(""); err != nil {
		t.Fatal(err)
	}
	old = k.desk.next()
	uploaded := issuer{t: t}.sign(key, nil)
	if err := k.upload(inPEM(uploaded), keyPEM(t, key)); err != nil {
		t.Fatal(err)
	}
	<-old.ctx.Done()
	k.desk.fulfil(old, k.now())
	a := k.until("off", func(a api.Acme) bool { return !a.On && !a.Running })
	if k.describe().Fingerprint != fingerprint(uploaded.Raw) || k.describe().Issued || !a.HasSecret {
		t.Errorf("%+v, and %+v is shown", a, k.describe())
	}
	if err := k.orderNow(""); err == nil {
		t.Error("it is ordered though it is off")
	}
}

func TestAnOrderThatAKillEndedBeginsAnewWithWhatItHadKeptAndThenMoreSlowly(t *testing.T) {
	k := newClerk(t, nil)
	stop := k.start(t)
	if err := k.setAcme(someSettings()); err != nil {
		t.Fatal(err)
	}
	o := k.desk.next()
	record, account := acme.Record{Name: "_acme-challenge.console.example.com.", Value: "x"}, acme.Account{Directory: acme.LetsEncrypt, Key: []byte("key")}
	if err := errors.Join(o.keep.KeepAccount(account), o.keep.KeepRecords([]acme.Record{record})); err != nil {
		t.Fatal(err)
	}
	stop()
	k = newClerk(t, k.db)
	stop = k.start(t)
	o = k.desk.next()
	if !slices.Equal(o.job.Leftover, []acme.Record{record}) || string(o.job.Account.Key) != "key" {
		t.Errorf("%+v", o.job)
	}
	stop()
	k = newClerk(t, k.db)
	k.start(t)
	if a := k.until("at rest", rests); a.Next.Sub(k.now()) < 20*time.Minute {
		t.Errorf("killed twice, and it is tried again at %v", a.Next)
	}
	k.later(31 * time.Minute)
	k.desk.fulfil(k.desk.next(), k.now())
	k.until("issued", func(a api.Acme) bool { return rests(a) && k.describe().Issued })
}

func TestTermsOfServiceAreAgreedToByTheirAddress(t *testing.T) {
	k := newClerk(t, nil)
	k.start(t)
	s := someSettings()
	s.Agree = false
	if err := k.setAcme(s); err != nil {
		t.Fatal(err)
	}
	k.desk.next().answer <- deskAnswer{err: &acme.Error{Text: "Terms.", Remedy: "Agree.", Terms: "https://ca.test/terms"}}
	if a := k.until("waiting for a yes", func(a api.Acme) bool { return a.Terms != "" }); !a.Next.IsZero() || a.Running {
		t.Errorf("%+v", a)
	}
	if level, f := k.Trouble(); level != health.Warning || f.Remedy != "Agree." {
		t.Errorf("%v", f)
	}
	for _, terms := range []string{"", "https://ca.test/others"} {
		if err := k.orderNow(terms); err == nil {
			t.Errorf("%q is taken for agreement", terms)
		}
	}
	if err := k.orderNow("https://ca.test/terms"); err != nil {
		t.Fatal(err)
	}
	if o := k.desk.next(); !o.job.Settings.Agree {
		t.Error("the order doesn't know of it")
	}
}

func TestTheSecretIsNeverToldAndGoesToItsOwnServerAlone(t *testing.T) {
	p := atDoor(t, newServer(t, &fake{}), everybody)
	p.setUp()
	const path = "/api/v1/console/certificate/acme"
	body := func(server, secret string) string {
		b, _ := json.Marshal(api.AcmeSettings{Names: []string{"console.example.com"}, Solver: api.AcmeSolverByUpdate, Server: server, User: "key", Secret: secret})
		return string(b)
	}
	res, content := p.ask(http.MethodPut, path, body("192.0.2.53", "dG9wc2VjcmV0"))
	if res.StatusCode != http.StatusOK || !strings.Contains(string(content), `"hasSecret":true`) {
		t.Fatalf("%d %s", res.StatusCode, content)
	}
	for _, path := range []string{path, "/api/v1/audit", "/api/v1/console/certificate"} {
		if _, content := p.ask(http.MethodGet, path, ""); strings.Contains(string(content), "dG9wc2VjcmV0") {
			t.Errorf("%s has the secret in it:\n%s", path, content)
		}
	}
	if res, content := p.ask(http.MethodPut, path, body("192.0.2.53", "")); res.StatusCode != http.StatusOK {
		t.Errorf("the same server: %d %s", res.StatusCode, content)
	}
	if res, content := p.ask(http.MethodPut, path, body("198.51.100.1", "")); res.StatusCode != http.StatusUnprocessableEntity || !strings.Contains(string(content), `"field":"secret"`) {
		t.Errorf("another server: %d %s", res.StatusCode, content)
	}
	if res, content := p.ask(http.MethodPut, path, `{"names":["a"],"solver":"rfc2136","server":"x y"}`); res.StatusCode != http.StatusUnprocessableEntity || !strings.Contains(string(content), `"field":"names"`) || !strings.Contains(string(content), `"server"`) {
		t.Errorf("%d %s", res.StatusCode, content)
	}
	if res, _ := p.ask(http.MethodPut, path, body("203.0.113.1", "YQ=="), func(r *http.Request) { r.Header.Set(api.CheckHeader, "true") }); res.StatusCode != http.StatusNoContent {
		t.Errorf("only checked: %d", res.StatusCode)
	}
	if _, content := p.ask(http.MethodGet, path, ""); strings.Contains(string(content), "203.0.113.1") {
		t.Error("a check has changed it")
	}
	if res, content := p.ask(http.MethodDelete, path, ""); res.StatusCode != http.StatusOK || !strings.Contains(string(content), `"on":false`) {
		t.Errorf("%d %s", res.StatusCode, content)
	}
	if res, _ := p.ask(http.MethodPost, path+"/order", "{}"); res.StatusCode != http.StatusConflict {
		t.Errorf("an order with nothing set: %d", res.StatusCode)
	}
}
