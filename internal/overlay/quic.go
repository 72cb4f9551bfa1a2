package overlay

import (
	"context"
	"crypto/hkdf"
	"crypto/sha256"
	"fmt"
	"net"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/p2p/transport/quicreuse"
	"github.com/quic-go/quic-go"
)

const (
	// A connection whose peer is silent for quicIdle is closed. The dialling side
	// announces it, and QUIC takes the smaller of both sides' values (RFC 9000,
	// section 10.1), so it holds for every connection.
	quicIdle = 12 * time.Second
	// quicKeepAlive also keeps a NAT's mapping of the data socket; NATs drop UDP
	// mappings after 30 s at the earliest.
	quicKeepAlive = 5 * time.Second
	quicHandshake = 5 * time.Second
)

// newQUIC builds libp2p's QUIC connection manager over the data socket. What libp2p's
// own constructor adds is added here too: the resource manager counts each connection
// before its handshake, and decides when a client must first prove its address.
func newQUIC(key crypto.PrivKey, f *families, limits network.ResourceManager) (*quicreuse.ConnManager, error) {
	raw, err := key.Raw()
	if err != nil {
		return nil, err
	}
	// The stateless reset key comes from the node key, so that a restarted node can
	// tell its peers at once that their connections are gone (RFC 9000, section 10.3).
	reset, err := hkdf.Key(sha256.New, raw, nil, "landbridge quic stateless reset", len(quic.StatelessResetKey{}))
	if err != nil {
		return nil, err
	}
	token, err := hkdf.Key(sha256.New, raw, nil, "landbridge quic address token", len(quic.TokenGeneratorKey{}))
	if err != nil {
		return nil, err
	}
	manager, err := quicreuse.NewConnManager(quic.StatelessResetKey(reset), quic.TokenGeneratorKey(token),
		quicreuse.OverrideListenUDP(f.listen),
		quicreuse.OverrideSourceIPSelector(func() (quicreuse.SourceIPSelector, error) { return f, nil }),
		quicreuse.ConnContext(func(ctx context.Context, client *quic.ClientInfo) (context.Context, error) {
			// An address that doesn't convert is the resource manager's to judge.
			addr, _ := quicreuse.ToQuicMultiaddr(client.RemoteAddr, quic.Version1)
			scope, err := limits.OpenConnection(network.DirInbound, false, addr)
			if err != nil {
				return ctx, err
			}
			ctx = network.WithConnManagementScope(ctx, scope)
			context.AfterFunc(ctx, scope.Done)
			return ctx, nil
		}),
		quicreuse.VerifySourceAddress(limits.VerifySourceAddress),
	)
	if err != nil {
		return nil, fmt.Errorf("QUIC: %w", err)
	}
	config := manager.ClientConfig()
	config.MaxIdleTimeout = quicIdle
	config.KeepAlivePeriod = quicKeepAlive
	config.HandshakeIdleTimeout = quicHandshake
	return manager, nil
}

// PreferredSourceIPForDestination tells libp2p which socket a dial leaves from, where
// the socket is bound to one address: that one. (libp2p would ask the kernel's routes,
// to choose among several.)
func (f *families) PreferredSourceIPForDestination(to *net.UDPAddr) (net.IP, error) {
	if to.IP.To4() != nil && f.v4 != nil {
		return f.v4.local.IP, nil
	}
	if to.IP.To4() == nil && f.v6 != nil {
		return f.v6.local.IP, nil
	}
	return nil, fmt.Errorf("the data socket at %v does not reach %v", f.socket.LocalAddr(), to.IP)
}
