package forward

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/miekg/dns"

	service "landbridge/dns"
)

// exchange asks one server: by UDP, and by TCP where its answer is cut.
func (f *Forwarder) exchange(ctx context.Context, server netip.AddrPort, q dns.Question, o service.Wish) (*dns.Msg, error) {
	edns := true
	m, err := f.once(ctx, "udp", server, q, o, edns)
	if err == nil && (m.Rcode == dns.RcodeFormatError || m.Rcode > 0xf) {
		edns = false // a server that knows no EDNS, or another one (RFC 6891 sections 6.1.3 and 7)
		m, err = f.once(ctx, "udp", server, q, o, edns)
	}
	if err == nil && m.Truncated {
		if whole, tcpErr := f.once(ctx, "tcp", server, q, o, edns); tcpErr == nil {
			return whole, nil
		} // else what came is better than nothing, and says that it is cut
	}
	return m, err
}

// once sends one question and waits for its answer: the first message from the server with the
// question's ID that repeats the question.
func (f *Forwarder) once(ctx context.Context, network string, server netip.AddrPort, q dns.Question, o service.Wish, edns bool) (*dns.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, tryTime)
	defer cancel()
	conn, err := f.dial(ctx, network, server.String())
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	deadline, _ := ctx.Deadline()
	if err := conn.SetDeadline(deadline); err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	req := new(dns.Msg)
	req.SetQuestion(q.Name, q.Qtype) // with a random ID
	req.Question[0].Qclass = q.Qclass
	req.CheckingDisabled = o.CD
	if edns {
		req.SetEdns0(udpSize, o.DO)
	}
	c := &dns.Conn{Conn: conn, UDPSize: 4096}
	if err := c.WriteMsg(req); err != nil {
		return nil, err
	}
	for {
		m, err := c.ReadMsg()
		switch {
		case err != nil && m == nil && !(errors.Is(err, dns.ErrShortRead) && network == "udp"):
			return nil, err // nothing came, or the connection has ended
		case err == nil && answers(m, req):
			return strip(m), nil
		case network == "tcp":
			return nil, errors.New("it answered another question")
		}
	}
}

// answers reports whether m is a response to req.
func answers(m, req *dns.Msg) bool {
	if m.Id != req.Id || !m.Response || m.Opcode != dns.OpcodeQuery {
		return false
	}
	if len(m.Question) == 0 { // as some servers have it that don't understand
		return m.Rcode == dns.RcodeFormatError || m.Rcode == dns.RcodeNotImplemented
	}
	a, b := m.Question[0], req.Question[0]
	return len(m.Question) == 1 && a.Qtype == b.Qtype && a.Qclass == b.Qclass && strings.EqualFold(a.Name, b.Name)
}

// strip takes off what was said between us and the server alone.
func strip(m *dns.Msg) *dns.Msg {
	kept := m.Extra[:0]
	for _, rr := range m.Extra {
		if rr.Header().Rrtype != dns.TypeOPT {
			kept = append(kept, rr)
		}
	}
	m.Extra = kept
	return m
}

// whyOf says in words why a server didn't answer.
func whyOf(err error) string {
	if errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded) {
		return fmt.Sprintf("no answer within %v", tryTime)
	}
	text := err.Error()
	if i := strings.LastIndex(text, ": "); i >= 0 { // the kernel's word, without addresses and ports
		text = text[i+2:]
	}
	return text
}
