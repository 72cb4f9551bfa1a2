package peers

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"math/big"
	"strings"
	"time"

	"landbridge/bench/underlay"
)

// openvpn is OpenVPN in user space (without its kernel module), over UDP, TLS from
// point to point, AES-256-GCM.
type openvpn struct {
	ends
	pair   *underlay.Pair
	prints map[*underlay.Side]string // fingerprints of the certificates
}

func (*openvpn) Version(ctx context.Context) (string, error) { return debianVersion(ctx, "openvpn") }

func (o *openvpn) Setup(_ context.Context, pair *underlay.Pair) error {
	o.pair = pair
	o.number(pair)
	o.prints = make(map[*underlay.Side]string)
	for _, s := range pair.Sides() {
		cert, key, err := selfSigned(s.Name)
		if err != nil {
			return err
		}
		sum := sha256.Sum256(cert)
		// OpenVPN wants colons between the bytes.
		digits := make([]string, len(sum))
		for i, b := range sum {
			digits[i] = hex.EncodeToString([]byte{b})
		}
		o.prints[s] = strings.Join(digits, ":")
		err = errors.Join(
			s.WriteFile(s.Dir()+"/node.crt", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}), 0o600),
			s.WriteFile(s.Dir()+"/node.key", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}), 0o600))
		if err != nil {
			return err
		}
	}
	return nil
}

// selfSigned makes a certificate and its key (PKCS #8), both in DER.
func selfSigned(name string) (cert, key []byte, err error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour),
	}
	if cert, err = x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private); err != nil {
		return nil, nil, err
	}
	key, err = x509.MarshalPKCS8PrivateKey(private)
	return cert, key, err
}

func (o *openvpn) Start(ctx context.Context, s *underlay.Side) error {
	other := o.pair.Other(s)
	args := []string{
		"--dev", "ovpn0", "--dev-type", "tun", "--proto", "udp", "--remote", other.Addr.String(), "1194", "--lport", "1194",
		"--ifconfig", o.of(s).String(), o.of(other).String(), "--cert", s.Dir() + "/node.crt", "--key", s.Dir() + "/node.key",
		"--peer-fingerprint", o.prints[other], "--data-ciphers", "AES-256-GCM", "--disable-dco", "--fast-io", "--verb", "1",
	}
	if s == o.pair.A {
		args = append(args, "--tls-client")
	} else {
		args = append(args, "--tls-server", "--dh", "none")
	}
	_, err := s.Spawn(ctx, "openvpn", args...)
	return err
}
