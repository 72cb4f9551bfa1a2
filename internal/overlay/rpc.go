package overlay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	msmux "github.com/multiformats/go-multistream"
	"github.com/quic-go/quic-go"

	"landbridge/internal/group"
)

// Handler answers one call. from is authenticated: the caller holds that key. It is
// not known to be in any group. req is the handler's. ctx ends when the caller stops
// waiting, at the latest after 30 s. A handler may see a request twice: a caller
// whose connection broke asks again.
type Handler func(ctx context.Context, from group.MemberID, req []byte) ([]byte, error)

const (
	prefix         = "/landbridge/" // of every protocol that Handle takes
	maxCalls       = 512            // handlers that run at once
	maxCallsByPeer = 64             // of them for one peer
	// Peers that aren't members share a few places: IDs cost nothing, so that a bound
	// for each alone would let them take all.
	maxCallsByStrangers = 64
	maxCallsByStranger  = 8
	maxHandling         = 30 * time.Second
	maxRepeats          = 3                // of a call whose connection turns out to be dead
	transferTime        = 10 * time.Second // for a request to come in, and a reply to go out
	// A call may come before its handler is registered, in the first moments after Open.
	handlerWait = 2 * time.Second
)

// server holds the handlers and bounds how many run.
type server struct {
	mu       sync.Mutex
	handlers map[string]Handler
	added    chan struct{} // closed and renewed by each Handle
	opened   time.Time
	running  map[peer.ID]int
	streams  map[string]StreamHandler
	long     int // streams that handlers of these have
	longBy   map[peer.ID]int
	total    int // all calls that run, strangers' included
	ofOthers int // those of strangers
}

// Handle registers h for calls of protocol, which begins with "/landbridge/".
// It replaces an earlier handler of the same protocol.
func (o *Overlay) Handle(protocol string, h Handler) {
	if !strings.HasPrefix(protocol, prefix) {
		panic("overlay: protocol " + protocol + " must begin with " + prefix)
	}
	s := &o.server
	s.mu.Lock()
	defer s.mu.Unlock()
	s.handlers[protocol] = h
	close(s.added)
	s.added = make(chan struct{})
}

// handler returns the handler of protocol; just after the start it waits for it. Nil
// for none.
func (s *server) handler(ctx context.Context, protocol string) Handler {
	timeout := time.NewTimer(max(0, time.Until(s.opened.Add(handlerWait))))
	defer timeout.Stop()
	for {
		s.mu.Lock()
		h, added := s.handlers[protocol], s.added
		s.mu.Unlock()
		if h != nil {
			return h
		}
		select {
		case <-added:
		case <-timeout.C:
			return nil
		case <-ctx.Done():
			return nil
		}
	}
}

// begin takes a place for a call of p, before its body is read; done gives it back.
func (s *server) begin(p peer.ID, stranger bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.total >= maxCalls || s.running[p] >= maxCallsByPeer {
		return false
	}
	if stranger {
		if s.ofOthers >= maxCallsByStrangers || s.running[p] >= maxCallsByStranger {
			return false
		}
		s.ofOthers++
	}
	s.total++
	s.running[p]++
	return true
}

// done takes what begin was given: a peer may become a member in between.
func (s *server) done(p peer.ID, stranger bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.total--
	if stranger {
		s.ofOthers--
	}
	if s.running[p]--; s.running[p] == 0 {
		delete(s.running, p)
	}
}

// serves tells libp2p which protocols are ours: all under our prefix but Kademlia's.
func serves(p protocol.ID) bool {
	return strings.HasPrefix(string(p), prefix) && len(p) <= 64 && !strings.HasPrefix(string(p), prefix+"kad/")
}

// serve answers one call. libp2p runs it in the stream's own goroutine.
func (o *Overlay) serve(s network.Stream) {
	if !o.enter() {
		_ = s.Reset()
		return
	}
	defer o.running.Done()
	if o.takeStream(s) {
		return
	}
	ok := o.answer(s)
	if !ok {
		_ = s.Reset()
		return
	}
	_ = s.Close()
}

// answer reports whether the stream ended well, with a reply written.
func (o *Overlay) answer(s network.Stream) bool {
	remote := s.Conn().RemotePeer()
	from, err := group.MemberOfPeer(remote)
	if err != nil {
		return false
	}
	_ = s.SetReadDeadline(time.Now().Add(transferTime))
	var header [requestHeader]byte
	if _, err := io.ReadFull(s, header[:]); err != nil {
		return false
	}
	wait, n, err := parseRequestHeader(header)
	if err != nil {
		return false
	}
	stranger, priority := o.stranger(remote), network.ReservationPriorityHigh
	if stranger {
		priority = network.ReservationPriorityLow
	}
	if !o.server.begin(remote, stranger) {
		return o.reply(s, statusBusy, nil)
	}
	defer o.server.done(remote, stranger)
	// The resource manager bounds the bytes of all requests together.
	if err := s.Scope().ReserveMemory(n, priority); err != nil {
		return o.reply(s, statusBusy, nil)
	}
	defer s.Scope().ReleaseMemory(n)
	req, err := readBody(s, n)
	if err != nil {
		return false
	}
	if wait <= 0 || wait > maxHandling {
		wait = maxHandling
	}
	ctx, cancel := context.WithTimeout(o.ctx, wait)
	defer cancel()
	h := o.server.handler(ctx, string(s.Protocol()))
	if h == nil {
		return o.reply(s, statusUnknown, nil)
	}
	body, err := h(ctx, from, req)
	switch {
	case err != nil:
		text := err.Error()
		return o.reply(s, statusError, []byte(text[:min(len(text), 1024)]))
	case len(body) > MaxMessage:
		return o.reply(s, statusError, []byte(errMessageSize.Error()))
	}
	return o.reply(s, statusOK, body)
}

func (o *Overlay) reply(s network.Stream, code status, body []byte) bool {
	_ = s.SetWriteDeadline(time.Now().Add(transferTime))
	_, err := s.Write(appendReply(make([]byte, 0, replyHeader+len(body)), code, body))
	return err == nil
}

// Call sends req to the member's handler of protocol and returns its reply. It
// connects first where there is no connection: directly, or through a relay. It
// returns when ctx ends, whatever the network does. Errors: RemoteError is the
// handler's own; ErrUnreachable, ErrBusy, ErrNotHandled; ctx's.
func (o *Overlay) Call(ctx context.Context, to group.MemberID, protocol string, req []byte) ([]byte, error) {
	reply, err := o.call(ctx, to, protocol, req)
	if err != nil {
		return nil, fmt.Errorf("call %s of member %s: %w", strings.TrimPrefix(protocol, prefix), to.Short(), err)
	}
	return reply, nil
}

func (o *Overlay) call(ctx context.Context, to group.MemberID, protocol string, req []byte) ([]byte, error) {
	if len(req) > MaxMessage {
		return nil, errMessageSize
	}
	if !o.enter() {
		return nil, ErrClosed
	}
	defer o.running.Done()
	if to == o.self {
		return o.callSelf(ctx, protocol, req)
	}
	p := to.Peer()
	for attempt := 0; ; attempt++ {
		conn, err := o.connect(ctx, p)
		if err != nil {
			return nil, err
		}
		reply, err := o.callOn(ctx, conn, protocol, req)
		if err == nil || ctx.Err() != nil || attempt == maxRepeats || !broken(conn, err) {
			return reply, err
		}
		// The connection was gone, and we didn't know: the peer has restarted. There may
		// be a second one like it, dialled by the other side.
		_ = conn.Close()
	}
}

// broken reports whether err is the end of the whole connection.
func broken(c network.Conn, err error) bool {
	var reset *quic.StatelessResetError
	var idle *quic.IdleTimeoutError
	var closed *network.ConnError
	return c.IsClosed() || errors.As(err, &reset) || errors.As(err, &idle) || errors.As(err, &closed)
}

// callSelf runs our own handler, as if called by ourselves.
func (o *Overlay) callSelf(ctx context.Context, protocol string, req []byte) ([]byte, error) {
	h := o.server.handler(ctx, protocol)
	if h == nil {
		return nil, ErrNotHandled
	}
	reply, err := h(ctx, o.self, req)
	if err != nil {
		return nil, RemoteError(err.Error())
	}
	return reply, nil
}

// callOn makes the call on one connection.
func (o *Overlay) callOn(ctx context.Context, conn network.Conn, proto string, req []byte) ([]byte, error) {
	o.counters.calls.Add(1)
	reply, err := o.tryOn(ctx, conn, proto, req)
	if err != nil {
		o.counters.callsFailed.Add(1)
	}
	return reply, err
}

func (o *Overlay) tryOn(ctx context.Context, conn network.Conn, proto string, req []byte) ([]byte, error) {
	s, err := conn.NewStream(network.WithAllowLimitedConn(ctx, "landbridge"))
	if err != nil {
		return nil, callError(ctx, err)
	}
	// Resetting the stream ends a read or write that waits.
	stop := context.AfterFunc(ctx, func() { _ = s.Reset() })
	reply, err := exchange(ctx, s, protocol.ID(proto), req)
	if !stop() && err == nil {
		return reply, nil // the whole reply was there when ctx ended
	}
	if err != nil {
		_ = s.Reset()
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			o.suspect(conn)
		}
		return nil, callError(ctx, err)
	}
	_ = s.Close()
	return reply, nil
}

// exchange writes the request, with the choice of protocol in the same packet, and
// reads the reply.
func exchange(ctx context.Context, s network.Stream, proto protocol.ID, req []byte) ([]byte, error) {
	if err := s.SetProtocol(proto); err != nil {
		return nil, err
	}
	var wait time.Duration
	if deadline, ok := ctx.Deadline(); ok {
		wait = max(time.Millisecond, time.Until(deadline))
	}
	stream := msmux.NewMSSelect(s, proto)
	if _, err := stream.Write(appendRequest(make([]byte, 0, requestHeader+len(req)), wait, req)); err != nil {
		return nil, err
	}
	var header [replyHeader]byte
	if _, err := io.ReadFull(stream, header[:]); err != nil {
		return nil, err
	}
	code, n, err := parseReplyHeader(header)
	if err != nil {
		return nil, err
	}
	body, err := readBody(stream, n)
	if err != nil {
		return nil, err
	}
	switch code {
	case statusError:
		return nil, RemoteError(body)
	case statusBusy:
		return nil, ErrBusy
	case statusUnknown:
		return nil, ErrNotHandled
	}
	return body, nil
}

// callError returns ctx's error where ctx has ended: it is why the rest failed.
func callError(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	var unsupported msmux.ErrNotSupported[protocol.ID]
	if errors.As(err, &unsupported) {
		return ErrNotHandled
	}
	return err
}
