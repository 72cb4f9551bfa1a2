package acme

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/crypto/acme"
)

// roundTripper answers without a network.
type roundTripper func(*http.Request) *http.Response

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r), nil }

func TestWhatACASendsIsBounded(t *testing.T) {
	t.Parallel()
	var plain bool
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/large":
			for range 2 * maxBody / 1024 {
				_, _ = w.Write([]byte(strings.Repeat(" ", 1024)))
			}
		case "/head":
			w.Header().Set("X-Large", strings.Repeat("x", maxHeader))
		case "/plain":
			http.Redirect(w, r, "http://"+r.Host+"/there", http.StatusFound)
		case "/there":
			plain = true
		}
	}))
	defer s.Close()
	z := newZone(t)
	for path, want := range map[string]string{"/large": "larger than 256 KiB", "/head": "exceeded", "/plain": "without TLS", "/empty": "EOF"} {
		p := pebble{Server: s, roots: rootOf(s)}
		k := &kept{job: Job{Settings: p.settings(z)}}
		k.job.Settings.Directory = s.URL + path
		_, err := k.order(t.Context(), orderer(z))
		if e := refused(t, err); !strings.Contains(e.Text, want) || len(e.Text) > 2*maxWords {
			t.Errorf("%s: %v, want %q", path, e, want)
		}
	}
	if plain {
		t.Error("it was asked without TLS")
	}
}

func TestHowLongACAWantsToHearNothingIsBounded(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for after, want := range map[string]time.Duration{
		"0": time.Second, "-5": time.Second, "never": time.Second, "7": 7 * time.Second, "4000000000": time.Second, "99999999": maxRest,
		now.Add(time.Hour).Format(http.TimeFormat): time.Hour, now.Add(-time.Hour).Format(http.TimeFormat): time.Second,
	} {
		tr := &transport{now: func() time.Time { return now }, base: roundTripper(func(*http.Request) *http.Response {
			return &http.Response{StatusCode: http.StatusTooManyRequests, Header: http.Header{"Retry-After": {after}}, Body: http.NoBody}
		})}
		res, err := tr.RoundTrip(httptest.NewRequestWithContext(t.Context(), http.MethodGet, "https://ca.test/", http.NoBody))
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if got := res.Header.Get("Retry-After"); got != fmt.Sprint(int(want.Seconds())) {
			t.Errorf("%s: %s, want %v", after, got, want)
		}
	}
	e := explainProblem("ca.test", "", &acme.Error{StatusCode: 429, ProblemType: "urn:ietf:params:acme:error:rateLimited", Detail: "too many", Header: http.Header{"Retry-After": {"7200"}}})
	if e.Rest != 2*time.Hour || !strings.Contains(e.Remedy, "when the CA allows it") {
		t.Errorf("%+v", e)
	}
}

func TestTheRootsOfBrowsersAreThereWhereTheSystemHasNone(t *testing.T) {
	t.Parallel()
	if n := len(mozillaRoots().Subjects()); n < 100 { //nolint:staticcheck // it is no system pool
		t.Errorf("%d roots", n)
	}
}

// FuzzProblem has what a CA says in a problem become words that are short, and on one line.
func FuzzProblem(f *testing.F) {
	f.Add(`{"type":"urn:ietf:params:acme:error:caa","detail":"CAA forbids","subproblems":[{"type":"x","detail":"y"}]}`, "console.example.test")
	f.Add(`{"type":":","detail":"\u0000\n\u202e"}`, "")
	f.Fuzz(func(t *testing.T, document, name string) {
		var p acme.Error
		if json.Unmarshal([]byte(document), &struct {
			Type        *string
			Detail      *string
			Subproblems *[]acme.Subproblem
		}{&p.ProblemType, &p.Detail, &p.Subproblems}) != nil {
			return
		}
		e := explainProblem("ca.test", name, &p)
		if len([]rune(e.Text)) > maxWords+100 || strings.ContainsAny(e.Text+e.Remedy, "\n\x00\u202e") || e.Remedy == "" {
			t.Errorf("%q %q", e.Text, e.Remedy)
		}
	})
}

// FuzzAnswer has what a name server answers to an update, and to a question of a zone, be judged.
func FuzzAnswer(f *testing.F) {
	m := new(dns.Msg)
	m.SetUpdate("example.test.")
	for rcode := range 11 {
		m.Rcode = rcode
		b, err := m.Pack()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m := new(dns.Msg)
		if m.Unpack(b) != nil {
			return
		}
		u := &updater{server: "192.0.2.1:53", key: tsigKey}
		if u.judge("example.test.", m, nil) == nil && (m.IsTsig() == nil || m.Rcode != 0) {
			t.Error("an answer that isn't signed was taken")
		}
		if z := apex(m, "_acme-challenge.console.example.test."); z != "" && !dns.IsSubDomain(z, "console.example.test.") {
			t.Errorf("the zone %s", z)
		}
		has(m, Record{"a.", "b"})
	})
}

// FuzzSettings has settings that were found good stay so, and be good for an order.
func FuzzSettings(f *testing.F) {
	f.Add("https://ca.test/dir", "console.example.test", ByUpdate, "ns1.example.test", "key.", tsigSecret, "")
	f.Add("", "a.b", ByAcmeDNS, "https://auth.test/", "u", "p", "s")
	f.Fuzz(func(t *testing.T, directory, name, solver, server, user, secret, subdomain string) {
		s := Settings{Directory: directory, Names: []string{name}, Solver: solver, Server: server, User: user, Secret: secret, Subdomain: subdomain}.Normal()
		if len(s.Check()) > 0 {
			return
		}
		if again := s.Normal(); fmt.Sprint(again) != fmt.Sprint(s) || len(again.Check()) > 0 {
			t.Errorf("%+v\n%+v", s, again)
		}
		if _, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.Directory, http.NoBody); err != nil {
			t.Error(err)
		}
		if _, ok := dns.IsDomainName("_acme-challenge." + s.Names[0]); !ok {
			t.Errorf("the name %q", s.Names[0])
		}
	})
}
