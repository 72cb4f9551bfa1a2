package acme

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"
	"time"

	"golang.org/x/crypto/x509roots/fallback/bundle"
)

const (
	maxBody     = 256 << 10 // bytes of an answer; a chain has some thousand
	maxHeader   = 32 << 10
	minPause    = time.Second // between questions, whatever the CA says
	maxPause    = 5 * time.Minute
	connectTime = 30 * time.Second // until the head of an answer
)

// transport is how a CA, or an acme-dns server, is spoken to: by https alone, within bounds. It notes how far
// their clock is from ours.
type transport struct {
	base http.RoundTripper
	now  func() time.Time

	mu     sync.Mutex
	offset time.Duration // how far theirs is ahead, by the last answer that said it
}

var errPlain = errors.New("it is to be asked without TLS, which is refused")

// newTransport returns one that trusts the system's roots, or Mozilla's where the system has none, and those in PEM besides.
func newTransport(roots string, now func() time.Time) *transport {
	pool, err := x509.SystemCertPool()
	if err != nil || pool.Equal(x509.NewCertPool()) {
		pool = mozillaRoots()
	}
	pool.AppendCertsFromPEM([]byte(roots))
	return &transport{now: now, base: &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		TLSClientConfig:        &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    connectTime,
		ResponseHeaderTimeout:  connectTime,
		MaxResponseHeaderBytes: maxHeader,
		MaxConnsPerHost:        2,
	}}
}

// mozillaRoots returns those that browsers know: the image has no others.
func mozillaRoots() *x509.CertPool {
	pool := x509.NewCertPool()
	for root := range bundle.Roots() {
		c, err := x509.ParseCertificate(root.Certificate)
		switch {
		case err != nil:
		case root.Constraint != nil:
			pool.AddCertWithConstraint(c, root.Constraint)
		default:
			pool.AddCert(c)
		}
	}
	return pool
}

func (t *transport) client() *http.Client { return &http.Client{Transport: t, Timeout: time.Minute} }

// RoundTrip asks, and sees that the answer is within bounds.
func (t *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.URL.Scheme != "https" {
		return nil, fmt.Errorf("%w: %s", errPlain, short(req.URL.String(), 80))
	}
	res, err := t.base.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	res.Body = &boundedBody{res.Body, maxBody}
	if after := res.Header.Get("Retry-After"); after != "" {
		most := maxRest
		if res.StatusCode/100 == 2 {
			most = maxPause // it is waited for within an order
		}
		res.Header.Set("Retry-After", strconv.Itoa(int(min(t.pause(after), most).Seconds())))
	}
	if at, err := http.ParseTime(res.Header.Get("Date")); err == nil {
		t.mu.Lock()
		t.offset = at.Sub(t.now())
		t.mu.Unlock()
	}
	return res, nil
}

// pause reads how long the CA wants to hear nothing (RFC 9110 section 10.2.3), within bounds.
func (t *transport) pause(after string) time.Duration {
	d := minPause
	if seconds, err := strconv.ParseUint(after, 10, 31); err == nil {
		d = time.Duration(seconds) * time.Second
	} else if at, err := http.ParseTime(after); err == nil {
		d = at.Sub(t.now())
	}
	return min(max(d, minPause), maxRest)
}

// ahead returns how far the other clock is ahead of ours.
func (t *transport) ahead() time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.offset
}

// boundedBody is an answer of which no more than left is read: then it is broken.
type boundedBody struct {
	io.ReadCloser
	left int
}

var errTooLarge = fmt.Errorf("the answer is larger than %d KiB", maxBody>>10)

func (b *boundedBody) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errTooLarge
	}
	n, err := b.ReadCloser.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}
