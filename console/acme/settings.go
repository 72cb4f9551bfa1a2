package acme

import (
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"net"
	"net/mail"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/miekg/dns"
)

// LetsEncrypt is the directory that is asked where no other is named.
const LetsEncrypt = "https://acme-v02.api.letsencrypt.org/directory"

// The solvers that there are.
const (
	ByUpdate  = "rfc2136"
	ByAcmeDNS = "acme-dns"
)

// MaxNames is for how many names one certificate is asked at most.
const MaxNames = 8

// Settings are what an administrator has chosen. They have been checked (Check) and put right (Normal)
// before they are used.
type Settings struct {
	Directory string   `cbor:"1,keyasint,omitempty"` // URL of the CA's directory
	Roots     string   `cbor:"2,keyasint,omitempty"` // PEM; besides those of the system
	Email     string   `cbor:"3,keyasint,omitempty"` // for the CA's letters; may be empty
	Names     []string `cbor:"4,keyasint,omitempty"` // 1 to MaxNames
	Agree     bool     `cbor:"5,keyasint,omitempty"` // to the CA's terms of service
	Solver    string   `cbor:"6,keyasint,omitempty"` // ByUpdate or ByAcmeDNS
	Server    string   `cbor:"7,keyasint,omitempty"` // HOST or HOST:PORT of the primary, or URL of acme-dns
	Zone      string   `cbor:"8,keyasint,omitempty"` // ByUpdate: empty for that which the server says
	User      string   `cbor:"9,keyasint,omitempty"` // the TSIG key's name, or the user at acme-dns; empty for none, or to register
	Algorithm string   `cbor:"10,keyasint,omitempty"`
	Secret    string   `cbor:"11,keyasint,omitempty"` // the TSIG key in base64, or the password at acme-dns
	Subdomain string   `cbor:"12,keyasint,omitempty"` // ByAcmeDNS: of the user
	Resolver  string   `cbor:"13,keyasint,omitempty"` // which finds zones and name servers; empty for the system's
}

// Flaw says what is wrong with a field of the settings, by its name in the API.
type Flaw struct{ Field, Detail string }

// Algorithms are those of TSIG that there are (RFC 8945 section 6), the usual one first.
func Algorithms() []string {
	return []string{"hmac-sha256", "hmac-sha512", "hmac-sha384", "hmac-sha224", "hmac-sha1"}
}

// Normal returns the settings as they are kept: without white space, names in lower case, and what is usual
// where nothing is said.
func (s Settings) Normal() Settings {
	for _, field := range []*string{&s.Directory, &s.Roots, &s.Email, &s.Solver, &s.Server, &s.Zone, &s.User, &s.Algorithm, &s.Secret, &s.Subdomain, &s.Resolver} {
		*field = strings.TrimSpace(*field)
	}
	names := make([]string, 0, len(s.Names))
	for _, n := range s.Names {
		if n = strings.ToLower(strings.TrimSuffix(strings.TrimSpace(n), ".")); n != "" && !slices.Contains(names, n) {
			names = append(names, n)
		}
	}
	s.Names = names
	if s.Directory == "" {
		s.Directory = LetsEncrypt
	}
	s.Zone = strings.ToLower(strings.TrimSuffix(s.Zone, "."))
	if s.Solver == ByAcmeDNS {
		s.Server, s.Zone, s.Algorithm = strings.TrimRight(s.Server, "/"), "", ""
		return s
	}
	s.Subdomain = ""
	s.User, s.Algorithm = strings.ToLower(strings.TrimSuffix(s.User, ".")), strings.ToLower(strings.TrimSuffix(s.Algorithm, "."))
	if s.Algorithm == "" {
		s.Algorithm = Algorithms()[0]
	}
	return s
}

// SamePlace reports whether a secret that was given for o is good for s, too: whoever may change settings must
// not have it sent elsewhere without knowing it.
func (s Settings) SamePlace(o Settings) bool {
	return s.Solver == o.Solver && s.Server == o.Server && s.User == o.User
}

// Check says what is wrong with settings that Normal has returned.
func (s Settings) Check() (all []Flaw) {
	wrong := func(field, format string, args ...any) { all = append(all, Flaw{field, fmt.Sprintf(format, args...)}) }
	if err := checkURL(s.Directory); err != nil {
		wrong("directory", "%v: want the URL of the CA's directory, as %s", err, LetsEncrypt)
	}
	if s.Roots != "" && !x509.NewCertPool().AppendCertsFromPEM([]byte(s.Roots)) {
		wrong("roots", "want certificates in PEM, which begin with -----BEGIN CERTIFICATE-----")
	}
	if s.Email != "" {
		if a, err := mail.ParseAddress(s.Email); err != nil || a.Address != s.Email || strings.ContainsAny(s.Email, ",?&") {
			wrong("email", "want an address as admin@example.com, or nothing")
		}
	}
	if n := len(s.Names); n < 1 || n > MaxNames {
		wrong("names", "want 1 to %d names, by which browsers open the console", MaxNames)
	}
	for _, n := range s.Names {
		if detail := checkName(n); detail != "" {
			wrong("names", "%q %s", short(n, 80), detail)
			break // one is enough to think of the others
		}
	}
	if s.Resolver != "" {
		if _, err := netip.ParseAddrPort(atPort(s.Resolver, "53")); err != nil {
			wrong("resolver", "want the address of a DNS resolver, as 9.9.9.9, with a port where it isn't 53, or nothing for the machine's own")
		}
	}
	return append(all, s.checkSolver()...)
}

// checkSolver says what is wrong with how records are set.
func (s Settings) checkSolver() (all []Flaw) {
	wrong := func(field, format string, args ...any) { all = append(all, Flaw{field, fmt.Sprintf(format, args...)}) }
	if (s.User == "") != (s.Secret == "") {
		wrong("secret", "want both a user and a secret, or neither")
	}
	switch s.Solver {
	case ByUpdate:
		if host, port, err := net.SplitHostPort(atPort(s.Server, "53")); err != nil || !isHost(host) || !isPort(port) {
			wrong("server", "want the primary name server of the zone, as ns1.example.com or 192.0.2.53, with a port where it isn't 53")
		}
		if s.Zone != "" && !isDomain(s.Zone) {
			wrong("zone", "want a zone, as example.com, or nothing for that which the server has")
		}
		if s.User != "" && !isDomain(s.User) {
			wrong("user", "want the name of the TSIG key, as its server has it")
		}
		if !slices.Contains(Algorithms(), s.Algorithm) {
			wrong("algorithm", "want one of %s", strings.Join(Algorithms(), ", "))
		}
		if _, err := base64.StdEncoding.DecodeString(s.Secret); err != nil {
			wrong("secret", "want the TSIG key in base64, as its server's configuration has it")
		}
	case ByAcmeDNS:
		if err := checkURL(s.Server); err != nil {
			wrong("server", "%v: want the URL of an acme-dns server, as https://auth.example.com", err)
		}
		if (s.User == "") != (s.Subdomain == "") || s.Subdomain != "" && !isDomain(s.Subdomain) {
			wrong("subdomain", "want the subdomain that acme-dns gave the user; or no user and no subdomain, to have one registered")
		}
	default:
		wrong("solver", "want %s or %s", ByUpdate, ByAcmeDNS)
	}
	return all
}

// checkName says what is wrong with a name for the certificate.
func checkName(name string) string {
	const want = "want a name that is public DNS's, as console.example.com"
	_, err := netip.ParseAddr(name)
	switch {
	case strings.HasPrefix(name, "*."):
		return "is for every name below it: name the console itself"
	case err == nil:
		return "is an address, for which the DNS can't prove anything: " + want
	case !isDomain(name) || !strings.Contains(name, ".") || len("_acme-challenge."+name) > 253:
		return "is no such name: " + want
	}
	return ""
}

// checkURL refuses what isn't the URL of an https server.
func checkURL(text string) error {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "https" || !isHost(u.Hostname()) || u.User != nil || u.Fragment != "" || u.Port() != "" && !isPort(u.Port()) {
		return fmt.Errorf("%q is no https URL", short(text, 80))
	}
	return nil
}

func isHost(host string) bool {
	_, err := netip.ParseAddr(host)
	return err == nil || isDomain(host)
}

func isPort(port string) bool {
	n, err := strconv.ParseUint(port, 10, 16)
	return err == nil && n > 0
}

// isDomain reports whether a name has letters, digits, hyphens and underscores in labels of 1 to 63.
func isDomain(name string) bool {
	if _, ok := dns.IsDomainName(name); !ok || name == "" || len(name) > 253 {
		return false
	}
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || strings.Trim(label, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") != "" || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
	}
	return true
}

// atPort returns a host with a port: its own, or that which is usual.
func atPort(host, usual string) string {
	if _, _, err := net.SplitHostPort(host); err == nil {
		return host
	}
	return net.JoinHostPort(strings.Trim(host, "[]"), usual)
}
