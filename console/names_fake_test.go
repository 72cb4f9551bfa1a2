package console

import (
	"context"
	"errors"

	"landbridge/console/api"
)

// named is what the fake says as Names.
type named struct{ aliases []api.Alias }

func (f *fake) Aliases(context.Context) ([]api.Alias, error) { return f.aliases, f.answer() }

func (f *fake) SetAlias(_ context.Context, name string, req api.AliasSet, by string) (api.Alias, error) {
	if req.Target == "taken" {
		err := errors.New("taken is the name of the host 10.9.0.7")
		return api.Alias{}, Conflict(err, api.FieldError{Field: "target", Detail: err.Error()})
	}
	return api.Alias{Group: "aa", Name: name, Full: name + ".office.internal", Target: req.Target, SetBy: by}, f.answer()
}

func (f *fake) RemoveAlias(_ context.Context, group, name, _ string) (api.Alias, error) {
	return api.Alias{Group: group, Name: name, Target: "web"}, f.answer()
}

func (f *fake) Forwarders(context.Context) ([]api.Forwarder, error) {
	return []api.Forwarder{{Zone: "."}, {Zone: "lab.example"}, {Zone: "corp.example"}}, f.answer()
}

func (f *fake) SetForwarder(_ context.Context, req api.ForwarderSet, by string) (api.Forwarder, error) {
	return api.Forwarder{Zone: req.Zone, Servers: []api.ForwarderServer{}, SetBy: by}, f.answer()
}

func (f *fake) RemoveForwarder(_ context.Context, zone string) (api.Forwarder, error) {
	return api.Forwarder{Zone: zone, Servers: []api.ForwarderServer{}}, f.answer()
}
