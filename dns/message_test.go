package dns

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

func TestBadMessages(t *testing.T) {
	const question = "0a 43303039303032303033 00 0001 0001"
	for _, c := range []struct{ name, query, want string }{
		{"nothing", "", ""},
		{"eleven bytes", "1234 0100 0001 0000 0000 00", ""},
		{"a response", "1234 8000 0001 0000 0000 0000" + question, ""},
		{"a response with another opcode", "1234 a800 0001 0000 0000 0000", ""},
		{"NOTIFY", "1234 2000 0001 0000 0000 0000" + question, "1234 a004 0000 0000 0000 0000"},
		{"UPDATE with RD", "1234 2900 0001 0000 0000 0000" + question, "1234 a904 0000 0000 0000 0000"},
		{"no question", "1234 0100 0000 0000 0000 0000", "1234 8101 0000 0000 0000 0000"},
		{"two questions", "1234 0100 0002 0000 0000 0000" + question + question, "1234 8101 0000 0000 0000 0000"},
		{"question cut off", "1234 0100 0001 0000 0000 0000 0a 4330", "1234 8101 0000 0000 0000 0000"},
		{"header alone", "1234 0100 0001 0000 0000 0000", "1234 8101 0000 0000 0000 0000"},
		{"name points at itself", "1234 0100 0001 0000 0000 0000 c00c 0001 0001", "1234 8101 0000 0000 0000 0000"},
		{"too long", "1234 0100 0001 0000 0000 0000" + question + strings.Repeat("00", maxQuery), "1234 8101 0000 0000 0000 0000"},
	} {
		got := newTestHandler("10.9.0.0/16").Handle(t.Context(), netip.MustParseAddr("10.9.3.7"), unhex(t, c.query), true)
		if string(got) != string(unhex(t, c.want)) {
			t.Errorf("%s: %x, want %s", c.name, got, c.want)
		}
	}
}

func TestOtherClassesAreRefused(t *testing.T) {
	m := new(dns.Msg)
	m.SetQuestion("version.bind.", dns.TypeTXT)
	m.Question[0].Qclass = dns.ClassCHAOS
	if got := exchange(t, newTestHandler("10.9.0.0/16"), m); got.Rcode != dns.RcodeRefused {
		t.Error(got)
	}
}

func TestEDNSIsEchoedWithABoundedSize(t *testing.T) {
	h := newTestHandler("10.9.0.0/16")
	for _, name := range []string{"C009002003.", "www.example.com.", "beta.demo.example."} {
		m := new(dns.Msg)
		m.SetQuestion(name, dns.TypeA)
		m.SetEdns0(65535, true)
		opt := exchange(t, h, m).IsEdns0()
		if opt == nil || opt.UDPSize() != maxUDPReply || !opt.Do() || opt.Version() != 0 || len(opt.Option) != 0 {
			t.Errorf("%s: OPT %v", name, opt)
		}
	}
	if opt := ask(t, h, "C009002003.", dns.TypeA).IsEdns0(); opt != nil {
		t.Errorf("OPT to a query without one: %v", opt)
	}
}

func TestEDNSOfAnotherVersionIsBADVERS(t *testing.T) {
	m := new(dns.Msg)
	m.SetQuestion("C009002003.", dns.TypeA)
	m.SetEdns0(1232, false)
	m.IsEdns0().SetVersion(1)
	got := exchange(t, newTestHandler("10.9.0.0/16"), m)
	if got.Rcode != dns.RcodeBadVers || len(got.Answer) != 0 || got.IsEdns0().Version() != 0 {
		t.Error(got)
	}
	m.SetEdns0(1232, false)
	if got := exchange(t, newTestHandler("10.9.0.0/16"), m); got.Rcode != dns.RcodeFormatError {
		t.Errorf("two OPT records: %v", got)
	}
}

func TestWhatDoesNotFitIsCutOffWithTC(t *testing.T) {
	m := new(dns.Msg)
	m.SetQuestion("alpha.demo.example.", dns.TypeA)
	for i := range 100 {
		m.Answer = append(m.Answer, address("alpha.demo.example.", netip.AddrFrom4([4]byte{10, 9, 2, byte(i)}), 1))
	}
	for _, limit := range []int{minUDPReply, maxUDPReply} {
		b := pack(m.Copy(), make([]byte, headerLen), limit)
		got := new(dns.Msg)
		if err := got.Unpack(b); err != nil || len(b) > limit || !got.Truncated || len(got.Answer) == 0 {
			t.Errorf("limit %d: %d bytes, TC %v, %d answers: %v", limit, len(b), got.Truncated, len(got.Answer), err)
		}
	}
	if got := pack(m.Copy(), make([]byte, headerLen), maxTCPReply); got[2]&0x02 != 0 {
		t.Error("TC over TCP")
	}
}

func TestNoReplyIsMuchLongerThanItsQuery(t *testing.T) {
	h := NewHandler(Config{
		Zone: strings.Repeat("a23456789.", 17) + "example", Prefix: netip.MustParsePrefix("10.9.0.0/16"),
		ServiceAddr: netip.MustParseAddr("10.9.0.1"), Directory: hosts{},
	})
	for _, name := range []string{".", "www.example.com.", h.zone, "x." + h.zone, "1.2.9.10.in-addr.arpa.", "c009001001.", "9.10.in-addr.arpa."} {
		for _, qtype := range []uint16{dns.TypeA, dns.TypePTR, dns.TypeANY, dns.TypeNS, dns.TypeSOA, dns.TypeDNSKEY} {
			m := new(dns.Msg)
			m.SetQuestion(name, qtype)
			m.SetEdns0(4096, true)
			query, err := m.Pack()
			if err != nil {
				t.Fatal(err)
			}
			if reply := h.Handle(t.Context(), netip.MustParseAddr("10.9.3.7"), query, true); len(reply) > len(query)+512 {
				t.Errorf("%s %s: %d bytes for %d", name, dns.TypeToString[qtype], len(reply), len(query))
			} else if name == "www.example.com." && len(reply) != len(query) {
				t.Errorf("refused %s with %d bytes for %d", name, len(reply), len(query))
			}
		}
	}
}
