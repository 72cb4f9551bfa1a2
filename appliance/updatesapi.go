package appliance

import (
	"context"
	"io"

	"landbridge/console/api"
)

// Update tells how it stands with updates of the image.
func (n *node) Update(context.Context) (api.Update, error) { return n.updates.status() }

// CheckUpdate takes in an update and says what it is.
func (n *node) CheckUpdate(_ context.Context, r io.Reader) (api.UpdateOffer, error) {
	return n.updates.check(r)
}

// ForgetUpdate removes the update that waits, and what is known of the last.
func (n *node) ForgetUpdate(context.Context) error { return n.updates.forget() }

// ApplyUpdate has the first process make the update that waits.
func (n *node) ApplyUpdate(_ context.Context, order api.UpdateOrder) error {
	err := n.updates.apply(order, n.reachesOthers())
	if err == nil {
		n.log.Warn("an update of the image is made: the machine restarts once it is written")
	}
	return err
}

// RollbackUpdate has the first process start the other version.
func (n *node) RollbackUpdate(context.Context) error {
	err := n.updates.rollback(n.reachesOthers())
	if err == nil {
		n.log.Warn("the version in the other slot is started: the machine restarts")
	}
	return err
}

// reachesOthers reports whether another member of any group is reached now.
func (n *node) reachesOthers() bool {
	connected := n.connected()
	for _, nw := range n.running() {
		if nw.status(connected).MembersConnected > 1 {
			return true
		}
	}
	return false
}
