package appliance

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"landbridge/console"
	"landbridge/console/access"
	"landbridge/iface"
	"landbridge/internal/config"
	"landbridge/internal/division"
	"landbridge/internal/doctor"
	"landbridge/internal/group"
	"landbridge/internal/health"
	"landbridge/internal/logbook"
	"landbridge/internal/loop"
	"landbridge/internal/modes"
	"landbridge/internal/neighbourhood"
	"landbridge/internal/overlay"
	"landbridge/internal/portmap"
	"landbridge/internal/registry"
	"landbridge/internal/sorting"
	"landbridge/internal/throughput"
	"landbridge/internal/tunnel"
)

// node is a running appliance: what all its groups share, and the groups.
type node struct {
	cfg        config.Config
	log        *slog.Logger
	state      *state
	loop       *loop.Loop // serves the socket and the groups' TAPs
	socket     *tunnel.Socket
	overlay    *overlay.Overlay
	mapped     atomic.Pointer[portmap.Mapped] // by the router before this host; nil: nothing was
	gate       *gate
	health     health.Book
	roll       *roll
	forwards   *forwards
	events     *console.Events
	throughput throughput.History
	renamed    atomic.Pointer[string] // nil: it is called as cfg says
	started    time.Time
	book       *logbook.Book           // the last lines of the log
	base       context.Context         // of everything that runs in the background
	fail       context.CancelCauseFunc // ends the run with an error

	joining sync.Mutex // one group is created, joined or left at a time, or the mode switched
	modes   *modes.Switcher

	updates *updates

	pursuits pursuits // of groups that haven't let this appliance in yet

	capturing sync.Mutex   // one capture at a time
	listening atomic.Int32 // on how many ports is listened now

	dividing sync.Mutex
	division atomic.Pointer[division.Division] // nil: all hosts are of the one group

	mu       sync.Mutex
	networks map[group.ID]*network
	coming   []division.Territory // groups that are being taken up at the start
	attached modes.Setup          // how groups are
}

// setup returns how groups are attached.
func (n *node) setup() modes.Setup {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.attached
}

func (n *node) setSetup(s modes.Setup) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.attached = s
}

// Run is the daemon: it serves until ctx ends, and has put the system right again when
// it returns. An error before the first change says why it didn't start.
func Run(ctx context.Context, cfg config.Config, log *slog.Logger) (err error) {
	tuneRuntime()
	log, book := keepLog(log)
	state, err := openState(cfg.State)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, state.close()) }()
	if err := iface.CheckPrivileges(); err != nil {
		return err // no fault of the state's
	}
	memberships, err := state.memberships()
	if err != nil {
		return undoRestore(state, err)
	}
	if cfg.Name, err = state.calledName(cfg); err != nil {
		return undoRestore(state, err)
	}
	former, err := modes.Read(state.db)
	if err != nil {
		return undoRestore(state, err)
	}
	setup, record, remark := former.Start(modes.Setup{Mode: cfg.Mode, LANPort: cfg.LANPort}, cfg.Configured(), time.Now())
	if err := preflight(cfg, setup, state, memberships); err != nil {
		return undoRestore(state, explainPreflight(err, setup, record))
	}

	// -------- Above, only validation; below, the system is changed. --------

	if err := iface.Recover(state.owner(), log, keptPorts(cfg, setup, territories(memberships))...); err != nil {
		return fmt.Errorf("put right what a killed run left: %w", err)
	}
	asked := ctx
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	if remark != "" {
		log.Warn("the mode is " + setup.String() + ": " + remark)
		if err := modes.Write(state.db, record); err != nil {
			return err
		}
	}
	n, err := start(ctx, cfg, state, log, book)
	if err != nil {
		return err
	}
	n.setSetup(setup)
	n.modes = n.newModes(record)
	n.fail = fail
	state.keep()
	defer func() { err = errors.Join(err, n.stop()) }()
	if err := n.takeUp(memberships); err != nil {
		return err
	}
	defer n.watchEvents(ctx)()
	defer n.mapPorts(ctx)()
	if len(memberships) == 0 {
		log.Warn("this appliance is in no group yet and serves nobody: create one with landbridge group create, or join one with landbridge join TOKEN")
	}
	err = n.serveConsole(ctx)
	if asked.Err() == nil && err == nil { // nobody asked to end: fail was called
		err = context.Cause(ctx)
	}
	return err
}

// takeUp takes up what the state has: the groups, and waiting to be let into others.
func (n *node) takeUp(memberships []*group.Membership) error {
	// All of them divide the LAN from the first on: a group that was alone for a moment would answer everybody.
	n.mu.Lock()
	for _, m := range memberships {
		n.coming = append(n.coming, territoryOf(m))
	}
	n.mu.Unlock()
	for _, m := range memberships {
		if err := n.startNetwork(m); err != nil {
			return err
		}
	}
	n.mu.Lock()
	n.coming = nil
	n.mu.Unlock()
	return n.resumeApplications()
}

// serveConsole answers programs on the socket, and persons at the door, until ctx ends.
func (n *node) serveConsole(ctx context.Context) error {
	users, unfit := access.Open(n.state.db, access.Options{Log: n.log, Appliance: n.state.self().Short()})
	listener, err := console.Listen(filepath.Join(n.cfg.State, SocketFile))
	if err != nil {
		return err
	}
	n.log.Info("landbridge runs", "member", n.state.self(), "mode", string(n.setup().Mode), "groups", len(n.all()))
	server := console.New(n, users, n.log)
	ctx, cancel := context.WithCancel(ctx)
	var door sync.WaitGroup
	if unfit == nil {
		door.Go(func() { n.serveDoor(ctx, server) })
	} else {
		n.tellUnfit(unfit)
	}
	err = server.Serve(ctx, listener)
	cancel() // where it ended by itself, the door ends too
	door.Wait()
	return err
}

// preflight finds out, changing nothing, whether the appliance can be attached as it is to
// be.
func preflight(cfg config.Config, s modes.Setup, state *state, memberships []*group.Membership) error {
	roll, err := openRoll(state.db, cfg.DHCP.Hosts)
	if err != nil {
		return err
	}
	all := territories(memberships)
	if _, err := divide(cfg.Groups, roll.live(), s, all); err != nil {
		return err
	}
	for _, port := range division.PortsOf(cfg.Groups, s, all) {
		if err := checkLANPort(modes.Setup{Mode: s.Mode, LANPort: port}, modes.Setup{}, state.owner()); err != nil {
			return err
		}
	}
	for _, m := range memberships {
		if err := checkPrefix(m.Descriptor().Prefix); err != nil {
			return err
		}
	}
	return nil
}

// checkBridged refuses a LAN port that a bridge of this appliance has now and that isn't fit
// for the mode. It has been found fit for router mode, and nothing else uses it.
func checkBridged(s modes.Setup) error {
	if s.Mode == modes.Hybrid {
		return iface.CheckPresenceAfter(s.LANPort)
	}
	return nil
}

// checkLANPort refuses a LAN port that isn't fit for the mode; now is how the appliance is
// attached.
func checkLANPort(s, now modes.Setup, owner string) error {
	if now.AttachesLAN() && s.LANPort == now.LANPort {
		return checkBridged(s)
	}
	switch s.Mode {
	case modes.Router:
		return iface.CheckPort(s.LANPort, owner)
	case modes.Hybrid:
		return iface.CheckPresence(s.LANPort, owner)
	}
	return nil
}

// explainPreflight says where a mode comes from that nobody has just asked for.
func explainPreflight(err error, s modes.Setup, r modes.Record) error {
	if port := new(iface.PortError); r.Committed == nil || !errors.As(err, &port) {
		return err
	}
	return fmt.Errorf("%w (this appliance is in %v since landbridge mode switched to it; to start otherwise, say so: landbridge run --mode %s)", err, s, modes.Interface)
}

// keptPorts names the LAN ports whose bridges the next attachments take over.
func (n *node) keptPorts(s modes.Setup) []string {
	return keptPorts(n.cfg, s, n.territories(group.ID{}))
}

func keptPorts(cfg config.Config, s modes.Setup, all []division.Territory) []string {
	if !s.AttachesLAN() {
		return nil
	}
	return division.PortsOf(cfg.Groups, s, all)
}

func territories(memberships []*group.Membership) (all []division.Territory) {
	for _, m := range memberships {
		all = append(all, territoryOf(m))
	}
	return all
}

// checkPrefix refuses a prefix that overlaps a route of this host: what the host
// reaches there now would be cut off.
func checkPrefix(prefix netip.Prefix) error {
	route, dev, err := iface.OverlapsRoute(prefix)
	if err != nil {
		return err
	}
	if !route.IsValid() {
		return nil
	}
	return console.Conflict(fmt.Errorf("the prefix %v overlaps the route to %v on %s of this host: choose a prefix that is used nowhere at your sites, or remove that route", prefix, route, dev))
}

// start brings up what the groups share.
func start(ctx context.Context, cfg config.Config, state *state, log *slog.Logger, book *logbook.Book) (*node, error) {
	roll, err := openRoll(state.db, cfg.DHCP.Hosts)
	if err != nil {
		return nil, err
	}
	l, err := loop.Open(true)
	if err != nil {
		return nil, err
	}
	socket, err := tunnel.OpenSocket(l, cfg.Listen, log)
	if err != nil {
		return nil, errors.Join(explainListen(err, "udp", cfg.Listen, "listen"), l.Close())
	}
	n := &node{cfg: cfg, log: log, book: book, state: state, roll: roll, loop: l, socket: socket, started: time.Now(), base: ctx, events: console.NewEvents(),
		networks: make(map[group.ID]*network), updates: newUpdates(state.dir, cfg.Version)}
	if n.forwards, err = openForwards(state.db, cfg.DNS.Forward, n.tellForwarder); err != nil {
		return nil, errors.Join(err, socket.Close(), l.Close())
	}
	n.overlay, err = overlay.Open(ctx, overlay.Config{
		Key:       state.key,
		Socket:    socket.QUIC(),
		ListenTCP: cfg.TCPListen(),
		Proxy:     cfg.Proxy,
		Announce:  announced(cfg.Announce),
		LAN:       cfg.LANDiscovery,
		Exclude:   n.excluded,
		Store:     state.db,
		Validator: validateDescriptor,
		Log:       log,
	})
	if err != nil {
		return nil, errors.Join(explainListen(err, "tcp", cfg.TCPListen(), "tcp"), socket.Close(), l.Close())
	}
	n.gate = newGate(n.overlay, n.network, log)
	n.overlay.Handle(group.Protocol, n.serveJoin)
	n.gate.handle(registry.Protocol, func(ctx context.Context, nw *network, from group.MemberID, req []byte) ([]byte, error) {
		return nw.registry.Serve(ctx, from, req)
	})
	n.gate.handle(protocolConnect, func(ctx context.Context, nw *network, from group.MemberID, req []byte) ([]byte, error) {
		return nw.tunnel.HandleSignal(ctx, from, req)
	})
	n.gate.handle(neighbourhood.Protocol, func(_ context.Context, nw *network, from group.MemberID, req []byte) ([]byte, error) {
		return nw.standins.Answer(from, req)
	})
	n.gate.handle(doctor.Protocol, func(ctx context.Context, nw *network, _ group.MemberID, req []byte) ([]byte, error) {
		return nw.doctor.Serve(ctx, req)
	})
	return n, nil
}

// stop ends the groups, then what they share.
func (n *node) stop() error {
	n.modes.Close()
	n.pursuits.close()
	n.joining.Lock() // a group that is being taken up stands, or has failed
	defer n.joining.Unlock()
	// Without mu: what stops asks which networks run.
	var errs []error
	for _, nw := range n.all() {
		errs = append(errs, nw.stop())
	}
	n.forwards.Close()
	return errors.Join(append(errs, n.overlay.Close(), n.socket.Close(), n.loop.Close())...)
}

// startNetwork takes up a group.
func (n *node) startNetwork(m *group.Membership) error {
	nw, err := newNetwork(n, m)
	if err != nil {
		return err
	}
	n.mu.Lock()
	n.networks[nw.id] = nw
	n.mu.Unlock()
	n.divide()
	if err := nw.start(n.base); err != nil {
		n.mu.Lock()
		delete(n.networks, nw.id)
		n.mu.Unlock()
		n.divide()
		return err
	}
	return nil
}

func (n *node) network(id group.ID) (*network, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	nw, ok := n.networks[id]
	return nw, ok
}

// excluded reports whether an address lies inside a group's own network, where the
// overlay must not look for members.
func (n *node) excluded(addr netip.Addr) bool {
	for _, nw := range n.running() {
		if nw.isWithin(addr) {
			return true
		}
	}
	return false
}

// isWithin reports whether an address is one of the group's own network.
func (n *network) isWithin(addr netip.Addr) bool {
	return n.membership.Descriptor().Prefix.Contains(addr) || n.ipv6Net().Prefix().Contains(addr)
}

// updateMembers tells the overlay with whom to keep connections.
func (n *node) updateMembers() {
	var members []group.MemberID
	for _, nw := range n.running() {
		if nw.standing() != nil {
			continue // removed: they answer no more
		}
		members = append(members, nw.membership.Descriptor().Current()...)
	}
	n.overlay.SetMembers(members)
	n.divide()
}

// running returns the groups that this appliance takes part in, as far as all their
// rooms stand.
func (n *node) running() []*network {
	return slices.DeleteFunc(n.all(), func(nw *network) bool {
		select {
		case <-nw.ready:
			return false
		default:
			return true
		}
	})
}

// all returns the groups, in a fixed order, those too that are being taken up.
func (n *node) all() []*network {
	n.mu.Lock()
	defer n.mu.Unlock()
	return sorting.Sorted(maps.Values(n.networks), func(a, b *network) int { return bytes.Compare(a.id[:], b.id[:]) })
}

// announced turns what config.Load accepted into multiaddresses.
func announced(addrs []string) []string {
	var all []string
	for _, a := range addrs {
		if multi, err := config.Multiaddrs(a); err == nil {
			all = append(all, multi...)
		}
	}
	return all
}

// validateDescriptor is the overlay's judge of what the DHT is asked to keep.
func validateDescriptor(id group.ID, value []byte) (version uint64, err error) {
	d, err := group.ParseDescriptor(value)
	if err != nil {
		return 0, err
	}
	if d.Group != id {
		return 0, fmt.Errorf("%w: of group %s, stored under %s", group.ErrDescriptor, d.Group.Short(), id.Short())
	}
	return d.Version, nil
}

// residentBytes asks the kernel how much memory this process has.
func residentBytes() uint64 {
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	var size, resident uint64
	if _, err := fmt.Sscan(string(b), &size, &resident); err != nil {
		return 0
	}
	return resident * uint64(os.Getpagesize())
}

var _ console.Appliance = (*node)(nil)
