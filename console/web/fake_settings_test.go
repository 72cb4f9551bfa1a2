package web

import (
	"context"
	"net/netip"
	"strings"

	"landbridge/console/api"
)

// configured is a group's settings as a fake's appliance has them.
type configured struct {
	settings api.GroupSettings
	set      []api.GroupSettingsChange
}

// someSettings are those of a group of which nothing was changed.
func someSettings() configured {
	return configured{settings: api.GroupSettings{
		Group: office, GroupName: "office", Authority: true, NoticeSeconds: 1800, Search: []string{}, DNSServers: []string{}, NtpServers: []string{}, Routes: []string{},
		Excluded: []string{}, Allowed: []string{}, Denied: []string{}, Behind: []api.MemberBehind{}, Leftover: []api.Leftover{},
		InForce: api.GroupSettingsInForce{
			LeaseSeconds: 3600, CreatedLeaseSeconds: 3600, RenewSeconds: 1800, RebindSeconds: 3150, Domain: "office.internal", Search: []string{"office.internal"},
			Prefix: netip.MustParsePrefix("10.9.0.0/16"), Zone: "office.internal", HoldSeconds: 7 * 24 * 3600, MTU: 1376,
		},
	}}
}

func (f *fake) GetGroupSettings(context.Context, api.GetGroupSettingsRequestObject) (api.GetGroupSettingsResponseObject, error) {
	return api.GetGroupSettings200JSONResponse(f.settings), f.err
}

// SetGroupSettings refuses each value that has an exclamation mark, by its field.
func (f *fake) SetGroupSettings(ctx context.Context, r api.SetGroupSettingsRequestObject) (api.SetGroupSettingsResponseObject, error) {
	if f.refuse != nil {
		return nil, f.refuse
	}
	var wrong formError
	b := *r.Body
	lists := listsOf(api.GroupSettings{
		Search: b.Search, DNSServers: b.DNSServers, NtpServers: b.NtpServers, Routes: b.Routes, Excluded: b.Excluded, Allowed: b.Allowed, Denied: b.Denied,
	})
	lists["domain"] = []string{b.Domain}
	for _, field := range settingFields() {
		for _, text := range lists[field] {
			if strings.Contains(text, "!") {
				wrong = append(wrong, api.FieldError{Field: field, Detail: field + " can’t be " + text})
			}
		}
	}
	if b.LeaseSeconds == 5 {
		wrong = append(wrong, api.FieldError{Field: "leaseSeconds", Detail: "the lease time is too short"})
	}
	if b.RebindPercent > 0 && b.RebindPercent <= b.RenewPercent {
		wrong = append(wrong, api.FieldError{Field: "rebindPercent", Detail: "must be more than the renewal"})
	}
	if len(wrong) > 0 {
		return nil, wrong
	}
	if api.IsCheck(ctx) {
		return nil, nil
	}
	f.set = append(f.set, b)
	f.settings.Version++
	return api.SetGroupSettings200JSONResponse(f.settings), nil
}
