package overlay

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"net/url"

	"github.com/libp2p/go-libp2p/core/connmgr"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	"github.com/libp2p/go-libp2p/core/sec"
	"github.com/libp2p/go-libp2p/core/transport"
	basichost "github.com/libp2p/go-libp2p/p2p/host/basic"
	"github.com/libp2p/go-libp2p/p2p/host/eventbus"
	"github.com/libp2p/go-libp2p/p2p/host/peerstore/pstoremem"
	muxer "github.com/libp2p/go-libp2p/p2p/muxer/yamux"
	connlimit "github.com/libp2p/go-libp2p/p2p/net/connmgr"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	"github.com/libp2p/go-libp2p/p2p/net/upgrader"
	circuit "github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/client"
	libp2ptls "github.com/libp2p/go-libp2p/p2p/security/tls"
	libp2pquic "github.com/libp2p/go-libp2p/p2p/transport/quic"
	"github.com/libp2p/go-libp2p/p2p/transport/quicreuse"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	"github.com/libp2p/go-yamux/v5"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// node is the libp2p host with its parts. It is put together here, part by part, and
// not by libp2p's own constructor: that one links WebRTC, WebTransport, WebSocket and
// a dependency injector (15 MB of program), and always adds AutoNAT.
type node struct {
	*basichost.BasicHost
	swarm    *swarm.Swarm
	families *families              // nil without a data socket
	quic     *quicreuse.ConnManager // nil without a data socket
}

// hostConfig is what the host takes from the overlay.
type hostConfig struct {
	key      ed25519.PrivateKey
	families *families
	gater    connmgr.ConnectionGater
	resolver network.MultiaddrDNSResolver
	announce basichost.AddrsFactory
	proxy    *url.URL // for TCP; nil: none
}

// newNode builds the host. It neither listens nor dials yet.
func newNode(cfg hostConfig) (*node, error) {
	key, err := crypto.UnmarshalEd25519PrivateKey(cfg.key)
	if err != nil {
		return nil, fmt.Errorf("node key: %w", err)
	}
	id, err := peer.IDFromPrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("node key: %w", err)
	}
	// What has been made when a later part fails is closed again, last first.
	var made closers
	fail := func(err error) (*node, error) { return nil, errors.Join(err, made.Close()) }

	peers, err := newPeerstore(id, key)
	if err != nil {
		return fail(err)
	}
	made = append(made, peers)
	limits, err := newResourceManager()
	if err != nil {
		return fail(err)
	}
	made = append(made, limits)
	bus := eventbus.NewBus()
	sw, err := swarm.NewSwarm(id, peers, bus,
		swarm.WithResourceManager(limits),
		swarm.WithConnectionGater(cfg.gater),
		swarm.WithMultiaddrResolver(cfg.resolver),
		swarm.WithDialRanker(rankDials),
		swarm.WithDialTimeout(dialTimeout),
		swarm.WithDialTimeoutLocal(dialTimeout),
		swarm.WithUDPBlackHoleSuccessCounter(nil),
		swarm.WithIPv6BlackHoleSuccessCounter(nil))
	if err != nil {
		return fail(err)
	}
	made = append(made, sw)
	n := &node{swarm: sw, families: cfg.families}
	upgrade, err := n.addTransports(key, cfg, limits)
	if err != nil {
		return fail(err)
	}
	trim, err := connlimit.NewConnManager(lowWater, highWater, connlimit.WithGracePeriod(connGrace))
	if err != nil {
		return fail(err)
	}
	made = append(made, trim)
	n.BasicHost, err = basichost.NewHost(sw, &basichost.HostOpts{
		EventBus:                bus,
		ConnManager:             trim,
		AddrsFactory:            cfg.announce,
		UserAgent:               "landbridge",
		ProtocolVersion:         "landbridge/1",
		DisableSignedPeerRecord: true, // addresses come over authenticated connections
	})
	if err != nil {
		return fail(err)
	}
	if err := circuit.AddTransport(n.BasicHost, upgrade); err != nil {
		return nil, errors.Join(err, n.BasicHost.Close())
	}
	return n, nil
}

func newPeerstore(self peer.ID, key crypto.PrivKey) (peerstore.Peerstore, error) {
	peers, err := pstoremem.NewPeerstore(pstoremem.WithMaxAddresses(8192), pstoremem.WithMaxAddressesPerPeer(32))
	if err != nil {
		return nil, err
	}
	if err := errors.Join(peers.AddPrivKey(self, key), peers.AddPubKey(self, key.GetPublic())); err != nil {
		return nil, errors.Join(err, peers.Close())
	}
	return peers, nil
}

// addTransports adds TCP, and QUIC where there is a data socket. TLS is the one
// security protocol for both, and for circuits.
func (n *node) addTransports(key crypto.PrivKey, cfg hostConfig, limits network.ResourceManager) (transport.Upgrader, error) {
	muxers := []upgrader.StreamMuxer{{ID: muxer.ID, Muxer: newMuxer()}}
	tls, err := libp2ptls.New(libp2ptls.ID, key, muxers)
	if err != nil {
		return nil, err
	}
	upgrade, err := upgrader.New([]sec.SecureTransport{tls}, muxers, nil, limits, cfg.gater,
		upgrader.WithAcceptTimeout(dialTimeout))
	if err != nil {
		return nil, err
	}
	// Without SO_REUSEPORT, so that a second daemon on the port is refused.
	options := []tcp.Option{tcp.DisableReuseport(), tcp.WithConnectionTimeout(dialTimeout)}
	if cfg.proxy != nil {
		options = append(options, detour{cfg.proxy}.dialer())
	}
	overTCP, err := tcp.NewTCPTransport(upgrade, limits, nil, options...)
	if err != nil {
		return nil, err
	}
	if err := n.swarm.AddTransport(overTCP); err != nil {
		return nil, err
	}
	if n.families == nil {
		return upgrade, nil
	}
	if n.quic, err = newQUIC(key, n.families, limits); err != nil {
		return nil, err
	}
	overQUIC, err := libp2pquic.NewTransport(key, n.quic, nil, cfg.gater, limits)
	if err != nil {
		return nil, err
	}
	return upgrade, n.swarm.AddTransport(overQUIC)
}

// newMuxer returns yamux for TCP and circuits, with windows for signalling instead of
// bulk, and keep-alives that find a dead peer as fast as QUIC's do.
func newMuxer() *muxer.Transport {
	config := yamux.DefaultConfig()
	config.LogOutput = io.Discard
	config.ReadBufSize = 0
	config.MaxStreamWindowSize = 1 << 20
	config.MaxIncomingStreams = maxPeerStreams
	config.KeepAliveInterval = quicKeepAlive
	config.ConnectionWriteTimeout = quicIdle - quicKeepAlive
	return (*muxer.Transport)(config)
}

// listen starts accepting. It fails where any address can't be had.
func (n *node) listen(tcpAddr netip.AddrPort) error {
	if n.families != nil {
		for _, v := range n.families.views() {
			addr, err := manet.FromNetAddr(v.local)
			if err == nil {
				err = n.swarm.Listen(addr.Encapsulate(ma.StringCast("/quic-v1")))
			}
			if err != nil {
				return fmt.Errorf("listen for QUIC at %v: %w", v.local, err)
			}
		}
	}
	if !tcpAddr.IsValid() {
		return nil
	}
	addrs := []netip.AddrPort{tcpAddr}
	if tcpAddr.Addr() == netip.IPv6Unspecified() {
		// libp2p's wildcards stand for one family each.
		addrs = []netip.AddrPort{netip.AddrPortFrom(netip.IPv4Unspecified(), tcpAddr.Port()), tcpAddr}
	}
	for i, addr := range addrs {
		if err := n.swarm.Listen(tcpMultiaddr(addr)); err != nil {
			if i > 0 { // no IPv6 here, or the port that the kernel chose is taken there
				return nil
			}
			return fmt.Errorf("listen for TCP at %v: %w", addr, kernelsWord(addr, err))
		}
		if i == 0 && len(addrs) > 1 && addr.Port() == 0 {
			addrs[1] = netip.AddrPortFrom(addrs[1].Addr(), n.tcpPort())
		}
	}
	return nil
}

// kernelsWord returns why the kernel doesn't let us listen at addr, a *net.OpError: the
// swarm's err has but the text of it.
func kernelsWord(addr netip.AddrPort, err error) error {
	l, again := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(addr))
	if again != nil {
		return again
	}
	return errors.Join(err, l.Close())
}

// tcpPort returns the port that we listen on with TCP; 0 for none.
func (n *node) tcpPort() uint16 {
	for _, a := range n.swarm.ListenAddresses() {
		if ap, transport := addrPortOf(a); transport == ma.P_TCP {
			return ap.Port()
		}
	}
	return 0
}

// Close ends all connections and lets go of the data socket.
func (n *node) Close() error {
	err := n.BasicHost.Close()
	if n.quic != nil {
		err = errors.Join(err, n.quic.Close())
	}
	return err
}

// closers closes its members, last first.
type closers []io.Closer

func (c closers) Close() error {
	var err error
	for i := len(c) - 1; i >= 0; i-- {
		err = errors.Join(err, c[i].Close())
	}
	return err
}
