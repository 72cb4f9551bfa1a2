package appliance

import (
	"context"
	"net/netip"
	"time"

	"landbridge/internal/frame"
	"landbridge/internal/registry"
	"landbridge/internal/strangers"
)

// newStrangers makes what looks after the hosts of the attachment's LAN that weren't leased their
// addresses here, unless another member on it serves them (native).
func (n *network) newStrangers(a *attachment, native func(netip.Addr) bool) *strangers.Strangers {
	return strangers.New(strangers.Config{
		Registry: n.registry, LAN: lan{a}, Native: native, Log: n.log,
		Arrived: func(l registry.Lease, mac frame.MAC, took time.Duration) {
			a.hosts.Learn(l.Addr, mac)
			n.log.Info("host has moved here", "addr", l.Addr, "mac", mac, "took", took.Round(time.Millisecond))
			if err := a.router.AnnounceHost(l.Addr, mac); err != nil {
				n.log.Warn("move not announced", "addr", l.Addr, "err", err)
			}
		},
		Found: func(l registry.Lease) { a.hosts.Learn(l.Addr, l.MAC) },
		Lease: n.leaseTime,
		Heard: func() uint64 { return a.router.Overheard() },
		Listen: func(on bool) {
			if err := a.bridge.Overhear(on); err != nil {
				n.log.Warn("hosts that move here are noticed only if they announce themselves", "err", err)
			}
		},
	})
}

// lan is an attachment's segment as strangers sees it.
type lan struct{ *attachment }

// Ask asks by ARP for an address; who answers is seen by the router.
func (l lan) Ask(addr netip.Addr) error { return l.prober.Ask(addr) }

// Who returns the stations that say they have an address.
func (l lan) Who(ctx context.Context, addr netip.Addr) ([]frame.MAC, error) {
	return l.prober.Who(ctx, addr, netip.IPv4Unspecified())
}

// Proxies reports whether a station answers for addresses that nobody has.
func (l lan) Proxies(ctx context.Context, mac frame.MAC) bool { return l.segment.proxies(ctx, mac) }

// Denied reports whether a station is served nowhere.
func (l lan) Denied(mac frame.MAC) bool { return l.segment.denied(mac) }

// Ours reports whether a station is a router of the group, or a host that isn't the group's.
func (l lan) Ours(mac frame.MAC) bool { return l.segment.isOurs(mac) || !l.takes(mac) }

// strangerCounters tells what came of hosts with an address of their own.
func strangerCounters(c strangers.Counts, add func(c count, value uint64)) {
	add(count{"statics", "adopted"}, c.Adopted)
	add(count{"statics", "renewed"}, c.Renewed)
	add(count{"statics", "refused"}, c.Refused)
	add(count{"statics", "not_looked_into"}, c.NotLookedInto)
}
