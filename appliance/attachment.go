package appliance

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"sync"
	"sync/atomic"

	"landbridge/arp"
	"landbridge/iface"
	"landbridge/internal/capture"
	"landbridge/internal/frame"
	"landbridge/internal/group"
	"landbridge/internal/modes"
	"landbridge/internal/ula"
	"landbridge/router"
)

// attachment is how hosts are attached to a group: the devices, and the forwarder between
// them and the tunnel. It has a life of its own, so that another can take its place while
// tunnel, registry and overlay stand.
type attachment struct {
	setup   modes.Setup
	tap     *iface.TAP
	bridge  *iface.Bridge // router mode
	hosts   *router.Hosts
	router  *router.Router
	service netip.Addr // of the group, from which hosts are asked
	prober  *arp.Prober
	hybrid  *hybrid // hybrid mode

	segment    *segment                     // router mode
	neighbours *neighbours                  // router mode
	stations   *stations                    // router mode
	address    atomic.Pointer[netip.Prefix] // this host's own, where it is attached itself; nil until leased
	six        atomic.Pointer[ula.Net]      // the group's IPv6 prefix as it was taken up; nil: not yet
	advertise  chan struct{}                // of capacity 1: hosts are to be told of IPv6 at once

	cancels []func()       // what ends its work
	running sync.WaitGroup // its work
	closers []func() error // of its parts, last first, once the work has ended
}

// near reports whether it is proven now that a member is on the segment. Nobody is near
// where nothing is attached.
func (a *attachment) near(m group.MemberID) bool {
	switch {
	case a == nil:
		return false
	case a.hybrid != nil:
		return a.hybrid.near(m)
	}
	return a.neighbours.has(m)
}

// takes reports whether a host is of the group, where it is on the LAN.
func (a *attachment) takes(mac frame.MAC) bool { return a.stations == nil || a.stations.Ours(mac) }

// leased reports whether an address is reached at mac on this segment, by a lease.
func (a *attachment) leased(mac frame.MAC, addr netip.Addr) bool {
	at, ok := a.hosts.MAC(addr)
	return ok && at == mac
}

// close ends the attachment's work and takes its devices down. It is called once, after
// enliven or in its place.
func (a *attachment) close() error {
	for _, cancel := range a.cancels {
		cancel()
	}
	a.running.Wait()
	var errs []error
	for i := len(a.closers) - 1; i >= 0; i-- {
		errs = append(errs, a.closers[i]())
	}
	return errors.Join(errs...)
}

// openAttachment makes the devices and the forwarder of a setup. Nothing moves before
// enliven.
func (n *network) openAttachment(s modes.Setup) (*attachment, error) {
	a := &attachment{setup: s, advertise: make(chan struct{}, 1)}
	err := n.openDevices(a)
	if err == nil {
		err = n.openRouter(a)
	}
	if err != nil {
		return nil, errors.Join(err, a.close())
	}
	return a, nil
}

// enliven sets an attachment to work as the group's. One that can't be is closed.
func (n *network) enliven(ctx context.Context, a *attachment) error {
	ctx, cancel := context.WithCancel(ctx)
	a.cancels = append(a.cancels, cancel)
	n.trackHosts(a)
	source, err := n.node.loop.Add(a.tap.FD(), a.router.Poll, func(err error) {
		n.node.fail(fmt.Errorf("group %s: nothing can be forwarded any more: %w", n.membership.Descriptor().Name, err))
	})
	if err != nil {
		return errors.Join(err, a.close())
	}
	a.closers = append(a.closers, func() error { source.Remove(); return nil })
	n.attachment.Store(a)
	n.takeUpSettings() // where they have changed since the attachment was made
	if a.setup.AttachesLAN() {
		a.stations.noteLeft()
		a.running.Go(func() { n.endFormer(ctx, a) })
		a.running.Go(func() { n.reserveAddress(ctx) })
		a.running.Go(func() { a.segment.run(ctx) })
		a.running.Go(func() { a.segment.watchGateways(ctx) })
		a.running.Go(func() { a.segment.strangers.Run(ctx) })
		a.running.Go(func() { n.advertiseIPv6(ctx, a) })
		return n.meetNeighbours(ctx, a)
	}
	if a.hybrid != nil {
		a.running.Go(func() { a.hybrid.run(ctx) })
	}
	a.running.Go(func() { n.keepAddress(ctx, a) })
	return nil
}

// detach takes the present attachment down, if there is one.
func (n *network) detach() error {
	a := n.attachment.Swap(nil)
	if a == nil {
		return nil
	}
	err := a.close()
	n.former.add(a.counters)
	return err
}

// reattach has all groups attached as the setup says, or, where one of them can't be, none.
// Whatever the former attachments left is put right between. The caller holds joining.
func (n *node) reattach(to modes.Setup) error {
	networks := n.running()
	for _, nw := range networks {
		if err := nw.detach(); err != nil {
			n.log.Warn("devices not all taken down", "group", nw.membership.Descriptor().Name, "err", err)
		}
	}
	if err := iface.Recover(n.state.owner(), n.log, n.keptPorts(to)...); err != nil {
		return err
	}
	n.setSetup(to)
	n.divide()
	for i, nw := range networks {
		if err := nw.attachAgain(to); err != nil {
			for _, done := range networks[:i] {
				err = errors.Join(err, done.detach())
			}
			return err
		}
	}
	return nil
}

// attachAgain attaches a group that was detached.
func (n *network) attachAgain(to modes.Setup) error {
	a, err := n.openAttachment(n.placed(to))
	if err != nil {
		return err
	}
	return n.enliven(n.base, a)
}

// deliver hands what the tunnel has received to the present attachment. Between two there
// is nobody to take it.
func (n *network) deliver(from group.MemberID, packets []frame.Packet) {
	n.capturePackets(capture.In, from, packets)
	if a := n.attachment.Load(); a != nil {
		a.router.Deliver(from, packets)
		return
	}
	n.unattached.Add(uint64(len(packets)))
}

// tally adds up what was counted by parts that are no more, as attachments. The zero value is empty.
type tally struct {
	mu     sync.Mutex
	counts map[count]uint64
}

// count names what is counted.
type count struct{ component, name string }

// add adds what a part has counted.
func (t *tally) add(counters func(add func(count, uint64))) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.counts == nil {
		t.counts = make(map[count]uint64)
	}
	counters(func(c count, value uint64) { t.counts[c] += value })
}

// of returns what was counted under a name.
func (t *tally) of(c count) uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.counts[c]
}

// all returns what was counted.
func (t *tally) all() map[count]uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return maps.Clone(t.counts)
}

// attachmentCounters tells what the present attachment and those before it have counted.
func (n *network) attachmentCounters(add func(c count, value uint64)) {
	former := n.former.all()
	if a := n.attachment.Load(); a != nil {
		a.counters(func(c count, value uint64) {
			add(c, value+former[c])
			delete(former, c)
		})
	}
	for c, value := range former { // of another mode
		add(c, value)
	}
}

// counters tells what the attachment has counted.
func (a *attachment) counters(add func(c count, value uint64)) {
	for _, c := range a.router.Counters() {
		add(count{"router", c.Name}, c.Value)
	}
	if a.neighbours != nil {
		beaconCounters(a.neighbours.beacon.Counts(), add)
	}
	for name, value := range a.tap.Counters() {
		add(count{"tap", name}, value)
	}
	if a.segment != nil {
		for name, value := range a.segment.dhcp.Counters() {
			add(count{"dhcp", name}, value)
		}
		strangerCounters(a.segment.strangers.Counts(), add)
	}
	if a.hybrid != nil {
		a.hybrid.counters(add)
	}
}
