package appliance

import (
	"context"
	"fmt"
	"time"

	"landbridge/iface"
	"landbridge/internal/health"
)

// keepLANPort looks after the LAN port of router mode, told how it is, until ctx ends: it says in
// words when the port has gone or carries nothing, and takes it up again when it returns.
func (n *network) keepLANPort(ctx context.Context, a *attachment, states <-chan iface.PortState) {
	port, troubles := a.setup.LANPort, n.health()
	defer troubles.Clear("lan", "port")
	var retry <-chan time.Time
	var state iface.PortState
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-states:
			if now.Running && !state.Running {
				a.segment.lookAgain()
			}
			state = now
		case <-retry:
		}
		retry = nil
		finding, err := n.lanPortTrouble(a.bridge, port, state)
		if err != nil {
			retry = time.After(retryInterval)
		}
		if finding == (health.Finding{}) {
			troubles.Clear("lan", "port")
		} else {
			troubles.Report(health.Trouble{Level: health.Error, Component: "lan", Key: "port", Finding: finding}, time.Now())
		}
	}
}

// lanPortTrouble sees that the port is on the bridge, and says what is wrong with it: nothing
// if that is empty. An error is worth trying again.
func (n *network) lanPortTrouble(b *iface.Bridge, port string, s iface.PortState) (health.Finding, error) {
	if s.Index == 0 {
		return health.Finding{
			Text:   fmt.Sprintf("The LAN port %s has gone: hosts of this LAN reach nobody by this appliance.", port),
			Remedy: "It is taken up again when it returns; else name another port.",
		}, nil
	}
	joined, err := b.Rejoin()
	if err != nil {
		return health.Finding{
			Text:   fmt.Sprintf("The LAN port %s has returned and can't be used: %v. It goes on trying.", port, err),
			Remedy: "If it stays so, see that nothing else has taken the port, as another bridge (ip -d link show " + port + ").",
		}, err
	}
	if joined {
		n.log.Info("the LAN port is back and on the bridge again", "port", port, "bridge", b.Name())
	}
	if !s.Running && !joined {
		return health.Finding{
			Text:   fmt.Sprintf("The LAN port %s is down or has no carrier: hosts of this LAN reach nobody by this appliance.", port),
			Remedy: plugIn(port),
		}, nil
	}
	return health.Finding{}, nil
}

// plugIn says what to do with a port that carries nothing.
func plugIn(port string) string {
	return fmt.Sprintf("See that it is up (ip link set %s up) and its cable is in.", port)
}
