package traffic

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Host opens sockets of one machine; *netlab.Host is one. Addresses are literal.
type Host interface {
	Listen(network, address string) (net.Listener, error)
	ListenPacket(network, address string) (net.PacketConn, error)
	Dial(ctx context.Context, network, address string) (net.Conn, error)
}

// End is a host with traffic, at one of its addresses.
type End struct {
	Name string
	Host Host
	Addr netip.Addr
}

// Plan says how much traffic.
type Plan struct {
	Rate int64  // bits per second of payload that are sent at most, by all flows together
	MTU  int    // bytes of an IP packet between the ends
	Seed uint64 // of sizes and bytes
}

// Shares of a direction's rate.
const (
	transferShare = 0.70
	requestShare  = 0.05 // and as much that comes back
)

func datagramShares() [numClasses]float64 {
	return [numClasses]float64{Small: 0.02, Medium: 0.06, Full: 0.06, Oversized: 0.06}
}

// connectEvery is the time between two short connections of one direction.
const connectEvery = 200 * time.Millisecond

// bufferBytes is what waits for this process at a UDP socket, so that what is lost is lost
// on the way.
const bufferBytes = 4 << 20

// errStopped is why a flow ends that its run has stopped.
var errStopped = errors.New("stopped")

// Run is the traffic between some ends.
type Run struct {
	plan  Plan
	ends  []*station
	pairs []*pair

	stop context.CancelCauseFunc // of Do
	wg   sync.WaitGroup          // servers
}

// station is an end that listens.
type station struct {
	End
	transfers, requests net.Listener
	datagrams           net.PacketConn
}

// pair is what goes from one end to another.
type pair struct {
	from, to *station
	id       int
	counts   counts
	orders   [numClasses]order // of the receiver's goroutine
}

// Open listens on all ends. Who opens a run closes it.
func Open(ends []End, plan Plan) (*Run, error) {
	if len(ends) < 2 || plan.Rate <= 0 || plan.MTU < 576 || plan.MTU-ipUDPHeader >= mostDatagram {
		return nil, fmt.Errorf("traffic between %d ends at %d bit/s, MTU %d: it takes two ends, a rate, and an MTU of 576 to %d", len(ends), plan.Rate, plan.MTU, mostDatagram)
	}
	r := &Run{plan: plan}
	for _, e := range ends {
		s := &station{End: e}
		r.ends = append(r.ends, s)
		if err := s.listen(); err != nil {
			r.Close()
			return nil, fmt.Errorf("listen on %s: %w", e.Name, err)
		}
	}
	for _, from := range r.ends {
		for _, to := range r.ends {
			if from != to {
				r.pairs = append(r.pairs, &pair{from: from, to: to, id: len(r.pairs)})
			}
		}
	}
	return r, nil
}

func (s *station) listen() (err error) {
	address := netip.AddrPortFrom(s.Addr, 0).String()
	if s.transfers, err = s.Host.Listen("tcp4", address); err != nil {
		return err
	}
	if s.requests, err = s.Host.Listen("tcp4", address); err != nil {
		return err
	}
	if s.datagrams, err = s.Host.ListenPacket("udp4", address); err != nil {
		return err
	}
	return enlarge(s.datagrams)
}

// enlarge lets more wait at a socket than the machine's limit says.
func enlarge(conn net.PacketConn) error {
	udp, ok := conn.(*net.UDPConn)
	if !ok {
		return nil
	}
	raw, err := udp.SyscallConn()
	if err != nil {
		return err
	}
	var serr error
	err = raw.Control(func(fd uintptr) {
		serr = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, bufferBytes)
	})
	if errors.Is(serr, unix.EPERM) { // who isn't root gets what there is
		serr = udp.SetReadBuffer(bufferBytes)
	}
	return errors.Join(err, os.NewSyscallError("setsockopt SO_RCVBUFFORCE", serr))
}

// Close stops listening.
func (r *Run) Close() {
	for _, s := range r.ends {
		if s.transfers != nil {
			s.transfers.Close()
		}
		if s.requests != nil {
			s.requests.Close()
		}
		if s.datagrams != nil {
			s.datagrams.Close()
		}
	}
	r.wg.Wait()
}

// Do sends for a time, waits for what is under way, and returns nil if all of it was
// verified; else it ends at once with what was wrong first. It is called once.
func (r *Run) Do(ctx context.Context, length time.Duration) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	r.stop = stop
	for _, s := range r.ends {
		r.wg.Go(func() { r.serve(ctx, s, s.transfers, "transfers", receiveTransfers) })
		r.wg.Go(func() { r.serve(ctx, s, s.requests, "requests", answerRequests) })
		r.wg.Go(func() { r.collect(ctx, s) })
	}
	var flows sync.WaitGroup
	until := time.Now().Add(length)
	for _, p := range r.pairs {
		for name, flow := range r.flows(p) {
			flows.Go(func() {
				if err := flow(ctx, until); err != nil {
					r.fail(ctx, fmt.Errorf("%s from %s to %s: %w", name, p.from.Name, p.to.Name, err))
				}
			})
		}
	}
	flows.Wait()
	err := context.Cause(ctx)
	if err == nil {
		err = r.settle(ctx)
	}
	return err
}

// flows returns a direction's flows by their names.
func (r *Run) flows(p *pair) map[string]func(context.Context, time.Time) error {
	rate := float64(r.plan.Rate) / float64(len(r.pairs))
	flows := map[string]func(context.Context, time.Time) error{
		"transfers": func(ctx context.Context, until time.Time) error {
			return r.transfers(ctx, until, p, rate*transferShare)
		},
		"requests": func(ctx context.Context, until time.Time) error {
			return r.requests(ctx, until, p, rate*requestShare)
		},
		"connections": func(ctx context.Context, until time.Time) error { return r.connections(ctx, until, p) },
	}
	for class, share := range datagramShares() {
		flows[Class(class).String()+" datagrams"] = func(ctx context.Context, until time.Time) error {
			return r.datagrams(ctx, until, p, Class(class), rate*share)
		}
	}
	return flows
}

// fail ends the run, unless it has been ended.
func (r *Run) fail(ctx context.Context, err error) {
	if ctx.Err() == nil {
		r.stop(err)
	}
}

// random returns a source of a flow's own.
func (r *Run) random(p *pair, flow byte) (*rand.ChaCha8, *rand.Rand) {
	var seed [32]byte
	for i := range 8 {
		seed[i] = byte(r.plan.Seed >> (8 * i))
	}
	seed[8], seed[9] = byte(p.id), flow
	source := rand.NewChaCha8(seed)
	seed[10] = 1
	return source, rand.New(rand.NewChaCha8(seed))
}
