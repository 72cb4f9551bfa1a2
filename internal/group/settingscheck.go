package group

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Validate returns all faults of settings in normal form, each a *SettingError, in a group with
// these Params.
func (s *Settings) Validate(p Params) error {
	return errors.Join(s.checkTimes(p), s.checkNames(), s.checkServers(), s.checkRoutes(p), s.checkSize(p), s.checkRanges(p), s.checkHosts(), s.checkIPv6(p))
}

// ValidateNew returns all faults of settings that are to be made: those that Validate returns, and what
// does no harm where it was made before, but isn't what anybody wants.
func (s *Settings) ValidateNew(p Params) error {
	own := p.ServiceAddr()
	faults := []error{s.Validate(p)}
	if slices.Contains(s.DNS, own) {
		faults = append(faults, wrong("dnsServers", "%v is the appliance itself, which hosts always ask first: leave it out", own))
	}
	for _, r := range s.Excluded {
		if r.First == own || r.Last == own {
			faults = append(faults, wrong("excluded", "%v is the appliances' own address, which no host is ever given: leave it out", own))
		}
	}
	return errors.Join(faults...)
}

func (s *Settings) checkTimes(p Params) error {
	var faults []error
	if most := min(MaxLeaseTime, p.HoldTime/2); s.LeaseTime != 0 {
		switch {
		case s.LeaseTime < MinLeaseTime || s.LeaseTime > MaxLeaseTime || s.LeaseTime%time.Second != 0:
			faults = append(faults, wrong("leaseSeconds", "must be %s to %s, in whole seconds", inWords(MinLeaseTime), inWords(MaxLeaseTime)))
		case s.LeaseTime > most:
			faults = append(faults, wrong("leaseSeconds", "must be %s at most, half of the group's hold time", inWords(most)))
		}
	}
	renew := cmp.Or(s.RenewPart, 50)
	switch {
	case renew < MinRenewPart || renew > MaxRebindPart:
		faults = append(faults, wrong("renewPercent", "must be %d to %d %% of the lease", MinRenewPart, MaxRebindPart))
	case s.RebindPart == 0 && renew >= 87: // that of T2 in whole percent: older programs go by it
		faults = append(faults, wrong("renewPercent", "must be %d to 86 %% of the lease while T2 is its default, 87.5 %%: give that, too", MinRenewPart))
	}
	switch {
	case s.RebindPart == 0:
	case s.RebindPart > MaxRebindPart || s.RebindPart < 0:
		faults = append(faults, wrong("rebindPercent", "must be more than T1, and %d %% of the lease at most", MaxRebindPart))
	case s.RebindPart <= renew:
		faults = append(faults, wrong("rebindPercent", "must be more than T1, which is %d %% of the lease, and %d %% at most", renew, MaxRebindPart))
	}
	return errors.Join(faults...)
}

// inWords writes a time with all of its units, as 30 days or 1 h 30 min.
func inWords(d time.Duration) string {
	var parts []string
	for _, unit := range []struct {
		length    time.Duration
		one, many string
	}{{24 * time.Hour, "day", "days"}, {time.Hour, "h", "h"}, {time.Minute, "min", "min"}, {time.Second, "s", "s"}} {
		n := d / unit.length
		switch d %= unit.length; {
		case n == 1:
			parts = append(parts, "1 "+unit.one)
		case n > 1:
			parts = append(parts, fmt.Sprintf("%d %s", n, unit.many))
		}
	}
	return strings.Join(parts, " ")
}

func (s *Settings) checkNames() error {
	var faults []error
	if s.Domain != "" {
		if err := validateDomain(s.Domain); err != nil {
			faults = append(faults, &SettingError{"domain", err})
		}
	}
	if len(s.Search) > MaxSearch {
		faults = append(faults, wrong("search", "has %d domains: hosts take %d at most", len(s.Search), MaxSearch))
	}
	seen := make(map[string]bool)
	for _, name := range s.Search {
		if err := validateDomain(name); err != nil {
			faults = append(faults, &SettingError{"search", err})
		} else if seen[name] {
			faults = append(faults, wrong("search", "%s is given twice", name))
		}
		seen[name] = true
	}
	return errors.Join(faults...)
}

// validateDomain checks a DNS name in lower case, without a dot at its end.
func validateDomain(name string) error {
	if len(name) > MaxDomain {
		return fmt.Errorf("%.20q… has %d characters, at most %d are allowed", name, len(name), MaxDomain)
	}
	for label := range strings.SplitSeq(name, ".") {
		switch err := labelFault(label); {
		case label == "":
			return fmt.Errorf("%q has a dot at its beginning, or two in a row", name)
		case label == name:
			return err
		case err != nil:
			return fmt.Errorf("%q: %w", name, err)
		}
	}
	return nil
}

func (s *Settings) checkServers() error {
	var faults []error
	for _, list := range []struct {
		field string
		all   []netip.Addr
	}{{"dnsServers", s.DNS}, {"ntpServers", s.NTP}} {
		if len(list.all) > MaxServers {
			faults = append(faults, wrong(list.field, "has %d addresses: give %d at most", len(list.all), MaxServers))
		}
		seen := make(map[netip.Addr]bool)
		for _, a := range list.all {
			switch {
			case !hostAddr(a):
				faults = append(faults, wrong(list.field, "%v isn't the IPv4 address of a host", a))
			case seen[a]:
				faults = append(faults, wrong(list.field, "%v is given twice", a))
			}
			seen[a] = true
		}
	}
	return errors.Join(faults...)
}

// hostAddr reports whether a is an IPv4 address that another host can have.
func hostAddr(a netip.Addr) bool {
	if !a.Is4() || a.IsUnspecified() || a.IsLoopback() || a.IsMulticast() {
		return false
	}
	first := a.As4()[0]
	return first != 0 && first < 240
}

func (s *Settings) checkRoutes(p Params) error {
	var faults []error
	if len(s.Routes) > MaxRoutes {
		faults = append(faults, wrong("routes", "has %d routes: give %d at most", len(s.Routes), MaxRoutes))
	}
	seen := make(map[netip.Prefix]bool)
	for _, r := range s.Routes {
		switch {
		case !r.To.IsValid() || !r.To.Addr().Is4():
			faults = append(faults, wrong("routes", "%v isn't an IPv4 network", r.To))
		case r.To != r.To.Masked():
			faults = append(faults, wrong("routes", "%v has host bits set: write %v", r.To, r.To.Masked()))
		case r.To.Bits() > 0 && r.To.Overlaps(p.Prefix):
			faults = append(faults, wrong("routes", "%v overlaps the group's %v, where hosts find each other without routes", r.To, p.Prefix))
		case seen[r.To]:
			faults = append(faults, wrong("routes", "%v is given twice", r.To))
		case !p.Prefix.Contains(r.Via) || p.Reserved(r.Via):
			faults = append(faults, wrong("routes", "%v via %v: the gateway must be a host of the group, within %v; %v is an appliance, which leads nowhere else", r.To, r.Via, p.Prefix, p.ServiceAddr()))
		}
		seen[r.To] = true
	}
	return errors.Join(faults...)
}

// checkSize keeps what hosts are told within what each of them takes.
func (s *Settings) checkSize(p Params) error {
	domain := s.Domain
	if domain == "" {
		domain = p.Zone
	}
	size := 2 + len(domain) + 4*len(s.DNS)
	search := s.Search
	if len(search) == 0 {
		search = []string{p.Zone}
	}
	size += 2
	for _, name := range search {
		size += len(name) + 2
	}
	if len(s.NTP) > 0 {
		size += 2 + 4*len(s.NTP)
	}
	if len(s.Routes) > 0 {
		size += 2
	}
	for _, r := range s.Routes {
		size += 5 + (max(r.To.Bits(), 0)+7)/8
	}
	if size <= MaxHostBytes {
		return nil
	}
	field := "search"
	if len(s.Routes) > len(s.Search) {
		field = "routes"
	}
	return wrong(field, "domains, servers and routes are %d bytes for hosts together, and hosts take %d: leave some out", size, MaxHostBytes)
}

func (s *Settings) checkRanges(p Params) error {
	var faults []error
	if len(s.Excluded) > MaxRanges {
		faults = append(faults, wrong("excluded", "has %d ranges: give %d at most", len(s.Excluded), MaxRanges))
	}
	out, before := 0, netip.Addr{}
	for _, r := range s.Excluded {
		switch {
		case !p.Prefix.Contains(r.First) || !p.Prefix.Contains(r.Last):
			faults = append(faults, wrong("excluded", "%v-%v isn't within %v", r.First, r.Last, p.Prefix))
			continue
		case r.Last.Less(r.First):
			faults = append(faults, wrong("excluded", "%v-%v: the last is before the first", r.First, r.Last))
			continue
		case before.IsValid() && r.First.Compare(before) <= 0:
			faults = append(faults, wrong("excluded", "%v-%v overlaps others", r.First, r.Last))
		}
		before = r.Last
		out += int(number(r.Last)-number(r.First)) + 1
	}
	if total := 1 << (32 - p.Prefix.Bits()); len(faults) == 0 && out > total*15/16 {
		faults = append(faults, wrong("excluded", "has %d of the group's %d addresses: a sixteenth must be left to be leased", out, total))
	}
	return errors.Join(faults...)
}

// minIPv6MTU is what each link of IPv6 takes, in bytes (RFC 8200 section 5).
const minIPv6MTU = 1280

func (s *Settings) checkIPv6(p Params) error {
	if !s.IPv6.IsZero() && p.MTU < minIPv6MTU {
		return wrong("ipv6Prefix", "IPv6 needs an MTU of %d bytes, and the group has %d: make another group for it", minIPv6MTU, p.MTU)
	}
	return nil
}

func (s *Settings) checkHosts() error {
	var faults []error
	for _, list := range []struct {
		field string
		all   []MAC
	}{{"allowed", s.Allowed}, {"denied", s.Denied}} {
		if len(list.all) > MaxHosts {
			faults = append(faults, wrong(list.field, "has %d hosts: give %d at most", len(list.all), MaxHosts))
		}
		for i, mac := range list.all {
			switch {
			case mac == MAC{} || mac[0]&1 != 0:
				faults = append(faults, wrong(list.field, "%v is no single host's hardware address", mac))
			case i > 0 && compareMAC(list.all[i-1], mac) >= 0:
				faults = append(faults, wrong(list.field, "out of order"))
			case list.field == "denied" && s.Allows(mac):
				faults = append(faults, wrong(list.field, "%v is among those allowed, too", mac))
			}
		}
	}
	return errors.Join(faults...)
}
