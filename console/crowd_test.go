package console

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"landbridge/console/access"
	"landbridge/console/web"
)

// from returns a person at the same door who comes from another address of loopback, and opens a
// connection for each request.
func (p *person) from(addr string) *person {
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(addr)}}
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DialContext: dialer.DialContext}
	p.t.Cleanup(transport.CloseIdleConnections)
	other := *p
	other.client = &http.Client{Transport: transport, CheckRedirect: p.client.CheckRedirect}
	return &other
}

// holdBack begins a login, and never sends the end of its body.
func (p *person) holdBack(addr string) net.Conn {
	p.t.Helper()
	dialer := &tls.Dialer{NetDialer: &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(addr)}}, Config: &tls.Config{InsecureSkipVerify: true}}
	conn, err := dialer.DialContext(p.t.Context(), "tcp", p.addr)
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { _ = conn.Close() })
	if _, err := io.WriteString(conn, "POST /api/v1/login HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: 50\r\n\r\n{"); err != nil {
		p.t.Fatal(err)
	}
	return conn
}

func TestStrangersWhoHoldBackTheirRequestsKeepNobodyElseWaiting(t *testing.T) {
	s := newServer(t, &fake{})
	p := atDoor(t, s, everybody)
	p.setUp()
	const many = 50 // more than are answered at a time, or wait, of one address
	first := p.holdBack("127.0.0.2")
	for deadline := time.Now().Add(time.Minute); len(s.strangers.all) == 0; time.Sleep(time.Millisecond) { // or another may come before it
		if time.Now().After(deadline) {
			t.Fatal("the first to hold back has no place")
		}
	}
	for range many - 2 {
		p.holdBack("127.0.0.2")
	}
	refused, err := http.ReadResponse(bufio.NewReader(p.holdBack("127.0.0.2")), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer refused.Body.Close()
	if body, _ := io.ReadAll(refused.Body); refused.StatusCode != http.StatusTooManyRequests || refused.Header.Get("Retry-After") == "" || problemIn(t, body).Detail == "" {
		t.Errorf("who has sent too many gets %d %s %s", refused.StatusCode, refused.Header, body)
	}
	if n := len(s.strangers.all); n == 0 || n > s.strangers.each {
		t.Errorf("%d of strangers' places are one address's", n)
	}
	if len(s.inside.all)+len(s.outside.all) != 0 {
		t.Error("strangers have places of others")
	}
	w := httptest.NewRecorder()
	if s.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/api/v1/status", nil)); w.Code != http.StatusOK {
		t.Errorf("root at the socket gets %d %s", w.Code, w.Body)
	}
	if res, body := p.ask("GET", "/api/v1/status", ""); res.StatusCode != http.StatusOK {
		t.Errorf("a user gets %d %s", res.StatusCode, body)
	}
	if res, body := p.from("127.0.0.2").ask("GET", "/api/v1/status", ""); res.StatusCode != http.StatusOK {
		t.Errorf("a user at the strangers' address gets %d %s", res.StatusCode, body)
	}
	other := p.from("127.0.0.3")
	other.cookie = ""
	if res, body := other.ask("GET", "/login", ""); res.StatusCode != http.StatusOK {
		t.Errorf("a stranger from elsewhere gets %d %s", res.StatusCode, body)
	}
	s.strangers.mu.Lock()
	here := s.strangers.here
	s.strangers.mu.Unlock()
	if here == 0 {
		t.Error("nobody held a request back any more")
	}
	told, err := http.ReadResponse(bufio.NewReader(first), nil)
	if err != nil {
		t.Fatalf("who held back for too long isn't told: %v", err)
	}
	if _ = told.Body.Close(); told.StatusCode != http.StatusBadRequest {
		t.Errorf("who held back for too long gets %d", told.StatusCode)
	}
}

func TestAStrangersRequestIsSmall(t *testing.T) {
	p := atDoor(t, newServer(t, &fake{}), everybody)
	p.setUp()
	large := `{"name":"` + strings.Repeat("a", maxStranger) + `","password":"b"}`
	stranger := p.from("127.0.0.2")
	stranger.cookie = ""
	if res, body := stranger.ask("POST", "/api/v1/login", large); res.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("%d %s", res.StatusCode, body)
	}
	if res, body := p.ask("POST", "/api/v1/reauthenticate", large); res.StatusCode == http.StatusRequestEntityTooLarge {
		t.Errorf("a user's: %d %s", res.StatusCode, body)
	}
}

func TestABrowserGetsAllOfAPageAtOnce(t *testing.T) {
	p := atDoor(t, newServer(t, &fake{}), everybody) // by HTTP/2
	p.setUp()
	ask := func(path, cookie string, n int) {
		var asking sync.WaitGroup
		for range n {
			asking.Go(func() {
				r, _ := http.NewRequest(http.MethodGet, "https://"+p.addr+path, nil)
				if cookie != "" {
					r.Header.Set("Cookie", access.CookieName+"="+cookie)
				}
				res, err := p.client.Do(r)
				if err != nil {
					t.Error(err)
					return
				}
				defer res.Body.Close()
				if res.StatusCode != http.StatusOK || res.ProtoMajor != 2 {
					t.Errorf("one of %d for %s: %s by %s", n, path, res.Status, res.Proto)
				}
			})
		}
		asking.Wait()
	}
	ask("/login", "", 32)
	ask("/api/v1/status", p.cookie, 2*maxMultiplexed)
}

func TestHundredsOfStreamsOfOneUserLastWhileStrangersCome(t *testing.T) {
	const many = 500
	f := &fake{events: NewEvents()}
	p := atDoor(t, newServer(t, f), everybody)
	p.setUp()
	user := p.from("127.0.0.2") // a connection for each
	streams := make([]*bufio.Scanner, many)
	var opening sync.WaitGroup
	handshakes := make(chan struct{}, 50) // at a time, which slow processors do within net/http's 5 s
	for i := range streams {
		opening.Go(func() {
			handshakes <- struct{}{}
			defer func() { <-handshakes }()
			r, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+p.addr+eventsPath+"?types=lease", nil)
			r.Header.Set("Cookie", access.CookieName+"="+p.cookie)
			res, err := user.client.Do(r)
			if err != nil || res.StatusCode != http.StatusOK {
				t.Errorf("stream %d: %v", i, err)
				return
			}
			t.Cleanup(func() { _ = res.Body.Close() })
			streams[i] = bufio.NewScanner(res.Body)
		})
	}
	if opening.Wait(); t.Failed() {
		return
	}
	for range maxStrangerConnsEach + 10 { // strangers, at the user's own address too
		conn, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP("127.0.0.2")}}).DialContext(t.Context(), "tcp", p.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
	}
	if res, _ := user.ask("GET", "/api/v1/status", ""); res.StatusCode != http.StatusOK {
		t.Errorf("beside %d streams: %d", many, res.StatusCode)
	}
	granted(f.events, "one")
	for i, s := range streams {
		for s.Scan() && !strings.Contains(s.Text(), "lease.granted") {
		}
		if s.Err() != nil || !strings.Contains(s.Text(), "lease.granted") {
			t.Fatalf("stream %d ended: %v", i, s.Err())
		}
	}
}

func TestWhoConnectsIsLetInAndTheOldestStrangerOfTheMostGoes(t *testing.T) {
	w := newCrowd()
	var all []*doorConn
	come := func(from string) *doorConn {
		near, far := net.Pipe()
		t.Cleanup(func() { _ = far.Close() })
		c := &doorConn{Conn: near, crowd: w, from: from}
		w.enter(c)
		all = append(all, c)
		return c
	}
	isIn := func(c *doorConn) bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return c.isUser || slices.Contains(w.strangers[c.from], c)
	}
	user := come("crowded")
	w.meet(user)
	first, second := come("crowded"), come("crowded")
	for range maxStrangerConnsEach - 2 {
		come("crowded")
	}
	if !isIn(first) {
		t.Fatal("one has gone too early")
	}
	if last := come("crowded"); isIn(first) || !isIn(second) || !isIn(last) || !isIn(user) {
		t.Error("the address's oldest stranger had to go, and nobody else")
	}
	quiet := come("quiet")
	for w.nStranger < maxStrangerConns {
		come(fmt.Sprint("other ", w.nStranger))
	}
	if newcomer := come("new"); isIn(second) || !isIn(newcomer) || !isIn(quiet) {
		t.Error("the oldest stranger of the most crowded address had to go, and nobody else")
	}
	for _, c := range all {
		_ = c.Close()
		_ = c.Close()
	}
	if w.nStranger != 0 || w.nUser != 0 || len(w.strangers) != 0 || len(w.users) != 0 {
		t.Errorf("when all have left: %+v", w)
	}
}

func TestRequestsWaitForAPlaceAndNotForLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlaces(limits{most: 3, each: 2, queue: 2, eachQueue: 1, patience: time.Second})
		take := func(from string) (func(), error) { return p.take(t.Context(), from) }
		one, _ := take("a")
		two, _ := take("a")
		go func() { time.Sleep(time.Second / 2); one() }()
		three, err := take("a")
		if err != nil {
			t.Fatalf("who waits gets the place that is given back: %v", err)
		}
		start := time.Now()
		wantRefusal := func(from string, status int, after time.Duration) {
			t.Helper()
			_, err := take(from)
			if e, ok := asError(err); !ok || e.status != status || e.retry == 0 || time.Since(start) != after {
				t.Errorf("after %v: %v", time.Since(start), err)
			}
		}
		wantRefusal("a", http.StatusTooManyRequests, time.Second)
		four, err := take("b")
		if err != nil {
			t.Fatalf("another's: %v", err)
		}
		start = time.Now()
		wantRefusal("c", http.StatusServiceUnavailable, time.Second)
		ctx, cancel := context.WithCancel(t.Context())
		gone := make(chan error, 2)
		for _, from := range []string{"a", "d"} {
			go func() { _, err := p.take(ctx, from); gone <- err }()
		}
		synctest.Wait()
		start = time.Now()
		wantRefusal("a", http.StatusTooManyRequests, 0)
		wantRefusal("e", http.StatusServiceUnavailable, 0)
		cancel()
		if one, two := <-gone, <-gone; !errors.Is(one, context.Canceled) || !errors.Is(two, context.Canceled) {
			t.Errorf("who goes away: %v, %v", one, two)
		}
		two()
		three()
		four()
		if p.here != 0 || len(p.sources) != 0 || len(p.all) != 0 {
			t.Errorf("when all are answered %d are here, of %d addresses", p.here, len(p.sources))
		}
	})
}

func TestThePlaceForImportsIsForWhoMayImport(t *testing.T) {
	synctest.Test(t, placeForImports)
}

func placeForImports(t *testing.T) {
	s := newServer(t, &fake{})
	free, err := s.imports.take(t.Context(), "an operator who imports something just now")
	if err != nil {
		t.Fatal(err)
	}
	ask := func(id access.Identity, method, path string) int {
		r := httptest.NewRequest(method, path, strings.NewReader(`{"items":[]}`))
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		s.serve(w, r, id)
		return w.Code
	}
	viewer := access.Identity{Name: "eve", Role: access.Viewer, How: access.ByToken}
	operator := access.Identity{Name: "bob", Role: access.Operator, How: access.ByToken}
	for _, asked := range []struct {
		what         string
		id           access.Identity
		method, path string
		want         int
	}{
		{"a viewer imports", viewer, http.MethodPost, importPath, http.StatusForbidden},
		{"a viewer imports by the page", viewer, http.MethodPost, web.ImportPath, http.StatusForbidden},
		{"an operator opens the page", operator, http.MethodGet, web.ImportPath, http.StatusOK},
		{"root imports at the socket", access.ForSocket(), http.MethodPost, importPath, http.StatusOK},
		{"an operator imports, too", operator, http.MethodPost, importPath, statusUnavailable},
	} {
		if got := ask(asked.id, asked.method, asked.path); got != asked.want {
			t.Errorf("%s: %d, want %d", asked.what, got, asked.want)
		}
	}
	free()
	if got := ask(operator, http.MethodPost, importPath); got != http.StatusOK {
		t.Errorf("when the place is free an operator gets %d", got)
	}
}
