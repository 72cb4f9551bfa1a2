package dns

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"
)

const zone = "demo.example"

// hosts is a Directory over a map; the names "slow" and "broken" are what they say.
type hosts map[string]netip.Addr

var errBroken = errors.New("no majority")

func (h hosts) LookupName(ctx context.Context, name string) (netip.Addr, error) {
	switch addr, ok := h[name]; {
	case ok:
		return addr, nil
	case name == "slow":
		<-ctx.Done()
		return netip.Addr{}, ctx.Err()
	case name == "broken":
		return netip.Addr{}, errBroken
	}
	return netip.Addr{}, fmt.Errorf("registry: %w", ErrAbsent)
}

func (h hosts) ReverseName(ctx context.Context, addr netip.Addr) (string, error) {
	switch addr {
	case netip.MustParseAddr("10.9.3.1"):
		return "", nil // a host without a name
	case netip.MustParseAddr("10.9.3.2"):
		<-ctx.Done()
		return "", ctx.Err()
	case netip.MustParseAddr("10.9.3.3"):
		return "not a label", nil
	}
	for name, a := range h {
		if a == addr {
			return name, nil
		}
	}
	return "", ErrAbsent
}

func (h hosts) HasIPv6(_ context.Context, addr netip.Addr) bool { return addr != h["beta"] }

func (h hosts) Alias(name string) (Alias, bool) {
	a, ok := map[string]Alias{
		"wiki": {Target: "alpha"}, "www": {Target: "wiki"}, "gate": {Addr: netip.MustParseAddr("192.0.2.7")}, "six": {Addr: netip.MustParseAddr("fd00::7")},
		"to-gate": {Target: "gate"}, "dead": {Target: "nobody"}, "fixed": {Target: "c009002003"}, "name-server": {Target: "ns"}, "stuck": {Target: "broken"},
		"a": {Target: "b"}, "b": {Target: "a"}, "taken": {Target: "alpha"},
	}[name]
	return a, ok
}

func newTestHandler(prefix string) *Handler {
	p := netip.MustParsePrefix(prefix)
	return NewHandler(Config{
		Zone: zone, Prefix: p, ServiceAddr: p.Addr().Next(),
		Directory: hosts{"alpha": netip.MustParseAddr("10.9.2.3"), "elsewhere": netip.MustParseAddr("192.0.2.1")},
	})
}

// ask sends a question and returns the reply, unpacked.
func ask(t testing.TB, h *Handler, name string, qtype uint16) *dns.Msg {
	t.Helper()
	m := new(dns.Msg)
	m.SetQuestion(name, qtype)
	return exchange(t, h, m)
}

func exchange(t testing.TB, h *Handler, req *dns.Msg) *dns.Msg {
	t.Helper()
	query, err := req.Pack()
	if err != nil {
		t.Fatal(err)
	}
	reply := new(dns.Msg)
	if err := reply.Unpack(h.Handle(t.Context(), netip.MustParseAddr("10.9.3.7"), query, true)); err != nil {
		t.Fatal(err)
	}
	if reply.Id != req.Id || !reply.Response || reply.RecursionAvailable || reply.RecursionDesired != req.RecursionDesired {
		t.Fatalf("header of the reply: %v", reply)
	}
	return reply
}

// summary is "RCODE answer; answer" with name, type and data of each.
func summary(m *dns.Msg) string {
	out := []string{dns.RcodeToString[m.Rcode]}
	for _, rr := range m.Answer {
		f := strings.Fields(rr.String())
		out = append(out, f[0]+" "+strings.Join(f[3:], " "))
	}
	return strings.Join(out, " | ")
}

func TestAnswers(t *testing.T) {
	h := newTestHandler("10.9.0.0/16")
	for _, c := range []struct {
		name  string
		qtype uint16
		want  string
	}{
		{"C009002003.", dns.TypeA, "NOERROR | C009002003. A 10.9.2.3"},
		{"c009002003.", dns.TypeA, "NOERROR | c009002003. A 10.9.2.3"},
		{"C009002003.demo.example.", dns.TypeA, "NOERROR | C009002003.demo.example. A 10.9.2.3"},
		{"C009002003.", dns.TypeAAAA, "NOERROR"},
		{"C009002003.demo.example.", dns.TypeAAAA, "NOERROR"},
		{"C010002003.", dns.TypeA, "REFUSED"},               // not of the prefix
		{"C010002003.demo.example.", dns.TypeA, "NXDOMAIN"}, // not of the prefix, but in the zone
		{"C009256003.", dns.TypeA, "REFUSED"},
		{"C009000000.demo.example.", dns.TypeA, "NXDOMAIN"}, // the network
		{"C009255255.demo.example.", dns.TypeA, "NXDOMAIN"}, // its broadcast
		{"C0090020033.demo.example.", dns.TypeA, "NXDOMAIN"},
		{"a.C009002003.", dns.TypeA, "REFUSED"},
		{"a.C009002003.demo.example.", dns.TypeA, "NXDOMAIN"},

		{"alpha.demo.example.", dns.TypeA, "NOERROR | alpha.demo.example. A 10.9.2.3"},
		{"AlPhA.dEmO.eXaMpLe.", dns.TypeA, "NOERROR | AlPhA.dEmO.eXaMpLe. A 10.9.2.3"},
		{"alpha.demo.example.", dns.TypeAAAA, "NOERROR"},
		{"alpha.demo.example.", dns.TypeMX, "NOERROR"},
		{"alpha.demo.example.", dns.TypeANY, "NOERROR | alpha.demo.example. HINFO \"RFC8482\" \"\""},
		{"beta.demo.example.", dns.TypeA, "NXDOMAIN"},
		{"beta.demo.example.", dns.TypeANY, "NXDOMAIN"},
		{"x.alpha.demo.example.", dns.TypeA, "NXDOMAIN"},
		{"al_pha.demo.example.", dns.TypeA, "NXDOMAIN"},
		{"broken.demo.example.", dns.TypeA, "SERVFAIL"},
		{"elsewhere.demo.example.", dns.TypeA, "SERVFAIL"}, // an address that isn't the group's
		{"ns.demo.example.", dns.TypeA, "NOERROR | ns.demo.example. A 10.9.0.1"},

		{"demo.example.", dns.TypeSOA, "NOERROR | demo.example. SOA ns.demo.example. hostmaster.demo.example. 1 3600 600 86400 5"},
		{"demo.example.", dns.TypeNS, "NOERROR | demo.example. NS ns.demo.example."},
		{"demo.example.", dns.TypeA, "NOERROR"},
		{"demo.example.", dns.TypeAXFR, "REFUSED"},

		{"3.2.9.10.in-addr.arpa.", dns.TypePTR, "NOERROR | 3.2.9.10.in-addr.arpa. PTR alpha.demo.example."},
		{"4.2.9.10.in-addr.arpa.", dns.TypePTR, "NOERROR | 4.2.9.10.in-addr.arpa. PTR C009002004.demo.example."},
		{"1.3.9.10.in-addr.arpa.", dns.TypePTR, "NOERROR | 1.3.9.10.in-addr.arpa. PTR C009003001.demo.example."},
		{"3.3.9.10.in-addr.arpa.", dns.TypePTR, "NOERROR | 3.3.9.10.in-addr.arpa. PTR C009003003.demo.example."},
		{"1.0.9.10.in-addr.arpa.", dns.TypePTR, "NOERROR | 1.0.9.10.in-addr.arpa. PTR ns.demo.example."},
		{"3.2.9.10.in-addr.arpa.", dns.TypeA, "NOERROR"},
		{"2.9.10.in-addr.arpa.", dns.TypePTR, "NOERROR"}, // addresses are below it
		{"9.10.in-addr.arpa.", dns.TypeNS, "NOERROR | 9.10.in-addr.arpa. NS ns.demo.example."},
		{"0.0.9.10.in-addr.arpa.", dns.TypePTR, "NXDOMAIN"},
		{"03.2.9.10.in-addr.arpa.", dns.TypePTR, "NXDOMAIN"},
		{"256.2.9.10.in-addr.arpa.", dns.TypePTR, "NXDOMAIN"},
		{"x.3.2.9.10.in-addr.arpa.", dns.TypePTR, "NXDOMAIN"},
		{"3.2.10.10.in-addr.arpa.", dns.TypePTR, "REFUSED"},
		{"10.in-addr.arpa.", dns.TypeNS, "REFUSED"},
		{"in-addr.arpa.", dns.TypeNS, "REFUSED"},

		{".", dns.TypeNS, "REFUSED"},
		{"example.", dns.TypeA, "REFUSED"},
		{"xdemo.example.", dns.TypeA, "REFUSED"},
		{"www.example.com.", dns.TypeA, "REFUSED"},
		{"alpha.", dns.TypeA, "REFUSED"},
	} {
		reply := ask(t, h, c.name, c.qtype)
		if got := summary(reply); got != c.want {
			t.Errorf("%s %s: %s, want %s", c.name, dns.TypeToString[c.qtype], got, c.want)
		}
		ours := reply.Rcode == dns.RcodeSuccess || reply.Rcode == dns.RcodeNameError
		if reply.Authoritative != ours {
			t.Errorf("%s: AA %v", c.name, reply.Authoritative)
		}
		if negative := ours && len(reply.Answer) == 0; negative != (len(reply.Ns) == 1 && reply.Ns[0].Header().Rrtype == dns.TypeSOA) {
			t.Errorf("%s: authority %v", c.name, reply.Ns)
		}
	}
}

func TestNegativeAnswersNameTheRightZone(t *testing.T) {
	h := newTestHandler("10.9.0.0/16")
	for name, want := range map[string]string{
		"beta.demo.example.":       "demo.example.",
		"0.0.9.10.in-addr.arpa.":   "9.10.in-addr.arpa.",
		"300.2.9.10.in-addr.arpa.": "9.10.in-addr.arpa.",
		"c009002003.":              "c009002003.",
	} {
		if reply := ask(t, h, name, dns.TypeAAAA); len(reply.Ns) != 1 || reply.Ns[0].Header().Name != want {
			t.Errorf("%s: %v", name, reply.Ns)
		}
	}
}

func TestReverseZonesOfOtherPrefixes(t *testing.T) {
	for _, c := range []struct {
		prefix, name string
		qtype        uint16
		want         string
	}{
		{"10.0.0.0/8", "155.32.5.10.in-addr.arpa.", dns.TypePTR, "NOERROR | 155.32.5.10.in-addr.arpa. PTR C005032155.demo.example."},
		{"10.0.0.0/8", "10.in-addr.arpa.", dns.TypeNS, "NOERROR | 10.in-addr.arpa. NS ns.demo.example."},
		{"10.0.0.0/8", "C005032155.", dns.TypeA, "NOERROR | C005032155. A 10.5.32.155"},
		{"172.16.0.0/12", "c031255254.", dns.TypeA, "NOERROR | c031255254. A 172.31.255.254"},
		{"172.16.0.0/12", "c032000001.", dns.TypeA, "REFUSED"},
		{"172.16.0.0/12", "17.172.in-addr.arpa.", dns.TypeNS, "NOERROR | 17.172.in-addr.arpa. NS ns.demo.example."},
		{"172.16.0.0/12", "32.172.in-addr.arpa.", dns.TypeNS, "REFUSED"},
		{"10.0.0.0/16", "10.in-addr.arpa.", dns.TypeNS, "REFUSED"},
		{"10.0.0.0/16", "in-addr.arpa.", dns.TypeNS, "REFUSED"},
		{"172.16.0.0/12", "172.in-addr.arpa.", dns.TypeNS, "REFUSED"},
		{"10.9.16.0/20", "1.17.9.10.in-addr.arpa.", dns.TypePTR, "NOERROR | 1.17.9.10.in-addr.arpa. PTR C009017001.demo.example."},
		{"10.9.16.0/20", "1.32.9.10.in-addr.arpa.", dns.TypePTR, "REFUSED"},
		{"10.9.16.0/20", "9.10.in-addr.arpa.", dns.TypeNS, "REFUSED"},
		{"10.9.1.64/26", "70.1.9.10.in-addr.arpa.", dns.TypePTR, "NOERROR | 70.1.9.10.in-addr.arpa. PTR C009001070.demo.example."},
		{"10.9.1.64/26", "70.1.9.10.in-addr.arpa.", dns.TypeNS, "NOERROR | 70.1.9.10.in-addr.arpa. NS ns.demo.example."},
		{"10.9.1.64/26", "64.1.9.10.in-addr.arpa.", dns.TypePTR, "NOERROR"},
		{"10.9.1.64/26", "200.1.9.10.in-addr.arpa.", dns.TypePTR, "REFUSED"},
		{"10.9.1.64/26", "x.70.1.9.10.in-addr.arpa.", dns.TypePTR, "NXDOMAIN"},
		{"10.9.1.64/26", "c009001200.", dns.TypeA, "REFUSED"},
	} {
		if got := summary(ask(t, newTestHandler(c.prefix), c.name, c.qtype)); got != c.want {
			t.Errorf("%s: %s: %s, want %s", c.prefix, c.name, got, c.want)
		}
	}
}

func TestNamesOfThePrefixesReverseZonesAreKnown(t *testing.T) {
	for name, want := range map[string][2]bool{ // in 10.77.0.0/16, in 10.77.16.0/20
		"77.10.in-addr.arpa": {true, false}, "77.10.IN-ADDR.ARPA.": {true, false}, "16.77.10.in-addr.arpa.": {true, true}, "4.16.77.10.in-addr.arpa.": {true, true},
		"32.77.10.in-addr.arpa": {true, false}, "x.77.10.in-addr.arpa": {true, false},
		"10.in-addr.arpa": {}, "78.10.in-addr.arpa": {}, "in-addr.arpa": {}, ".": {}, "corp.example": {},
	} {
		for i, prefix := range []string{"10.77.0.0/16", "10.77.16.0/20"} {
			if got := IsReverse(netip.MustParsePrefix(prefix), name); got != want[i] {
				t.Errorf("%s in those of %s: %v", name, prefix, got)
			}
		}
	}
}

func TestWithoutAZoneOnlyStaticNamesExist(t *testing.T) {
	h := NewHandler(Config{Prefix: netip.MustParsePrefix("10.9.0.0/16"), ServiceAddr: netip.MustParseAddr("10.9.0.1"), Directory: hosts{}})
	for name, want := range map[string]string{
		"C009002003.":            "NOERROR",
		"3.2.9.10.in-addr.arpa.": "NOERROR | 3.2.9.10.in-addr.arpa. PTR C009002003.",
		"1.0.9.10.in-addr.arpa.": "NOERROR | 1.0.9.10.in-addr.arpa. PTR C009000001.",
		"alpha.demo.example.":    "REFUSED",
		".":                      "REFUSED",
	} {
		if got := summary(ask(t, h, name, dns.TypePTR)); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}

func TestStaticNamesGoBothWays(t *testing.T) {
	h := newTestHandler("10.0.0.0/8")
	for _, s := range []string{"10.5.32.155", "10.0.0.1", "10.255.255.254", "10.200.99.100"} {
		addr := netip.MustParseAddr(s)
		if got, isStatic, ok := h.parseStatic(strings.ToLower(StaticName(addr))); got != addr || !isStatic || !ok {
			t.Errorf("%s -> %s -> %v", s, StaticName(addr), got)
		}
	}
	if got := StaticName(netip.MustParseAddr("10.5.32.155")); got != "C005032155" {
		t.Errorf("the example of the papers: %s", got)
	}
}

func TestADirectoryThatHangsCostsTheTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newTestHandler("10.9.0.0/16")
		began := time.Now()
		if got := summary(ask(t, h, "slow.demo.example.", dns.TypeA)); got != "SERVFAIL" || time.Since(began) != time.Second {
			t.Errorf("forward: %s after %v", got, time.Since(began))
		}
		began = time.Now()
		if got := summary(ask(t, h, "2.3.9.10.in-addr.arpa.", dns.TypePTR)); !strings.Contains(got, "C009003002") || time.Since(began) != time.Second {
			t.Errorf("reverse: %s after %v", got, time.Since(began))
		}
	})
}

// Queries as dig 9.18 sends them, without and with EDNS and a cookie, and the replies
// byte by byte.
func TestGoldenBytes(t *testing.T) {
	for _, c := range []struct{ query, want string }{
		{
			"cf4f 0020 0001 0000 0000 0000  0a 43303039303032303033 00 0001 0001",
			"cf4f 8400 0001 0001 0000 0000  0a 43303039303032303033 00 0001 0001" +
				"c00c 0001 0001 00000e10 0004 0a090203",
		},
		{
			"ae6f 0120 0001 0000 0000 0001  0a 43303039303032303033 00 0001 0001" +
				"00 0029 04d0 00000000 000c 000a0008946be22e1dff50b6",
			"ae6f 8500 0001 0001 0000 0001  0a 43303039303032303033 00 0001 0001" +
				"c00c 0001 0001 00000e10 0004 0a090203" +
				"00 0029 04d0 00000000 0000",
		},
	} {
		if got := newTestHandler("10.9.0.0/16").Handle(t.Context(), netip.MustParseAddr("10.9.3.7"), unhex(t, c.query), true); string(got) != string(unhex(t, c.want)) {
			t.Errorf("%x, want\n%s", got, c.want)
		}
	}
}

// dig believes what it is told, and says what is wrong with it.
func TestDigReadsTheAnswers(t *testing.T) {
	if _, err := exec.LookPath("dig"); err != nil {
		t.Skip("dig is not installed")
	}
	conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h := newTestHandler("10.9.0.0/16")
	var done sync.WaitGroup
	done.Go(func() {
		buf := make([]byte, 2048)
		for {
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			if reply := h.Handle(context.Background(), netip.MustParseAddr("10.9.3.7"), buf[:n], true); reply != nil {
				_, _ = conn.WriteTo(reply, from)
			}
		}
	})
	defer done.Wait()
	defer conn.Close()
	_, port, _ := net.SplitHostPort(conn.LocalAddr().String())
	for query, want := range map[string][]string{
		"C009002003":                         {"status: NOERROR", "flags: qr aa rd;", "\t10.9.2.3\n", "EDNS: version: 0, flags:; udp: 1232"},
		"alpha.demo.example AAAA":            {"status: NOERROR", "ANSWER: 0", "SOA\tns.demo.example. hostmaster.demo.example."},
		"-x 10.9.2.3":                        {"PTR\talpha.demo.example."},
		"beta.demo.example":                  {"status: NXDOMAIN"},
		"www.example.com":                    {"status: REFUSED"},
		"+noedns demo.example SOA":           {"SOA\tns.demo.example."},
		"+notcp demo.example ANY":            {"HINFO"},
		"+edns=3 +noednsneg ns.demo.example": {"status: BADVERS"},
	} {
		args := append([]string{"@127.0.0.1", "-p", port, "+tries=1", "+time=5"}, strings.Fields(query)...)
		out, err := exec.Command("dig", args...).CombinedOutput()
		for _, word := range append(want, "") {
			if err != nil || !strings.Contains(string(out), word) || strings.Contains(string(out), "WARNING: Message") {
				t.Errorf("dig %s: no %q in\n%s%v", query, word, out, err)
			}
		}
	}
}

func unhex(t testing.TB, parts ...string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(strings.Join(parts, "")), ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func BenchmarkHandle(b *testing.B) {
	h := newTestHandler("10.9.0.0/16")
	for _, name := range []string{"C009002003.", "alpha.demo.example.", "www.example.com."} {
		m := new(dns.Msg)
		m.SetQuestion(name, dns.TypeA)
		m.SetEdns0(1232, false)
		query, err := m.Pack()
		if err != nil {
			b.Fatal(err)
		}
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				h.Handle(b.Context(), netip.Addr{}, query, true)
			}
		})
	}
}

// FuzzHandle holds that a reply is a sound response to the query, short enough, and
// says nothing about names that aren't ours.
func FuzzHandle(f *testing.F) {
	for _, name := range []string{"C009002003.", "alpha.demo.example.", "www.demo.example.", "six.demo.example.", "a.demo.example.", "a.corp.example.", "big.corp.example.", "a\\.b.demo.example.", "3.2.9.10.in-addr.arpa.", "www.example.com.", "."} {
		for _, edns := range []bool{false, true} {
			m := new(dns.Msg)
			m.SetQuestion(name, dns.TypeA)
			if edns {
				m.SetEdns0(4096, true)
			}
			b, err := m.Pack()
			if err != nil {
				f.Fatal(err)
			}
			f.Add(b, true)
		}
	}
	f.Add(unhex(f, "ae6f012000010000000000010a43303039303032303033000001000100002904d000000000000c000a0008946be22e1dff50b6"), true)
	f.Add([]byte{0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0xc0, 0x0c, 0, 1, 0, 1}, true)
	h, _ := forwarding()
	h.timeout = time.Millisecond
	f.Fuzz(func(t *testing.T, query []byte, udp bool) {
		reply := h.Handle(t.Context(), netip.MustParseAddr("10.9.3.7"), query, udp)
		if reply == nil {
			return
		}
		m := new(dns.Msg)
		if err := m.Unpack(reply); err != nil || !m.Response || (udp || !m.RecursionAvailable) && len(reply) > 1232 {
			t.Fatalf("%x -> %x: %v", query, reply, err)
		}
		if string(reply[:2]) != string(query[:2]) {
			t.Fatalf("%x -> %x: another ID", query, reply)
		}
		if m.Rcode == dns.RcodeRefused && (len(m.Answer) > 0 || len(m.Ns) > 0) {
			t.Fatalf("%x refused with records: %x", query, reply)
		}
		if len(m.Answer) > 0 && m.Authoritative == m.RecursionAvailable {
			t.Fatalf("%x -> %x: answer without authority", query, reply)
		}
	})
}
