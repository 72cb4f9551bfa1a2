package group

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"
)

// Validate returns all faults of settings in normal form, each a *SettingError, in a group with
// these Params.
func (s *Settings) Validate(p Params) error {
	return errors.Join(s.checkTimes(p), s.checkNames(), s.checkServers(), s.checkRoutes(p), s.checkSize(p), s.checkRanges(p), s.checkHosts())
}

func (s *Settings) checkTimes(p Params) error {
	var faults []error
	if most := min(MaxLeaseTime, p.HoldTime/2); s.LeaseTime != 0 {
		switch {
		case s.LeaseTime < MinLeaseTime || s.LeaseTime > MaxLeaseTime || s.LeaseTime%time.Second != 0:
			faults = append(faults, wrong("leaseSeconds", "lease time %v: must be whole seconds, from %v to %v", s.LeaseTime, MinLeaseTime, MaxLeaseTime))
		case s.LeaseTime > most:
			faults = append(faults, wrong("leaseSeconds", "lease time %v: must be %v at most, half of the group's hold time", s.LeaseTime, most))
		}
	}
	renew, rebind := s.RenewPart, s.RebindPart
	if renew == 0 {
		renew = 50
	}
	if rebind == 0 {
		rebind = 87
	}
	if renew < MinRenewPart || renew > MaxRebindPart {
		faults = append(faults, wrong("renewPercent", "renewal after %d %% of a lease: must be %d to %d", renew, MinRenewPart, MaxRebindPart))
	}
	if rebind <= renew || rebind > MaxRebindPart {
		faults = append(faults, wrong("rebindPercent", "any server is asked after %d %% of a lease: must be more than the %d %% after which the own one is, and %d at most", rebind, renew, MaxRebindPart))
	}
	return errors.Join(faults...)
}

func (s *Settings) checkNames() error {
	var faults []error
	if s.Domain != "" {
		if err := validateDomain("domain", s.Domain); err != nil {
			faults = append(faults, &SettingError{"domain", err})
		}
	}
	if len(s.Search) > MaxSearch {
		faults = append(faults, wrong("search", "search list: %d domains; hosts take %d at most", len(s.Search), MaxSearch))
	}
	seen := make(map[string]bool)
	for _, name := range s.Search {
		if err := validateDomain("search list", name); err != nil {
			faults = append(faults, &SettingError{"search", err})
		} else if seen[name] {
			faults = append(faults, wrong("search", "search list: %s is in it twice", name))
		}
		seen[name] = true
	}
	return errors.Join(faults...)
}

// validateDomain checks a DNS name in lower case, without a dot at its end.
func validateDomain(what, name string) error {
	if len(name) > MaxDomain {
		return fmt.Errorf("%s: %.20q… has %d characters, at most %d are allowed", what, name, len(name), MaxDomain)
	}
	for label := range strings.SplitSeq(name, ".") {
		if err := validateLabel(what+": "+name, label); err != nil {
			return err
		}
	}
	return nil
}

func (s *Settings) checkServers() error {
	var faults []error
	for _, list := range []struct {
		field, what string
		all         []netip.Addr
	}{{"dnsServers", "DNS servers", s.DNS}, {"ntpServers", "NTP servers", s.NTP}} {
		if len(list.all) > MaxServers {
			faults = append(faults, wrong(list.field, "%s: %d; give %d at most", list.what, len(list.all), MaxServers))
		}
		seen := make(map[netip.Addr]bool)
		for _, a := range list.all {
			switch {
			case !hostAddr(a):
				faults = append(faults, wrong(list.field, "%s: %v isn't the IPv4 address of a host", list.what, a))
			case seen[a]:
				faults = append(faults, wrong(list.field, "%s: %v is among them twice", list.what, a))
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
		faults = append(faults, wrong("routes", "routes: %d; give %d at most", len(s.Routes), MaxRoutes))
	}
	seen := make(map[netip.Prefix]bool)
	for _, r := range s.Routes {
		switch {
		case !r.To.IsValid() || !r.To.Addr().Is4():
			faults = append(faults, wrong("routes", "route to %v: must be an IPv4 network", r.To))
		case r.To != r.To.Masked():
			faults = append(faults, wrong("routes", "route to %v: has host bits set; write %v", r.To, r.To.Masked()))
		case r.To.Bits() > 0 && r.To.Overlaps(p.Prefix):
			faults = append(faults, wrong("routes", "route to %v: overlaps the group's %v, where hosts find each other without routes", r.To, p.Prefix))
		case seen[r.To]:
			faults = append(faults, wrong("routes", "route to %v: given twice", r.To))
		case !p.Prefix.Contains(r.Via) || p.Reserved(r.Via):
			faults = append(faults, wrong("routes", "route to %v by %v: the gateway must be a host of the group, within %v; %v is an appliance, which leads nowhere else", r.To, r.Via, p.Prefix, p.ServiceAddr()))
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
		faults = append(faults, wrong("excluded", "excluded addresses: %d ranges; give %d at most", len(s.Excluded), MaxRanges))
	}
	out, before := 0, netip.Addr{}
	for _, r := range s.Excluded {
		switch {
		case !p.Prefix.Contains(r.First) || !p.Prefix.Contains(r.Last):
			faults = append(faults, wrong("excluded", "excluded addresses %v-%v: not within %v", r.First, r.Last, p.Prefix))
			continue
		case r.Last.Less(r.First):
			faults = append(faults, wrong("excluded", "excluded addresses %v-%v: the last is before the first", r.First, r.Last))
			continue
		case before.IsValid() && r.First.Compare(before) <= 0:
			faults = append(faults, wrong("excluded", "excluded addresses %v-%v: overlap others", r.First, r.Last))
		}
		before = r.Last
		out += int(number(r.Last)-number(r.First)) + 1
	}
	if total := 1 << (32 - p.Prefix.Bits()); len(faults) == 0 && out > total*15/16 {
		faults = append(faults, wrong("excluded", "excluded addresses: %d of the %d that the group has; a sixteenth must be left to be leased", out, total))
	}
	return errors.Join(faults...)
}

func (s *Settings) checkHosts() error {
	var faults []error
	for _, list := range []struct {
		field string
		all   []MAC
	}{{"allowed", s.Allowed}, {"denied", s.Denied}} {
		if len(list.all) > MaxHosts {
			faults = append(faults, wrong(list.field, "%s hosts: %d; give %d at most", list.field, len(list.all), MaxHosts))
		}
		for i, mac := range list.all {
			switch {
			case mac == MAC{} || mac[0]&1 != 0:
				faults = append(faults, wrong(list.field, "%s hosts: %v is no single host's hardware address", list.field, mac))
			case i > 0 && compareMAC(list.all[i-1], mac) >= 0:
				faults = append(faults, wrong(list.field, "%s hosts: out of order", list.field))
			case list.field == "denied" && s.Allows(mac):
				faults = append(faults, wrong(list.field, "denied hosts: %v is among those allowed, too", mac))
			}
		}
	}
	return errors.Join(faults...)
}
