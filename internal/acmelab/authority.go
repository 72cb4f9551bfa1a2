package acmelab

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// pebbleVersion is Let's Encrypt's ACME server for tests.
const pebbleVersion = "v2.10.1"

// pebble returns that server's program, built once and kept where Go keeps what it builds. LANDBRIDGE_PEBBLE names another.
func pebble(t *testing.T) string {
	t.Helper()
	if program := os.Getenv("LANDBRIDGE_PEBBLE"); program != "" {
		return program
	}
	cache, err := exec.CommandContext(t.Context(), "go", "env", "GOCACHE").Output()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(strings.TrimSpace(string(cache)), "landbridge-pebble-"+pebbleVersion)
	if err := buildOnce(t, dir); err != nil {
		t.Fatalf("build pebble, the ACME server of this test: %v", err)
	}
	return filepath.Join(dir, "pebble")
}

// buildOnce has pebble be in a directory. Tests of other packages, which want it at the same time, wait for the one that
// builds it, and never find half a program.
func buildOnce(t *testing.T, dir string) error {
	t.Helper()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	lock, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return err
	}
	program := filepath.Join(dir, "pebble")
	if _, err := os.Stat(program); err == nil {
		return nil
	}
	made, err := os.MkdirTemp(dir, "build") //nolint:usetesting // on the file system that it is renamed on
	if err != nil {
		return err
	}
	defer os.RemoveAll(made)
	build := exec.CommandContext(t.Context(), "go", "install", "github.com/letsencrypt/pebble/v2/cmd/pebble@"+pebbleVersion)
	build.Env = append(os.Environ(), "GOFLAGS=", "GOBIN="+made)
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("%w\n%s", err, out)
	}
	return os.Rename(filepath.Join(made, "pebble"), program)
}

// Authority is a pebble that runs.
type Authority struct {
	Directory string // URL
	Roots     string // by which its server is known, PEM
	said      *said
}

// Said is what it has written so far.
func (a Authority) Said() string { return a.said.String() }

// said is what a program writes, which is waited for.
type said struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (s *said) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(b)
}

func (s *said) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// StartAuthority runs pebble, which asks the DNS server at resolver, until the test ends.
func StartAuthority(t *testing.T, resolver string) Authority {
	t.Helper()
	dir, program := t.TempDir(), pebble(t)
	certificate, key := serverCertificate(t)
	for name, text := range map[string]string{"cert.pem": certificate, "key.pem": key} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for tries := 1; ; tries++ {
		a, err := run(t, program, dir, certificate, resolver)
		if err == nil {
			return a
		}
		if tries == 10 {
			t.Fatalf("%v\n%s", err, a.said)
		}
	}
}

// run runs pebble with its certificate and key in dir until it answers. Somebody may have taken its port before it does: then it ends.
func run(t *testing.T, program, dir, certificate, resolver string) (Authority, error) {
	t.Helper()
	at := FreePort(t)
	config, err := json.Marshal(map[string]any{"pebble": map[string]any{
		"listenAddress": at, "certificate": filepath.Join(dir, "cert.pem"), "privateKey": filepath.Join(dir, "key.pem"),
		"httpPort": 5002, "tlsPort": 5001, "externalAccountBindingRequired": false,
	}})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "pebble.json")
	if err := os.WriteFile(file, config, 0o600); err != nil {
		t.Fatal(err)
	}
	a := Authority{Directory: "https://" + at + "/dir", Roots: certificate, said: new(said)}
	cmd := exec.CommandContext(t.Context(), program, "-config", file, "-dnsserver", resolver, "-strict")
	cmd.Env = append(os.Environ(), "PEBBLE_VA_NOSLEEP=1", "PEBBLE_AUTHZREUSE=0")
	cmd.Stdout, cmd.Stderr = a.said, a.said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	t.Cleanup(func() { <-ended }) // t's context has ended it
	return a, a.answers(t, ended)
}

// answers waits until the server answers, unless it ends before.
func (a Authority) answers(t *testing.T, ended <-chan struct{}) error {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(a.Roots))
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}, DisableKeepAlives: true}}
	deadline := time.After(2 * time.Minute)
	for {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, a.Directory, nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := client.Do(req)
		if err == nil {
			return res.Body.Close()
		}
		select {
		case <-time.After(20 * time.Millisecond): // which it needs to start
		case <-ended:
			return errors.New("pebble has ended")
		case <-deadline:
			return fmt.Errorf("pebble doesn't answer: %w", err)
		}
	}
}

// FreePort returns an address of this host where nobody listens.
func FreePort(t *testing.T) string {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// serverCertificate makes a certificate of a server here, in PEM.
func serverCertificate(t *testing.T) (certificate, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}))
}
