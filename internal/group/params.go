package group

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"
)

// What Params are when nothing is said.
const (
	DefaultLeaseTime = time.Hour
	DefaultHoldTime  = 7 * 24 * time.Hour
	// DefaultMTU leaves room for IPv6, UDP, the tunnel's header and tag, and the
	// envelope of a relay, in an underlay of 1500 bytes.
	DefaultMTU       = 1376
	DefaultBlockBits = 6
)

// What Params may be.
const (
	MinPrefixBits = 8
	MaxPrefixBits = 28
	MinLeaseTime  = 10 * time.Second
	MaxLeaseTime  = 30 * 24 * time.Hour
	MinHoldTime   = time.Minute
	MaxHoldTime   = 365 * 24 * time.Hour
	MinMTU        = 576 // what every IPv4 host takes (RFC 791)
	MaxMTU        = 9000
	MaxBlockBits  = 10
	MaxBlocks     = 1 << 16
	MaxNameLength = 63 // of a group and of a member: one DNS label
	MaxZoneLength = 180
)

// Params are what the creator decides about a group.
type Params struct {
	Name      string        // a DNS label
	Prefix    netip.Prefix  // IPv4, /8 to /28, host bits zero
	Zone      string        // DNS zone of the hosts' names: lower case, no dot at the end
	LeaseTime time.Duration // of a DHCP lease; whole seconds
	HoldTime  time.Duration // how long a member holds a block without renewing; whole seconds
	MTU       int           // of the virtual network, bytes
	BlockBits int           // a block is 2^BlockBits addresses
}

// WithDefaults fills what is zero (the zone is the group's name under "internal", the
// domain reserved for private networks) and writes names in lower case.
func (p Params) WithDefaults() Params {
	p.Name = strings.ToLower(p.Name)
	p.Zone = strings.ToLower(strings.TrimSuffix(p.Zone, "."))
	if p.Zone == "" && p.Name != "" {
		p.Zone = p.Name + ".internal"
	}
	if p.LeaseTime == 0 {
		p.LeaseTime = DefaultLeaseTime
	}
	if p.HoldTime == 0 {
		p.HoldTime = DefaultHoldTime
	}
	if p.MTU == 0 {
		p.MTU = DefaultMTU
	}
	if p.BlockBits == 0 && p.Prefix.IsValid() && p.Prefix.Addr().Is4() {
		p.BlockBits = defaultBlockBits(p.Prefix.Bits())
	}
	return p
}

// defaultBlockBits gives 64 addresses a block, fewer where the prefix would have
// fewer than 8 blocks, more where it would have more than MaxBlocks.
func defaultBlockBits(prefixBits int) int {
	host := 32 - prefixBits
	return max(min(DefaultBlockBits, host-3), host-16, 1)
}

// Validate returns all faults at once, each in words that say what to do.
func (p Params) Validate() error {
	return errors.Join(
		validateLabel("group name", p.Name),
		validatePrefix(p.Prefix),
		validateZone(p.Zone),
		validateTime("lease time", p.LeaseTime, MinLeaseTime, MaxLeaseTime),
		validateTime("hold time", p.HoldTime, p.leastHold(), MaxHoldTime),
		validateMTU(p.MTU),
		p.validateBlocks(),
	)
}

func validatePrefix(p netip.Prefix) error {
	switch {
	case !p.IsValid():
		return errors.New("prefix: missing; give an IPv4 network such as 10.9.0.0/16")
	case !p.Addr().Is4():
		return fmt.Errorf("prefix %v: must be IPv4, such as 10.9.0.0/16", p)
	case p.Bits() < MinPrefixBits || p.Bits() > MaxPrefixBits:
		return fmt.Errorf("prefix %v: must be a /%d to a /%d", p, MinPrefixBits, MaxPrefixBits)
	case p != p.Masked():
		return fmt.Errorf("prefix %v: has host bits set; write %v", p, p.Masked())
	}
	for _, special := range []struct{ prefix, use string }{
		{"0.0.0.0/8", "this network (RFC 1122)"},
		{"127.0.0.0/8", "loopback"},
		{"169.254.0.0/16", "link-local addresses (RFC 3927)"},
		{"224.0.0.0/4", "multicast"},
		{"240.0.0.0/4", "no use (class E)"},
	} {
		if p.Overlaps(netip.MustParsePrefix(special.prefix)) {
			return fmt.Errorf("prefix %v: overlaps %s, which is reserved for %s; take one of the private ranges 10.0.0.0/8, 172.16.0.0/12 and 192.168.0.0/16",
				p, special.prefix, special.use)
		}
	}
	return nil
}

// Private reports whether the prefix lies within the private ranges (RFC 1918) or the one
// shared by carriers (RFC 6598), none of which is anybody's on the Internet.
func (p Params) Private() bool {
	for _, private := range []string{"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10"} {
		r := netip.MustParsePrefix(private)
		if r.Bits() <= p.Prefix.Bits() && r.Contains(p.Prefix.Addr()) {
			return true
		}
	}
	return false
}

func validateTime(what string, d, least, most time.Duration) error {
	switch {
	case d < least || d > most:
		return fmt.Errorf("%s %v: must be %v to %v", what, d, least, most)
	case d%time.Second != 0:
		return fmt.Errorf("%s %v: must be whole seconds", what, d)
	}
	return nil
}

// leastHold keeps a block longer than the leases in it, so that a member that dies
// leaves none running in a block of another's.
func (p Params) leastHold() time.Duration {
	if p.LeaseTime < MinLeaseTime || p.LeaseTime > MaxLeaseTime {
		return MinHoldTime // the lease time's fault is said already
	}
	return max(MinHoldTime, 2*p.LeaseTime)
}

func validateMTU(mtu int) error {
	if mtu < MinMTU || mtu > MaxMTU {
		return fmt.Errorf("MTU %d: must be %d to %d", mtu, MinMTU, MaxMTU)
	}
	return nil
}

func (p Params) validateBlocks() error {
	if validatePrefix(p.Prefix) != nil {
		return nil // said already; there is no good number to name
	}
	host := 32 - p.Prefix.Bits()
	least, most := max(host-16, 1), min(host-1, MaxBlockBits)
	if p.BlockBits < least || p.BlockBits > most {
		return fmt.Errorf("block bits %d: must be %d to %d for %v; leave it out for %d (%d addresses a block)",
			p.BlockBits, least, most, p.Prefix, defaultBlockBits(p.Prefix.Bits()), 1<<defaultBlockBits(p.Prefix.Bits()))
	}
	return nil
}

func validateZone(zone string) error {
	switch {
	case zone == "":
		return errors.New("zone: missing; give a DNS name such as lab.internal")
	case len(zone) > MaxZoneLength:
		return fmt.Errorf("zone %.20q…: %d characters; at most %d leave room for host names", zone, len(zone), MaxZoneLength)
	case zone == "local" || strings.HasSuffix(zone, ".local"):
		return fmt.Errorf("zone %q: resolvers ask multicast DNS for names under local (RFC 6762); take another, such as lab.internal", zone)
	case strings.HasSuffix(zone, ".arpa"):
		return fmt.Errorf("zone %q: arpa holds reverse names; take another, such as lab.internal", zone)
	}
	for label := range strings.SplitSeq(zone, ".") {
		if err := validateLabel("zone "+zone, label); err != nil {
			return err
		}
	}
	return nil
}

// validateLabel checks a DNS label in lower case (RFC 1123 section 2.1).
func validateLabel(what, label string) error {
	if err := labelFault(label); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// labelFault says what is wrong with a DNS label.
func labelFault(label string) error {
	switch {
	case label == "":
		return errors.New("missing, or two dots in a row")
	case len(label) > MaxNameLength:
		return fmt.Errorf("%.20q… has %d characters, at most %d are allowed", label, len(label), MaxNameLength)
	case label[0] == '-' || label[len(label)-1] == '-':
		return fmt.Errorf("%q begins or ends with a hyphen", label)
	}
	for _, c := range []byte(label) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return fmt.Errorf("%q may hold only the letters a to z, digits and hyphens", label)
		}
	}
	return nil
}

// NodeName makes a member's name of a host name: its first label, in lower case, with
// a hyphen for what isn't allowed; "node" where nothing is left.
func NodeName(hostname string) string {
	first, _, _ := strings.Cut(hostname, ".")
	clean := strings.Map(func(c rune) rune {
		switch {
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9':
			return c
		case c >= 'A' && c <= 'Z':
			return c + 'a' - 'A'
		default:
			return '-'
		}
	}, first)
	clean = strings.Trim(clean[:min(len(clean), MaxNameLength)], "-")
	if clean == "" {
		return "node"
	}
	return clean
}
