package group

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/fxamacker/cbor/v2"

	"landbridge/internal/sorting"
	"landbridge/internal/ula"
)

// Bounds of Settings.
const (
	MaxSearch     = 8   // domains
	MaxServers    = 3   // of DNS, and of NTP
	MaxRoutes     = 16  // for hosts
	MaxRanges     = 64  // of excluded addresses
	MaxHosts      = 512 // allowed, and denied
	MaxDomain     = 180 // bytes of a domain name
	MaxHostBytes  = 220 // that hosts are told of all this: a reply that every client takes has room for them
	MinRenewPart  = 10  // percent of a lease
	MaxRebindPart = 95
)

// MAC is a host's Ethernet address.
type MAC [6]byte

// String writes it with colons.
func (m MAC) String() string { return net.HardwareAddr(m[:]).String() }

// Route is one that hosts are told (RFC 3442).
type Route struct {
	To  netip.Prefix // IPv4, host bits zero
	Via netip.Addr   // a host of the group: its address is in the group's prefix
}

// Range is addresses from First to Last, both included.
type Range struct{ First, Last netip.Addr }

// Contains reports whether addr is one of the range's.
func (r Range) Contains(addr netip.Addr) bool {
	return addr.Is4() && r.First.Compare(addr) <= 0 && addr.Compare(r.Last) <= 0
}

// Settings are what a group's authority may change while the group runs; what is zero is as the
// group's Params, or a program that knows no Settings, have it. They have versions of their own: a
// change of them is none of the roster. A nil *Settings has none set.
//
// Settings that ParseSettings made are shared and must not be changed.
type Settings struct {
	Version uint64    // from 1
	Made    time.Time // by the authority's clock, whole seconds

	LeaseTime  time.Duration // whole seconds; 0: that of the Params
	RenewPart  int           // percent of a lease after which a host asks its own server (T1); 0: 50
	RebindPart int           // percent of a lease after which it asks any server (T2); 0: 87.5

	Domain string       // that hosts take for theirs; "": the group's zone
	Search []string     // domains that hosts look names up in, in this order; none: the zone
	DNS    []netip.Addr // servers that hosts ask besides the appliance, in this order
	NTP    []netip.Addr
	Routes []Route

	Excluded    []Range // addresses that are leased to nobody but by reservation: ascending, apart
	Allowed     []MAC   // hosts that get addresses at every site, whatever an appliance says of others: ascending
	Denied      []MAC   // hosts that get none: ascending
	OnlyAllowed bool    // hosts get none unless they are allowed, or registered at their appliance

	IPv6 ula.Net // the group's IPv6 prefix, beside its Params'; none: hosts have IPv4 alone

	unknown map[uint64]cbor.RawMessage // what a newer program set
	sum     uint64                     // 0: not signed yet
}

// Sum tells settings of one version from each other, which an authority makes that was set back to an
// older copy of its state.
func (s *Settings) Sum() uint64 { return s.sum }

// Lease returns how long leases are in a group with these Params.
func (s *Settings) Lease(p Params) time.Duration {
	if s == nil || s.LeaseTime == 0 {
		return p.LeaseTime
	}
	return s.LeaseTime
}

// IPv6Net returns the group's IPv6 prefix; the zero Net is none.
func (s *Settings) IPv6Net() ula.Net {
	if s == nil {
		return ula.Net{}
	}
	return s.IPv6
}

// RenewAfter returns T1 and T2 of a lease.
func (s *Settings) RenewAfter(lease time.Duration) (renew, rebind time.Duration) {
	renew, rebind = lease/2, lease/8*7
	if s == nil {
		return renew, rebind
	}
	if s.RenewPart != 0 {
		renew = lease / 100 * time.Duration(s.RenewPart)
	}
	if s.RebindPart != 0 {
		rebind = lease / 100 * time.Duration(s.RebindPart)
	}
	return renew, rebind
}

// Excludes reports whether addr is leased by reservation alone.
func (s *Settings) Excludes(addr netip.Addr) bool {
	if s == nil || len(s.Excluded) == 0 {
		return false
	}
	i, exact := slices.BinarySearchFunc(s.Excluded, addr, func(r Range, a netip.Addr) int { return r.First.Compare(a) })
	return exact || i > 0 && s.Excluded[i-1].Contains(addr)
}

// Allows reports whether a host is to be served wherever it is.
func (s *Settings) Allows(mac MAC) bool { return s != nil && hasMAC(s.Allowed, mac) }

// Denies reports whether a host is served nowhere.
func (s *Settings) Denies(mac MAC) bool { return s != nil && hasMAC(s.Denied, mac) }

func hasMAC(all []MAC, mac MAC) bool {
	_, found := slices.BinarySearchFunc(all, mac, compareMAC)
	return found
}

func compareMAC(a, b MAC) int {
	return cmp.Compare(binary.BigEndian.Uint64(append([]byte{0, 0}, a[:]...)), binary.BigEndian.Uint64(append([]byte{0, 0}, b[:]...)))
}

// Normal returns s in the form that is signed: what has no order is sorted, ranges that touch are
// one, and names are in lower case.
func (s Settings) Normal() Settings {
	s.Domain = normalDomain(s.Domain)
	s.Search = slices.Clone(s.Search)
	for i := range s.Search {
		s.Search[i] = normalDomain(s.Search[i])
	}
	s.Allowed, s.Denied = normalMACs(s.Allowed), normalMACs(s.Denied)
	s.Excluded = normalRanges(s.Excluded)
	return s
}

func normalDomain(name string) string { return strings.ToLower(strings.TrimSuffix(name, ".")) }

func normalMACs(all []MAC) []MAC {
	all = slices.Clone(all)
	sorting.By(all, compareMAC)
	return slices.Compact(all)
}

func normalRanges(all []Range) []Range {
	all = slices.Clone(all)
	sorting.By(all, func(a, b Range) int { return cmp.Or(a.First.Compare(b.First), a.Last.Compare(b.Last)) })
	var joined []Range
	for _, r := range all {
		last := len(joined) - 1
		if last >= 0 && r.First.Compare(joined[last].Last.Next()) <= 0 && r.First.Compare(r.Last) <= 0 {
			if r.Last.Compare(joined[last].Last) > 0 {
				joined[last].Last = r.Last
			}
			continue
		}
		joined = append(joined, r)
	}
	return joined
}

// SettingError says which setting is wrong, and how.
type SettingError struct {
	Field string // as the API calls it
	Err   error  // what is said beside the field, without its name
}

// Error says what is wrong with which.
func (e *SettingError) Error() string { return e.Field + ": " + e.Err.Error() }

// Unwrap returns the fault itself.
func (e *SettingError) Unwrap() error { return e.Err }

func wrong(field, format string, args ...any) error {
	return &SettingError{Field: field, Err: fmt.Errorf(format, args...)}
}
