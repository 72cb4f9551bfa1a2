package issuance

import (
	"crypto/tls"
	"crypto/x509"
	_ "embed" // isrg.pem
	"encoding/pem"
	"io"
	"iter"
	"net/http"
	"strings"
	"time"
	"unicode"
)

// isrg are the roots of Let's Encrypt (ISRG Root X1 and X2, until 2035 and 2040), for machines that know no
// roots, as those of the image.
//
//go:embed isrg.pem
var isrg string

const (
	stepTimeout = 30 * time.Second // one request with its answer
	maxAnswer   = 1 << 20          // bytes
	maxSaid     = 300              // of what a server says, in bytes
)

// newClient returns a client that knows servers by the system's roots, those of Let's Encrypt, and more. It follows no
// redirects: with one would go what is for one server alone.
func newClient(more string) (client *http.Client, done func()) {
	roots, err := x509.SystemCertPool()
	if err != nil {
		roots = x509.NewCertPool()
	}
	for _, c := range readRoots(isrg + more) {
		roots.AddCert(c)
	}
	transport := &http.Transport{
		Proxy: http.ProxyFromEnvironment, TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout: stepTimeout, ResponseHeaderTimeout: stepTimeout, MaxResponseHeaderBytes: 64 << 10, MaxIdleConnsPerHost: 1, ForceAttemptHTTP2: true,
	}
	return &http.Client{
		Transport: bounded{transport}, Timeout: stepTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, transport.CloseIdleConnections
}

// bounded cuts answers off.
type bounded struct{ http.RoundTripper }

func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	res, err := b.RoundTripper.RoundTrip(r)
	if err == nil {
		res.Body = &cut{io.LimitReader(res.Body, maxAnswer), res.Body}
	}
	return res, err
}

type cut struct {
	io.Reader
	io.Closer
}

// line makes one short line of what a server says.
func line(said string) string {
	said = strings.Map(func(r rune) rune {
		switch {
		case r == unicode.ReplacementChar:
			return '?'
		case unicode.IsSpace(r):
			return ' '
		case !unicode.IsPrint(r):
			return -1
		}
		return r
	}, said)
	if said = strings.Join(strings.Fields(said), " "); len(said) > maxSaid {
		said = strings.ToValidUTF8(said[:maxSaid], "") + "…"
	}
	return said
}

// blocks yields what stands between the PEM lines of certificates.
func blocks(text string) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for block, rest := pem.Decode([]byte(text)); block != nil; block, rest = pem.Decode(rest) {
			if block.Type == "CERTIFICATE" && !yield(block.Bytes) {
				return
			}
		}
	}
}
