package issuance

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
	"time"

	"golang.org/x/crypto/acme"

	"landbridge/console/api"
)

// Settings is how certificates are got. The state keeps it.
type Settings struct {
	Directory   string        `cbor:"1,keyasint"`           // URL
	Roots       string        `cbor:"2,keyasint,omitempty"` // PEM, besides the system's
	Names       []string      `cbor:"3,keyasint"`           // in lower case
	Email       string        `cbor:"4,keyasint,omitempty"`
	TermsAgreed bool          `cbor:"5,keyasint,omitempty"`
	Wait        time.Duration `cbor:"6,keyasint,omitempty"` // from publishing to asking for the look
	AcmeDNS     *AcmeDNS      `cbor:"7,keyasint,omitempty"` // else Update
	Update      *Update       `cbor:"8,keyasint,omitempty"`
}

// AcmeDNS is a registration at an acme-dns server.
type AcmeDNS struct {
	URL       string `cbor:"1,keyasint"`
	Subdomain string `cbor:"2,keyasint"`
	Username  string `cbor:"3,keyasint"`
	Password  string `cbor:"4,keyasint"`
}

// Update is a zone that takes dynamic updates (RFC 2136).
type Update struct {
	Server    string `cbor:"1,keyasint"` // host:port
	Zone      string `cbor:"2,keyasint"` // in lower case, without the last dot
	Key       string `cbor:"3,keyasint"` // likewise
	Algorithm string `cbor:"4,keyasint"` // as hmac-sha256
	Secret    string `cbor:"5,keyasint"` // base64
}

const (
	maxNames = 8
	maxWait  = 10 * time.Minute
	maxRoots = 16
)

// flaws gathers what is wrong with settings.
type flaws []api.FieldError

func (f *flaws) add(field, format string, args ...any) {
	*f = append(*f, api.FieldError{Field: field, Detail: fmt.Sprintf(format, args...)})
}

// Read reads settings as the API has them. Secrets that are left empty are those of former, where they are for the
// same server and registration: nobody can have a secret sent to another. It returns what is wrong by its field.
func Read(s api.AcmeSettings, former Settings) (Settings, []api.FieldError) {
	var wrong flaws
	read := Settings{
		Directory: strings.TrimSpace(s.Directory), Roots: strings.TrimSpace(s.Roots), Email: strings.TrimSpace(s.Email),
		TermsAgreed: s.TermsAgreed, Wait: time.Duration(s.WaitSeconds) * time.Second,
	}
	if read.Directory == "" {
		read.Directory = acme.LetsEncryptURL
	}
	if u, ok := readURL(read.Directory); !ok || u.Scheme != "https" {
		wrong.add("directory", "want the https URL of an ACME directory, as %s", acme.LetsEncryptURL)
	}
	if read.Roots != "" && !isRoots(read.Roots) {
		wrong.add("roots", "want 1 to %d certificates in PEM and nothing else, which begin with -----BEGIN CERTIFICATE-----", maxRoots)
	}
	if a, err := mail.ParseAddress(read.Email); read.Email != "" && (err != nil || a.Address != read.Email || strings.ContainsAny(read.Email, "?&%,")) {
		wrong.add("email", "want one address, as admin@example.com, or none")
	}
	if read.Wait < 0 || read.Wait > maxWait {
		wrong.add("waitSeconds", "want 0 to %d seconds", maxWait/time.Second)
	}
	read.Names = readNames(s.Names, &wrong)
	switch s.Publish {
	case api.AcmePublishAcmeDNS:
		wrong.foreign(map[string]string{"server": s.Server, "zone": s.Zone, "keyName": s.KeyName, "algorithm": string(s.Algorithm), "secret": s.Secret}, "rfc2136")
		read.AcmeDNS = readAcmeDNS(s, former.AcmeDNS, &wrong)
	case api.AcmePublishRfc2136:
		wrong.foreign(map[string]string{"url": s.URL, "subdomain": s.Subdomain, "username": s.Username, "password": s.Password}, "acme-dns")
		read.Update = readUpdate(s, former.Update, read.Names, &wrong)
	default:
		wrong.add("publish", "want acme-dns or rfc2136")
	}
	return read, wrong
}

// foreign refuses what is said of the other way to publish.
func (f *flaws) foreign(fields map[string]string, of string) {
	for field, v := range fields {
		if v != "" {
			f.add(field, "belongs to %s: leave it out", of)
		}
	}
}

func readAcmeDNS(s api.AcmeSettings, former *AcmeDNS, wrong *flaws) *AcmeDNS {
	d := &AcmeDNS{URL: strings.TrimRight(strings.TrimSpace(s.URL), "/"), Subdomain: strings.TrimSpace(s.Subdomain), Username: strings.TrimSpace(s.Username), Password: s.Password}
	if former != nil && d.Password == "" && former.URL == d.URL && former.Subdomain == d.Subdomain && former.Username == d.Username {
		d.Password = former.Password
	}
	if u, ok := readURL(d.URL); !ok || u.RawQuery != "" || u.Scheme != "https" && !isHere(u.Hostname()) {
		wrong.add("url", "want the https URL of an acme-dns server's API, as https://auth.example.com; http would show the password to whoever is on the way, and is for a server on this machine alone")
	}
	if !isLabel(d.Subdomain) {
		wrong.add("subdomain", "want the subdomain that the acme-dns server gave at registration: letters, digits and hyphens")
	}
	for field, v := range map[string]string{"username": d.Username, "password": d.Password} {
		if v == "" || strings.ContainsFunc(v, func(r rune) bool { return r <= ' ' || r > '~' }) {
			wrong.add(field, "want the %s that the acme-dns server gave at registration", field)
		}
	}
	return d
}

func readUpdate(s api.AcmeSettings, former *Update, names []string, wrong *flaws) *Update {
	u := &Update{Zone: readName(s.Zone), Key: readName(s.KeyName), Algorithm: string(s.Algorithm), Secret: strings.TrimSpace(s.Secret)}
	if u.Algorithm == "" {
		u.Algorithm = string(api.TsigAlgorithmHmacSha256)
	}
	var ok bool
	if u.Server, ok = readServer(s.Server); !ok {
		wrong.add("server", "want the address or name of a DNS server, as 192.0.2.53 or ns1.example.com:5353")
	}
	if former != nil && u.Secret == "" && former.Server == u.Server && former.Zone == u.Zone && former.Key == u.Key {
		u.Secret = former.Secret
	}
	if !isName(u.Zone, 1) {
		wrong.add("zone", "want the name of a zone, as example.com")
	} else {
		for _, n := range names {
			if bare := strings.TrimPrefix(n, "*."); bare != u.Zone && !strings.HasSuffix(bare, "."+u.Zone) {
				wrong.add("zone", "%s isn't in %s: want the zone that all names are in", n, u.Zone)
			}
		}
	}
	if !isName(u.Key, 1) {
		wrong.add("keyName", "want the name of a TSIG key, as the server's configuration has it")
	}
	if !u.known() {
		wrong.add("algorithm", "want hmac-sha256, hmac-sha384 or hmac-sha512")
	}
	if b, err := base64.StdEncoding.DecodeString(u.Secret); err != nil || len(b) < 8 {
		wrong.add("secret", "want the TSIG key in base64, as tsig-keygen prints it: of 8 bytes or more")
	}
	return u
}

func readNames(names []string, wrong *flaws) []string {
	if len(names) < 1 || len(names) > maxNames {
		wrong.add("names", "want 1 to %d", maxNames)
		return nil
	}
	var read []string
	for i, n := range names {
		n = readName(n)
		_, err := netip.ParseAddr(n)
		switch bare := strings.TrimPrefix(n, "*."); {
		case err == nil:
			wrong.add("names", "%s is an address, and no name in DNS", n)
		case !isName(bare, 2):
			wrong.add("names", "no. %d is no name in DNS with a domain, as console.example.com", i+1)
		case slices.Contains(read, n):
			wrong.add("names", "%s is there twice", n)
		default:
			read = append(read, n)
		}
	}
	return read
}

// readName returns a name of DNS as it is kept: in lower case, without the last dot.
func readName(text string) string {
	return strings.TrimSuffix(strings.ToLower(strings.TrimSpace(text)), ".")
}

// isName reports whether a name has so many labels at least, all of them of letters, digits, hyphens and
// underscores, and room for _acme-challenge before it.
func isName(n string, least int) bool {
	labels := strings.Split(n, ".")
	return len(n) <= 235 && len(labels) >= least && !slices.ContainsFunc(labels, func(l string) bool { return !isLabel(l) })
}

func isLabel(l string) bool {
	return len(l) >= 1 && len(l) <= 63 && l[0] != '-' && l[len(l)-1] != '-' &&
		!strings.ContainsFunc(l, func(r rune) bool {
			return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_')
		})
}

func readURL(text string) (*url.URL, bool) {
	u, err := url.Parse(text)
	ok := err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Hostname() != "" && u.User == nil && u.Fragment == "" && u.Opaque == ""
	return u, ok
}

// isHere reports whether a host of a URL is this machine, by its loopback.
func isHere(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}

// readServer reads a host with a port, which is 53 where it isn't said.
func readServer(text string) (string, bool) {
	text = strings.TrimSpace(text)
	host, port, err := net.SplitHostPort(text)
	if err != nil {
		host, port = strings.Trim(text, "[]"), "53"
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return text, false
	}
	_, err = netip.ParseAddr(host)
	return net.JoinHostPort(host, port), err == nil || isName(readName(host), 1)
}

// isRoots reports whether a text is some certificates in PEM.
func isRoots(text string) bool {
	n := strings.Count(text, "-----BEGIN ")
	return n >= 1 && n <= maxRoots && n == strings.Count(text, "-----BEGIN CERTIFICATE-----") && len(readRoots(text)) == n
}

// readRoots returns the certificates of a text that can be read.
func readRoots(text string) (all []*x509.Certificate) {
	for block := range blocks(text) {
		if c, err := x509.ParseCertificate(block); err == nil {
			all = append(all, c)
		}
	}
	return all
}

// Shown returns the settings as the API has them, without secrets.
func (s Settings) Shown() api.AcmeSettings {
	shown := api.AcmeSettings{
		Directory: s.Directory, Roots: s.Roots, Names: s.Names, Email: s.Email, TermsAgreed: s.TermsAgreed, WaitSeconds: int64(s.Wait / time.Second),
	}
	if d := s.AcmeDNS; d != nil {
		shown.Publish, shown.URL, shown.Subdomain, shown.Username = api.AcmePublishAcmeDNS, d.URL, d.Subdomain, d.Username
	}
	if u := s.Update; u != nil {
		shown.Publish, shown.Server, shown.Zone, shown.KeyName, shown.Algorithm = api.AcmePublishRfc2136, u.Server, u.Zone, u.Key, api.TsigAlgorithm(u.Algorithm)
	}
	return shown
}

// Authority names who issues, in few words: the host of the directory.
func (s Settings) Authority() string {
	if u, err := url.Parse(s.Directory); err == nil && u.Host != "" {
		return u.Host
	}
	return s.Directory
}
