package overlay

import (
	"context"
	"crypto/rand"
	"errors"
	mathrand "math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	"github.com/libp2p/zeroconf/v2"
	ma "github.com/multiformats/go-multiaddr"
)

const (
	lanService = "_landbridge._udp" // DNS-SD service name (RFC 6763, section 7)
	lanDomain  = "local"
	lanText    = "dnsaddr="      // before each address, in a TXT record; as libp2p's own service has it
	lanPort    = 4001            // says nothing: the addresses are in the TXT records
	lanSettle  = 2 * time.Second // addresses change in bursts
	lanRetry   = 30 * time.Second
	maxLAN     = 32 // peers that aren't members to connect to

	// In a large group, where all might be on one LAN, each question is answered by
	// lanAnswerers of its members only, those with the lowest IDs; and each member asks for
	// lanLook, then not for lanPause, nor for lanPauseEach of a member.
	lanAnswerers = 8
	lanLook      = 3 * time.Second
	lanPause     = time.Minute
	lanPauseEach = 6 * time.Second
)

// lan announces us on the LAN and looks for others there, by multicast DNS (RFC 6762).
// Only the goroutine of discover uses it, but for found.
type lan struct {
	o         *Overlay
	announced []string // what the server tells, or would
	server    *zeroconf.Server
	stopLook  func() // nil while it doesn't look

	mu     sync.Mutex
	before map[peer.ID]bool // members found since the last look began that answer before us
}

// discover looks for others on the LAN until Close: all of the time in a small group.
// What is announced is fixed when the server starts, so it is started again where our
// addresses have changed. A LAN without multicast costs a retry now and then.
func (o *Overlay) discover() error {
	sub, err := o.node.EventBus().Subscribe(new(event.EvtLocalAddressesUpdated))
	if err != nil {
		return err
	}
	o.running.Go(func() {
		defer func() { _ = sub.Close() }()
		l := &lan{o: o}
		defer l.stop()
		timer := time.NewTimer(0)
		defer timer.Stop()
		for {
			select {
			case <-sub.Out():
				timer.Reset(lanSettle)
				continue
			case <-o.grown:
				timer.Reset(mathrand.N(lanPause / 4))
				continue
			case <-timer.C:
			case <-o.ctx.Done():
				return
			}
			next, err := l.turn(net.Interfaces)
			if err != nil {
				o.log.Debug("LAN discovery can't start", "err", err)
				l.stop()
				next = lanRetry
			}
			timer.Reset(next)
		}
	})
	return nil
}

// turn does what is due, and returns when the next turn is unless something happens.
func (l *lan) turn(interfaces func() ([]net.Interface, error)) (next time.Duration, err error) {
	ifaces, err := l.interfaces(interfaces)
	if err != nil {
		return 0, err
	}
	texts, ips, err := l.texts()
	if err != nil {
		return 0, err
	}
	if !slices.Equal(texts, l.announced) {
		l.stop()
		l.announced = texts
	}
	others := 0
	if r := l.o.members.Load(); r != nil {
		others = len(r.sorted)
	}
	looked := l.stopLook != nil
	if !looked {
		l.look(ifaces)
	}
	if KeepsAll(others) {
		return time.Hour, l.serve(ifaces, ips)
	}
	if !looked {
		return lanLook, nil
	}
	l.endLook()
	pause := max(lanPause, time.Duration(others)*lanPauseEach)
	pause = pause*3/4 + mathrand.N(pause/2)
	l.mu.Lock()
	enough := len(l.before) >= lanAnswerers
	l.mu.Unlock()
	if enough {
		l.endServer()
		return pause, nil
	}
	return pause, l.serve(ifaces, ips)
}

func (l *lan) stop() {
	l.endLook()
	l.endServer()
}

var errNoMulticast = errors.New("no interface that is up has multicast")

// interfaces lists those with multicast, without the groups' own. Where there is none
// nothing is tried: the library writes to standard error then, each time.
func (l *lan) interfaces(list func() ([]net.Interface, error)) ([]net.Interface, error) {
	all, err := list()
	if err != nil {
		return nil, err
	}
	const wanted = net.FlagUp | net.FlagMulticast
	all = slices.DeleteFunc(all, func(i net.Interface) bool {
		if i.Flags&wanted != wanted {
			return true
		}
		addrs, err := i.Addrs()
		return err != nil || slices.ContainsFunc(addrs, l.excluded)
	})
	if len(all) == 0 {
		return nil, errNoMulticast
	}
	return all, nil
}

func (l *lan) excluded(a net.Addr) bool {
	prefix, err := netip.ParsePrefix(a.String())
	exclude := l.o.own.gate.exclude
	return err == nil && exclude != nil && exclude(prefix.Addr().Unmap())
}

// texts returns what to announce, sorted: our addresses, and those without ports.
func (l *lan) texts() (texts, ips []string, err error) {
	addrs, err := l.o.node.Network().InterfaceListenAddresses()
	if err != nil {
		return nil, nil, err
	}
	for _, a := range addrs {
		if first, _ := ma.SplitFirst(a); first != nil && !isCircuit(a) && l.o.own.gate.usable(a) {
			texts = append(texts, lanText+a.String()+"/p2p/"+l.o.node.ID().String())
			ips = append(ips, first.Value())
		}
	}
	if len(texts) == 0 {
		return nil, nil, errors.New("no address to announce")
	}
	slices.Sort(texts)
	slices.Sort(ips)
	return texts, slices.Compact(ips), nil
}

// serve answers who asks, until endServer.
func (l *lan) serve(ifaces []net.Interface, ips []string) (err error) {
	if l.server == nil {
		name := strings.ToLower(rand.Text()) // says nothing of us
		l.server, err = zeroconf.RegisterProxy(name, lanService, lanDomain, lanPort, name, ips, l.announced, ifaces)
	}
	return err
}

func (l *lan) endServer() {
	if l.server != nil {
		l.server.Shutdown()
		l.server = nil
	}
}

// look begins to ask who is there.
func (l *lan) look(ifaces []net.Interface) {
	l.mu.Lock()
	l.before = make(map[peer.ID]bool)
	l.mu.Unlock()
	ctx, cancel := context.WithCancel(l.o.ctx)
	var looking sync.WaitGroup
	looking.Go(func() {
		onThese := zeroconf.SelectIfaces(ifaces)
		err := l.browse(ctx, onThese)
		if err != nil && ctx.Err() == nil { // as where no interface has IPv6: it is off, or the MTU is below 1280
			err = l.browse(ctx, onThese, zeroconf.SelectIPTraffic(zeroconf.IPv4))
		}
		if err != nil && ctx.Err() == nil {
			l.o.log.Debug("LAN discovery can't look", "err", err)
		}
	})
	l.stopLook = func() { cancel(); looking.Wait() }
}

// browse asks, and takes what is answered, until ctx ends or it fails.
func (l *lan) browse(ctx context.Context, options ...zeroconf.ClientOption) error {
	entries := make(chan *zeroconf.ServiceEntry, 64)
	ended := make(chan error, 1) // entries isn't closed where it can't begin
	go func() { ended <- zeroconf.Browse(ctx, lanService, lanDomain, entries, options...) }()
	for { // to the end: the library waits for who reads
		select {
		case e, ok := <-entries:
			if !ok {
				return <-ended
			}
			for _, info := range parseEntry(e) {
				if l.o.enter() {
					go func() { defer l.o.running.Done(); l.found(info) }()
				}
			}
		case err := <-ended:
			return err
		}
	}
}

func (l *lan) endLook() {
	if l.stopLook != nil {
		l.stopLook()
		l.stopLook = nil
	}
}

// parseEntry reads who says to be where.
func parseEntry(e *zeroconf.ServiceEntry) []peer.AddrInfo {
	var addrs []ma.Multiaddr
	for _, text := range e.Text[:min(len(e.Text), maxLearnt)] {
		if s, ok := strings.CutPrefix(text, lanText); ok {
			if a, err := ma.NewMultiaddr(s); err == nil {
				addrs = append(addrs, a)
			}
		}
	}
	infos, err := peer.AddrInfosFromP2pAddrs(addrs...)
	if err != nil {
		return nil
	}
	return infos
}

// found takes what a look found. Anybody on the LAN can say anything here; who it is
// shows when the connection is made.
func (l *lan) found(info peer.AddrInfo) {
	o := l.o
	if info.ID == o.node.ID() {
		return
	}
	for _, a := range info.Addrs {
		if o.own.gate.usable(a) {
			o.node.Peerstore().AddAddr(info.ID, a, peerstore.RecentlyConnectedAddrTTL)
		}
	}
	if r := o.members.Load(); r != nil && r.in[info.ID] && info.ID < o.node.ID() {
		l.mu.Lock()
		l.before[info.ID] = true
		l.mu.Unlock()
	}
	o.dialer.heard(info.ID)
	o.tell(heardEvent{info.ID})
	if o.bestConn(info.ID) == nil && len(o.node.swarm.Peers()) < maxLAN {
		_, _ = o.connect(o.ctx, info.ID)
	}
}
