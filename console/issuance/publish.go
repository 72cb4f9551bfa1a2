package issuance

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/miekg/dns"
)

// record is a TXT record that shows whose a name is.
type record struct{ name, text string } // _acme-challenge.NAME

// publisher makes records known, and takes them back.
type publisher interface {
	publish(ctx context.Context, all []record) error
	retract(ctx context.Context, all []record) error
	// atOnce is how many records can stand at a time.
	atOnce() int
}

func (s Settings) publisher(client *http.Client) publisher {
	if s.AcmeDNS != nil {
		return acmeDNS{*s.AcmeDNS, client}
	}
	return *s.Update
}

// errPublish marks what went wrong with a record before the authority looked for it.
var errPublish = errors.New("the TXT record can't be published")

// acmeDNS publishes by an acme-dns server.
type acmeDNS struct {
	AcmeDNS
	client *http.Client
}

// atOnce is what the server keeps of one registration: the last two.
func (acmeDNS) atOnce() int { return 2 }

func (d acmeDNS) publish(ctx context.Context, all []record) error {
	for _, r := range all {
		if err := d.update(ctx, r.text); err != nil {
			return fmt.Errorf("%w at %s: %w", errPublish, d.URL, err)
		}
	}
	return nil
}

// retract does nothing: the server has no such request, and the next records take their place.
func (acmeDNS) retract(context.Context, []record) error { return nil }

// update is POST /update of github.com/joohoi/acme-dns.
func (d acmeDNS) update(ctx context.Context, text string) error {
	body, err := json.Marshal(map[string]string{"subdomain": d.Subdomain, "txt": text})
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, d.URL+"/update", bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-Api-User", d.Username)
	req.Header.Set("X-Api-Key", d.Password)
	res, err := d.client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	content, err := io.ReadAll(res.Body) // bounded by the client
	if err != nil {
		return err
	}
	var answer struct{ Error, Txt string }
	_ = json.Unmarshal(content, &answer) // the status says more
	switch {
	case res.StatusCode == http.StatusUnauthorized:
		return errors.New("the server doesn't know this user name with this password, or doesn't take them from this address")
	case res.StatusCode != http.StatusOK:
		return fmt.Errorf("the server answers %d %s", res.StatusCode, line(answer.Error))
	case answer.Txt != text:
		return errors.New("the server's answer isn't acme-dns's: is this the URL of its API?")
	}
	return nil
}

// atOnce: a name has as many records as it gets.
func (Update) atOnce() int { return maxNames }

// recordTTL is how long resolvers may keep a record, in seconds.
const recordTTL = 10

func (u Update) publish(ctx context.Context, all []record) error {
	m := u.message()
	m.RemoveRRset(u.records(all)) // what an attempt left that was killed
	m.Insert(u.records(all))
	return u.send(ctx, m)
}

func (u Update) retract(ctx context.Context, all []record) error {
	m := u.message()
	m.Remove(u.records(all))
	return u.send(ctx, m)
}

func (u Update) message() *dns.Msg { return new(dns.Msg).SetUpdate(dns.Fqdn(u.Zone)) }

func (Update) records(all []record) (rrs []dns.RR) {
	for _, r := range all {
		rrs = append(rrs, &dns.TXT{Hdr: dns.RR_Header{Name: dns.Fqdn(r.name), Rrtype: dns.TypeTXT, Class: dns.ClassINET, Ttl: recordTTL}, Txt: []string{r.text}})
	}
	return rrs
}

// algorithm returns the algorithm's name on the wire, "" where it isn't known.
func (u Update) algorithm() string {
	return map[string]string{"hmac-sha256": dns.HmacSHA256, "hmac-sha384": dns.HmacSHA384, "hmac-sha512": dns.HmacSHA512}[u.Algorithm]
}

func (u Update) known() bool { return u.algorithm() != "" }

// send has the server carry an update out, by TCP, and believes an answer that is signed.
func (u Update) send(ctx context.Context, m *dns.Msg) error {
	const fudge = 300 // seconds that the clocks may differ, RFC 8945 section 10
	m.SetTsig(dns.Fqdn(u.Key), u.algorithm(), fudge, time.Now().Unix())
	client := dns.Client{Net: "tcp", Timeout: stepTimeout, TsigSecret: map[string]string{dns.Fqdn(u.Key): u.Secret}}
	answer, err := exchange(ctx, &client, m, u.Server)
	switch {
	case answer != nil && answer.Rcode != dns.RcodeSuccess:
		err = errors.New(u.refusal(answer))
	case err == nil && answer.IsTsig() == nil:
		err = errors.New("its answer isn't signed by the TSIG key, and may be anybody's")
	}
	if err != nil {
		return fmt.Errorf("%w at the DNS server %s: %w", errPublish, u.Server, err)
	}
	return nil
}

// exchange is the client's, and ends with ctx: by itself that goes on reading.
func exchange(ctx context.Context, client *dns.Client, m *dns.Msg, server string) (answer *dns.Msg, err error) {
	conn, err := client.DialContext(ctx, server)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	answer, _, err = client.ExchangeWithConnContext(ctx, m, conn)
	return answer, err
}

// refusal says what the code of an answer means here.
func (u Update) refusal(answer *dns.Msg) string {
	var tsig uint16
	if t := answer.IsTsig(); t != nil {
		tsig = t.Error
	}
	switch {
	case tsig == dns.RcodeBadTime:
		return "its clock and this one's differ by more than 5 minutes (BADTIME)"
	case tsig == dns.RcodeBadKey:
		return "it doesn't know the TSIG key " + u.Key + " (BADKEY)"
	case tsig == dns.RcodeBadSig:
		return "the TSIG key's secret or algorithm is another there (BADSIG)"
	case answer.Rcode == dns.RcodeNotAuth:
		return "it is not the primary server of " + u.Zone + ", or doesn't take the TSIG key (NOTAUTH)"
	case answer.Rcode == dns.RcodeNotZone:
		return "the record isn't in the zone " + u.Zone + " (NOTZONE)"
	case answer.Rcode == dns.RcodeRefused:
		return "it doesn't let the TSIG key " + u.Key + " change TXT records of " + u.Zone + " (REFUSED)"
	}
	return "it answers " + dns.RcodeToString[answer.Rcode]
}
