package appliance

import (
	"context"
	"fmt"
	"time"

	"landbridge/console/api"
	"landbridge/iface"
)

// keepLANPort looks after the LAN port of router mode, told how it is, until ctx ends: it says in
// words when the port has gone or carries nothing, and takes it up again when it returns.
func (n *network) keepLANPort(ctx context.Context, a *attachment, states <-chan iface.PortState) {
	port, health := a.setup.LANPort, n.health()
	defer health.clear("lan", "port")
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
		text, err := n.lanPortTrouble(a.bridge, port, state)
		if err != nil {
			retry = time.After(retryInterval)
		}
		if text == "" {
			health.clear("lan", "port")
		} else {
			health.report(api.HealthLevelError, "lan", "port", text, time.Now())
		}
	}
}

// lanPortTrouble sees that the port is on the bridge, and says what is wrong with it: nothing
// if it is empty. An error is worth trying again.
func (n *network) lanPortTrouble(b *iface.Bridge, port string, s iface.PortState) (string, error) {
	if s.Index == 0 {
		return fmt.Sprintf("The LAN port %s has gone: hosts of this LAN reach nobody by this appliance. It is taken up again when it returns.", port), nil
	}
	joined, err := b.Rejoin()
	if err != nil {
		return fmt.Sprintf("The LAN port has returned and can't be used: %v. It goes on trying.", err), err
	}
	if joined {
		n.log.Info("the LAN port is back and on the bridge again", "port", port, "bridge", b.Name())
	}
	if !s.Running && !joined {
		return fmt.Sprintf("The LAN port %s is down or has no carrier: hosts of this LAN reach nobody by this appliance. See that it is up (ip link set %s up) and its cable is in.", port, port), nil
	}
	return "", nil
}
