package acmelab

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// The TSIG key of the zone, HMAC-SHA256.
const (
	KeyName   = "console-key."
	KeySecret = "c2l4dGVlbiBieXRlcyEh"
)

// Zone is a DNS server for example.com, which takes updates that are signed.
type Zone struct {
	Addr string // of UDP, and of TCP

	mu      sync.Mutex
	records []dns.RR
	added   int
	mute    chan struct{}
}

// StartZone runs the server, by UDP for questions and by TCP for updates, at one port.
func StartZone(t *testing.T) *Zone {
	t.Helper()
	l, pc := onePort(t)
	z := &Zone{Addr: l.Addr().String()}
	for _, server := range []*dns.Server{{Listener: l}, {PacketConn: pc}} {
		server.Handler, server.TsigSecret = z, map[string]string{KeyName: KeySecret}
		server.MsgAcceptFunc = func(dns.Header) dns.MsgAcceptAction { return dns.MsgAccept } // updates, too
		ended := make(chan error, 1)
		go func() { ended <- server.ActivateAndServe() }()
		t.Cleanup(func() {
			_ = server.Shutdown() // it has ended already
			if err := <-ended; err != nil {
				t.Error(err)
			}
		})
	}
	return z
}

// onePort listens at a port that is free for both.
func onePort(t *testing.T) (net.Listener, net.PacketConn) {
	t.Helper()
	for tries := 1; ; tries++ {
		l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		pc, err := new(net.ListenConfig).ListenPacket(t.Context(), "udp", l.Addr().String())
		if err == nil {
			return l, pc
		}
		_ = l.Close()
		if tries == 10 { // the port that the kernel chose was another's by UDP each time
			t.Fatal(err)
		}
	}
}

// ServeDNS answers questions and carries updates out.
func (z *Zone) ServeDNS(w dns.ResponseWriter, m *dns.Msg) {
	z.mu.Lock()
	defer z.mu.Unlock()
	answer := new(dns.Msg).SetReply(m)
	switch {
	case z.mute != nil:
		select {
		case z.mute <- struct{}{}:
		default: // it is known
		}
		return
	case m.Opcode != dns.OpcodeUpdate:
		z.find(answer, m.Question[0].Name, m.Question[0].Qtype)
	case m.IsTsig() == nil || w.TsigStatus() != nil:
		answer.Rcode = dns.RcodeNotAuth
	case m.Question[0].Name != "example.com.":
		answer.Rcode = dns.RcodeNotZone
	default:
		for _, rr := range m.Ns {
			z.change(rr)
		}
	}
	if m.IsTsig() != nil && w.TsigStatus() == nil {
		answer.SetTsig(KeyName, m.IsTsig().Algorithm, 300, time.Now().Unix())
	}
	_ = w.WriteMsg(answer)
}

func (z *Zone) find(answer *dns.Msg, name string, kind uint16) {
	for _, rr := range z.records {
		h := rr.Header()
		switch {
		case !strings.EqualFold(h.Name, name):
		case h.Rrtype == kind:
			answer.Answer = append(answer.Answer, rr)
		case h.Rrtype == dns.TypeCNAME:
			answer.Answer = append(answer.Answer, rr)
			z.find(answer, rr.(*dns.CNAME).Target, kind)
		}
	}
}

// change carries a record of an update out (RFC 2136 section 2.5).
func (z *Zone) change(rr dns.RR) {
	h := rr.Header()
	switch h.Class {
	case dns.ClassANY:
		z.records = slices.DeleteFunc(z.records, func(o dns.RR) bool { return o.Header().Name == h.Name && o.Header().Rrtype == h.Rrtype })
	case dns.ClassNONE:
		h.Class = dns.ClassINET
		z.records = slices.DeleteFunc(z.records, func(o dns.RR) bool { return dns.IsDuplicate(o, rr) })
	default:
		z.records = append(z.records, rr)
		z.added++
	}
}

// Mute has the server answer nothing any more; what it returns says that something was asked since.
func (z *Zone) Mute() (asked <-chan struct{}) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.mute = make(chan struct{}, 1)
	return z.mute
}

// Added is how many records updates have added, and how many there are.
func (z *Zone) Added() (added, now int) {
	z.mu.Lock()
	defer z.mu.Unlock()
	return z.added, len(z.records)
}

// The registration at the acme-dns server.
const (
	Subdomain = "d420c923-bbd7-4056-ab64-c3ca54c9b3cf"
	Username  = "c36f50e8"
	Password  = "htB9mR9DYgcu9bX_afHF62erXaH2TS7bg9KW3F7Z"

	fullDomain = Subdomain + ".auth.example."
)

// StartAcmeDNS runs what github.com/joohoi/acme-dns answers to an update: it keeps the last two records of a
// registration in the zone. It returns the URL of its API.
func StartAcmeDNS(t *testing.T, z *Zone) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		var update struct{ Subdomain, Txt string }
		err := json.Unmarshal(b, &update)
		switch {
		case r.URL.Path != "/update" || r.Method != http.MethodPost:
			http.NotFound(w, r)
			return
		case r.Header.Get("X-Api-User") != Username || r.Header.Get("X-Api-Key") != Password || update.Subdomain != Subdomain:
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = io.WriteString(w, `{"error": "forbidden"}`)
			return
		case err != nil || len(update.Txt) != 43:
			w.WriteHeader(http.StatusBadRequest)
			_, _ = io.WriteString(w, `{"error": "bad_txt"}`)
			return
		}
		z.mu.Lock()
		defer z.mu.Unlock()
		var former []dns.RR
		for _, rr := range z.records {
			if rr.Header().Name == fullDomain {
				former = append(former, rr)
			}
		}
		if len(former) == 2 {
			z.records = slices.DeleteFunc(z.records, func(rr dns.RR) bool { return rr == former[0] })
		}
		z.change(&dns.TXT{Hdr: dns.RR_Header{Name: fullDomain, Rrtype: dns.TypeTXT, Class: dns.ClassINET, Ttl: 1}, Txt: []string{update.Txt}})
		_ = json.NewEncoder(w).Encode(map[string]string{"txt": update.Txt})
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// Alias points a name of a proof to the registration at the acme-dns server.
func (z *Zone) Alias(names ...string) {
	z.mu.Lock()
	defer z.mu.Unlock()
	for _, n := range names {
		z.records = append(z.records, &dns.CNAME{
			Hdr: dns.RR_Header{Name: "_acme-challenge." + n + ".", Rrtype: dns.TypeCNAME, Class: dns.ClassINET, Ttl: 1}, Target: fullDomain,
		})
	}
}
