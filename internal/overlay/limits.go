package overlay

import (
	"net/netip"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	rcmgr "github.com/libp2p/go-libp2p/p2p/host/resource-manager"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/relay"
	"github.com/libp2p/go-libp2p/x/rate"
)

// The limits bound what all peers together can make us hold, and what one peer and
// one address can. A cluster of appliances behind one NAT shares an address, so an
// address may have many connections; libp2p's own defaults allow 8, and a new one
// every 5 s.
const (
	maxConns           = 1024
	maxConnsPerAddress = 512
	connRatePerAddress = 32.0 // new connections a second from one address, sustained
	connBurst          = 512
	maxPeerConns       = 16
	maxPeerStreams     = 512
	maxStreams         = 8192
	maxMemory          = 96 << 20 // windows and requests that libp2p accounts for
	maxPeerMemory      = 16 << 20

	// Above highWater connections those that aren't kept are closed, down to lowWater, the
	// ones of the last connGrace excepted: a member of a large group has to do with nearly
	// all others when it comes, and then with few.
	lowWater  = 32
	highWater = 48
	connGrace = 2 * time.Minute
)

func newResourceManager() (network.ResourceManager, error) {
	limits := rcmgr.PartialLimitConfig{
		System: rcmgr.ResourceLimits{
			Conns: maxConns, ConnsInbound: maxConns, ConnsOutbound: maxConns, FD: maxConns / 2,
			Streams: maxStreams, StreamsInbound: maxStreams, StreamsOutbound: maxStreams,
			Memory: maxMemory,
		},
		Transient: rcmgr.ResourceLimits{
			Conns: maxConns / 2, ConnsInbound: maxConns / 4, ConnsOutbound: maxConns / 2, FD: maxConns / 4,
			Streams: 4096, StreamsInbound: 4096, StreamsOutbound: 4096,
			Memory: maxMemory / 4,
		},
		ServiceDefault:      rcmgr.ResourceLimits{Streams: maxStreams, StreamsInbound: maxStreams, StreamsOutbound: maxStreams, Memory: maxMemory},
		ServicePeerDefault:  rcmgr.ResourceLimits{Streams: maxPeerStreams, StreamsInbound: maxPeerStreams, StreamsOutbound: maxPeerStreams, Memory: maxPeerMemory},
		ProtocolDefault:     rcmgr.ResourceLimits{Streams: maxStreams, StreamsInbound: maxStreams, StreamsOutbound: maxStreams, Memory: maxMemory},
		ProtocolPeerDefault: rcmgr.ResourceLimits{Streams: maxPeerStreams, StreamsInbound: maxPeerStreams, StreamsOutbound: maxPeerStreams, Memory: maxPeerMemory},
		PeerDefault: rcmgr.ResourceLimits{
			Conns: maxPeerConns, ConnsInbound: maxPeerConns, ConnsOutbound: maxPeerConns, FD: maxPeerConns,
			Streams: maxPeerStreams, StreamsInbound: maxPeerStreams, StreamsOutbound: maxPeerStreams,
			Memory: maxPeerMemory,
		},
		Conn:   rcmgr.ResourceLimits{Conns: 1, ConnsInbound: 1, ConnsOutbound: 1, FD: 1, Memory: maxPeerMemory},
		Stream: rcmgr.ResourceLimits{Streams: 1, StreamsInbound: 1, StreamsOutbound: 1, Memory: 4 << 20},
	}.Build(rcmgr.ConcreteLimitConfig{})

	subnet := func(v4, v6 int) ([]rcmgr.ConnLimitPerSubnet, []rcmgr.ConnLimitPerSubnet) {
		return []rcmgr.ConnLimitPerSubnet{{PrefixLength: 32, ConnCount: v4}},
			[]rcmgr.ConnLimitPerSubnet{{PrefixLength: 64, ConnCount: v6}}
	}
	each := rate.Limit{RPS: connRatePerAddress, Burst: connBurst}
	limiter := &rate.Limiter{
		NetworkPrefixLimits: []rate.PrefixLimit{
			{Prefix: netip.MustParsePrefix("127.0.0.0/8")}, // no limit
			{Prefix: netip.MustParsePrefix("::1/128")},
		},
		SubnetRateLimiter: rate.SubnetLimiter{
			IPv4SubnetLimits: []rate.SubnetLimit{{PrefixLength: 32, Limit: each}},
			IPv6SubnetLimits: []rate.SubnetLimit{{PrefixLength: 64, Limit: each}},
			GracePeriod:      time.Minute,
		},
	}
	return rcmgr.NewResourceManager(rcmgr.NewFixedLimiter(limits),
		rcmgr.WithMetricsDisabled(),
		rcmgr.WithLimitPerSubnet(subnet(maxConnsPerAddress, maxConnsPerAddress)),
		rcmgr.WithConnRateLimiters(limiter))
}

const reservationTTL = time.Hour

// relayResources size the relay for signalling between members: many circuits, each
// with little in it. A circuit has no limit of time or bytes, as it carries streams
// for as long as two members have no direct connection; who may have one is relayACL's
// matter.
func relayResources() relay.Resources {
	return relay.Resources{
		ReservationTTL:        reservationTTL,
		MaxReservations:       512,
		MaxCircuits:           128,
		BufferSize:            2048,
		MaxReservationsPerIP:  256,
		MaxReservationsPerASN: 512,
	}
}
