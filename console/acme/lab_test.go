package acme

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	stdlog "log" //nolint:depguard // pebble's
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/letsencrypt/pebble/v2/ca"
	"github.com/letsencrypt/pebble/v2/db"
	"github.com/letsencrypt/pebble/v2/va"
	"github.com/letsencrypt/pebble/v2/wfe"
	"github.com/miekg/dns"
)

const (
	tsigKey    = "landbridge.example.test."
	tsigSecret = "c2VjcmV0IG9mIHRoZSBrZXkgaW4gdGhlIHRlc3Q="
)

func TestMain(m *testing.M) {
	for name, value := range map[string]string{"PEBBLE_VA_NOSLEEP": "1", "PEBBLE_AUTHZREUSE": "0"} {
		if err := os.Setenv(name, value); err != nil {
			panic(err)
		}
	}
	os.Exit(m.Run())
}

// zone is a name server, primary of example.test and of auth.test, which takes updates that are signed, and a resolver for
// both.
type zone struct {
	addr string

	mu      sync.Mutex
	records []Record // TXT
	aliases map[string]string
	hidden  bool // updates are taken, and not shown
	updates int  // that were taken
}

func newZone(t *testing.T) *zone {
	t.Helper()
	z := &zone{aliases: make(map[string]string)}
	tcp, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	z.addr = tcp.Addr().String()
	udp, err := (&net.ListenConfig{}).ListenPacket(t.Context(), "udp", z.addr)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []*dns.Server{{Listener: tcp}, {PacketConn: udp}} {
		s.Handler, s.TsigSecret = dns.HandlerFunc(z.serve), map[string]string{tsigKey: tsigSecret}
		s.MsgAcceptFunc = func(dns.Header) dns.MsgAcceptAction { return dns.MsgAccept } // updates, too
		ready := make(chan struct{})
		s.NotifyStartedFunc = func() { close(ready) }
		go func() { _ = s.ActivateAndServe() }()
		<-ready
		t.Cleanup(func() { _ = s.ShutdownContext(context.WithoutCancel(t.Context())) })
	}
	return z
}

func (z *zone) serve(w dns.ResponseWriter, q *dns.Msg) {
	z.mu.Lock()
	defer z.mu.Unlock()
	m := new(dns.Msg)
	m.SetReply(q)
	if q.Opcode == dns.OpcodeUpdate {
		z.update(w, q, m)
	} else {
		z.answer(q, m)
	}
	_ = w.WriteMsg(m)
}

// update does as RFC 2136 section 3 and RFC 8945 section 5.2 have it.
func (z *zone) update(w dns.ResponseWriter, q, m *dns.Msg) {
	t := q.IsTsig()
	switch {
	case t == nil:
		m.Rcode = dns.RcodeRefused
		return
	case w.TsigStatus() != nil:
		m.Rcode = dns.RcodeNotAuth
		code := uint16(dns.RcodeBadSig)
		if t.Hdr.Name != tsigKey {
			code = dns.RcodeBadKey
		}
		m.Extra = append(m.Extra, &dns.TSIG{Hdr: dns.RR_Header{Name: t.Hdr.Name, Rrtype: dns.TypeTSIG, Class: dns.ClassANY}, Algorithm: t.Algorithm, TimeSigned: t.TimeSigned, OrigId: q.Id, Error: code})
		return
	case q.Question[0].Name != "example.test.":
		m.Rcode = dns.RcodeNotAuth
	default:
		z.change(q)
	}
	m.SetTsig(t.Hdr.Name, t.Algorithm, 300, time.Now().Unix())
}

func (z *zone) change(q *dns.Msg) {
	z.updates++
	for _, rr := range q.Ns {
		txt, ok := rr.(*dns.TXT)
		if !ok {
			continue
		}
		r := Record{txt.Hdr.Name, strings.Join(txt.Txt, "")}
		z.records = slices.DeleteFunc(z.records, func(o Record) bool { return o == r })
		if txt.Hdr.Class == dns.ClassINET {
			z.records = append(z.records, r)
		}
	}
}

func (z *zone) answer(q, m *dns.Msg) {
	name, kind := q.Question[0].Name, q.Question[0].Qtype
	head := func(kind uint16) dns.RR_Header {
		return dns.RR_Header{Name: name, Rrtype: kind, Class: dns.ClassINET, Ttl: 1}
	}
	if to, ok := z.aliases[name]; ok && kind != dns.TypeSOA {
		m.Answer = append(m.Answer, &dns.CNAME{Hdr: head(dns.TypeCNAME), Target: to})
		name = to
	}
	of := "example.test."
	if dns.IsSubDomain("auth.test.", name) {
		of = "auth.test."
	}
	soa := &dns.SOA{Hdr: dns.RR_Header{Name: of, Rrtype: dns.TypeSOA, Class: dns.ClassINET}, Ns: "ns." + of, Mbox: "a." + of, Minttl: 1}
	switch {
	case kind == dns.TypeSOA && name == of:
		m.Answer = append(m.Answer, soa)
	case kind == dns.TypeNS && name == of:
		m.Answer = append(m.Answer, &dns.NS{Hdr: head(dns.TypeNS), Ns: "ns." + of})
	case kind == dns.TypeA && name == "ns."+of:
		m.Answer = append(m.Answer, &dns.A{Hdr: head(dns.TypeA), A: net.IPv4(127, 0, 0, 1)})
	case kind == dns.TypeTXT && !z.hidden:
		for _, r := range z.records {
			if r.Name == name {
				m.Answer = append(m.Answer, &dns.TXT{Hdr: head(dns.TypeTXT), Txt: []string{r.Value}})
			}
		}
	}
	if len(m.Answer) == 0 {
		m.Ns = append(m.Ns, soa)
	}
}

// left returns the records that there are.
func (z *zone) left() []Record {
	z.mu.Lock()
	defer z.mu.Unlock()
	return slices.Clone(z.records)
}

// pebble is the ACME server by which Let's Encrypt has clients tested. It validates by asking z.
type pebble struct {
	*httptest.Server
	roots string
	asked func(*http.Request) // of each request
}

func newPebble(t *testing.T, z *zone, blocked ...string) *pebble {
	t.Helper()
	quiet := stdlog.New(io.Discard, "", 0)
	memory := db.NewMemoryStore()
	for _, name := range blocked {
		if err := memory.AddBlockedDomain(name); err != nil {
			t.Fatal(err)
		}
	}
	authority := ca.New(quiet, memory, "", "ecdsa", 0, 1, map[string]ca.Profile{"default": {ValidityPeriod: 90 * 24 * 3600}})
	front := wfe.New(quiet, memory, va.New(quiet, 0, 0, true, z.addr, memory), authority, []string{"pebble.test"}, true, false, 1, 1)
	p := &pebble{asked: func(*http.Request) {}}
	handler := front.Handler()
	p.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.asked(r)
		handler.ServeHTTP(w, r)
	}))
	t.Cleanup(p.Close)
	p.roots = rootOf(p.Server)
	return p
}

// rootOf returns the certificate of a server, in PEM.
func rootOf(s *httptest.Server) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}))
}

// settings returns some that work.
func (p *pebble) settings(z *zone) Settings {
	return Settings{
		Directory: p.URL + wfe.DirectoryPath, Roots: p.roots, Names: []string{"console.example.test"}, Agree: true,
		Solver: ByUpdate, Server: z.addr, User: tsigKey, Secret: tsigSecret, Resolver: z.addr,
	}.Normal()
}

// orderer returns one for which name servers are at z's port, and which doesn't rest between looks: its clock goes on instead.
func orderer(z *zone) *Orderer {
	o := NewOrderer()
	_, o.port, _ = net.SplitHostPort(z.addr)
	var mu sync.Mutex
	var gone time.Duration
	o.now = func() time.Time {
		mu.Lock()
		defer mu.Unlock()
		return time.Now().Add(gone)
	}
	o.wait = func(ctx context.Context, d time.Duration) error {
		mu.Lock()
		defer mu.Unlock()
		gone += d
		return ctx.Err()
	}
	return o
}

// kept is a Keeper in memory.
type kept struct {
	mu   sync.Mutex
	job  Job
	told []string
	step func(Step) // called at each step
}

func (k *kept) KeepAccount(a Account) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.job.Account = a
	return nil
}

func (k *kept) KeepDelegate(d Delegate) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.job.Delegate = d
	return nil
}

func (k *kept) KeepRecords(all []Record) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.job.Leftover = all
	return nil
}

func (k *kept) Tell(s Step, about string) {
	k.mu.Lock()
	k.told = append(k.told, strings.TrimSpace(string(s)+" "+about))
	k.mu.Unlock()
	if k.step != nil {
		k.step(s)
	}
}

// order carries out the job of k.
func (k *kept) order(ctx context.Context, o *Orderer) (Issued, error) {
	k.mu.Lock()
	job := k.job
	k.mu.Unlock()
	return o.Order(ctx, job, k)
}

// fakeAcmeDNS speaks acme-dns' protocol and writes into z.
func fakeAcmeDNS(t *testing.T, z *zone) *httptest.Server {
	t.Helper()
	const user, password, subdomain = "c36f50e8-4632-44f0-83fe-e070fef28a10", "htB9mR9DYgcu9bX_afHF62erXaH2TS7bg9KW3F7Z", "8e5700ea-a4bf-41c7-8a77-e990661dcc6a"
	mux := http.NewServeMux()
	mux.HandleFunc("POST /register", func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusCreated)
		fmt.Fprintf(w, `{"username":%q,"password":%q,"fulldomain":%q,"subdomain":%q,"allowfrom":[]}`, user, password, subdomain+".auth.test", subdomain)
	})
	mux.HandleFunc("POST /update", func(w http.ResponseWriter, r *http.Request) {
		var body struct{ Subdomain, Txt string }
		if r.Header.Get("X-Api-User") != user || r.Header.Get("X-Api-Key") != password || json.NewDecoder(r.Body).Decode(&body) != nil || body.Subdomain != subdomain || len(body.Txt) != 43 {
			w.WriteHeader(http.StatusUnauthorized)
			fmt.Fprint(w, `{"error": "forbidden"}`)
			return
		}
		z.mu.Lock()
		defer z.mu.Unlock()
		z.records = append(z.records, Record{subdomain + ".auth.test.", body.Txt})
		z.records = z.records[max(0, len(z.records)-2):]
		fmt.Fprintf(w, `{"txt": %q}`, body.Txt)
	})
	s := httptest.NewTLSServer(mux)
	t.Cleanup(s.Close)
	return s
}
