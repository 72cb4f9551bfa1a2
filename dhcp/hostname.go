package dhcp

import (
	"bytes"
	"strings"

	"github.com/insomniacslk/dhcp/dhcpv4"
)

const maxLabel = 63 // RFC 1035 section 2.3.4

// hostName returns the client's name as a DNS label in lower case: option 12, else
// the first label of option 81 (RFC 4702). It is empty if nothing usable is left.
func hostName(m *dhcpv4.DHCPv4) string {
	if name := label(m.Options.Get(dhcpv4.OptionHostName)); name != "" {
		return name
	}
	return label(fqdn(m.Options.Get(dhcpv4.OptionFQDN)))
}

// fqdn returns the name in option 81, or its first label where it comes in DNS wire
// format (flag E).
func fqdn(b []byte) []byte {
	if len(b) <= fqdnHeader {
		return nil
	}
	flags, name := b[0], b[fqdnHeader:]
	if flags&fqdnWire == 0 {
		return name
	}
	length := int(name[0])
	if length > maxLabel || length >= len(name) {
		return nil
	}
	return name[1 : 1+length]
}

// label makes a DNS label (RFC 1123 section 2.1) of the first label of name: other
// bytes than letters, digits and hyphens become hyphens, none of which may stand at
// an end. Names that would lead other hosts astray give "".
func label(name []byte) string {
	if end := bytes.IndexAny(name, ".\x00"); end >= 0 {
		name = name[:end]
	}
	var b strings.Builder
	for _, r := range strings.ToLower(string(name)) {
		if r != '-' && (r < 'a' || r > 'z') && (r < '0' || r > '9') {
			r = '-'
		}
		if b.Len() < maxLabel && !(r == '-' && b.Len() == 0) {
			b.WriteByte(byte(r))
		}
	}
	s := strings.TrimRight(b.String(), "-")
	if isReserved(s) {
		return ""
	}
	return s
}

// isReserved reports names that no client may take: the static names, and those by
// which a host's software finds a proxy, a tunnel or itself.
func isReserved(s string) bool {
	switch s {
	case "localhost", "wpad", "isatap", "ns":
		return true
	}
	if len(s) != 10 || s[0] != 'c' {
		return false
	}
	for _, r := range s[1:] {
		if r < '0' || r > '9' {
			return false
		}
	}
	return true
}
