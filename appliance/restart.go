package appliance

import (
	"context"
	"errors"
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
