package appliance

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"landbridge/arp"
	"landbridge/iface"
	"landbridge/internal/beacon"
	"landbridge/internal/group"
	"landbridge/internal/health"
	"landbridge/internal/registry"
)

const (
	// reviewInterval is how often all routes are looked at though nobody has told of a change.
	// It is shorter than the registry goes on listening for news of addresses that nobody asks about.
	reviewInterval = 10 * time.Second
	// retryInterval is how soon the port is tried again that couldn't be used.
	retryInterval = time.Second
	// announceAgain is when the neighbours' MAC tables are told once more: a router answers
	// for our address until it has a proof that we are here.
	announceAgain = time.Second
)

// hybrid is this host on the wire of a LAN port of its own. While the port is there the host is
// present on it with its virtual address; while it carries frames, beacons are spoken and
// heard on it, and the bypass has routes to the hosts that they prove to be there. All of it
// happens on the goroutine of run.
type hybrid struct {
	network *network
	port    string
	bypass  *bypass
	beacon  atomic.Pointer[beacon.Beacon] // nil while the port carries nothing
	former  tally                         // what beacons before it counted

	states  chan iface.PortState // the last one
	owns    chan netip.Addr      // this host's address, the last one
	changed chan struct{}        // neighbours or leases have
	silent  chan netip.Addr      // hosts that don't answer on the port
	index   atomic.Int64         // of the port

	// run's own.
	tap      *iface.TAP
	state    iface.PortState
	own      netip.Addr
	presence *iface.Presence
	link     *wireLink // nil while the port carries nothing
	routers  []group.MemberID
	again    <-chan time.Time // for announcing
}

func newHybrid(n *network, port string, tap *iface.TAP) *hybrid {
	h := &hybrid{network: n, port: port, tap: tap,
		states: make(chan iface.PortState, 1), owns: make(chan netip.Addr, 1), changed: make(chan struct{}, 1),
		silent: make(chan netip.Addr, wantedAtOnce)}
	h.bypass = newBypass(h.native)
	return h
}

// latest puts the newest value into a channel that holds one.
func latest[T any](c chan T, v T) {
	for {
		select {
		case c <- v:
			return
		default:
		}
		select {
		case <-c:
		default:
		}
	}
}

// addressed says which address this host has now; the TAP has it already.
func (h *hybrid) addressed(addr netip.Addr) { latest(h.owns, addr) }

// unanswered hears of hosts that didn't answer ARP. One that finds no room is told again, as
// long as somebody sends there.
func (h *hybrid) unanswered(index int, addr netip.Addr) {
	if int64(index) != h.index.Load() {
		return
	}
	select {
	case h.silent <- addr:
	default:
	}
}

func (h *hybrid) poke() { latest(h.changed, struct{}{}) }

// near reports whether it is proven now that a member is on this wire: lock-free.
func (h *hybrid) near(m group.MemberID) bool {
	b := h.beacon.Load()
	return b != nil && b.Is(m)
}

// native reports whether it is proven now that an address's host is on this wire.
func (h *hybrid) native(addr netip.Addr) bool {
	at, status := h.network.registry.Lookup(addr)
	return status == registry.Known && !at.Local && h.near(at.Member)
}

// run keeps the host on the wire until ctx ends; then the port is as it was before.
func (h *hybrid) run(ctx context.Context) {
	log := h.network.log
	watch, err := iface.WatchPort(h.port, log, func(s iface.PortState) { latest(h.states, s) })
	if err != nil {
		h.trouble(health.Finding{
			Text:   fmt.Sprintf("The LAN port %s can't be watched: %v. Hosts on its LAN are reached by the tunnel.", h.port, err),
			Remedy: "Restart the appliance; if it stays so, see its log (landbridge logs).",
		})
		log.Error("the LAN port can't be watched", "port", h.port, "err", err)
		return
	}
	defer h.network.health().Clear("lan", "port")
	defer watch.Close()
	if silence, err := iface.WatchSilence(log, h.unanswered); err != nil {
		log.Warn("hosts that the LAN hides from this one aren't noticed", "port", h.port, "err", err)
	} else {
		defer silence.Close()
	}
	defer h.network.registry.Subscribe(func(registry.Change) { h.poke() })()
	h.serve(ctx)
	h.unlink()
	h.leave()
}

// serve deals with what happens until ctx ends.
func (h *hybrid) serve(ctx context.Context) {
	review := time.NewTicker(reviewInterval)
	defer review.Stop()
	var retry <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case h.state = <-h.states:
			h.index.Store(int64(h.state.Index))
		case own := <-h.owns:
			if own != h.own {
				h.unlink()
				h.leave()
				h.own = own
			}
		case addr := <-h.bypass.wanted:
			h.tell(h.bypass.open(addr))
			continue
		case addr := <-h.silent:
			h.tell(h.bypass.silent(addr, time.Now()))
			continue
		case <-h.changed:
			h.review()
			if h.link == nil || !h.link.broken.Load() {
				continue
			}
		case <-review.C:
			h.review()
			h.bypass.forgive(time.Now())
			if len(h.routers) > 0 { // they note who is here, and their hosts where
				h.announce()
			}
		case <-h.again:
			h.again = nil
			h.announce()
			continue
		case <-retry:
		}
		retry = nil
		if err := h.settle(ctx); err != nil {
			h.trouble(health.Finding{
				Text:   fmt.Sprintf("Hosts on the LAN of %s are reached by the tunnel, as this host can't be present on that port: %v. It goes on trying.", h.port, err),
				Remedy: "If it stays so, see that nothing else changes the addresses and routes of " + h.port + ", or name another port.",
			})
			h.network.log.Debug("not present on the LAN port", "port", h.port, "err", err)
			retry = time.After(retryInterval)
		}
	}
}

// settle brings about what the port's state allows.
func (h *hybrid) settle(ctx context.Context) error {
	if h.link != nil && !h.link.on(h.state) {
		h.unlink()
	}
	if h.presence != nil && h.presence.Index() != h.state.Index {
		h.leave()
	}
	switch {
	case !h.own.IsValid():
		return nil
	case h.state.Index == 0:
		h.trouble(health.Finding{
			Text:   fmt.Sprintf("The LAN port %s has gone: hosts on its LAN are reached by the tunnel, as far as it goes.", h.port),
			Remedy: "It is taken up again when it returns; else name another port.",
		})
		return nil
	}
	if err := h.enter(); err != nil {
		return err
	}
	if !h.state.Running {
		h.trouble(health.Finding{
			Text:   fmt.Sprintf("The LAN port %s is down or has no carrier: hosts on its LAN are reached by the tunnel, as far as it goes.", h.port),
			Remedy: plugIn(h.port),
		})
		return nil
	}
	if h.link == nil {
		link, err := h.openLink(ctx)
		if err != nil {
			return err
		}
		h.link = link
		h.announce()
		h.beacon.Store(link.beacon)
	}
	h.network.health().Clear("lan", "port")
	return nil
}

// enter makes the host present on the port, or sees that it still is.
func (h *hybrid) enter() (err error) {
	if h.presence != nil {
		missed, err := h.presence.Keep()
		if missed {
			h.network.log.Info("virtual address given to the LAN port again", "port", h.port, "addr", h.own)
			err = errors.Join(err, h.bypass.restore())
		}
		return err
	}
	h.presence, err = iface.EnterPresence(iface.PresenceConfig{Port: h.port, Addr: h.own, TAP: h.tap, Log: h.network.log})
	if err != nil {
		return err
	}
	h.bypass.use(h.presence)
	h.network.log.Info("present on the LAN port", "port", h.port, "addr", h.own)
	return nil
}

// leave takes the host off the port.
func (h *hybrid) leave() {
	if h.presence == nil {
		return
	}
	h.bypass.use(nil)
	if err := h.presence.Close(); err != nil {
		h.network.log.Warn("the LAN port isn't quite as it was", "port", h.port, "err", err)
	}
	h.presence = nil
}

// unlink ends what the port carries, and all routes with it.
func (h *hybrid) unlink() {
	if h.link == nil {
		return
	}
	h.beacon.Store(nil)
	h.network.health().Clear("lan", "loop")
	h.review()
	h.link.close()
	h.former.add(h.link.counters)
	h.link, h.routers, h.again = nil, nil, nil
}

// review withdraws the routes that hold no more, and sees who has come.
func (h *hybrid) review() {
	h.tell(h.bypass.review())
	b := h.beacon.Load()
	if b == nil {
		return
	}
	if b.Looped() {
		h.network.health().Report(health.Trouble{Component: "lan", Key: "loop", Finding: health.Finding{
			Text:   fmt.Sprintf("The LAN of %s has a loop: frames that this host sends come back to it.", h.port),
			Remedy: "See which switches or bridges there are joined twice, and part them, or turn spanning tree on.",
		}}, time.Now())
	} else {
		h.network.health().Clear("lan", "loop")
	}
	var routers []group.MemberID
	for _, n := range b.Neighbors() {
		if n.Says.Router {
			routers = append(routers, n.Member)
			if !slices.Contains(h.routers, n.Member) { // its hosts may have it in our place
				h.announce()
				h.again = time.After(announceAgain)
			}
		}
	}
	h.routers = routers
}

// announce tells the hosts of the wire which MAC has our address (RFC 5227 section 3).
func (h *hybrid) announce() {
	if h.link == nil {
		return
	}
	if err := h.link.wire.Write(arp.Announce(h.own, h.link.wire.MAC())); err != nil {
		h.network.log.Debug("own address not announced", "err", err)
	}
}

// tell notes what the kernel refuses: the tunnel carries it.
func (h *hybrid) tell(err error) {
	if err != nil {
		h.network.log.Debug("a route wasn't changed", "port", h.port, "err", err)
	}
}

func (h *hybrid) trouble(f health.Finding) {
	h.network.health().Report(health.Trouble{Component: "lan", Key: "port", Finding: f}, time.Now())
}

// counters tells what was counted.
func (h *hybrid) counters(add func(c count, value uint64)) {
	h.bypass.counters(add)
	counts := beacon.Counts{}
	if b := h.beacon.Load(); b != nil {
		counts = b.Counts()
	}
	beaconCounters(counts, func(c count, value uint64) { add(c, value+h.former.of(c)) })
}
