package dns

import (
	"context"
	"net/netip"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

// elsewhere is a Forwarder that knows names of corp.example, and what it was asked.
type elsewhere struct{ asked int }

func (e *elsewhere) Forward(_ context.Context, from netip.Addr, q dns.Question, _ Wish) *dns.Msg {
	e.asked++
	name := strings.ToLower(q.Name)
	if !strings.HasSuffix(name, ".corp.example.") {
		return nil
	}
	m := new(dns.Msg)
	switch {
	case name == "gone.corp.example.":
		m.Rcode = dns.RcodeNameError
	case name == "version.corp.example.":
		m.Rcode = dns.RcodeBadVers
	case name == "big.corp.example.":
		for range 300 {
			m.Answer = append(m.Answer, address(q.Name, from, 60))
		}
	default:
		m.Answer = []dns.RR{address(q.Name, from, 60)}
	}
	return m
}

func (e *elsewhere) Says(name string) string {
	if strings.HasSuffix(name, ".corp.example.") {
		return "Names of corp.example are forwarded to 10.0.0.53."
	}
	return ""
}

func forwarding() (*Handler, *elsewhere) {
	e := new(elsewhere)
	h := newTestHandler("10.9.0.0/16")
	h.forwarder = e
	return h, e
}

// handled asks as the host at an address does.
func handled(t *testing.T, h *Handler, from string, req *dns.Msg) *dns.Msg {
	t.Helper()
	query, err := req.Pack()
	if err != nil {
		t.Fatal(err)
	}
	m := new(dns.Msg)
	if err := m.Unpack(h.Handle(t.Context(), netip.MustParseAddr(from), query, true)); err != nil {
		t.Fatal(err)
	}
	return m
}

func TestWhatIsForwardedIsAnsweredToHostsOfTheGroupAlone(t *testing.T) {
	h, e := forwarding()
	question := func(name string, qtype uint16) *dns.Msg { return new(dns.Msg).SetQuestion(name, qtype) }
	m := handled(t, h, "10.9.3.7", question("A.corp.example.", dns.TypeA))
	if summary(m) != "NOERROR | A.corp.example. A 10.9.3.7" || !m.RecursionAvailable || m.Authoritative {
		t.Errorf("a host of the group: %v", m)
	}
	if m := handled(t, h, "10.9.3.7", question("gone.corp.example.", dns.TypeA)); m.Rcode != dns.RcodeNameError || !m.RecursionAvailable {
		t.Errorf("there is no such name: %v", m)
	}
	if m := handled(t, h, "10.9.3.7", question("version.corp.example.", dns.TypeA)); m.Rcode != dns.RcodeServerFailure {
		t.Errorf("a code that has no room without EDNS: %v", m)
	}
	big := question("big.corp.example.", dns.TypeA)
	big.SetEdns0(4096, false)
	m = handled(t, h, "10.9.3.7", big)
	if m.Compress = true; !m.Truncated || m.Len() > maxUDPReply || m.IsEdns0() == nil {
		t.Errorf("an answer that is too long: cut %v, %d bytes", m.Truncated, m.Len())
	}
	e.asked = 0
	iterative := question("a.corp.example.", dns.TypeA)
	iterative.RecursionDesired = false
	chaos := question("a.corp.example.", dns.TypeA)
	chaos.Question[0].Qclass = dns.ClassCHAOS
	for name, c := range map[string]struct {
		from string
		req  *dns.Msg
	}{
		"of another network":  {"192.168.1.7", question("a.corp.example.", dns.TypeA)},
		"all of a name":       {"10.9.3.7", question("a.corp.example.", dns.TypeANY)},
		"a zone":              {"10.9.3.7", question("a.corp.example.", dns.TypeAXFR)},
		"our zone":            {"10.9.3.7", question("demo.example.", dns.TypeAXFR)},
		"without recursion":   {"10.9.3.7", iterative},
		"of another class":    {"10.9.3.7", chaos},
		"nobody's, of others": {"192.168.1.7", question("www.example.com.", dns.TypeA)},
	} {
		if m := handled(t, h, c.from, c.req); m.Rcode != dns.RcodeRefused || len(m.Answer) > 0 {
			t.Errorf("%s: %v", name, m)
		}
	}
	if e.asked != 0 {
		t.Errorf("others were asked %d times", e.asked)
	}
	if m := handled(t, h, "10.9.3.7", question("www.example.com.", dns.TypeA)); m.Rcode != dns.RcodeRefused || m.RecursionAvailable {
		t.Errorf("what isn't forwarded: %v", m)
	}
	for _, name := range []string{"alpha.demo.example.", "nobody.demo.example.", "wiki.demo.example.", "C009002003.", "3.2.9.10.in-addr.arpa."} {
		e.asked = 0
		if handled(t, h, "10.9.3.7", question(name, dns.TypeA)); e.asked != 0 {
			t.Errorf("%s of ours is forwarded", name)
		}
	}
}

func TestWhatIsForwardedIsExplained(t *testing.T) {
	h, _ := forwarding()
	for name, want := range map[string]string{"a.corp.example": "forwarded to 10.0.0.53", "www.example.com": "hosts are told to ask their next server"} {
		e, err := h.Explain(t.Context(), name, "A")
		if err != nil || !strings.Contains(strings.Join(e.Reasons, " "), want) {
			t.Errorf("%s: %+v, %v", name, e, err)
		}
	}
}
