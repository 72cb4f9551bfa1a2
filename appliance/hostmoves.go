package appliance

import (
	"context"
	"errors"
	"net/netip"
	"time"
)

var (
	errNoLAN      = errors.New("no LAN is attached here whose hosts could be asked")
	errNotSettled = errors.New("the LAN port is down, or has come up a moment ago: that a host doesn't answer says nothing")
)

// present asks the LAN whether a host answers for an address that is leased here. Without a
// LAN, or by a port that may not carry frames, nobody knows.
func (n *network) present(ctx context.Context, addr netip.Addr) (bool, error) {
	a := n.attachment.Load()
	if a == nil || !a.setup.AttachesLAN() {
		return false, errNoLAN
	}
	if !a.neighbours.carrier.Settled(time.Now()) {
		return false, errNotSettled
	}
	there, err := a.prober.Present(ctx, addr, a.service)
	if err == nil && !there && !a.neighbours.carrier.Settled(time.Now()) {
		return false, errNotSettled
	}
	return there, err
}
