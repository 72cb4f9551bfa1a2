package overlay

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"
)

// proxyThat is a proxy that answers as told, for one connection; asked gets the request.
func proxyThat(t *testing.T, answer string) (d detour, asked <-chan *http.Request) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	requests := make(chan *http.Request, 1)
	go func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		r := bufio.NewReader(conn)
		if request, err := http.ReadRequest(r); err == nil {
			requests <- request
			_, _ = io.WriteString(conn, answer)
			_, _ = io.Copy(conn, r) // an echo, until the far end is closed
		}
		_ = conn.Close()
	}()
	return detour{&url.URL{Scheme: "http", Host: l.Addr().String(), User: url.UserPassword("lb", "se:same")}}, requests
}

var far = netip.MustParseAddrPort("192.0.2.1:443") // RFC 5737: nobody

func TestAProxyConnects(t *testing.T) {
	d, asked := proxyThat(t, "HTTP/1.1 200 Connection established\r\nVia: 1.1 x\r\n\r\nearly")
	conn, err := d.connect(t.Context(), far)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if r := <-asked; r.Method != http.MethodConnect || r.Host != far.String() || r.Header.Get("Proxy-Authorization") != "Basic bGI6c2U6c2FtZQ==" {
		t.Errorf("asked: %+v", r)
	}
	if conn.RemoteAddr().String() != far.String() {
		t.Errorf("the far end is %v", conn.RemoteAddr())
	}
	if _, err := io.WriteString(conn, " and late"); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len("early and late"))
	if _, err := io.ReadFull(conn, got); err != nil || string(got) != "early and late" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestAProxyThatDoesNotConnectSaysWhy(t *testing.T) {
	for answer, want := range map[string]string{
		"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n": "wants a user and a password",
		"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n":                     "doesn't connect to 192.0.2.1:443 (403)",
		"SSH-2.0-OpenSSH_9.2\r\n":                                                 "no answer of HTTP",
		"HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 1<<20) + "\r\n\r\n":        "no answer of HTTP",
	} {
		d, _ := proxyThat(t, answer)
		if conn, err := d.connect(t.Context(), far); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "same") {
			t.Errorf("%.40q: %v, %v", answer, conn, err)
		}
	}
}

// A proxy that says nothing holds nobody up beyond the time that there is.
func TestAProxyThatSaysNothingIsLeft(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := (detour{&url.URL{Scheme: "http", Host: l.Addr().String()}}).connect(ctx, far); err == nil {
		t.Error("connected")
	}
}

// What is reached directly doesn't trouble the proxy, and what is of this host alone never does.
func TestTheDirectWayComesFirst(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	d, asked := proxyThat(t, "HTTP/1.1 200 OK\r\n\r\n")
	conn, err := d.DialContext(t.Context(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.Close()
	if _, err := d.DialContext(t.Context(), "tcp", "127.0.0.1:1"); err == nil {
		t.Error("connected to where nobody listens")
	}
	select {
	case r := <-asked:
		t.Errorf("the proxy was asked for %s", r.Host)
	default:
	}
}
