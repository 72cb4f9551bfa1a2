package acme

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/miekg/dns"
)

const (
	recordTTL = 60  // seconds: a record is of use for some minutes
	signedFor = 300 // seconds that clocks may differ (RFC 8945 section 10)
)

// updater sets records by dynamic update (RFC 2136) with TSIG (RFC 8945).
type updater struct {
	finder    *finder
	server    string // HOST:PORT
	zone      string // with the dot at its end; empty: to be found
	key       string // with the dot at its end; empty: updates aren't signed
	algorithm string
	secret    string
}

func newUpdater(s Settings, f *finder) *updater {
	u := &updater{finder: f, server: atPort(s.Server, "53"), algorithm: dns.Fqdn(s.Algorithm), secret: s.Secret}
	if s.Zone != "" {
		u.zone = dns.Fqdn(s.Zone)
	}
	if s.User != "" {
		u.key = dns.Fqdn(s.User)
	}
	return u
}

// Set adds the record.
func (u *updater) Set(ctx context.Context, r Record) error {
	return u.update(ctx, r, func(m *dns.Msg, rr dns.RR) { m.Insert([]dns.RR{rr}) })
}

// Clear removes the record, and no other of its name.
func (u *updater) Clear(ctx context.Context, r Record) error {
	return u.update(ctx, r, func(m *dns.Msg, rr dns.RR) { m.Remove([]dns.RR{rr}) })
}

func (u *updater) update(ctx context.Context, r Record, change func(*dns.Msg, dns.RR)) error {
	zone := u.zone
	if zone == "" {
		var err error
		if zone, err = u.finder.zoneOf(ctx, u.server, r.Name); err != nil {
			return &Error{
				Text:   fmt.Sprintf("The name server %s doesn't say in which of its zones %s is: %v.", u.server, r.Name, err),
				Remedy: "Name the zone in the settings, and see that the server is its primary.",
			}
		}
	}
	m := new(dns.Msg)
	m.SetUpdate(zone)
	change(m, &dns.TXT{Hdr: dns.RR_Header{Name: r.Name, Rrtype: dns.TypeTXT, Class: dns.ClassINET, Ttl: recordTTL}, Txt: []string{r.Value}})
	c := &dns.Client{Net: "tcp", Timeout: askTime}
	if u.key != "" {
		c.TsigSecret = map[string]string{u.key: u.secret}
		m.SetTsig(u.key, u.algorithm, signedFor, time.Now().Unix())
	}
	answer, _, err := c.ExchangeContext(ctx, m, u.server)
	return u.judge(zone, answer, err)
}

// judge says what an answer to an update means.
func (u *updater) judge(zone string, m *dns.Msg, err error) error {
	if m == nil || err != nil && m.Rcode == dns.RcodeSuccess && m.IsTsig() == nil {
		return &Error{
			Text:   fmt.Sprintf("The name server %s doesn't take the record: %v.", u.server, err),
			Remedy: "See that it is the zone's primary, and that this appliance reaches it by TCP.",
		}
	}
	tsig := m.IsTsig()
	if tsig != nil && (tsig.Error != dns.RcodeSuccess || errors.Is(err, dns.ErrSig)) {
		return u.judgeKey(tsig.Error)
	}
	switch {
	case m.Rcode == dns.RcodeSuccess && (err != nil || u.key != "" && tsig == nil):
		return &Error{
			Text:   fmt.Sprintf("The answer of the name server %s isn't signed with the key %s, so it may be anybody's.", u.server, u.key),
			Remedy: "See that the server knows this key for updates.",
		}
	case m.Rcode == dns.RcodeSuccess:
		return nil
	case m.Rcode == dns.RcodeNotAuth || m.Rcode == dns.RcodeNotZone:
		return &Error{
			Text:   fmt.Sprintf("The name server %s isn't the primary of the zone %s (%s).", u.server, zone, dns.RcodeToString[m.Rcode]),
			Remedy: "Name the zone's primary, and the zone itself, in the settings.",
		}
	case m.Rcode == dns.RcodeRefused:
		return &Error{
			Text:   fmt.Sprintf("The name server %s refuses to change the zone %s.", u.server, zone),
			Remedy: "Have it allow this key to change TXT records of _acme-challenge there (BIND: update-policy; Knot: acl; PowerDNS: TSIG-ALLOW-DNSUPDATE).",
		}
	}
	return &Error{
		Text:   fmt.Sprintf("The name server %s answers the update of the zone %s by %s.", u.server, zone, dns.RcodeToString[m.Rcode]),
		Remedy: "See in its log why: often it may not write the zone's file or journal.",
	}
}

// judgeKey says what is wrong with the signature of an update (RFC 8945 section 5.2).
func (u *updater) judgeKey(code uint16) error {
	switch code {
	case dns.RcodeBadTime:
		return &Error{
			Text:   fmt.Sprintf("The clocks of this appliance and of the name server %s differ by more than 5 minutes.", u.server),
			Remedy: "Set them by NTP: a signed update is good for so long alone.",
		}
	case dns.RcodeBadKey:
		return &Error{
			Text:   fmt.Sprintf("The name server %s knows no TSIG key %s with %s.", u.server, u.key, u.algorithm),
			Remedy: "Give the key's name and algorithm as the server's configuration has them.",
		}
	}
	return &Error{
		Text:   fmt.Sprintf("The secret of the TSIG key %s isn't that which the name server %s has.", u.key, u.server),
		Remedy: "Give the secret as the server's configuration has it.",
	}
}
