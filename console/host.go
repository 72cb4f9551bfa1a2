package console

import (
	"errors"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// A name of somebody else's that leads to this appliance (DNS rebinding) would make his pages of one origin
// with the console's: so a request at the door is answered where it asks for an address or a name that
// is the console's, and for no other.

// errMisdirected refuses a name that isn't the console's (421, RFC 9110 section 15.5.20).
var errMisdirected = &Error{status: http.StatusMisdirectedRequest, err: errors.New(
	"the console isn't known by this name: use its address, or the appliance's own name; other names go into console-names of the configuration, or into a certificate of your own")}

// known reports whether a Host header names this console.
func (d *Door) known(host string) bool {
	name := host
	if h, _, err := net.SplitHostPort(host); err == nil {
		name = h
	}
	name = strings.TrimSuffix(strings.ToLower(strings.Trim(name, "[]")), ".")
	if _, err := netip.ParseAddr(name); err == nil || name == "localhost" {
		return true
	}
	if d.Certificates != nil && slices.ContainsFunc(d.Certificates.names(), func(n string) bool { return covers(n, name) }) {
		return true
	}
	return d.Known != nil && d.Known(name)
}

// covers reports whether a name of a certificate is good for a host: it is the same, or has a * for its
// first label (RFC 6125 section 6.4.3).
func covers(name, host string) bool {
	name = strings.ToLower(name)
	if rest, wild := strings.CutPrefix(name, "*."); wild {
		_, parent, ok := strings.Cut(host, ".")
		return ok && parent == rest
	}
	return name == host
}

// names returns the names that the certificate is good for.
func (c *Certificates) names() []string { return c.current.Load().Leaf.DNSNames }
