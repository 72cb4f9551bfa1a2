package acme

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"
	"unicode"

	"golang.org/x/crypto/acme"
)

const (
	maxWords = 400            // characters of what others say
	maxRest  = 24 * time.Hour // that a CA may want to hear nothing
)

// Error is why an order failed.
type Error struct {
	Text   string        // what happened and what it means
	Remedy string        // what to do
	Terms  string        // the terms of service that must be agreed to first: trying again doesn't help
	Rest   time.Duration // so long the CA wants to hear nothing
}

func (e *Error) Error() string { return e.Text + " " + e.Remedy }

// short returns what others say, on one line and in so many characters at most.
func short(text string, most int) string {
	clean := strings.Join(strings.FieldsFunc(strings.ToValidUTF8(text, "?"), func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) }), " ")
	if runes := []rune(clean); len(runes) > most {
		return string(runes[:most-1]) + "…"
	}
	return clean
}

// explain says in words why an order failed.
func explain(directory string, err error) *Error {
	ca := hostOf(directory)
	var ours *Error
	var problem *acme.Error
	var authorization *acme.AuthorizationError
	var order *acme.OrderError
	switch {
	case errors.As(err, &ours):
		return ours
	case errors.As(err, &problem):
		return explainProblem(ca, "", problem)
	case errors.As(err, &authorization):
		for _, e := range authorization.Errors {
			if errors.As(e, &problem) {
				return explainProblem(ca, authorization.Identifier, problem)
			}
		}
		return &Error{Text: fmt.Sprintf("%s doesn't believe that %s is ours, and doesn't say why.", ca, short(authorization.Identifier, 253)), Remedy: "It is tried again."}
	case errors.As(err, &order) && order.Problem != nil:
		return explainProblem(ca, "", order.Problem)
	case errors.As(err, &order):
		return &Error{Text: fmt.Sprintf("%s has given the order up, and doesn't say why.", ca), Remedy: "It is tried again."}
	}
	return explainConnection("the CA "+ca, err)
}

// explainProblem says what a CA's problem document means (RFC 8555 section 6.7), and what to do.
func explainProblem(ca, name string, p *acme.Error) *Error {
	detail := p.Detail
	for i, s := range p.Subproblems {
		if i == 3 {
			break
		}
		detail += "; " + s.Detail
	}
	if name != "" {
		detail = name + ": " + detail
	}
	kind := p.ProblemType[strings.LastIndexByte(p.ProblemType, ':')+1:]
	e := &Error{Text: fmt.Sprintf("%s refuses: %s (%s).", ca, strings.TrimRight(short(detail, maxWords), "."), short(kind, 40)), Remedy: remedyOf(kind)}
	if after := p.Header.Get("Retry-After"); after != "" {
		e.Rest = (&transport{now: time.Now}).pause(after)
	}
	if kind == "userActionRequired" {
		e.Remedy = fmt.Sprintf("Go to %s and do what is said there, then have it tried again.", short(p.Instance, 200))
	}
	return e
}

// remedyOf says what to do about a kind of problem.
func remedyOf(kind string) string {
	switch strings.ToLower(kind) {
	case "ratelimited":
		return "Nothing: it is tried again when the CA allows it. A CA for tests, as Let's Encrypt's staging, allows more."
	case "unauthorized", "incorrectresponse", "dns", "connection", "malformed":
		return "See that the name is right and that its zone's name servers show to the Internet what they show here (_acme-challenge, CNAMEs, DNSSEC)."
	case "caa":
		return "Allow this CA in the zone's CAA records, or remove them."
	case "rejectedidentifier", "unsupportedidentifier":
		return "Choose a name that this CA gives certificates for; a public one gives them for public names alone."
	case "invalidcontact", "unsupportedcontact":
		return "Give another e-mail address, or none."
	case "externalaccountrequired":
		return "Choose another CA: this one wants an account that was made with it elsewhere, which Landbridge can't bind to."
	case "serverinternal":
		return "Nothing: it is tried again."
	}
	return "See what the CA says of it; it is tried again."
}

// explainConnection says why somebody can't be asked by https.
func explainConnection(who string, err error) *Error {
	var unknown x509.UnknownAuthorityError
	var invalid x509.CertificateInvalidError
	var otherName x509.HostnameError
	var timeout net.Error
	why := short(err.Error(), maxWords)
	e := &Error{Text: fmt.Sprintf("%s can't be asked: %s.", upper(who), why), Remedy: "See that this appliance reaches it: its name is found, and TCP port 443 is let through."}
	switch {
	case errors.As(err, &unknown):
		e.Remedy = "Where it is a CA of your own, give its root certificate in the settings; else somebody in between answers in its place."
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		e.Remedy = "See that the clock here is right, which decides whether its certificate is good."
	case errors.As(err, &otherName):
		e.Remedy = "See that the URL is right: another server answers there."
	case errors.Is(err, errPlain):
		e.Remedy = "Give the URL of a server that is spoken to by https all through."
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		e.Text = fmt.Sprintf("%s hasn't answered in time.", upper(who))
	}
	return e
}

func upper(text string) string { return strings.ToUpper(text[:1]) + text[1:] }
