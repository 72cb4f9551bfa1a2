package e2e

import (
	"fmt"
	"strings"
	"testing"

	"landbridge/internal/netlab"
)

// dig asks the service address from a host, and returns the answer's status and records.
func (c *client) dig(query string) string {
	c.t.Helper()
	return c.sh("dig @" + service + " +tries=1 +time=3 +noall +comments +answer " + query + " || true")
}

// answered waits until dig says all of the words.
func (c *client) answered(query string, words ...string) {
	c.t.Helper()
	waitFor(c.t, c.Name+" asks "+query, func() (bool, error) {
		out := c.dig(query)
		for _, w := range words {
			if !strings.Contains(strings.Join(strings.Fields(out), " "), w) {
				return false, fmt.Errorf("no %q in\n%s", w, out)
			}
		}
		return true, nil
	})
}

// An alias that an operator sets at one site is what hosts of another are told, by programs
// that know nothing of any of this.
func TestAnAliasSetAtOneSiteIsAnsweredAtAnother(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	a, b := s.site("a"), s.site("b")
	web := newClient(t, a.wire, "web").lease(netlab.Dhclient)
	user := newClient(t, b.wire, "user").lease(netlab.Dhclient)
	user.answered("web."+zone, "status: NOERROR", "A "+web.addr.String())

	// At a member where neither host is, and in another's own words.
	s.d.must("names", "set", "wiki", "web")
	a.must("names", "set", "Docs."+zone, "wiki."+zone+".")
	b.must("names", "set", "gate", "192.0.2.7")
	chain := "docs." + zone + ". 30 IN CNAME wiki." + zone + ". wiki." + zone + ". 30 IN CNAME web." + zone + ". web." + zone + ". 30 IN A " + web.addr.String()
	for _, host := range []*client{user, web} {
		host.answered("docs."+zone, "status: NOERROR", chain)
		host.answered("gate."+zone, "status: NOERROR", "IN A 192.0.2.7")
	}
	waitFor(t, "getent", func() (bool, error) {
		out := user.sh("getent ahostsv4 docs || true") // the lease's search list
		return strings.Contains(out, web.addr.String()), fmt.Errorf("getent says %q", out)
	})

	for _, c := range []struct{ name, target, say string }{
		{"web", "wiki", "web is the name of the host " + web.addr.String()},
		{"wiki", "docs", "would never lead to a host"},
		{"ns", "web", "the resolver itself"},
		{"mail", "mail.example.com", "no name of the zone"},
		{"mail", "224.0.0.1", "no address of one host"},
	} {
		if r := b.cli(nil, "names", "set", c.name, c.target); r.code != 1 || !strings.Contains(r.stderr, c.say) {
			t.Errorf("%s -> %s: exit %d, %s; want %q", c.name, c.target, r.code, r.stderr, c.say)
		}
	}
	if out := b.must("names", "--kind", "alias"); strings.Count(out, "alias") != 3 {
		t.Errorf("the aliases are\n%s", out)
	}

	b.must("names", "remove", "docs")
	user.answered("docs."+zone, "status: NXDOMAIN")
	if r := a.cli(nil, "names", "remove", "docs"); r.code != 1 || !strings.Contains(r.stderr, `"docs" isn't an alias`) {
		t.Errorf("removed twice: exit %d, %s", r.code, r.stderr)
	}
}
