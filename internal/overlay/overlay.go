package overlay

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	ds "github.com/ipfs/go-datastore"
	dht "github.com/libp2p/go-libp2p-kad-dht"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/relay"
	ma "github.com/multiformats/go-multiaddr"

	"landbridge/internal/group"
	"landbridge/internal/store"
)

// Config is what Open needs. Only Key is required.
type Config struct {
	// Key is the node key; the member ID is its public half.
	Key ed25519.PrivateKey
	// Socket is the QUIC share of the data socket: QUIC listens and dials on its port.
	// The overlay never closes it, and reads it until Close. Its local address must be
	// a *net.UDPAddr; one of [::] stands for a dual-stack socket. Nil: TCP only.
	Socket net.PacketConn
	// ListenTCP is the address for TCP, for peers that UDP doesn't reach; [::] stands
	// for both families. Zero: no listening for TCP.
	ListenTCP netip.AddrPort
	// Proxy is the HTTP proxy through which TCP goes where it doesn't get out directly, as
	// http://USER:PASSWORD@HOST:PORT; it connects by CONNECT. Nil: none.
	Proxy *url.URL
	// Announce lists further addresses where others reach us, as multiaddrs without our
	// ID: a forwarded port, a host name.
	Announce []string
	// LAN looks for others on the local network, and announces us there.
	LAN bool
	// Exclude tells which addresses are inside the groups' own prefixes; they are
	// neither announced nor dialled, and nothing is accepted from them. It is called
	// often, from many goroutines. Nil: none.
	Exclude func(netip.Addr) bool
	// Validator checks a group's descriptor for the DHT and returns its version. Nil: no
	// descriptor is accepted.
	Validator func(id group.ID, value []byte) (version uint64, err error)
	// Guest is for a node with a question or two: it keeps nothing for the DHT and asks nobody
	// to relay for it, so that strangers don't find it.
	Guest bool
	// Store remembers peers from run to run. Nil: until Close.
	Store *store.DB
	// Log gets what an operator wants to know; its volume doesn't depend on what peers
	// do. Nil: nothing is logged.
	Log *slog.Logger
}

// Overlay is a node's place among all nodes. Its methods are safe for concurrent use.
type Overlay struct {
	self      group.MemberID
	guest     bool
	log       *slog.Logger
	validator validator

	node   *node
	dht    *dht.IpfsDHT
	relay  *relay.Relay
	names  names
	own    selfView
	memory *memory

	members     atomic.Pointer[roster]
	wanting     sync.Mutex // guards wanted and next
	wanted      []peer.ID  // to whom the keeper keeps connections; sorted
	next        []peer.ID  // of these, the members to whom news are passed on; sorted
	server      server
	dialer      dialer
	inbox       inbox
	grown       chan struct{} // of capacity 1: the group has become large
	subscribers subscribers
	published   published
	records     records
	relaying    relaying
	counters    counters

	ctx     context.Context
	cancel  context.CancelFunc
	closing sync.RWMutex // guards closed and adding to running
	closed  bool
	running sync.WaitGroup
}

// Open starts the overlay: it listens, and begins to connect to the peers that it
// knows, without waiting for them. ctx bounds the start only.
func Open(ctx context.Context, cfg Config) (*Overlay, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if len(cfg.Key) != ed25519.PrivateKeySize {
		return nil, fmt.Errorf("open overlay: node key of %d bytes, want %d", len(cfg.Key), ed25519.PrivateKeySize)
	}
	o := &Overlay{
		self:        group.MemberOf(cfg.Key.Public().(ed25519.PublicKey)),
		guest:       cfg.Guest,
		log:         cfg.Log,
		validator:   cfg.Validator,
		server:      server{handlers: make(map[string]Handler), streams: make(map[string]StreamHandler), longBy: make(map[peer.ID]int), added: make(chan struct{}), opened: time.Now(), running: make(map[peer.ID]int)},
		dialer:      dialer{active: make(map[peer.ID]*reaching), failed: make(map[peer.ID]failure), sought: make(map[peer.ID][]Attempt), suspects: make(map[network.Conn]bool), tidying: make(map[peer.ID]bool)},
		inbox:       inbox{changed: make(map[peer.ID]bool), signal: make(chan struct{}, 1)},
		subscribers: subscribers{subs: make(map[int]*subscriber)},
		grown:       make(chan struct{}, 1),
		published:   published{values: make(map[group.ID]publishedValue), grown: make(chan struct{}, 1)},
	}
	o.records.values = make(map[ds.Key][]byte)
	if o.log == nil {
		o.log = slog.New(slog.DiscardHandler)
	}
	if o.validator == nil {
		o.validator = func(group.ID, []byte) (uint64, error) { return 0, errors.New("this node takes no descriptors") }
	}
	o.ctx, o.cancel = context.WithCancel(context.Background())
	if err := o.start(cfg); err != nil {
		return nil, errors.Join(fmt.Errorf("open overlay: %w", err), o.Close())
	}
	return o, nil
}

// start makes the parts. Handlers come before listening, so that the first peer finds
// all of them.
func (o *Overlay) start(cfg Config) error {
	routeLibraryLogs(o.log)
	announce, err := parseAnnounced(cfg.Announce)
	if err != nil {
		return err
	}
	o.relaying.members = &o.members
	o.own = selfView{gate: gate{cfg.Exclude}, announce: announce}
	var shared *families
	if cfg.Socket != nil {
		if shared, err = newFamilies(cfg.Socket); err != nil {
			return err
		}
	}
	o.node, err = newNode(hostConfig{
		key: cfg.Key, families: shared, gater: o.own.gate, resolver: &o.names, announce: o.own.addrs, proxy: cfg.Proxy,
	})
	if err != nil {
		if shared != nil {
			err = errors.Join(err, shared.close())
		}
		return err
	}
	if o.memory, err = openMemory(cfg.Store, o.node.Peerstore(), o.log); err != nil {
		return err
	}
	o.Handle(pingProtocol, func(context.Context, group.MemberID, []byte) ([]byte, error) { return nil, nil })
	o.Handle(whereProtocol, o.answerWhere)
	o.node.SetStreamHandlerMatch(protocol.ID("/landbridge"), serves, o.serve)
	if o.relay, err = relay.New(o.node, relay.WithResources(relayResources()), relay.WithACL(&o.relaying),
		relay.WithReservationAddressFilter(func(ma.Multiaddr) bool { return false })); err != nil {
		return fmt.Errorf("relay: %w", err)
	}
	if err := o.watch(); err != nil {
		return err
	}
	o.node.Start()
	if o.dht, err = newDHT(o.node, o.validator, &o.records, o.guest); err != nil {
		return err
	}
	if err := o.node.listen(cfg.ListenTCP); err != nil {
		return err
	}
	o.running.Go(func() { o.keep(newKeeper(rand.Float64)) })
	o.running.Go(o.republish)
	o.rewant()
	if cfg.LAN {
		return o.discover()
	}
	return nil
}

func parseAnnounced(addrs []string) ([]ma.Multiaddr, error) {
	var announce []ma.Multiaddr
	var faults []error
	for _, s := range addrs {
		a, err := ma.NewMultiaddr(s)
		if err != nil {
			faults = append(faults, fmt.Errorf("address to announce %q: %w; write it like /ip4/192.0.2.7/udp/4242/quic-v1", s, err))
			continue
		}
		announce = append(announce, a)
	}
	return announce, errors.Join(faults...)
}

// Close ends all connections, waits for handlers and everything else that runs, and
// saves what is remembered. The socket stays open, and nothing reads it any more.
func (o *Overlay) Close() error {
	o.closing.Lock()
	was := o.closed
	o.closed = true
	o.closing.Unlock()
	if was {
		return nil
	}
	o.cancel()
	var err error
	o.dialer.stop()
	if o.node != nil {
		// First, so that nothing below waits for a peer.
		err = errors.Join(err, o.node.swarm.Close())
	}
	if o.dht != nil {
		err = errors.Join(err, o.dht.Close())
	}
	if o.relay != nil {
		err = errors.Join(err, o.relay.Close())
	}
	if o.node != nil {
		err = errors.Join(err, o.node.Close())
	}
	o.running.Wait()
	if o.memory != nil {
		err = errors.Join(err, o.memory.close())
	}
	if o.node != nil && o.node.families != nil {
		err = errors.Join(err, o.node.families.close())
	}
	return err
}

// enter registers something that runs; running.Done ends it. It fails after Close.
func (o *Overlay) enter() bool {
	o.closing.RLock()
	defer o.closing.RUnlock()
	if o.closed {
		return false
	}
	o.running.Add(1)
	return true
}

// Self returns this node's ID.
func (o *Overlay) Self() group.MemberID { return o.self }

// Add tells where members are, as multiaddrs that end in /p2p/ID: those of an
// invitation, such as /ip4/192.0.2.7/udp/4242/quic-v1/p2p/12D3KooW…. The overlay connects
// to them and keeps connected. What doesn't parse is left out.
func (o *Overlay) Add(addrs []string) {
	if !o.enter() {
		return
	}
	defer o.running.Done()
	for _, s := range addrs {
		info, err := parseAddr(s)
		if err != nil || info.ID == o.node.ID() {
			continue
		}
		o.names.allow(info.Addrs...)
		o.memory.give(info.ID, info.Addrs...)
		o.dialer.heard(info.ID)
		defer o.tell(heardEvent{info.ID})
	}
	o.rewant()
}

// Addrs lists where others can reach this node, as multiaddrs with its ID: what the
// operator announces first, then the interfaces' addresses, the data socket as others
// see it, and circuits through relays.
func (o *Overlay) Addrs() []string {
	self := ma.StringCast("/p2p/" + o.node.ID().String())
	var out []string
	for _, a := range o.own.addrs(o.node.AllAddrs()) {
		out = append(out, a.Encapsulate(self).String())
	}
	return out
}

// Observed lists the data socket's address and port as connected peers see them,
// those with most witnesses first. Behind a NAT that is where the NAT has mapped it;
// more than one where the NAT maps differently for each destination.
func (o *Overlay) Observed() []netip.AddrPort { return o.own.reflexive() }

// SetMapped takes where the router before this host passes on to it what comes, for the data socket and for
// TCP: others are told. What isn't valid isn't mapped.
func (o *Overlay) SetMapped(data, tcp netip.AddrPort) { o.own.setMapped(data, tcp) }

// Reached lists where the data socket may be reached from outside: as mapped by the router, and
// as Observed.
func (o *Overlay) Reached() []netip.AddrPort {
	observed := o.Observed()
	o.own.mu.Lock()
	defer o.own.mu.Unlock()
	if !o.own.data.IsValid() || slices.Contains(observed, o.own.data) {
		return observed
	}
	return append([]netip.AddrPort{o.own.data}, observed...)
}
