package web

import (
	"context"
	"errors"
	"strings"

	"landbridge/console/api"
)

// spoken is what the fake knows of names.
type spoken struct {
	names []api.Name
	zones []api.Forwarder
	done  []string // with them
}

var errTaken = errors.New("printer-1 is the name of the host 10.9.4.2")

func (f *fake) ListNames(_ context.Context, r api.ListNamesRequestObject) (api.ListNamesResponseObject, error) {
	l := api.ListNames200JSONResponse{Items: []api.Name{}, Unheard: []string{"porto", "rom"}}
	for _, n := range f.names {
		if strings.Contains(n.Full+n.Target, r.Params.Search) && (r.Params.Kind == "" || r.Params.Kind == n.Kind) {
			l.Items = append(l.Items, n)
		}
	}
	l.Total = len(l.Items)
	if r.Params.Search == "" && l.Total > 3 {
		l.Next = "more"
	}
	return l, f.err
}

func (f *fake) SetAlias(_ context.Context, r api.SetAliasRequestObject) (api.SetAliasResponseObject, error) {
	if r.Name == "printer-1" {
		return nil, &fieldError{"name", errTaken.Error()}
	}
	a := api.SetAlias200JSONResponse{Group: office, Name: r.Name, Full: r.Name + ".office.internal", Target: r.Body.Target}
	for _, n := range f.names {
		if n.Name == r.Name {
			a.Before = n.Target
		}
	}
	f.done = append(f.done, "alias "+r.Name+" "+r.Body.Target)
	return a, f.err
}

func (f *fake) RemoveAlias(_ context.Context, r api.RemoveAliasRequestObject) (api.RemoveAliasResponseObject, error) {
	f.done = append(f.done, "no-alias "+r.Name)
	return api.RemoveAlias200JSONResponse{Group: office, Name: r.Name, Full: r.Name + ".office.internal", Target: "nas-1"}, f.err
}

func (f *fake) ListForwarders(context.Context, api.ListForwardersRequestObject) (api.ListForwardersResponseObject, error) {
	return api.ListForwarders200JSONResponse{Items: f.zones}, f.err
}

func (f *fake) SetForwarder(_ context.Context, r api.SetForwarderRequestObject) (api.SetForwarderResponseObject, error) {
	if strings.Contains(r.Body.Zone, " ") {
		return nil, &fieldError{"zone", "it is no domain name"}
	}
	f.done = append(f.done, "zone "+r.Body.Zone+" "+strings.Join(r.Body.Servers, "+"))
	return api.SetForwarder200JSONResponse{Zone: r.Body.Zone}, f.err
}

func (f *fake) RemoveForwarder(_ context.Context, r api.RemoveForwarderRequestObject) (api.RemoveForwarderResponseObject, error) {
	f.done = append(f.done, "no-zone "+r.Params.Zone)
	return api.RemoveForwarder200JSONResponse{Zone: r.Params.Zone}, f.err
}

// someNames are aliases and hosts, and zones that do well and ill.
func someNames() spoken {
	return spoken{
		names: []api.Name{
			{Group: office, Name: "files", Full: "files.office.internal", Kind: api.NameKindAlias, Target: "nas-1", SetBy: "vera", Since: start()},
			{Group: office, Name: "nas-1", Full: "nas-1.office.internal", Kind: api.NameKindHost, Target: "10.9.4.3", MemberName: "lisbon", Since: start()},
			{Group: office, Name: "router", Full: "router.office.internal", Kind: api.NameKindAlias, Target: "192.168.1.1", SetBy: "the command line", Since: start()},
			{Group: office, Name: "router", Full: "router.office.internal", Kind: api.NameKindHost, Target: "10.9.4.9", MemberName: "porto", Elsewhere: true, Hidden: true, Since: start()},
			{Group: office, Name: "scanner", Full: "scanner.office.internal", Kind: api.NameKindReserved, Target: "10.9.4.11", MemberName: "lisbon"},
		},
		zones: []api.Forwarder{
			{Zone: "corp.example", Asked: 1204, Failed: 3, SetBy: "vera", Servers: []api.ForwarderServer{{Address: "10.0.0.53", State: api.ForwarderStateAnswers}, {Address: "10.0.0.54:5353", State: api.ForwarderStateFailing, Why: "no answer within 700ms"}}},
			{Zone: ".", Configured: true, Servers: []api.ForwarderServer{{Address: "9.9.9.9", State: api.ForwarderStateUnasked}}},
		},
	}
}
