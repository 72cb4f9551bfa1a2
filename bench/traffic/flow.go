package traffic

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Flows of a direction, for random; datagrams of a class come after these.
const (
	transferFlow = iota
	requestFlow
	connectFlow
	datagramFlow
)

// serve answers each connection to a listener until that is closed.
func (r *Run) serve(ctx context.Context, s *station, l net.Listener, what string, answer func(io.ReadWriter) error) {
	for {
		conn, err := l.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil:
			r.fail(ctx, fmt.Errorf("accept %s at %s: %w", what, s.Name, err))
			return
		}
		r.wg.Go(func() {
			defer attend(ctx, conn)()
			if err := answer(patient{conn}); err != nil {
				r.fail(ctx, fmt.Errorf("%s at %s, from %v: %w", what, s.Name, conn.RemoteAddr(), err))
			}
		})
	}
}

// attend closes a connection when the context ends, or when the function is called that
// it returns.
func attend(ctx context.Context, conn net.Conn) (done func()) {
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	return func() {
		stop()
		conn.Close()
	}
}

// dial connects the ends of a direction.
func dial(ctx context.Context, p *pair, l net.Listener) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, stalled)
	defer cancel()
	return p.from.Host.Dial(ctx, "tcp4", l.Addr().String())
}

func (r *Run) transfers(ctx context.Context, until time.Time, p *pair, rate float64) error {
	conn, err := dial(ctx, p, p.to.transfers)
	if err != nil {
		return err
	}
	defer attend(ctx, conn)()
	source, rng := r.random(p, transferFlow)
	pace := pacer{rate: rate}
	// A transfer takes 3 s at most at this rate, so that the run ends in time.
	most := max(1, min(mostBytes, int(rate/8*3)))
	for time.Now().Before(until) {
		size := 1 + rng.IntN(most)
		wait := func(bytes int) bool {
			p.counts.transferBytes.Add(uint64(bytes))
			return pace.wait(ctx, bytes)
		}
		if err := transfer(patient{conn}, source, size, wait); err != nil {
			return fmt.Errorf("transfer %d: %w", p.counts.transfers.Load()+1, err)
		}
		p.counts.transfers.Add(1)
	}
	return nil
}

func (r *Run) requests(ctx context.Context, until time.Time, p *pair, rate float64) error {
	conn, err := dial(ctx, p, p.to.requests)
	if err != nil {
		return err
	}
	defer attend(ctx, conn)()
	source, rng := r.random(p, requestFlow)
	pace := pacer{rate: rate}
	for time.Now().Before(until) {
		size := 1 + rng.IntN(mostRequest)
		if !pace.wait(ctx, size) {
			return errStopped
		}
		if err := request(patient{conn}, source, size); err != nil {
			return fmt.Errorf("request %d: %w", p.counts.requests.Load()+1, err)
		}
		p.counts.requests.Add(1)
		p.counts.requestBytes.Add(2 * uint64(size))
	}
	return nil
}

func (r *Run) connections(ctx context.Context, until time.Time, p *pair) error {
	source, rng := r.random(p, connectFlow)
	tick := time.NewTicker(connectEvery)
	defer tick.Stop()
	for time.Now().Before(until) {
		size := 1 + rng.IntN(1000)
		err := func() error {
			conn, err := dial(ctx, p, p.to.requests)
			if err != nil {
				return err
			}
			defer attend(ctx, conn)()
			return request(patient{conn}, source, size)
		}()
		if err != nil {
			return fmt.Errorf("connection %d: %w", p.counts.connections.Load()+1, err)
		}
		p.counts.connections.Add(1)
		p.counts.requestBytes.Add(2 * uint64(size))
		select {
		case <-tick.C:
		case <-ctx.Done():
			return errStopped
		}
	}
	return nil
}

func (r *Run) datagrams(ctx context.Context, until time.Time, p *pair, class Class, rate float64) error {
	conn, err := p.from.Host.Dial(ctx, "udp4", p.to.datagrams.LocalAddr().String())
	if err != nil {
		return err
	}
	defer attend(ctx, conn)()
	source, rng := r.random(p, datagramFlow+byte(class))
	pace := pacer{rate: rate}
	buf := make([]byte, mostDatagram)
	c := &p.counts.classes[class]
	for time.Now().Before(until) {
		b := buf[:class.size(rng, r.plan.MTU)]
		if !pace.wait(ctx, len(b)) {
			return errStopped
		}
		number := c.sent.Load() + 1
		putDatagram(b, uint32(p.id)*uint32(numClasses)+uint32(class), number, source)
		// Counted before it is sent, so that no more arrive than were sent.
		c.sent.Add(1)
		if _, err := conn.Write(b); err != nil && !errors.Is(err, unix.ENOBUFS) { // that one is lost at once
			return fmt.Errorf("datagram %d, of %d bytes: %w", number, len(b), err)
		}
	}
	return nil
}

// collect verifies what datagrams come to an end until its socket is closed.
func (r *Run) collect(ctx context.Context, s *station) {
	buf := make([]byte, 1<<16)
	for {
		n, from, err := s.datagrams.ReadFrom(buf)
		switch {
		case errors.Is(err, net.ErrClosed), errors.Is(err, os.ErrDeadlineExceeded):
			return
		case err == nil:
			err = r.note(s, buf[:n])
		}
		if err != nil {
			r.fail(ctx, fmt.Errorf("datagrams at %s, from %v: %w", s.Name, from, err))
			return
		}
	}
}

// note verifies and counts a datagram that has come to an end.
func (r *Run) note(s *station, b []byte) error {
	stream, number, err := parseDatagram(b)
	if err != nil {
		return err
	}
	i, class := int(stream)/int(numClasses), int(stream)%int(numClasses)
	if i >= len(r.pairs) || r.pairs[i].to != s {
		return fmt.Errorf("%w: stream %d doesn't lead here", ErrCorrupt, stream)
	}
	p := r.pairs[i]
	c := &p.counts.classes[class]
	if sent := c.sent.Load(); number == 0 || number > sent {
		return fmt.Errorf("%w: number %d of %d %v datagrams from %s", ErrCorrupt, number, sent, Class(class), p.from.Name)
	}
	late, twice := p.orders[class].note(number)
	if twice {
		return fmt.Errorf("%w: number %d of the %v datagrams from %s came twice", ErrCorrupt, number, Class(class), p.from.Name)
	}
	c.received.Add(1)
	c.bytes.Add(uint64(len(b)))
	if late {
		c.late.Add(1)
	}
	return nil
}

// settle waits until no more datagrams come.
func (r *Run) settle(ctx context.Context) error {
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for before := uint64(1 << 63); ; {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		now := r.Totals().Datagrams().Received
		if now == before {
			return nil
		}
		before = now
	}
}
