package appliance

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"landbridge/internal/capture"
	"landbridge/internal/doctor"
	"landbridge/internal/group"
	"landbridge/internal/neighbourhood"
	"landbridge/internal/overlay"
	"landbridge/internal/registry"
	"landbridge/internal/tunnel"
)

// network is one group at work on this appliance: its membership, its share of the
// registry, its sessions, and the devices by which hosts are attached to it.
type network struct {
	id         group.ID
	node       *node
	log        *slog.Logger
	base       context.Context // of everything that runs in the background, once it is started
	membership *group.Membership
	authority  *group.Authority // nil unless the CA key is here
	registry   *registry.Registry
	standins   *neighbourhood.Standins
	tunnel     *tunnel.Tunnel
	attachment atomic.Pointer[attachment] // nil while one takes another's place
	former     tally                      // what those before it counted
	unattached atomic.Uint64              // packets that came while there was none
	captured   capture.Tap                // where packets may be captured
	doctor     *doctor.Group              // looks into it

	ready             chan struct{} // closed once all the rooms stand
	descriptorChanged chan struct{}
	settingsChanged   chan struct{}
	takingUp          sync.Mutex     // one takes up settings at a time
	publishing        chan struct{}  // of capacity 1: the descriptor is to be put into the DHT
	run               uint64         // tells this time that the group is taken up from others
	renewalWarning    reminder       // of keepRoster's goroutine
	cancels           []func()       // what ends the work
	closers           []func() error // of the rooms, last first, once the work has ended
	parting           func()         // where the group is left: what stop does once the devices are gone
	running           sync.WaitGroup

	mu      sync.Mutex
	stopped bool
	clocks  clocks                      // of the members, as they said hello
	met     map[group.MemberID]greeting // what members said, when they said hello last

	visits visits
}

// newNetwork opens a group's rooms; nothing runs and no device is touched before start.
func newNetwork(n *node, m *group.Membership) (*network, error) {
	authority, err := authorityOf(n.state.db, m.Group())
	if err != nil {
		return nil, err
	}
	nw := &network{
		id: m.Group(), node: n, membership: m, authority: authority, run: rand.Uint64(),
		log:               n.log.With("group", m.Descriptor().Name),
		ready:             make(chan struct{}),
		descriptorChanged: make(chan struct{}, 1),
		settingsChanged:   make(chan struct{}, 1),
		publishing:        make(chan struct{}, 1),
		met:               make(map[group.MemberID]greeting),
	}
	nw.standins = newStandins(nw)
	nw.registry, err = registry.Open(registry.Config{
		Membership: m,
		Store:      n.state.db,
		Transport:  transport{nw, registry.Protocol},
		Segment:    segmentID(m.Self()),
		Present:    nw.present,
		Log:        nw.log,
	})
	if err != nil {
		return nil, err
	}
	nw.doctor = newDoctor(nw)
	nw.onStop(nw.registry.Follow(nw.tellLease))
	nw.closers = append(nw.closers, nw.registry.Close, nw.part)
	return nw, nil
}

// transport carries one protocol of the group to its members.
type transport struct {
	network  *network
	protocol string
}

// Call asks a member and waits for its reply, or for ctx. Where the member can't be reached
// the error says that and no more: landbridge peers shows it.
func (t transport) Call(ctx context.Context, to group.MemberID, req []byte) ([]byte, error) {
	reply, err := t.network.node.gate.call(ctx, t.network, to, t.protocol, req)
	var away *overlay.UnreachableError
	if errors.As(err, &away) {
		err = away
	}
	return reply, err
}

// start attaches the group to this host or LAN and lets it run until stop.
func (n *network) start(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	n.base = ctx
	n.onStop(cancel)
	if n.authority != nil {
		n.onStop(n.authority.Subscribe(func(d group.SignedDescriptor) {
			if _, err := n.membership.Update(d); err != nil {
				n.log.Error("own descriptor refused", "err", err)
			}
		}))
		n.onStop(n.authority.WatchSettings(func(s group.SignedSettings) {
			if _, err := n.membership.UpdateSettings(s); err != nil {
				n.log.Error("own settings refused", "err", err)
			}
		}))
		n.onStop(n.authority.WatchRequests(n.reportRequests))
		n.reportRequests()
	}
	told := n.membership.Descriptor().Version // read before the subscription, so that no change is missed
	n.onStop(n.membership.Subscribe(func(*group.Descriptor) {
		select {
		case n.descriptorChanged <- struct{}{}:
		default: // noticed already
		}
	}))
	n.onStop(n.membership.WatchSettings(func(*group.Settings) { latest(n.settingsChanged, struct{}{}) }))
	if err := n.attach(ctx); err != nil {
		return errors.Join(err, n.stop())
	}
	close(n.ready)
	greet := func(m group.MemberID, connected bool) {
		if connected && n.membership.Descriptor().Check(m) == nil {
			n.background(func() { n.meet(ctx, m) })
		}
	}
	n.onStop(n.node.overlay.OnConnect(greet))
	for m := range n.node.overlay.Links() {
		greet(m, true) // it was there before we listened
	}
	n.background(func() { n.keepRoster(ctx, told) })
	n.background(func() { n.keepPublished(ctx) })
	n.background(func() { n.keepVitals(ctx) })
	n.background(func() { n.standins.Keep(ctx) })
	return nil
}

// meet says hello to a member as soon as the overlay reaches it.
func (n *network) meet(ctx context.Context, m group.MemberID) {
	ctx, cancel := context.WithTimeout(ctx, introduceTimeout)
	defer cancel()
	if err := n.node.gate.introduce(ctx, n, m); err != nil {
		n.log.Debug("hello failed", "member", m, "err", err)
		return
	}
	n.tunnel.Reachable(m)
	if !n.standins.Silent() {
		n.standins.TellOne(n.node.base, m)
	}
}

// onStop has cancel called first when the network stops, so that nothing begins any more.
func (n *network) onStop(cancel func()) { n.cancels = append(n.cancels, cancel) }

// background runs work on a goroutine that stop waits for. Once stop has begun it does
// nothing, and says so.
func (n *network) background(work func()) (begun bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.stopped {
		n.running.Go(work)
	}
	return !n.stopped
}

// part has a group that is left say goodbye, while its registry still runs.
func (n *network) part() error {
	if n.parting != nil {
		n.parting()
	}
	return nil
}

// stop ends the group on this appliance and undoes what start did to the system.
func (n *network) stop() error {
	n.mu.Lock()
	again := n.stopped
	n.stopped = true
	n.mu.Unlock()
	if again {
		return nil
	}
	for _, cancel := range n.cancels {
		cancel()
	}
	n.running.Wait()
	var errs []error
	for i := len(n.closers) - 1; i >= 0; i-- {
		errs = append(errs, n.closers[i]())
	}
	return errors.Join(errs...)
}

// renewAfter is when a lease is to be renewed: at half its time (RFC 2131 section 4.4.5).
func renewAfter(l registry.Lease, now time.Time) time.Duration {
	return max(time.Second, l.End.Sub(now)/2)
}
