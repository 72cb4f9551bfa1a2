package appliance

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"landbridge/console"
	"landbridge/console/api"
	"landbridge/internal/config"
	"landbridge/internal/group"
	"landbridge/internal/registry"
	"landbridge/internal/ula"
)

// GroupSettings tells what a group's settings are, and who hasn't taken them up.
func (n *node) GroupSettings(_ context.Context, name string) (api.GroupSettings, error) {
	nw, err := n.find(name)
	if err != nil {
		return api.GroupSettings{}, err
	}
	s := describeSettings(nw.membership, nw.authority != nil)
	nw.addBehind(&s)
	nw.addLeftovers(&s)
	return s, nil
}

// SetGroupSettings changes them. The network's subscription takes them to this appliance's own
// Membership before it returns, and then to the others.
func (n *node) SetGroupSettings(ctx context.Context, name string, req api.GroupSettingsChange) (api.GroupSettings, error) {
	nw, err := n.find(name)
	if err != nil {
		return api.GroupSettings{}, err
	}
	notice := noticeOf(nw.membership) // hosts go by what they were told before
	if err := setSettings(nw.authority, nw.membership, req); err != nil {
		return api.GroupSettings{}, err
	}
	s, err := n.GroupSettings(ctx, name)
	s.NoticeSeconds = max(s.NoticeSeconds, seconds(notice))
	return s, err
}

// CheckGroupSettings says what SetGroupSettings would refuse.
func (n *node) CheckGroupSettings(_ context.Context, name string, req api.GroupSettingsChange) error {
	nw, err := n.find(name)
	switch {
	case err != nil:
		return err
	case nw.authority == nil:
		return settingsElsewhere(nw.membership)
	}
	return checkSettings(nw.membership, req)
}

// checkSettings says what is wrong with a change of a group's settings as a member knows them.
func checkSettings(m *group.Membership, req api.GroupSettingsChange) error {
	if _, err := settingsOf(withIPv6(req, m), m.Descriptor().Params); err != nil {
		return err
	}
	if now := m.Settings(); now != nil && now.Version != req.Version || now == nil && req.Version != 0 {
		return explainSettings(group.ErrSettingsChanged)
	}
	return nil
}

// GroupSettings tells what the settings were when the appliance ran last.
func (o *Offline) GroupSettings(_ context.Context, name string) (api.GroupSettings, error) {
	a, m, err := o.find(name)
	if err != nil {
		return api.GroupSettings{}, err
	}
	return describeSettings(m, a != nil), nil
}

// SetGroupSettings changes them; the others hear of it in the next run.
func (o *Offline) SetGroupSettings(ctx context.Context, name string, req api.GroupSettingsChange) (api.GroupSettings, error) {
	a, m, err := o.find(name)
	if err != nil {
		return api.GroupSettings{}, err
	}
	if err := setSettings(a, m, req); err != nil {
		return api.GroupSettings{}, err
	}
	return o.GroupSettings(ctx, name) // which opens the membership anew
}

// settingsElsewhere refuses a change of the settings where that isn't done, and says where it is.
func settingsElsewhere(m *group.Membership) error {
	d := m.Descriptor()
	who, _ := d.Entry(d.Authority)
	return console.Conflict(fmt.Errorf("this appliance doesn't keep the group's CA key, so it can't change the group's settings: %s (%s) can; run the command there, or use its console, whose address landbridge console says there",
		cmp.Or(who.Name, "the member"), d.Authority.Short()))
}

func setSettings(a *group.Authority, m *group.Membership, req api.GroupSettingsChange) error {
	if a == nil {
		return settingsElsewhere(m)
	}
	s, err := settingsOf(withIPv6(req, m), m.Descriptor().Params)
	if err != nil {
		return err
	}
	_, err = a.Configure(s, req.Version, time.Now())
	return explainSettings(err)
}

// explainSettings says by field what is wrong with settings.
func explainSettings(err error) error {
	for _, conflict := range []error{group.ErrSettingsChanged, group.ErrNewerSettings} {
		if errors.Is(err, conflict) {
			return console.Conflict(conflict)
		}
	}
	if fields := settingFields(err); len(fields) > 0 {
		return invalidSettings(fields)
	}
	return err
}

// invalidSettings refuses settings by all that is wrong with them.
func invalidSettings(fields []api.FieldError) error {
	said := make([]string, len(fields))
	for i, f := range fields {
		said[i] = f.Field + ": " + f.Detail
	}
	return console.Invalid(errors.New(strings.Join(said, "; ")), fields...)
}

func settingFields(err error) (fields []api.FieldError) {
	var fault *group.SettingError
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, e := range joined.Unwrap() {
			fields = append(fields, settingFields(e)...)
		}
		return fields
	}
	if errors.As(err, &fault) {
		fields = append(fields, api.FieldError{Field: fault.Field, Detail: fault.Err.Error()})
	}
	return fields
}

// settingsOf reads settings as a person writes them. What can't be read and what can't be are said
// together.
func settingsOf(req api.GroupSettingsChange, p group.Params) (group.Settings, error) {
	tooLong := seconds(group.MaxLeaseTime) + 1 // all that is longer is refused alike, and overflows nothing
	s := group.Settings{
		LeaseTime: time.Duration(max(-1, min(req.LeaseSeconds, tooLong))) * time.Second, RenewPart: req.RenewPercent, RebindPart: req.RebindPercent,
		Domain: req.Domain, Search: req.Search, OnlyAllowed: req.OnlyAllowed,
	}
	r := settingReader{}
	s.DNS = readAll(&r, "dnsServers", req.DNSServers, readServer)
	s.NTP = readAll(&r, "ntpServers", req.NtpServers, readServer)
	s.Routes = readAll(&r, "routes", req.Routes, readRoute)
	s.Excluded = readAll(&r, "excluded", req.Excluded, readRange)
	s.Allowed = readAll(&r, "allowed", req.Allowed, readMAC)
	s.Denied = readAll(&r, "denied", req.Denied, readMAC)
	if text := strings.TrimSpace(req.Ipv6Prefix); text != "" {
		if all := readAll(&r, "ipv6Prefix", []string{text}, readIPv6); len(all) > 0 {
			s.IPv6 = all[0]
		}
	}
	s = s.Normal()
	if fields := append(r.fields, settingFields(s.ValidateNew(p))...); len(fields) > 0 {
		return s, invalidSettings(fields)
	}
	return s, nil
}

// settingReader collects what can't be read.
type settingReader struct{ fields []api.FieldError }

func readAll[T any](r *settingReader, field string, texts []string, read func(string) (T, error)) (all []T) {
	for _, text := range texts {
		v, err := read(strings.TrimSpace(text))
		if err != nil {
			r.fields = append(r.fields, api.FieldError{Field: field, Detail: err.Error()})
			continue
		}
		all = append(all, v)
	}
	return all
}

func readServer(text string) (netip.Addr, error) {
	a, err := netip.ParseAddr(text)
	if err != nil {
		err = fmt.Errorf("%.40q isn't an IPv4 address, as 192.0.2.53", text)
	}
	return a, err
}

// withIPv6 has a change that leaves the IPv6 prefix to us name one: that of the group, or a random one.
func withIPv6(req api.GroupSettingsChange, m *group.Membership) api.GroupSettingsChange {
	if strings.TrimSpace(req.Ipv6Prefix) != "auto" {
		return req
	}
	net := m.Settings().IPv6Net()
	if net.IsZero() {
		net, _ = ula.Random(rand.Reader) // it never fails
	}
	req.Ipv6Prefix = net.String()
	return req
}

func readIPv6(text string) (ula.Net, error) {
	p, err := netip.ParsePrefix(text)
	if err != nil {
		return ula.Net{}, fmt.Errorf("%.60q %w", text, ula.ErrPrefix)
	}
	return ula.Parse(p)
}

func readRoute(text string) (r group.Route, err error) {
	to, via, ok := strings.Cut(text, " via ")
	r.To, err = netip.ParsePrefix(strings.TrimSpace(to))
	gateway, err2 := netip.ParseAddr(strings.TrimSpace(via))
	if r.Via = gateway; !ok || err != nil || err2 != nil {
		return r, fmt.Errorf("%.60q isn't a route, as 192.168.7.0/24 via 10.9.0.77", text)
	}
	return r, nil
}

func readRange(text string) (r group.Range, err error) {
	wrong := fmt.Errorf("%.60q isn't an address, or several, as 10.9.0.2-10.9.0.49 or 10.9.0.64/26", text)
	if p, err := netip.ParsePrefix(text); err == nil {
		if !p.Addr().Is4() || p != p.Masked() {
			return r, wrong
		}
		last := p.Addr().As4()
		for bit := p.Bits(); bit < 32; bit++ {
			last[bit/8] |= 0x80 >> (bit % 8)
		}
		return group.Range{First: p.Addr(), Last: netip.AddrFrom4(last)}, nil
	}
	first, last, two := strings.Cut(text, "-")
	if !two {
		last = first
	}
	r.First, err = netip.ParseAddr(strings.TrimSpace(first))
	if err == nil {
		r.Last, err = netip.ParseAddr(strings.TrimSpace(last))
	}
	if err != nil || !r.First.Is4() || !r.Last.Is4() {
		return r, wrong
	}
	return r, nil
}

func readMAC(text string) (group.MAC, error) {
	mac, err := config.ParseHost(text)
	return group.MAC(mac), err
}

// describeSettings tells of settings as the API does.
func describeSettings(m *group.Membership, authority bool) api.GroupSettings {
	d, s := m.Descriptor(), m.Settings()
	lease := s.Lease(d.Params)
	renew, rebind := s.RenewAfter(lease)
	a := api.GroupSettings{
		Group: d.Group.String(), GroupName: d.Name, Authority: authority, Search: []string{}, DNSServers: []string{}, NtpServers: []string{},
		Routes: []string{}, Excluded: []string{}, Allowed: []string{}, Denied: []string{}, Behind: []api.MemberBehind{}, Leftover: []api.Leftover{},
		InForce: api.GroupSettingsInForce{
			LeaseSeconds: seconds(lease), CreatedLeaseSeconds: seconds(d.LeaseTime), RenewSeconds: seconds(renew), RebindSeconds: seconds(rebind), Domain: d.Zone, Search: []string{d.Zone},
			Prefix: d.Prefix, Zone: d.Zone, HoldSeconds: seconds(d.HoldTime), MTU: d.MTU,
		},
		NoticeSeconds: seconds(noticeOf(m)),
	}
	if s == nil {
		return a
	}
	a.Version, a.Made, a.LeaseSeconds, a.RenewPercent, a.RebindPercent = s.Version, s.Made, seconds(s.LeaseTime), s.RenewPart, s.RebindPart
	a.Domain, a.OnlyAllowed = s.Domain, s.OnlyAllowed
	if !s.IPv6.IsZero() {
		a.Ipv6Prefix = s.IPv6.String()
	}
	a.Search = append(a.Search, s.Search...)
	if s.Domain != "" {
		a.InForce.Domain = s.Domain
	}
	if len(s.Search) > 0 {
		a.InForce.Search = s.Search
	}
	for _, server := range s.DNS {
		a.DNSServers = append(a.DNSServers, server.String())
	}
	for _, server := range s.NTP {
		a.NtpServers = append(a.NtpServers, server.String())
	}
	for _, r := range s.Routes {
		a.Routes = append(a.Routes, fmt.Sprintf("%v via %v", r.To, r.Via))
	}
	for _, r := range s.Excluded {
		text := r.First.String()
		if r.Last != r.First {
			text += "-" + r.Last.String()
		}
		a.Excluded = append(a.Excluded, text)
	}
	for _, mac := range s.Allowed {
		a.Allowed = append(a.Allowed, mac.String())
	}
	for _, mac := range s.Denied {
		a.Denied = append(a.Denied, mac.String())
	}
	return a
}

func seconds(d time.Duration) int64 { return int64(d / time.Second) }

// noticeOf is within what time hosts ask to renew their leases.
func noticeOf(m *group.Membership) time.Duration {
	s := m.Settings()
	renew, _ := s.RenewAfter(s.Lease(m.Descriptor().Params))
	return renew
}

// Bounds of what is told with the settings.
const (
	maxBehind    = 100
	maxLeftovers = 50
)

// addBehind names the members that aren't known to have the settings.
func (n *network) addBehind(a *api.GroupSettings) {
	s, d := n.membership.Settings(), n.membership.Descriptor()
	if s == nil {
		return
	}
	links := n.node.overlay.Links()
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, m := range d.Current() {
		met, known := n.met[m]
		_, connected := links[m]
		why, underway := "It hasn't said yet that it has them.", false
		switch {
		case m == n.membership.Self(), known && met.has.settings != nil && !met.has.lacks(s), len(a.Behind) == maxBehind:
			continue
		case !connected:
			why = "It isn't connected, and has them as soon as it is."
		case known && met.has.settings == nil:
			why = "It runs an older program, which goes on with what the group was created with: update it."
		default:
			underway = true
		}
		e, _ := d.Entry(m)
		a.Behind = append(a.Behind, api.MemberBehind{MemberID: m.String(), Name: e.Name, Why: why, Underway: underway})
	}
}

// addLeftovers names the leases of excluded addresses, which end as their hosts ask to renew them.
func (n *network) addLeftovers(a *api.GroupSettings) {
	s := n.membership.Settings()
	if s == nil || len(s.Excluded) == 0 {
		return
	}
	for w := range n.registry.Rows(true) {
		if w.State != registry.RowLeased || w.Reserved || w.Found() || !s.Excludes(w.Addr) {
			continue
		}
		if a.Leftovers++; len(a.Leftover) < maxLeftovers {
			l := api.Leftover{Address: w.Addr, Name: w.Name}
			if !w.Member.IsZero() {
				l.MemberID = w.Member.String()
			}
			a.Leftover = append(a.Leftover, l)
		}
	}
}
