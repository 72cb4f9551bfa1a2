package dns

import (
	"strings"
	"testing"

	"github.com/miekg/dns"
)

func TestAliasesAreFollowedInsideTheZone(t *testing.T) {
	h := newTestHandler("10.9.0.0/16")
	const z = ".demo.example."
	for _, c := range []struct {
		name  string
		qtype uint16
		want  string
		soa   bool
	}{
		{"wiki", dns.TypeA, "NOERROR | wiki" + z + " CNAME alpha" + z + " | alpha" + z + " A 10.9.2.3", false},
		{"WWW", dns.TypeA, "NOERROR | WWW" + z + " CNAME wiki" + z + " | wiki" + z + " CNAME alpha" + z + " | alpha" + z + " A 10.9.2.3", false},
		{"www", dns.TypeCNAME, "NOERROR | www" + z + " CNAME wiki" + z, false},
		{"www", dns.TypeAAAA, "NOERROR | www" + z + " CNAME wiki" + z + " | wiki" + z + " CNAME alpha" + z, true},
		{"gate", dns.TypeA, "NOERROR | gate" + z + " A 192.0.2.7", false},
		{"gate", dns.TypeAAAA, "NOERROR", true},
		{"six", dns.TypeAAAA, "NOERROR | six" + z + " AAAA fd00::7", false},
		{"six", dns.TypeA, "NOERROR", true},
		{"six", dns.TypeCNAME, "NOERROR", true},
		{"to-gate", dns.TypeA, "NOERROR | to-gate" + z + " CNAME gate" + z + " | gate" + z + " A 192.0.2.7", false},
		{"fixed", dns.TypeA, "NOERROR | fixed" + z + " CNAME c009002003" + z + " | c009002003" + z + " A 10.9.2.3", false},
		{"name-server", dns.TypeA, "NOERROR | name-server" + z + " CNAME ns" + z + " | ns" + z + " A 10.9.0.1", false},
		{"dead", dns.TypeA, "NXDOMAIN | dead" + z + " CNAME nobody" + z, true},
		{"dead", dns.TypeCNAME, "NOERROR | dead" + z + " CNAME nobody" + z, false},
		{"stuck", dns.TypeA, "SERVFAIL", false},
		{"a", dns.TypeA, "SERVFAIL", false},
		{"wiki", dns.TypeANY, "NOERROR | wiki" + z + ` HINFO "RFC8482" ""`, false},
		{"under.wiki", dns.TypeA, "NXDOMAIN", true},
	} {
		m := ask(t, h, c.name+z, c.qtype)
		if got := summary(m); got != c.want || c.soa != (len(m.Ns) == 1) {
			t.Errorf("%s %s: %s, %d of authority\nwant %s", c.name, dns.TypeToString[c.qtype], got, len(m.Ns), c.want)
		}
		if m.Authoritative != (m.Rcode != dns.RcodeServerFailure) {
			t.Errorf("%s: authoritative %v", c.name, m.Authoritative)
		}
	}
	if m := ask(t, h, "wiki.", dns.TypeA); m.Rcode != dns.RcodeRefused {
		t.Errorf("without the zone: %v", summary(m))
	}
	if m := ask(t, h, strings.Repeat("a", 63)+z, dns.TypeA); m.Rcode != dns.RcodeNameError {
		t.Errorf("no alias: %v", summary(m))
	}
}
