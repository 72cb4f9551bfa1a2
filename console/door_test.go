package console

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"landbridge/console/access"
	"landbridge/console/api"
	"landbridge/internal/store"
)

const (
	testName     = "alice"
	testPassword = "correct horse battery"
)

// person is a browser at the HTTPS door of a server.
type person struct {
	t      testing.TB
	server *Server
	addr   string
	client *http.Client
	cookie string // as a browser would send it
	csrf   string
}

// atDoor runs a server's HTTPS door until the test ends.
func atDoor(t testing.TB, s *Server, allow func(local, remote netip.Addr) bool) *person {
	t.Helper()
	db, err := store.Open(filepath.Join(t.TempDir(), "certificate.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	certificates, err := OpenCertificates(db, func() string { return "site-a" }, nil)
	if err != nil {
		t.Fatal(err)
	}
	addr := freePort(t)
	ready := make(chan error, 16)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		s.ServeHTTPS(ctx, Door{
			Listen: []netip.AddrPort{addr}, Certificates: certificates, Allow: allow,
			Trouble: func(_ netip.AddrPort, err error) { ready <- err },
		})
	}()
	t.Cleanup(func() { cancel(); <-ended })
	if err := <-ready; err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: true}
	t.Cleanup(transport.CloseIdleConnections)
	return &person{t: t, server: s, addr: addr.String(), client: &http.Client{
		Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// freePort returns an address of loopback at which nobody listens.
func freePort(t testing.TB) netip.AddrPort {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return netip.MustParseAddrPort(l.Addr().String())
}

func everybody(netip.Addr, netip.Addr) bool { return true }

// reply is an answer that was read to its end.
type reply struct {
	StatusCode int
	Header     http.Header
	cookies    []*http.Cookie
}

// ask sends a request with the person's cookie and CSRF token, and reads the answer.
func (p *person) ask(method, path, body string, change ...func(*http.Request)) (reply, []byte) {
	p.t.Helper()
	r, err := http.NewRequest(method, "https://"+p.addr+path, strings.NewReader(body))
	if err != nil {
		p.t.Fatal(err)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	if p.cookie != "" {
		r.Header.Set("Cookie", access.CookieName+"="+p.cookie)
		r.Header.Set(access.CSRFHeader, p.csrf)
	}
	for _, f := range change {
		f(r)
	}
	res, err := p.client.Do(r)
	if err != nil {
		p.t.Fatal(err)
	}
	defer res.Body.Close()
	content, err := io.ReadAll(res.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	return reply{res.StatusCode, res.Header, res.Cookies()}, content
}

// begin takes over the session that an answer has begun.
func (p *person) begin(res reply, body []byte) {
	p.t.Helper()
	var s api.Session
	if err := json.Unmarshal(body, &s); err != nil || len(res.cookies) != 1 {
		p.t.Fatalf("no session: %v, %d %s", err, res.StatusCode, body)
	}
	p.cookie, p.csrf = res.cookies[0].Value, s.Csrf
}

// setUp makes the administrator and logs in as them.
func (p *person) setUp() {
	p.t.Helper()
	code, err := p.server.users.SetupCode()
	if err != nil {
		p.t.Fatal(err)
	}
	res, body := p.ask("POST", "/api/v1/setup", fmt.Sprintf(`{"code":%q,"name":%q,"password":%q}`, code, testName, testPassword))
	if res.StatusCode != http.StatusCreated {
		p.t.Fatalf("set-up: %d %s", res.StatusCode, body)
	}
	p.begin(res, body)
}

func (p *person) logIn() (reply, []byte) {
	p.t.Helper()
	return p.ask("POST", "/api/v1/login", fmt.Sprintf(`{"name":%q,"password":%q}`, testName, testPassword))
}

func problemIn(t testing.TB, body []byte) api.Problem {
	t.Helper()
	var p api.Problem
	if err := json.Unmarshal(body, &p); err != nil {
		t.Fatalf("no problem: %v in %s", err, body)
	}
	return p
}

func TestTheFirstVisitorWithTheCodeBecomesAdministrator(t *testing.T) {
	f := &fake{}
	p := atDoor(t, newServer(t, f), everybody)
	if res, body := p.ask("GET", "/api/v1/setup", ""); res.StatusCode != http.StatusOK || !strings.Contains(string(body), `"setUp":false`) {
		t.Errorf("before: %d %s", res.StatusCode, body)
	}
	f.status.Health = []api.HealthItem{{Component: "machine", Text: "user-data:2: mode"}}
	if _, body := p.ask("GET", "/api/v1/setup", ""); !strings.Contains(string(body), `"machineTrouble":true`) || strings.Contains(string(body), "user-data") {
		t.Errorf("a stranger is told %s", body)
	}
	res, body := p.ask("POST", "/api/v1/setup", `{"code":"0000-0000","name":"mallory","password":"correct horse battery"}`)
	if pr := problemIn(t, body); res.StatusCode != http.StatusUnprocessableEntity || len(pr.Errors) != 1 || pr.Errors[0].Field != "code" {
		t.Errorf("a wrong code: %d %s", res.StatusCode, body)
	}
	code, _ := p.server.users.SetupCode()
	for _, tt := range []struct{ name, password, appliance, field string }{
		{"", testPassword, "", "name"},
		{"al ice", testPassword, "", "name"},
		{"alice", "short", "", "password"},
		{"alice", "landbridge123", "", "password"},
		{"alice", "password1234", "", "password"},
		{"alice", testPassword, "two words", "applianceName"},
	} {
		res, body := p.ask("POST", "/api/v1/setup", fmt.Sprintf(`{"code":%q,"name":%q,"password":%q,"applianceName":%q}`, code, tt.name, tt.password, tt.appliance))
		if pr := problemIn(t, body); res.StatusCode != http.StatusUnprocessableEntity || len(pr.Errors) == 0 || pr.Errors[0].Field != tt.field {
			t.Errorf("%+v: %d %s", tt, res.StatusCode, body)
		}
	}
	res, body = p.ask("POST", "/api/v1/setup", fmt.Sprintf(`{"code":" %s ","name":"alice","password":%q,"applianceName":"site-z"}`, strings.ToLower(strings.ReplaceAll(code, "-", "")), testPassword))
	if res.StatusCode != http.StatusCreated || f.status.Name != "site-z" {
		t.Fatalf("set-up: %d %s, named %q", res.StatusCode, body, f.status.Name)
	}
	cookie := res.Header.Get("Set-Cookie")
	for _, want := range []string{access.CookieName + "=", "Path=/", "HttpOnly", "Secure", "SameSite=Strict"} {
		if !strings.Contains(cookie, want) {
			t.Errorf("the cookie %q has no %s", cookie, want)
		}
	}
	p.begin(res, body)
	if res, body := p.ask("GET", "/api/v1/status", ""); res.StatusCode != http.StatusOK {
		t.Errorf("the administrator's status: %d %s", res.StatusCode, body)
	}
	if res, body := p.ask("POST", "/api/v1/setup", fmt.Sprintf(`{"code":%q,"name":"eve","password":%q}`, code, testPassword)); res.StatusCode != http.StatusConflict {
		t.Errorf("a second set-up: %d %s", res.StatusCode, body)
	}
}

func TestASessionBeginsAndEnds(t *testing.T) {
	p := atDoor(t, newServer(t, &fake{}), everybody)
	p.setUp()
	first := p.cookie
	res, body := p.logIn()
	if res.StatusCode != http.StatusOK {
		t.Fatalf("log in: %d %s", res.StatusCode, body)
	}
	p.begin(res, body)
	if p.cookie == first {
		t.Error("the login has not changed the session's cookie")
	}
	if res, body := p.ask("GET", "/api/v1/session", ""); res.StatusCode != http.StatusOK || !strings.Contains(string(body), `"role":"administrator"`) {
		t.Errorf("who am I: %d %s", res.StatusCode, body)
	}
	current := p.cookie
	p.cookie = first
	if res, _ := p.ask("GET", "/api/v1/session", ""); res.StatusCode != http.StatusUnauthorized {
		t.Errorf("the session from before the login still serves: %d", res.StatusCode)
	}
	p.cookie = current
	if res, body := p.ask("POST", "/api/v1/logout", ""); res.StatusCode != http.StatusNoContent || !strings.Contains(res.Header.Get("Set-Cookie"), "Max-Age=0") {
		t.Errorf("log out: %d %s %s", res.StatusCode, res.Header, body)
	}
	if res, _ := p.ask("GET", "/api/v1/session", ""); res.StatusCode != http.StatusUnauthorized {
		t.Errorf("after the logout: %d", res.StatusCode)
	}
}

func TestWhatAnotherSiteSendsIsRefused(t *testing.T) {
	p := atDoor(t, newServer(t, &fake{}), everybody)
	for _, header := range []string{"Sec-Fetch-Site: cross-site", "Sec-Fetch-Site: same-site", "Origin: https://evil.example"} {
		name, value, _ := strings.Cut(header, ": ")
		res, body := p.ask("POST", "/api/v1/login", `{"name":"a","password":"b"}`, func(r *http.Request) { r.Header.Set(name, value) })
		if res.StatusCode != http.StatusForbidden {
			t.Errorf("%s: %d %s", header, res.StatusCode, body)
		}
	}
}

func TestAnswersCarryTheHeadersThatKeepBrowsersStrict(t *testing.T) {
	p := atDoor(t, newServer(t, &fake{}), everybody)
	for _, path := range []string{"/api/v1/setup", "/api/v1/status", "/nothing", "/", "/login"} {
		res, _ := p.ask("GET", path, "")
		for name, want := range map[string]string{
			"Permissions-Policy": "camera=()", "Content-Security-Policy": "default-src 'none'", "Strict-Transport-Security": "max-age=", "X-Content-Type-Options": "nosniff",
			"Referrer-Policy": "", "Cross-Origin-Opener-Policy": "same-origin", "Cache-Control": "no-store",
		} {
			if got := res.Header.Get(name); got == "" || !strings.Contains(got, want) || len(res.Header.Values(name)) != 1 {
				t.Errorf("%s: %s is %q", path, name, got)
			}
		}
		if csp := res.Header.Get("Content-Security-Policy"); strings.Contains(csp, "unsafe") || !strings.Contains(csp, "frame-ancestors 'none'") {
			t.Errorf("CSP %q", csp)
		}
	}
}

func TestPlainHTTPIsSentToHTTPS(t *testing.T) {
	p := atDoor(t, newServer(t, &fake{}), everybody)
	for _, method := range []string{"GET", "POST"} {
		r, _ := http.NewRequest(method, "http://"+p.addr+"/leases?search=a%20b", nil)
		res, err := p.client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if got := res.Header.Get("Location"); res.StatusCode != http.StatusPermanentRedirect || got != "https://"+p.addr+"/leases?search=a%20b" {
			t.Errorf("%s: %d to %q", method, res.StatusCode, got)
		}
	}
}

func TestWhoIsNotAllowedGetsNoByte(t *testing.T) {
	var open atomic.Bool
	p := atDoor(t, newServer(t, &fake{}), func(local, remote netip.Addr) bool {
		if !local.IsLoopback() || !remote.IsLoopback() {
			t.Errorf("asked about %v from %v", local, remote)
		}
		return open.Load()
	})
	conn, err := net.Dial("tcp", p.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
	_, _ = conn.Write([]byte("GET / HTTP/1.1\r\nHost: a\r\n\r\n"))
	if b, _ := io.ReadAll(conn); len(b) > 0 {
		t.Errorf("got %q", b)
	}
	open.Store(true)
	if res, _ := p.ask("GET", "/api/v1/setup", ""); res.StatusCode != http.StatusOK {
		t.Errorf("once allowed: %d", res.StatusCode)
	}
}

func TestASilentConnectionTakesNobodysPlace(t *testing.T) {
	p := atDoor(t, newServer(t, &fake{}), everybody)
	for range 50 {
		conn, err := net.Dial("tcp", p.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
	}
	if res, _ := p.ask("GET", "/api/v1/setup", ""); res.StatusCode != http.StatusOK {
		t.Errorf("%d", res.StatusCode)
	}
}

func TestGarbageAtTheDoorEndsTheConnectionOnly(t *testing.T) {
	p := atDoor(t, newServer(t, &fake{}), everybody)
	for _, garbage := range [][]byte{{0}, {22, 3, 1, 0xff, 0xff, 1}, bytes.Repeat([]byte{22}, 4096), []byte("GET\r\n\r\n"), []byte("\xff\xfe\r\n\r\n")} {
		conn, err := net.Dial("tcp", p.addr)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = conn.Write(garbage)
		_ = conn.(*net.TCPConn).CloseWrite()
		_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
		_, _ = bufio.NewReader(conn).ReadByte()
		_ = conn.Close()
	}
	if res, _ := p.ask("GET", "/api/v1/setup", ""); res.StatusCode != http.StatusOK {
		t.Errorf("%d", res.StatusCode)
	}
}

func TestBadLoginsAreSlowedDown(t *testing.T) {
	p := atDoor(t, newServer(t, &fake{}), everybody)
	p.setUp()
	p.cookie = ""
	for i := range 10 {
		res, body := p.ask("POST", "/api/v1/login", `{"name":"alice","password":"wrong"}`)
		if res.StatusCode == http.StatusTooManyRequests {
			if i < 5 || res.Header.Get("Retry-After") == "" {
				t.Errorf("after %d failures: %s %s", i, res.Header, body)
			}
			return
		}
		if res.StatusCode != http.StatusUnauthorized {
			t.Fatalf("%d %s", res.StatusCode, body)
		}
	}
	t.Error("ten wrong passwords, and no wait")
}

func TestPagesAreForThoseWhoHaveLoggedIn(t *testing.T) {
	p := atDoor(t, newServer(t, &fake{}), everybody)
	goes := func(path string) string {
		res, body := p.ask("GET", path, "")
		if res.StatusCode != http.StatusSeeOther {
			return fmt.Sprintf("%d %.100s", res.StatusCode, body)
		}
		return res.Header.Get("Location")
	}
	if got := goes("/"); got != "/setup" {
		t.Errorf("before the set-up / goes to %s", got)
	}
	p.setUp()
	if res, body := p.ask("GET", "/", ""); res.StatusCode != http.StatusOK || !strings.Contains(string(body), "<!doctype html>") {
		t.Errorf("logged in: %d %.300s", res.StatusCode, body)
	}
	p.cookie = ""
	if got := goes("/leases?search=a&page=2"); got != "/login?next=%2Fleases%3Fsearch%3Da%26page%3D2" {
		t.Errorf("logged out, /leases goes to %s", got)
	}
	if res, _ := p.ask("GET", "/", "", func(r *http.Request) { r.Header.Set("HX-Request", "true") }); res.StatusCode != http.StatusUnauthorized || res.Header.Get("HX-Redirect") == "" {
		t.Errorf("a part of a page: %d %s", res.StatusCode, res.Header)
	}
	for _, method := range []string{"POST", "DELETE"} {
		if res, _ := p.ask(method, "/network/confirm", ""); res.StatusCode != http.StatusUnauthorized {
			t.Errorf("%s: %d", method, res.StatusCode)
		}
	}
	if res, _ := p.ask("GET", "/metrics", ""); res.StatusCode != http.StatusUnauthorized {
		t.Errorf("/metrics: %d", res.StatusCode)
	}
}

// Cookies know no ports: two appliances that are reached under one host name, by tunnels, each have their own.
func TestAnAppliancesSessionsAreItsOwnUnderASharedHostName(t *testing.T) {
	names := make(map[string]bool)
	db, err := store.Open(filepath.Join(t.TempDir(), "state.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	for _, appliance := range []string{"", "abcdefgh", "zyxwvuts"} {
		users, err := access.Open(db, access.Options{Appliance: appliance})
		if err != nil {
			t.Fatal(err)
		}
		made, gone := users.SessionCookie(access.Session{Cookie: "c"}), users.EndCookie()
		if names[made.Name] || made.Name != gone.Name || made.Name != users.CookieName() || !strings.HasPrefix(made.Name, "__Host-") || made.Value != "c" {
			t.Errorf("%q: %v, %v", appliance, made, gone)
		}
		names[made.Name] = true
	}
}

func TestWhatIsNotThereIsAPageForPersonsAndAProblemForPrograms(t *testing.T) {
	s := newServer(t, &fake{events: NewEvents()})
	ask := func(path, accept string) (int, string, string) {
		w := httptest.NewRecorder()
		r := httptest.NewRequest(http.MethodGet, path, nil)
		r.Header.Set("Accept", accept)
		s.ServeHTTP(w, r)
		return w.Code, w.Header().Get("Content-Type"), w.Body.String()
	}
	const browser = "text/html,application/xhtml+xml,*/*;q=0.8"
	if code, kind, body := ask("/nonexistent", browser); code != http.StatusNotFound || !strings.HasPrefix(kind, "text/html") || !strings.Contains(body, "There is no such page") || strings.Contains(body, "openapi") {
		t.Errorf("a person is told %d %s %.300s", code, kind, body)
	}
	if code, kind, body := ask("/network/plan", browser); !strings.HasPrefix(kind, "text/html") || !strings.Contains(body, "There is no such page") {
		t.Errorf("where only a form is sent, a person is told %d %s %.300s", code, kind, body)
	}
	for path, accept := range map[string]string{"/nonexistent": "*/*", "/api/v1/nonexistent": browser} {
		if code, kind, body := ask(path, accept); code != http.StatusNotFound || kind != problemType || !strings.Contains(body, "openapi") {
			t.Errorf("%s for a program: %d %s %.300s", path, code, kind, body)
		}
	}
	if _, _, body := ask("/system/users/nobody", browser); !strings.Contains(body, "There is no such user") {
		t.Errorf("a page about nobody says %.300s", body)
	}
}
