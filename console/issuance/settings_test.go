package issuance

import (
	"crypto/x509"
	"slices"
	"strings"
	"testing"
	"time"

	"landbridge/console/api"
)

// byUpdate are settings that can be used.
func byUpdate() api.AcmeSettings {
	return api.AcmeSettings{
		Directory: "https://acme.example.com/directory", Names: []string{"Console.Example.com.", "*.example.com"}, Publish: api.AcmePublishRfc2136,
		Server: "ns1.example.com", Zone: "example.com.", KeyName: "console-key", Secret: "c2l4dGVlbiBieXRlcyEh", WaitSeconds: 5,
	}
}

func byAcmeDNS() api.AcmeSettings {
	return api.AcmeSettings{
		Names: []string{"console.example.com"}, Publish: api.AcmePublishAcmeDNS, TermsAgreed: true,
		URL: "https://auth.example.com/", Subdomain: "d420c923-bbd7-4056-ab64-c3ca54c9b3cf", Username: "eabcdb41", Password: "pbAXVjlIOE01xbut7YnAbkhMQIkcwoHO0ek2j4Q0",
	}
}

func TestSettingsAreReadAsTheyAreMeant(t *testing.T) {
	s, wrong := Read(byUpdate(), Settings{})
	if len(wrong) > 0 || !slices.Equal(s.Names, []string{"console.example.com", "*.example.com"}) || s.Update.Server != "ns1.example.com:53" || s.Update.Zone != "example.com" || s.Update.Algorithm != "hmac-sha256" || s.Wait != 5*time.Second {
		t.Errorf("%+v %+v %v", s, s.Update, wrong)
	}
	s, wrong = Read(byAcmeDNS(), Settings{})
	if len(wrong) > 0 || s.Directory != "https://acme-v02.api.letsencrypt.org/directory" || s.AcmeDNS.URL != "https://auth.example.com" || s.Authority() != "acme-v02.api.letsencrypt.org" {
		t.Errorf("%+v %+v %v", s, s.AcmeDNS, wrong)
	}
	if shown := s.Shown(); shown.Password != "" || shown.Username != "eabcdb41" {
		t.Errorf("shown: %+v", shown)
	}
}

func TestASecretStaysForTheSameServerAlone(t *testing.T) {
	former, _ := Read(byUpdate(), Settings{})
	change := byUpdate()
	change.Secret, change.WaitSeconds = "", 60
	if s, wrong := Read(change, former); len(wrong) > 0 || s.Update.Secret != former.Update.Secret {
		t.Errorf("with another wait: %v", wrong)
	}
	change.Server = "ns1.attacker.example"
	if _, wrong := Read(change, former); !isWrong(wrong, "secret", "base64") {
		t.Errorf("for another server: %v", wrong)
	}
	former, _ = Read(byAcmeDNS(), Settings{})
	change = byAcmeDNS()
	change.Password = ""
	if s, wrong := Read(change, former); len(wrong) > 0 || s.AcmeDNS.Password != former.AcmeDNS.Password {
		t.Errorf("the same acme-dns server: %v", wrong)
	}
	change.URL = "https://attacker.example"
	if _, wrong := Read(change, former); !isWrong(wrong, "password", "registration") {
		t.Errorf("another acme-dns server: %v", wrong)
	}
}

func isWrong(wrong []api.FieldError, field, says string) bool {
	return slices.ContainsFunc(wrong, func(w api.FieldError) bool { return w.Field == field && strings.Contains(w.Detail, says) })
}

func TestEachFieldThatCantBeIsNamed(t *testing.T) {
	for name, c := range map[string]struct {
		change      func(*api.AcmeSettings)
		field, says string
	}{
		"no name":              {func(s *api.AcmeSettings) { s.Names = nil }, "names", "1 to 8"},
		"many names":           {func(s *api.AcmeSettings) { s.Names = slices.Repeat([]string{"a.example.com"}, 1000) }, "names", "1 to 8"},
		"the same name twice":  {func(s *api.AcmeSettings) { s.Names = []string{"a.example.com", "A.example.com."} }, "names", "twice"},
		"an address":           {func(s *api.AcmeSettings) { s.Names = []string{"192.0.2.1"} }, "names", "is an address"},
		"a bare name":          {func(s *api.AcmeSettings) { s.Names = []string{"console"} }, "names", "console.example.com"},
		"a name with a blank":  {func(s *api.AcmeSettings) { s.Names = []string{"a b.example.com"} }, "names", "no. 1"},
		"a star in the middle": {func(s *api.AcmeSettings) { s.Names = []string{"a.*.example.com"} }, "names", "no. 1"},
		"an http directory":    {func(s *api.AcmeSettings) { s.Directory = "http://acme.example.com/" }, "directory", "https"},
		"no URL":               {func(s *api.AcmeSettings) { s.Directory = "let's encrypt" }, "directory", "https"},
		"a URL with a user":    {func(s *api.AcmeSettings) { s.Directory = "https://user:password@acme.example.com/" }, "directory", "https"},
		"roots that are none":  {func(s *api.AcmeSettings) { s.Roots = "AAAA" }, "roots", "BEGIN CERTIFICATE"},
		"a key for roots": {func(s *api.AcmeSettings) {
			s.Roots = isrg + "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"
		}, "roots", "nothing else"},
		"no address of mail": {func(s *api.AcmeSettings) { s.Email = "Admin <admin@example.com>" }, "email", "admin@example.com"},
		"two of them":        {func(s *api.AcmeSettings) { s.Email = "a@example.com,b@example.com" }, "email", "one address"},
		"a long wait":        {func(s *api.AcmeSettings) { s.WaitSeconds = 601 }, "waitSeconds", "600"},
		"no way":             {func(s *api.AcmeSettings) { s.Publish = "" }, "publish", "acme-dns or rfc2136"},
		"both ways":          {func(s *api.AcmeSettings) { s.Username = "user" }, "username", "belongs to acme-dns"},
		"no server":          {func(s *api.AcmeSettings) { s.Server = "" }, "server", "DNS server"},
		"a port too high":    {func(s *api.AcmeSettings) { s.Server = "192.0.2.53:65536" }, "server", "DNS server"},
		"another zone":       {func(s *api.AcmeSettings) { s.Zone = "ample.com" }, "zone", "isn't in ample.com"},
		"no key":             {func(s *api.AcmeSettings) { s.KeyName = "" }, "keyName", "TSIG"},
		"an old algorithm":   {func(s *api.AcmeSettings) { s.Algorithm = "hmac-md5" }, "algorithm", "hmac-sha256"},
		"a secret in clear":  {func(s *api.AcmeSettings) { s.Secret = "it's secret" }, "secret", "base64"},
		"a short secret":     {func(s *api.AcmeSettings) { s.Secret = "AAAA" }, "secret", "8 bytes"},
	} {
		s := byUpdate()
		c.change(&s)
		if _, wrong := Read(s, Settings{}); !isWrong(wrong, c.field, c.says) {
			t.Errorf("%s: %v, want the field %s, and that it says %q", name, wrong, c.field, c.says)
		}
	}
	s := byAcmeDNS()
	s.URL, s.Subdomain, s.Username, s.Password, s.Zone = "auth.example.com", "a.b", "two words", "line\nline", "example.com"
	_, wrong := Read(s, Settings{})
	for _, field := range []string{"url", "subdomain", "username", "password", "zone"} {
		if !isWrong(wrong, field, "") {
			t.Errorf("acme-dns: nothing is said of %s: %v", field, wrong)
		}
	}
}

func TestThePasswordOfAcmeDNSGoesByHTTPSOrStaysHere(t *testing.T) {
	for url, taken := range map[string]bool{
		"https://auth.example.com": true, "http://auth.example.com": false, "http://192.168.1.5": false, "http://localhost.example.com": false,
		"http://127.0.0.1:8053": true, "http://[::1]": true, "http://localhost/": true,
	} {
		s := byAcmeDNS()
		s.URL = url
		if _, wrong := Read(s, Settings{}); isWrong(wrong, "url", "https") == taken || taken && len(wrong) > 0 {
			t.Errorf("%s: %v", url, wrong)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add("https://acme.example.com/directory", "console.example.com", "ns1.example.com:53", "example.com", "key", "c2l4dGVlbiBieXRlcyEh", true)
	f.Add("https://[::1]:1/", "*.a.b", "[2001:db8::53]:5353", "b", "k", "AAAAAAAAAAA=", false)
	f.Fuzz(func(t *testing.T, directory, name, server, zone, key, secret string, update bool) {
		s := api.AcmeSettings{Directory: directory, Names: []string{name}, Publish: api.AcmePublishRfc2136, Server: server, Zone: zone, KeyName: key, Secret: secret}
		if !update {
			s = api.AcmeSettings{Directory: directory, Names: []string{name}, Publish: api.AcmePublishAcmeDNS, URL: server, Subdomain: zone, Username: key, Password: secret}
		}
		read, wrong := Read(s, Settings{})
		if len(wrong) > 0 {
			return
		}
		again, wrong := Read(read.Shown(), read) // as the form sends it back
		if len(wrong) > 0 || again.Authority() != read.Authority() || again.Names[0] != read.Names[0] {
			t.Errorf("what was taken isn't taken again: %v", wrong)
		}
		if read.Update != nil {
			if _, err := read.Update.message().SetTsig(read.Update.Key+".", read.Update.algorithm(), 300, 0).Pack(); err != nil {
				t.Errorf("it can't be sent: %v", err)
			}
		}
	})
}

func TestAttemptsBecomeRareAndAreManyBeforeTheEnd(t *testing.T) {
	const day = 24 * time.Hour
	for _, c := range []struct {
		failures    int
		left, after time.Duration
		random      float64
		want        time.Duration
	}{
		{1, 0, 0, 0, 5 * time.Minute},
		{2, 30 * day, 0, 0, 10 * time.Minute},
		{2, 30 * day, 0, 1, 12*time.Minute + 30*time.Second},
		{1000, 30 * day, 0, 0, 12 * time.Hour},
		{1000, 8 * time.Hour, 0, 0, 2 * time.Hour},
		{1000, time.Minute, 0, 0, 5 * time.Minute},
		{1000, -time.Hour, 0, 0, 12 * time.Hour},
		{1, 30 * day, time.Hour, 0, time.Hour},
		{1, 30 * day, 1000 * day, 0, 7 * day},
	} {
		if got := Wait(c.failures, c.left, c.after, c.random); got != c.want {
			t.Errorf("%d failures, %v left, asked for %v: %v, want %v", c.failures, c.left, c.after, got, c.want)
		}
	}
	begins := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	leaf := &x509.Certificate{NotBefore: begins, NotAfter: begins.Add(90 * day)}
	if early, late := RenewAt(leaf, begins, 0), RenewAt(leaf, begins, 1); early != begins.Add(60*day) || late != begins.Add(63*day) {
		t.Errorf("renewed from %v to %v", early, late)
	}
	if at := RenewAt(leaf, begins.Add(80*day), 0); at != begins.Add(80*day+time.Hour) {
		t.Errorf("one that was due when it came is renewed at %v", at)
	}
}
