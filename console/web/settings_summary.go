package web

import (
	"cmp"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	template "github.com/DataDog/datadog-agent/pkg/template/html"
	"github.com/labstack/echo/v4"

	"landbridge/console/api"
)

// settingsSummary is what a change of a group's settings would change, and whom it touches.
type settingsSummary struct {
	Changes []settingChange
	Leases  int // of the group, as far as they are known here
	Unread  int // of them, those that weren't looked at
}

// settingChange is one setting's change.
type settingChange struct {
	Field      string
	From, To   string   // as people write it; empty for the default
	Default    string   // empty where without a value there is none
	Gone, Come []string // of one that takes several and has no order, instead
	Hosts      []string // that it touches, of those that are known by name or address
	Many       int      // how many those are
	Only       bool     // allowed hosts alone are served, with it
	Nobody     bool     // with it, nobody is served but registered hosts: none is allowed
}

// More is how many hosts are touched that aren't named.
func (c settingChange) More() int { return c.Many - len(c.Hosts) }

// Leases are looked at for whom a change touches, some pages of them.
const (
	leasesALook = 1000
	looksAtMost = 3
	hostsNamed  = 8
)

// summary compares what a form would set with what is.
func (p *Pages) summary(c echo.Context, page settingsPage, to api.GroupSettingsChange) (*settingsSummary, error) {
	s := settingsSummary{Changes: changesOf(page.Now, to)}
	if len(s.Changes) == 0 {
		return &s, nil
	}
	limit := 1 // only how many there are
	if slices.ContainsFunc(s.Changes, func(c settingChange) bool {
		return slices.Contains([]string{"excluded", "denied", "onlyAllowed"}, c.Field) || c.Field == "allowed" && c.Only
	}) {
		limit = leasesALook
	}
	registered, err := p.registered(c)
	if err != nil {
		return nil, err
	}
	params := api.ListLeasesParams{Limit: &limit, Group: page.Group.ID, Site: api.LeaseSiteAll, State: api.LeaseFilterLeased}
	for range looksAtMost {
		list, err := p.leases(c, params)
		if err != nil {
			return nil, err
		}
		s.Leases = list.Total
		for _, l := range list.Items {
			s.touch(l, to, registered)
		}
		if s.Unread += len(list.Items); list.Next == "" || limit == 1 {
			break
		}
		params.Cursor = list.Next
	}
	s.Unread = s.Leases - s.Unread
	if limit == 1 {
		s.Unread = 0 // nobody is named
	}
	return &s, nil
}

// registered are the hosts that this appliance serves whatever others say.
func (p *Pages) registered(c echo.Context) (all []string, err error) {
	hosts, err := ask[api.ListHostsRequestObject, api.ListHostsResponseObject, api.ListHosts200JSONResponse](
		c, p.api.ListHosts, api.ListHostsRequestObject{})
	for _, h := range hosts.Items {
		all = append(all, h.MAC)
	}
	return all, err
}

// touch notes which of the changes end a lease. Of hosts at other sites the MAC isn't known.
func (s *settingsSummary) touch(l api.Lease, to api.GroupSettingsChange, registered []string) {
	if l.Found || l.Kind == api.LeaseKindOwn { // an address given by hand, or this appliance's: both stay
		return
	}
	for i := range s.Changes {
		c := &s.Changes[i]
		touched := false
		switch c.Field {
		case "excluded":
			touched = !l.Reserved && slices.ContainsFunc(c.Come, func(text string) bool { return rangeHas(text, l.Address) })
		case "denied":
			touched = slices.Contains(c.Come, l.MAC)
		case "allowed": // where they alone are served from now on, onlyAllowed names all
			touched = c.Only && slices.Contains(c.Gone, l.MAC) && !slices.Contains(registered, l.MAC)
		case "onlyAllowed":
			allowed := slices.ContainsFunc(to.Allowed, func(mac string) bool { return plainMAC(mac) == l.MAC })
			touched = to.OnlyAllowed && l.MAC != "" && !allowed && !slices.Contains(registered, l.MAC)
		}
		if !touched {
			continue
		}
		if c.Many++; len(c.Hosts) < hostsNamed {
			c.Hosts = append(c.Hosts, strings.TrimSpace(l.Name+" "+l.Address.String()))
		}
	}
}

// changesOf compares settings with what they would be, in the order of the page.
func changesOf(now api.GroupSettings, to api.GroupSettingsChange) (all []settingChange) {
	next := listsOf(api.GroupSettings{
		Search: to.Search, DNSServers: to.DNSServers, NtpServers: to.NtpServers, Routes: to.Routes, Excluded: to.Excluded, Allowed: to.Allowed, Denied: to.Denied,
	})
	was := listsOf(now)
	for _, field := range settingFields() {
		c := settingChange{Field: field}
		switch field {
		case "leaseSeconds":
			c.From, c.To, c.Default = exactly(now.LeaseSeconds), exactly(to.LeaseSeconds), exactly(now.InForce.CreatedLeaseSeconds)
		case "renewPercent":
			c.From, c.To, c.Default = part(now.RenewPercent), part(to.RenewPercent), "50 %"
		case "rebindPercent":
			c.From, c.To, c.Default = part(now.RebindPercent), part(to.RebindPercent), "87.5 %"
		case "domain":
			c.From, c.To, c.Default = now.Domain, plainDomain(to.Domain), now.InForce.Zone
		case "ipv6Prefix":
			if c.From, c.To = now.Ipv6Prefix, to.Ipv6Prefix; c.To == "auto" && c.From != "" {
				c.To = c.From // it stays
			}
		case "onlyAllowed":
			c.From, c.To = onOff(now.OnlyAllowed), onOff(to.OnlyAllowed)
		case "excluded", "allowed", "denied":
			c.Gone, c.Come = without(was[field], next[field]), without(next[field], was[field])
		case "search":
			c.From, c.To, c.Default = strings.Join(was[field], ", "), strings.Join(plain(field, next[field]), ", "), now.InForce.Zone
		default: // in an order
			c.From, c.To = strings.Join(was[field], ", "), strings.Join(plain(field, next[field]), ", ")
		}
		c.Only = to.OnlyAllowed && now.OnlyAllowed
		c.Nobody = (field == "onlyAllowed" || field == "allowed") && to.OnlyAllowed && len(next["allowed"]) == 0
		if c.From != c.To || len(c.Gone)+len(c.Come) > 0 {
			all = append(all, c)
		}
	}
	return all
}

// without returns what is in one list and not in another, in the form in which the API writes it.
func without(one, another []string) (rest []string) {
	another = plain("", another)
	for _, text := range plain("", one) {
		if !slices.Contains(another, text) && !slices.Contains(rest, text) {
			rest = append(rest, text)
		}
	}
	return rest
}

// plain writes values as the API does, so that what is only written otherwise is no change.
func plain(field string, all []string) []string {
	all = slices.Clone(all)
	for i, text := range all {
		if field == "search" {
			all[i] = plainDomain(text)
		} else {
			all[i] = plainRange(plainMAC(text))
		}
	}
	return all
}

func plainDomain(name string) string { return strings.ToLower(strings.TrimSuffix(name, ".")) }

func plainMAC(text string) string {
	if mac, err := net.ParseMAC(text); err == nil {
		return mac.String()
	}
	return text
}

// plainRange writes addresses as first-last, and one alone.
func plainRange(text string) string {
	first, last, ok := ends(text)
	switch {
	case !ok:
		return text
	case first == last:
		return first.String()
	}
	return first.String() + "-" + last.String()
}

// ends reads 10.9.0.2, 10.9.0.2-10.9.0.49 or 10.9.0.64/26.
func ends(text string) (first, last netip.Addr, ok bool) {
	if p, err := netip.ParsePrefix(text); err == nil && p.Addr().Is4() {
		end := p.Addr().As4()
		for bit := p.Bits(); bit < 32; bit++ {
			end[bit/8] |= 0x80 >> (bit % 8)
		}
		return p.Masked().Addr(), netip.AddrFrom4(end), true
	}
	from, to, two := strings.Cut(text, "-")
	if !two {
		to = from
	}
	first, err := netip.ParseAddr(strings.TrimSpace(from))
	if err != nil {
		return first, last, false
	}
	last, err = netip.ParseAddr(strings.TrimSpace(to))
	return first, last, err == nil
}

func rangeHas(text string, a netip.Addr) bool {
	first, last, ok := ends(text)
	return ok && first.Compare(a) <= 0 && a.Compare(last) <= 0
}

func onOff(on bool) string {
	if on {
		return "on"
	}
	return "off"
}

// part writes percents; nothing for 0, the default.
func part(percent int) string {
	if percent == 0 {
		return ""
	}
	return strconv.Itoa(percent) + " %"
}

// settingForms are the functions of templates that are about settings.
func settingForms() template.FuncMap {
	return template.FuncMap{"units": units, "rows": fieldRows, "onOff": onOff, "partOf": partOf, "more": settingChange.More}
}

// partOf writes percents of a lease with what they come to.
func partOf(percent int, normally string, seconds int64) string {
	return cmp.Or(part(percent), normally) + ", " + duration(time.Duration(seconds)*time.Second)
}

// exactly writes a lease time with all of its units; nothing for 0, the default.
func exactly(seconds int64) string {
	var parts []string
	names := []string{"s", "min", "h", "d"}
	for i, unit := range slices.Backward(units()) {
		if n := seconds / unit; n > 0 {
			parts = append(parts, strconv.FormatInt(n, 10)+" "+names[i])
		}
		seconds %= unit
	}
	return strings.Join(parts, " ")
}
