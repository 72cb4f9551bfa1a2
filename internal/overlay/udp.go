package overlay

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"
)

const (
	// maxPacket is the largest QUIC packet that quic-go reads without offload.
	maxPacket = 1452
	// viewQueue bounds the packets that wait for one address family's reader.
	viewQueue = 256
)

// families shares one datagram socket between QUIC's two transports, which libp2p
// keeps apart by address family. A dual-stack socket gets one view for each family
// and a goroutine that sorts what arrives; a socket of one family gets one view.
// The socket stays its owner's: closing a view, or families, doesn't close it.
type families struct {
	socket net.PacketConn
	v4, v6 *view // nil: the socket can't carry that family
	done   chan struct{}
	free   sync.Pool // *[maxPacket]byte
}

type packet struct {
	data *[maxPacket]byte
	n    int
	from net.Addr
}

// newFamilies starts reading from socket, whose local address must be a
// *net.UDPAddr. The caller calls close before anybody else reads from the socket.
func newFamilies(socket net.PacketConn) (*families, error) {
	local, ok := socket.LocalAddr().(*net.UDPAddr)
	if !ok {
		return nil, fmt.Errorf("overlay socket: local address %v is not a UDP address", socket.LocalAddr())
	}
	f := &families{socket: socket, done: make(chan struct{})}
	f.free.New = func() any { return new([maxPacket]byte) }
	ip := local.AddrPort().Addr().Unmap()
	if !ip.IsValid() {
		ip = netip.IPv6Unspecified()
	}
	dual := ip == netip.IPv6Unspecified()
	if ip.Is4() {
		f.v4 = newView(f, ip, local.Port)
	} else {
		f.v6 = newView(f, ip, local.Port)
	}
	if dual {
		f.v4 = newView(f, netip.IPv4Unspecified(), local.Port)
	}
	go f.sort()
	return f, nil
}

// views lists the families that the socket carries.
func (f *families) views() []*view {
	var views []*view
	for _, v := range []*view{f.v4, f.v6} {
		if v != nil {
			views = append(views, v)
		}
	}
	return views
}

// listen is libp2p's hook for a UDP socket. It is asked for a given address when we
// listen, and for any port where a dial comes first; either way there is only one
// socket to give.
func (f *families) listen(network string, addr *net.UDPAddr) (net.PacketConn, error) {
	v := f.v4
	if network == "udp6" {
		v = f.v6
	}
	if v == nil {
		return nil, fmt.Errorf("the data socket at %v does not carry %s", f.socket.LocalAddr(), network)
	}
	if addr != nil && addr.Port != 0 && addr.Port != v.local.Port {
		return nil, fmt.Errorf("%s port %d: the overlay has only the data socket at %v", network, addr.Port, v.local)
	}
	return v, v.open()
}

// sort reads until close and hands each packet to the view of its family.
func (f *families) sort() {
	defer close(f.done)
	for {
		buf := f.free.Get().(*[maxPacket]byte)
		n, from, err := f.socket.ReadFrom(buf[:])
		if err != nil {
			f.free.Put(buf)
			if temporary(err) && !f.closing(err) {
				continue
			}
			for _, v := range f.views() {
				_ = v.Close()
			}
			return
		}
		udp, ok := from.(*net.UDPAddr)
		v := f.v6
		if ok && udp.IP.To4() != nil {
			v = f.v4
			udp.IP = udp.IP.To4()
		}
		if !ok || v == nil || !v.deliver(packet{data: buf, n: n, from: from}) {
			f.free.Put(buf)
		}
	}
}

// closing reports whether err is the deadline that close has set. Nobody else sets
// deadlines on the socket.
func (f *families) closing(err error) bool {
	return errors.Is(err, os.ErrDeadlineExceeded)
}

func temporary(err error) bool {
	var t interface {
		error
		Temporary() bool
	}
	return errors.As(err, &t) && t.Temporary()
}

// close stops reading from the socket and waits until nothing reads any more.
func (f *families) close() error {
	err := f.socket.SetReadDeadline(time.Unix(1, 0))
	<-f.done
	if err == nil {
		err = f.socket.SetReadDeadline(time.Time{})
	}
	if err != nil && !errors.Is(err, net.ErrClosed) { // its owner may have closed it
		return fmt.Errorf("release the data socket: %w", err)
	}
	return nil
}

// view is one family's share of the socket: a net.PacketConn that quic-go reads.
// Writes go straight to the socket.
type view struct {
	families *families
	local    *net.UDPAddr
	queue    chan packet

	mu       sync.Mutex
	used     bool
	closed   chan struct{} // of the present user; closed by Close
	expired  chan struct{} // closed when the read deadline has passed
	deadline *time.Timer
}

func newView(f *families, ip netip.Addr, port int) *view {
	v := &view{
		families: f,
		local:    &net.UDPAddr{IP: ip.AsSlice(), Port: port},
		queue:    make(chan packet, viewQueue),
		closed:   make(chan struct{}),
		expired:  make(chan struct{}),
	}
	close(v.closed)
	return v
}

// open gives the view to a user, one at a time; after Close it may be opened again.
func (v *view) open() error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.used {
		return fmt.Errorf("UDP %v: already in use by QUIC", v.local)
	}
	v.used = true
	v.closed = make(chan struct{})
	v.setDeadline(time.Time{})
	return nil
}

// deliver queues p, unless nobody reads or the queue is full.
func (v *view) deliver(p packet) bool {
	v.mu.Lock()
	used := v.used
	v.mu.Unlock()
	if !used {
		return false
	}
	select {
	case v.queue <- p:
		return true
	default:
		return false
	}
}

// ReadFrom implements net.PacketConn.
func (v *view) ReadFrom(b []byte) (int, net.Addr, error) {
	v.mu.Lock()
	closed, expired := v.closed, v.expired
	v.mu.Unlock()
	select {
	case <-closed:
		return 0, nil, net.ErrClosed
	case <-expired:
		return 0, nil, os.ErrDeadlineExceeded
	default:
	}
	select {
	case p := <-v.queue:
		n := copy(b, p.data[:p.n])
		v.families.free.Put(p.data)
		return n, p.from, nil
	case <-closed:
		return 0, nil, net.ErrClosed
	case <-expired:
		return 0, nil, os.ErrDeadlineExceeded
	}
}

// WriteTo implements net.PacketConn.
func (v *view) WriteTo(b []byte, to net.Addr) (int, error) {
	return v.families.socket.WriteTo(b, to)
}

// Close implements net.PacketConn. The socket stays open.
func (v *view) Close() error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if !v.used {
		return nil
	}
	v.used = false
	close(v.closed)
	for {
		select {
		case p := <-v.queue:
			v.families.free.Put(p.data)
		default:
			return nil
		}
	}
}

// LocalAddr implements net.PacketConn.
func (v *view) LocalAddr() net.Addr { return v.local }

// SetDeadline implements net.PacketConn: writes don't wait, so only reads have one.
func (v *view) SetDeadline(t time.Time) error { return v.SetReadDeadline(t) }

// SetWriteDeadline implements net.PacketConn.
func (v *view) SetWriteDeadline(time.Time) error { return nil }

// SetReadDeadline implements net.PacketConn.
func (v *view) SetReadDeadline(t time.Time) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.setDeadline(t)
	return nil
}

func (v *view) setDeadline(t time.Time) {
	if v.deadline != nil && !v.deadline.Stop() {
		<-v.expired // the timer's function is running: let it finish with its channel
	}
	v.deadline = nil
	select {
	case <-v.expired:
		v.expired = make(chan struct{})
	default:
	}
	if t.IsZero() {
		return
	}
	expired := v.expired
	wait := time.Until(t)
	if wait <= 0 {
		close(expired)
		return
	}
	v.deadline = time.AfterFunc(wait, func() { close(expired) })
}

// SetReadBuffer does nothing: the socket's owner has sized its buffers. quic-go
// complains on standard error where the method is missing.
func (v *view) SetReadBuffer(int) error { return nil }

// SetWriteBuffer does nothing, as SetReadBuffer.
func (v *view) SetWriteBuffer(int) error { return nil }
