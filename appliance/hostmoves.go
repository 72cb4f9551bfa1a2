package appliance

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"landbridge/console/api"
	"landbridge/internal/frame"
	"landbridge/internal/registry"
	"landbridge/router"
)

var (
	errNoLAN      = errors.New("no LAN is attached here whose hosts could be asked")
	errNotSettled = errors.New("the LAN port is down, or has come up a moment ago: that a host doesn't answer says nothing")
)

// present asks the LAN whether a host answers for an address that is leased here. Without a
// LAN, or by a port that may not carry frames, nobody knows.
func (n *network) present(ctx context.Context, addr netip.Addr) (bool, error) {
	a := n.attachment.Load()
	if a == nil || !a.setup.attachesLAN() {
		return false, errNoLAN
	}
	if !a.neighbours.carrier.settled(time.Now()) {
		return false, errNotSettled
	}
	there, err := a.prober.Present(ctx, addr)
	if err == nil && !there && !a.neighbours.carrier.settled(time.Now()) {
		return false, errNotSettled
	}
	return there, err
}

// watchers show a stranger to each: one whose address is leased elsewhere has moved, one whose
// address is leased to nobody was given it by hand.
type watchers []router.Strangers

// Stranger is called on the frame path.
func (w watchers) Stranger(addr netip.Addr, mac frame.MAC) {
	for _, s := range w {
		s.Stranger(addr, mac)
	}
}

// newArrivals makes what has hosts that move to the attachment's LAN served here, unless
// another member on it does already (native).
func (n *network) newArrivals(a *attachment, native func(netip.Addr) bool) *arrivals {
	arrive := newArrivals(n.registry)
	arrive.native = native
	arrive.settle = func(l registry.Lease, mac frame.MAC, took time.Duration) {
		a.hosts.Learn(l.Addr, mac)
		n.log.Info("host has moved here", "addr", l.Addr, "mac", mac, "took", took.Round(time.Millisecond))
		if err := a.router.AnnounceHost(l.Addr, mac); err != nil {
			n.log.Warn("move not announced", "addr", l.Addr, "err", err)
		}
	}
	arrive.ear = &ear{heard: func() uint64 { return a.router.Overheard() }, listen: func(on bool) {
		if err := a.bridge.Overhear(on); err != nil {
			n.log.Warn("hosts that move here are noticed only if they announce themselves", "err", err)
		}
	}}
	arrive.report = func(key, text string) {
		if text == "" {
			n.health().clear("lan", "conflict "+key)
			return
		}
		n.health().report(api.HealthLevelWarning, "lan", "conflict "+key, text, time.Now())
	}
	return arrive
}
