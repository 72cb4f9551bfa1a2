package console

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"time"

	"landbridge/console/api"
)

const (
	maxChain   = 8
	minRSABits = 2048
	maxRSABits = 4096 // each connection costs a signature
)

// The fields of an upload.
const (
	certificateField = "certificate"
	keyField         = "key"
)

// unfit refuses a field of an upload.
func unfit(field, format string, args ...any) error {
	detail := fmt.Sprintf(format, args...)
	return Invalid(errors.New(field+": "+detail), api.FieldError{Field: field, Detail: detail})
}

// readPair reads a certificate, those that lead to its issuer, and its key, all in PEM, and refuses what a
// browser wouldn't take now. The key may stand beside the certificate.
func readPair(certificate, key []byte, now time.Time) (certificateRecord, error) {
	all, err := readCertificates(certificate)
	if err != nil {
		return certificateRecord{}, err
	}
	field := keyField
	if len(bytes.TrimSpace(key)) == 0 {
		field, key = certificateField, certificate
	}
	private, err := readKey(field, key)
	if err != nil {
		return certificateRecord{}, err
	}
	at := slices.IndexFunc(all, func(c *x509.Certificate) bool { return isPair(c, private) })
	if at < 0 {
		return certificateRecord{}, unfit(field, "is not the key of this certificate: want the one with which it was asked for")
	}
	leaf := all[at]
	if err := checkLeaf(leaf, now); err != nil {
		return certificateRecord{}, err
	}
	chain, err := chainOf(leaf, slices.Delete(all, at, at+1))
	if err != nil {
		return certificateRecord{}, err
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	return certificateRecord{Chain: chain, Key: pkcs8}, err
}

// readCertificates reads the certificates in PEM.
func readCertificates(text []byte) (all []*x509.Certificate, err error) {
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, unfit(certificateField, "the certificate no. %d can't be read: %v", len(all)+1, err)
		}
		if all = append(all, c); len(all) > maxChain {
			return nil, unfit(certificateField, "want %d certificates at most: the server's, and those between it and the issuer that browsers know", maxChain)
		}
	}
	if len(all) == 0 {
		return nil, unfit(certificateField, "want a certificate in PEM, which begins with -----BEGIN CERTIFICATE-----")
	}
	return all, nil
}

// readKey reads the first private key in PEM.
func readKey(field string, text []byte) (crypto.Signer, error) {
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		var key any
		var err error
		switch {
		case block.Type == "ENCRYPTED PRIVATE KEY" || block.Headers["DEK-Info"] != "":
			return nil, unfit(field, "the key is encrypted: decrypt it first, by openssl pkey -in key.pem -out plain.pem")
		case block.Type == "PRIVATE KEY":
			key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
		case block.Type == "EC PRIVATE KEY":
			key, err = x509.ParseECPrivateKey(block.Bytes)
		case block.Type == "RSA PRIVATE KEY":
			key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
		default:
			continue
		}
		if err != nil {
			return nil, unfit(field, "the key can't be read: it is damaged, or of a kind that nobody uses for this")
		}
		return checkKey(field, key)
	}
	return nil, unfit(field, "want a private key in PEM, which begins with -----BEGIN PRIVATE KEY-----")
}

// checkKey refuses kinds of keys that browsers or this appliance don't take.
func checkKey(field string, key any) (crypto.Signer, error) {
	switch key := key.(type) {
	case *ecdsa.PrivateKey:
		return key, nil
	case *rsa.PrivateKey:
		if bits := key.N.BitLen(); bits < minRSABits || bits > maxRSABits {
			return nil, unfit(field, "is RSA of %d bits: want %d to %d, or ECDSA", bits, minRSABits, maxRSABits)
		}
		return key, nil
	}
	return nil, unfit(field, "want an ECDSA or RSA key: browsers take no other, Ed25519 neither")
}

func isPair(c *x509.Certificate, key crypto.Signer) bool {
	public, ok := key.Public().(interface{ Equal(crypto.PublicKey) bool })
	return ok && public.Equal(c.PublicKey)
}

// checkLeaf refuses a server's certificate that browsers don't take.
func checkLeaf(c *x509.Certificate, now time.Time) error {
	serves := len(c.ExtKeyUsage)+len(c.UnknownExtKeyUsage) == 0 ||
		slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageServerAuth) || slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageAny)
	switch {
	case !now.Before(c.NotAfter):
		return unfit(certificateField, "has ended on %s: want one that is good now", c.NotAfter.UTC().Format(time.DateOnly))
	case now.Before(c.NotBefore):
		return unfit(certificateField, "is good from %s on alone, and the clock here says %s: wait, or set the clock",
			c.NotBefore.UTC().Format(time.DateTime), now.UTC().Format(time.DateTime))
	case len(namesOf(c)) == 0:
		return unfit(certificateField, "has no host's name: want the console's names and addresses in it as subject alternative names, as browsers look nowhere else")
	case !serves:
		return unfit(certificateField, "is not for servers: want one with the extended key usage serverAuth")
	case slices.Contains([]x509.SignatureAlgorithm{x509.MD5WithRSA, x509.SHA1WithRSA, x509.ECDSAWithSHA1}, c.SignatureAlgorithm):
		return unfit(certificateField, "is signed by %v, which browsers don't take: want SHA-256 or better", c.SignatureAlgorithm)
	}
	return nil
}

// namesOf returns the names and addresses that a certificate is good for.
func namesOf(c *x509.Certificate) []string {
	names := slices.Clone(c.DNSNames)
	for _, ip := range c.IPAddresses {
		names = append(names, ip.String())
	}
	return names
}

// chainOf puts the other certificates behind the one whose issuers they are, each behind that which it
// has signed.
func chainOf(c *x509.Certificate, others []*x509.Certificate) ([][]byte, error) {
	chain := [][]byte{c.Raw}
	for len(others) > 0 {
		at := slices.IndexFunc(others, func(o *x509.Certificate) bool { return c.CheckSignatureFrom(o) == nil })
		if at < 0 {
			return nil, unfit(certificateField, "%s has signed none of the others: leave it out, or add what is between them", describeName(others[0].Subject))
		}
		c = others[at]
		chain = append(chain, c.Raw)
		others = slices.Delete(others, at, at+1)
	}
	return chain, nil
}
