package appliance

import (
	"context"
	"io"

	"landbridge/console/access"
	"landbridge/console/api"
)

// CheckRestore takes in a copy of a state, checks it whole and says what it would change.
func (o *Offline) CheckRestore(_ context.Context, r io.Reader) (api.Restore, error) {
	return o.state.restores.check(r)
}

// ApplyRestore has the next start, or the next command, go on with the copy that has this ID.
func (o *Offline) ApplyRestore(ctx context.Context, id string) error {
	return o.state.restores.confirm(access.NewContext(ctx, access.ForSocket()), id)
}

// ChangeUser changes a user of the console.
func (o *Offline) ChangeUser(ctx context.Context, name string, change api.UserChange) (api.User, error) {
	users, err := access.Open(o.state.db, access.Options{Log: o.log})
	if err != nil {
		return api.User{}, err
	}
	ctx = access.NewContext(ctx, access.ForSocket())
	u, err := users.ChangeUser(ctx, name, change)
	users.Record(ctx, api.Operation{ID: "changeUser"}, name, err)
	return u, err
}
