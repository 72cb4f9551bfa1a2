package overlay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
	msmux "github.com/multiformats/go-multistream"

	"landbridge/internal/group"
)

const (
	maxStreamsByMember = 4                    // that one member may have open here, of those that OpenStream makes
	maxLongStreams     = 256                  // of all
	streamTag          = "landbridge stream " // and its ID
)

// ErrNoTCP says that there is no TCP connection straight to a member.
var ErrNoTCP = errors.New("there is no TCP connection straight to the member")

// A Stream is a stream of bytes to a member, over a TCP connection that no third one relays. Close ends it
// at once, with a Read or Write that waits.
type Stream struct {
	stream  network.Stream
	muxed   io.ReadWriter // stream, with the choice of protocol before the first bytes
	release func()        // see protect
}

func (s *Stream) Read(b []byte) (int, error)  { return s.muxed.Read(b) }
func (s *Stream) Write(b []byte) (int, error) { return s.muxed.Write(b) }

// SetReadDeadline bounds the Reads until another one is set; the zero time is none.
func (s *Stream) SetReadDeadline(at time.Time) error { return s.stream.SetReadDeadline(at) }

// Close ends the stream.
func (s *Stream) Close() error {
	s.release()
	return s.stream.Reset()
}

// RemoteAddr is the member's end of the connection.
func (s *Stream) RemoteAddr() netip.AddrPort {
	addr, err := manet.ToNetAddr(s.stream.Conn().RemoteMultiaddr())
	if err != nil {
		return netip.AddrPort{}
	}
	at, _ := netip.ParseAddrPort(addr.String())
	return netip.AddrPortFrom(at.Addr().Unmap(), at.Port())
}

// StreamHandler deals with a stream that a member of this node's groups has opened, and closes it. It may stay for
// as long as the stream stands.
type StreamHandler func(from group.MemberID, s *Stream)

// HandleStreams registers h for streams of protocol, which begins with "/landbridge/".
func (o *Overlay) HandleStreams(protocol string, h StreamHandler) {
	s := &o.server
	s.mu.Lock()
	defer s.mu.Unlock()
	s.streams[protocol] = h
}

// OpenStream opens a stream to a member's handler of protocol. It connects where there is no connection, and fails
// with ErrNoTCP where none is by TCP and straight.
func (o *Overlay) OpenStream(ctx context.Context, to group.MemberID, proto string) (*Stream, error) {
	if !o.enter() {
		return nil, ErrClosed
	}
	defer o.running.Done()
	p := to.Peer()
	if _, err := o.connect(ctx, p); err != nil {
		return nil, err
	}
	for _, c := range o.node.swarm.ConnsToPeer(p) {
		if c.IsClosed() || !straightTCP(c) {
			continue
		}
		s, err := c.NewStream(ctx)
		if err == nil {
			err = s.SetProtocol(protocol.ID(proto))
		}
		if err != nil {
			return nil, fmt.Errorf("open a stream: %w", err)
		}
		return &Stream{stream: s, muxed: msmux.NewMSSelect(s, protocol.ID(proto)), release: o.protect(s)}, nil
	}
	return nil, ErrNoTCP
}

// protect keeps the connection of a stream from being closed as one too many, until release is called.
func (o *Overlay) protect(s network.Stream) (release func()) {
	p, tag := s.Conn().RemotePeer(), streamTag+s.ID()
	o.node.ConnManager().Protect(p, tag)
	return func() { o.node.ConnManager().Unprotect(p, tag) }
}

func straightTCP(c network.Conn) bool {
	a := c.RemoteMultiaddr()
	_, err := a.ValueForProtocol(ma.P_TCP)
	return err == nil && !isCircuit(a)
}

// takeStream hands a stream to its handler, if it is one of those and may be had. It reports false for calls.
func (o *Overlay) takeStream(s network.Stream) bool {
	v, p := &o.server, s.Conn().RemotePeer()
	v.mu.Lock()
	h := v.streams[string(s.Protocol())]
	v.mu.Unlock()
	if h == nil {
		return false
	}
	from, err := group.MemberOfPeer(p)
	if err != nil || o.stranger(p) || !straightTCP(s.Conn()) || !v.beginStream(p) {
		_ = s.Reset()
		return true
	}
	defer v.doneStream(p)
	taken := &Stream{stream: s, muxed: s, release: o.protect(s)}
	h(from, taken)
	_ = taken.Close() // where the handler hasn't
	return true
}

func (s *server) beginStream(p peer.ID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.long >= maxLongStreams || s.longBy[p] >= maxStreamsByMember {
		return false
	}
	s.long++
	s.longBy[p]++
	return true
}

func (s *server) doneStream(p peer.ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.long--
	if s.longBy[p]--; s.longBy[p] == 0 {
		delete(s.longBy, p)
	}
}
