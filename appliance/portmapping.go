package appliance

import (
	"context"
	"net/netip"
	"sync"

	"landbridge/iface"
	"landbridge/internal/portmap"
)

// mapPorts has the router before this host pass on what comes for this appliance, until the function is called
// that it returns.
func (n *node) mapPorts(ctx context.Context) (stop func()) {
	if !n.cfg.PortMapping {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	var keeping sync.WaitGroup
	keeping.Go(func() {
		portmap.Keep(ctx, portmap.Config{
			Gateway: n.gateway,
			UDP:     n.socket.LocalAddr().Port(), TCP: n.cfg.TCPListen().Port(),
			Secret: n.state.key.Seed(),
			Changed: func(m portmap.Mapped) {
				n.mapped.Store(&m)
				n.overlay.SetMapped(m.UDP, m.TCP)
			},
			Log: n.log,
		})
	})
	return func() {
		cancel()
		keeping.Wait()
	}
}

// gateway is the router before this host; one in a group's own network is none.
func (n *node) gateway() (netip.Addr, error) {
	gateway, err := iface.DefaultGateway()
	if err != nil || n.excluded(gateway) {
		return netip.Addr{}, err
	}
	return gateway, nil
}
