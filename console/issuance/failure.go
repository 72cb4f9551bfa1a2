package issuance

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"time"

	"golang.org/x/crypto/acme"
)

// Error is why an attempt came to nothing, in words that a person reads.
type Error struct {
	Text   string // why, in one line, without a full stop
	Remedy string // what to do, in whole sentences
	// After is how long the authority wants to be left alone; 0 where it doesn't say.
	After time.Duration
}

// Error returns why.
func (f *Error) Error() string { return f.Text }

var (
	errNoDirectory     = errors.New("what is there is no ACME directory")
	errExternalAccount = errors.New("it makes accounts only for its customers (external account binding), which isn't possible here")
)

// termsError asks for agreement.
type termsError struct{ url string }

func (e *termsError) Error() string {
	return "its terms of service must be agreed to: " + e.url
}

// explain says what went wrong with an attempt, and what helps.
func (s Settings) explain(err error) *Error {
	f := &Error{Text: line(fmt.Sprintf("%s: %v", s.Authority(), err)), Remedy: "Look at the settings (System, Certificate), or try again later."}
	var refused *acme.Error
	if errors.As(err, &refused) {
		f.After, _ = acme.RateLimit(refused) // which knows it by its own type alone
	}
	var terms *termsError
	var wrongClock x509.CertificateInvalidError
	var unknown x509.UnknownAuthorityError
	var resolve *net.DNSError
	var unreached *url.Error
	switch {
	case errors.As(err, &terms):
		f.Remedy = "Read them, and agree to them in the settings."
	case errors.Is(err, errExternalAccount):
		f.Remedy = "Choose another authority."
	case errors.Is(err, errNoDirectory):
		f.Remedy = "Mend the URL of the directory."
	case errors.Is(err, errPublish):
		f.Text, f.Remedy = line(err.Error()), "See that the server can be reached from here and takes these settings, and mend them where they are wrong."
	case errors.Is(err, errUnseen):
		f.Remedy = s.unseen()
	case errors.As(err, &wrongClock) && wrongClock.Reason == x509.Expired:
		f.Remedy = "See that this machine's clock is right (landbridge time)."
	case errors.As(err, &unknown):
		f.Remedy = "Where the authority is a private one, add its root certificate to the settings."
	case errors.As(err, &resolve):
		f.Remedy = "See that this machine's DNS works, and that the directory's name is right."
	case errors.As(err, &refused) && refused.ProblemType == "": // no answer of ACME
		f.Remedy = "See that the URL of the directory is right."
	case errors.As(err, &refused):
		f.Remedy = "What it refuses stands in its own words; mend that in the settings, or try again later."
	case errors.As(err, &unreached), errors.Is(err, context.DeadlineExceeded):
		f.Remedy = "See that this machine reaches it: the Internet, a firewall, the URL of the directory."
	}
	return f
}

// unseen says what to look at where the authority doesn't find a record that was published.
func (s Settings) unseen() string {
	if s.AcmeDNS != nil {
		return fmt.Sprintf("See that _acme-challenge.%s is a CNAME of the full domain that %s gave at registration, and that the Internet finds it.", s.Names[0], s.AcmeDNS.URL)
	}
	return fmt.Sprintf("See that all name servers of %s have what %s has within the time to wait, and that the authority can reach them.", s.Update.Zone, s.Update.Server)
}

const (
	firstWait = 5 * time.Minute // authorities bound failures an hour
	mostWait  = 12 * time.Hour
	longest   = 7 * 24 * time.Hour // whatever an authority says
)

// Wait returns for how long not to try again after so many failures in a row: 5 minutes, twice as long each time, 12 hours at
// most, and a fourth of what is left of the certificate in use, so that there are some attempts before its end; but as long
// as the authority asks for. random, from 0 to 1, spreads who failed together over another fourth.
func Wait(failures int, left, after time.Duration, random float64) time.Duration {
	wait := min(firstWait<<min(max(failures-1, 0), 10), mostWait)
	if left > 0 {
		wait = min(wait, max(left/4, firstWait))
	}
	wait = max(wait, min(after, longest))
	return wait + time.Duration(random*float64(wait)/4)
}

// soonest is how long a certificate is used at least, whatever its dates and this machine's clock say.
const soonest = time.Hour

// RenewAt returns when a certificate that was got now is to be renewed: when a third of its life is left, or a tenth of that
// later, as random says, from 0 to 1; but not within the hour.
func RenewAt(c *x509.Certificate, now time.Time, random float64) time.Time {
	third := c.NotAfter.Sub(c.NotBefore) / 3
	at := c.NotAfter.Add(time.Duration(random*float64(third)/10) - third)
	if least := now.Add(soonest); at.Before(least) {
		return least
	}
	return at
}
