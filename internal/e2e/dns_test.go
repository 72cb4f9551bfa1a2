package e2e

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"
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

	// A member that has had to do with neither lists both.
	waitFor(t, "d lists the hosts of a and b", func() (bool, error) {
		out := s.d.must("names", "--kind", "host")
		return strings.Contains(out, "web."+zone) && strings.Contains(out, "user."+zone), errors.New(out)
	})

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

// corp runs dnsmasq on a public host, as a company's own DNS server for corp.example.
func corp(t *testing.T, h *netlab.Host) (stop func()) {
	t.Helper()
	cmd := h.Command(context.WithoutCancel(t.Context()), "dnsmasq",
		"--no-daemon", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--bind-interfaces", "--interface=eth0", "--local=/corp.example/", "--auth-ttl=60",
		"--host-record=intra.corp.example,192.0.2.80,2001:db8::80", "--cname=portal.corp.example,intra.corp.example", "--local-ttl=60",
		"--txt-record=big.corp.example"+strings.Repeat(","+strings.Repeat("x", 250), 10))
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "dnsmasq listens", func() (bool, error) {
		out, err := h.Run(t.Context(), "sh", "-c", "cat /proc/net/udp")
		return strings.Contains(out, ":0035 "), err
	})
	return func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
}

// Names of a zone that a company's own server has are answered to hosts of a site that know of the
// service address alone; what happens to that server is told, and what isn't forwarded is refused.
func TestAForwardedZoneIsAnsweredByItsOwnServer(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	server := s.wan.Host("ns")
	addr, err := server.Addr("eth0")
	if err != nil {
		t.Fatal(err)
	}
	stop := corp(t, server)
	a := s.site("a")
	user := newClient(t, a.wire, "user").lease(netlab.Dhclient)
	user.answered("intra.corp.example", "status: REFUSED")

	a.must("forward", "set", "Corp.Example.", addr.Addr().String())
	user.answered("portal.corp.example", "status: NOERROR", "ra;", "portal.corp.example. 60 IN CNAME intra.corp.example. intra.corp.example. 60 IN A 192.0.2.80")
	user.answered("intra.corp.example AAAA", "status: NOERROR", "AAAA 2001:db8::80")
	user.answered("nobody.corp.example", "status: NXDOMAIN")
	user.answered("+ignore big.corp.example TXT", "status: NOERROR", "tc rd ra")                    // fetched by TCP, too long for a datagram
	user.answered("big.corp.example TXT", "status: NOERROR", "ANSWER: 1", strings.Repeat("x", 250)) // so dig asks again, by TCP
	user.answered("+tcp user."+zone, "status: NOERROR", "A "+user.addr.String())
	user.answered("+tcp www.example.com", "status: REFUSED")
	user.answered("www.example.com", "status: REFUSED")
	waitFor(t, "a host with a TAP of its own asks by TCP", func() (bool, error) {
		r := s.d.exec("dig", "@"+service, "+tcp", "+tries=1", "+time=3", "user."+zone)
		return strings.Contains(r.stdout, user.addr.String()), errors.New(r.stdout)
	})
	if out := user.sh("getent ahostsv4 portal.corp.example"); !strings.Contains(out, "192.0.2.80") {
		t.Errorf("getent says %q", out)
	}
	// From an address that isn't the group's, nobody is served.
	user.sh("ip addr add 192.168.77.7/24 dev eth0")
	if out := user.sh("dig -b 192.168.77.7 @" + service + " +tries=1 +time=2 intra.corp.example || true"); strings.Contains(out, "192.0.2.80") {
		t.Errorf("a stranger is told\n%s", out)
	}
	if out := a.must("query", "portal.corp.example"); !strings.Contains(out, "forwarded to "+addr.Addr().String()) {
		t.Errorf("the query is explained as\n%s", out)
	}

	stop()
	user.answered("other.corp.example", "status: SERVFAIL")
	user.answered("portal.corp.example", "status: NOERROR", "192.0.2.80") // remembered
	said := "No server to which names of corp.example are forwarded answers"
	waitFor(t, "the server's silence is told", func() (bool, error) {
		user.dig("other.corp.example")
		out := a.must("status")
		return strings.Contains(strings.Join(strings.Fields(out), " "), said), errors.New(out)
	})
	if out := a.must("forward"); !strings.Contains(out, "failing") {
		t.Errorf("the zone is\n%s", out)
	}
	corp(t, server)
	waitFor(t, "its return is noticed", func() (bool, error) {
		user.dig("other.corp.example")
		out := a.must("status")
		return !strings.Contains(strings.Join(strings.Fields(out), " "), said), errors.New(out)
	})

	// It outlives a kill.
	a.end(syscall.SIGKILL)
	a.start()
	user.answered("intra.corp.example", "status: NOERROR", "192.0.2.80")
	for _, c := range []struct {
		args []string
		say  string
	}{
		{[]string{"set", zone, addr.Addr().String()}, "answered here"},
		{[]string{"set", "77.10.in-addr.arpa", addr.Addr().String()}, "answered here"},
		{[]string{"set", "x.example", service}, "this resolver itself"},
		{[]string{"set", "x.example", "10.77.200.9"}, "in router mode"},
		{[]string{"set", "x.example", "ns.example"}, "no server's address"},
		{[]string{"remove", "x.example"}, "isn't forwarded"},
	} {
		if r := a.cli(nil, append([]string{"forward"}, c.args...)...); r.code != 1 || !strings.Contains(r.stderr, c.say) {
			t.Errorf("%v: exit %d, %s; want %q", c.args, r.code, r.stderr, c.say)
		}
	}
	a.must("forward", "remove", "corp.example")
	user.answered("intra.corp.example", "status: REFUSED")
}
