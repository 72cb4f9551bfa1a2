package appliance

import (
	"context"
	"errors"
	"io"

	"landbridge/console/api"
)

// ErrRestart is returned by Run where somebody asked for a restart: who called it starts anew.
var ErrRestart = errors.New("the appliance is to start anew")

// Restart ends the run, as a signal does, with ErrRestart. Requests that are being answered are
// answered first.
func (n *node) Restart(context.Context) error {
	n.log.Info("landbridge restarts, as it was asked to; until it has started again, nothing goes between the sites")
	n.fail(ErrRestart)
	return nil
}

// CheckRestore takes in a copy of a state and says what it would change.
func (n *node) CheckRestore(_ context.Context, r io.Reader) (api.Restore, error) {
	return n.state.restores.check(r)
}

// WaitingRestore says what the copy that waits would change.
func (n *node) WaitingRestore(context.Context) (api.Restore, error) {
	return n.state.restores.waiting()
}

// ForgetRestore removes the copy that waits.
func (n *node) ForgetRestore(context.Context) error { return n.state.restores.forget() }

// ApplyRestore restores the copy that has this ID: by a restart, which comes at once.
func (n *node) ApplyRestore(ctx context.Context, id string) error {
	if err := n.state.restores.confirm(ctx, id); err != nil {
		return err
	}
	n.log.Warn("a copy of the state is restored: what was before is kept in the state directory as " + formerFile)
	return n.Restart(ctx)
}
