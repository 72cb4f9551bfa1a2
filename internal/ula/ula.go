package ula

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
)

// Bits is the length of a group's IPv6 prefix: hosts take none but a /64 as a link's.
const Bits = 64

// ErrPrefix: it can't be a group's.
var ErrPrefix = errors.New("isn't a /64 or /48 of a unique local prefix (fd00::/8), as fd12:3456:789a::/64")

// Net is a group's IPv6 prefix. The zero Net is none: it has no addresses. It is comparable.
type Net struct{ first netip.Addr }

// Parse makes a Net of a prefix that a person has given: a /64, or a /48, of which it is the first /64.
func Parse(p netip.Prefix) (Net, error) {
	switch {
	case !p.IsValid() || !p.Addr().Is6() || p.Addr().Zone() != "" || p.Addr().As16()[0] != 0xfd, p.Bits() != Bits && p.Bits() != 48:
		return Net{}, fmt.Errorf("%v %w", p, ErrPrefix)
	case p != p.Masked():
		return Net{}, fmt.Errorf("%v has host bits set: write %v", p, p.Masked())
	}
	return Net{p.Addr()}, nil
}

// Random makes a prefix with a global ID of 40 random bits and subnet 0 (RFC 4193 section 3.2).
func Random(random io.Reader) (Net, error) {
	a := [16]byte{0xfd}
	if _, err := io.ReadFull(random, a[1:6]); err != nil {
		return Net{}, fmt.Errorf("random global ID: %w", err)
	}
	return Net{netip.AddrFrom16(a)}, nil
}

// IsZero reports whether n is none.
func (n Net) IsZero() bool { return !n.first.IsValid() }

// Prefix returns the /64; the zero Prefix of none.
func (n Net) Prefix() netip.Prefix {
	if n.IsZero() {
		return netip.Prefix{}
	}
	return netip.PrefixFrom(n.first, Bits)
}

// String writes the prefix.
func (n Net) String() string { return n.Prefix().String() }

// Of returns the IPv6 address of the host with an IPv4 address; the zero Addr where n is none.
func (n Net) Of(a netip.Addr) netip.Addr {
	if n.IsZero() || !a.Is4() {
		return netip.Addr{}
	}
	b, low := n.first.As16(), a.As4()
	copy(b[12:], low[:])
	return netip.AddrFrom16(b)
}

// Host returns the IPv4 address that an address of n has in it; ok is false for any other address.
// It allocates nothing.
func (n Net) Host(a netip.Addr) (host netip.Addr, ok bool) {
	if n.IsZero() || !a.Is6() {
		return netip.Addr{}, false
	}
	b, first := a.As16(), n.first.As16()
	if [12]byte(b[:12]) != [12]byte(first[:12]) || a.Zone() != "" {
		return netip.Addr{}, false
	}
	return netip.AddrFrom4([4]byte(b[12:])), true
}
