package dns

import (
	"net/netip"
	"testing"

	"github.com/miekg/dns"

	"landbridge/internal/ula"
)

func TestNamesOfIPv6Addresses(t *testing.T) {
	t.Parallel()
	six, err := ula.Parse(netip.MustParsePrefix("fd12:3456:789a::/64"))
	if err != nil {
		t.Fatal(err)
	}
	on := six
	h := NewHandler(Config{
		Zone: zone, Prefix: netip.MustParsePrefix("10.9.0.0/16"), ServiceAddr: netip.MustParseAddr("10.9.0.1"),
		Directory: hosts{"alpha": netip.MustParseAddr("10.9.2.3"), "beta": netip.MustParseAddr("10.9.2.4")}, IPv6: func() ula.Net { return on },
	})
	const z = "0.0.0.0.a.9.8.7.6.5.4.3.2.1.d.f.ip6.arpa."
	ptr := func(a string) string { name, _ := dns.ReverseAddr(a); return name }
	for _, c := range []struct {
		name  string
		qtype uint16
		code  int
		want  string // of the first answer; empty for none
		soa   string // in the authority section
	}{
		{"alpha.demo.example.", dns.TypeAAAA, dns.RcodeSuccess, "fd12:3456:789a::a09:203", ""},
		{"beta.demo.example.", dns.TypeAAAA, dns.RcodeSuccess, "", "demo.example."}, // it has taken none
		{"beta.demo.example.", dns.TypeA, dns.RcodeSuccess, "10.9.2.4", ""},
		{"alpha.demo.example.", dns.TypeA, dns.RcodeSuccess, "10.9.2.3", ""},
		{"ns.demo.example.", dns.TypeAAAA, dns.RcodeSuccess, "fd12:3456:789a::a09:1", ""},
		{"C009002003.demo.example.", dns.TypeAAAA, dns.RcodeSuccess, "", "demo.example."},
		{ptr("fd12:3456:789a::a09:203"), dns.TypePTR, dns.RcodeSuccess, "alpha.demo.example.", ""},
		{ptr("fd12:3456:789a::a09:1"), dns.TypePTR, dns.RcodeSuccess, "ns.demo.example.", ""},
		{ptr("fd12:3456:789a::a09:909"), dns.TypePTR, dns.RcodeSuccess, "C009009009.demo.example.", ""},
		{ptr("fd12:3456:789a::a0a:203"), dns.TypePTR, dns.RcodeNameError, "", z},
		{ptr("fd12:3456:789a::1:a09:203"), dns.TypePTR, dns.RcodeNameError, "", z},
		{"0." + ptr("fd12:3456:789a::a09:203"), dns.TypePTR, dns.RcodeNameError, "", z},
		{"xx.0.0." + z, dns.TypePTR, dns.RcodeNameError, "", z},
		{z, dns.TypeSOA, dns.RcodeSuccess, z, ""},
		{z, dns.TypePTR, dns.RcodeSuccess, "", z},
		{"0.0.0.0." + z, dns.TypePTR, dns.RcodeSuccess, "", z}, // between
		{"9.0.a.0.0.0.0.0.0.0.0.0." + z, dns.TypePTR, dns.RcodeSuccess, "", z},
		{"8.0.a.0.0.0.0.0.0.0.0.0." + z, dns.TypePTR, dns.RcodeNameError, "", z},
		{"1." + z, dns.TypePTR, dns.RcodeNameError, "", z},
		{ptr("fd12:3456:789a:1::a09:203"), dns.TypePTR, dns.RcodeRefused, "", ""},
		{"6.5.4.3.2.1.d.f.ip6.arpa.", dns.TypePTR, dns.RcodeRefused, "", ""},
		{"ip6.arpa.", dns.TypeNS, dns.RcodeRefused, "", ""},
	} {
		m := ask(t, h, c.name, c.qtype)
		got, soa := "", ""
		if len(m.Answer) > 0 {
			switch rr := m.Answer[0].(type) {
			case *dns.A:
				got = rr.A.String()
			case *dns.AAAA:
				got = rr.AAAA.String()
			case *dns.PTR:
				got = rr.Ptr
			case *dns.SOA:
				got = rr.Hdr.Name
			}
		}
		if len(m.Ns) > 0 {
			soa = m.Ns[0].Header().Name
		}
		if m.Rcode != c.code || got != c.want || soa != c.soa {
			t.Errorf("%s %s: %s, %q, SOA of %q; want %s, %q, %q", c.name, dns.TypeToString[c.qtype], dns.RcodeToString[m.Rcode], got, soa, dns.RcodeToString[c.code], c.want, c.soa)
		}
	}
	on = ula.Net{} // the group has none any more
	if m := ask(t, h, "alpha.demo.example.", dns.TypeAAAA); len(m.Answer) != 0 || m.Rcode != dns.RcodeSuccess {
		t.Errorf("%v", m)
	}
	if m := ask(t, h, ptr("fd12:3456:789a::a09:203"), dns.TypePTR); m.Rcode != dns.RcodeRefused {
		t.Errorf("%v", m)
	}
}
