package iface

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// seats counts the TAPs on one bridge. Its lock keeps apart what several of them do to the
// bridge or its port.
type seats struct {
	mu    sync.Mutex
	taken int
}

// Share puts a further TAP, with a gateway MAC of its own, on the bridge, as for another group
// whose hosts are on the same wire. The Bridge that it returns is as good as b: each is
// closed, and the last one takes the bridge down. The TAPs get nothing from each other
// (isolated ports, Linux 4.18; older kernels pass on to all what is broadcast).
func (b *Bridge) Share(tap *TAP, gatewayMAC net.HardwareAddr, log *slog.Logger) (*Bridge, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("open netlink: %w", err)
	}
	b.seats.mu.Lock()
	defer b.seats.mu.Unlock()
	shared := &Bridge{name: b.name, mtu: b.mtu, tap: tap.index, ours: true, seats: b.seats, h: h}
	bridge, err := h.LinkByName(b.name)
	if err == nil && b.seats.taken == 0 {
		err = errors.New("it is closed")
	}
	if err == nil {
		err = shared.joinTAP(bridge, BridgeConfig{TAP: tap, GatewayMAC: gatewayMAC, Log: log})
	}
	if err != nil {
		h.Close()
		return nil, fmt.Errorf("share the bridge %s: %w", b.name, err)
	}
	b.seats.taken++
	return shared, nil
}

// leave takes the TAP off a bridge that others are still on.
func (b *Bridge) leave() error {
	tap, err := b.h.LinkByIndex(b.tap)
	if missing := (netlink.LinkNotFoundError{}); errors.As(err, &missing) {
		return nil
	}
	if err == nil {
		err = b.h.LinkSetNoMaster(tap)
	}
	return explain("take the TAP off the bridge "+b.name, err)
}
