package traffic

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// machine is this machine, as a host.
type machine struct{}

func (machine) Listen(network, address string) (net.Listener, error) {
	return net.Listen(network, address)
}

func (machine) ListenPacket(network, address string) (net.PacketConn, error) {
	return net.ListenPacket(network, address)
}

func (machine) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	return new(net.Dialer).DialContext(ctx, network, address)
}

func ends(hosts ...Host) []End {
	all := make([]End, len(hosts))
	for i, h := range hosts {
		all[i] = End{Name: string(rune('a' + i)), Host: h, Addr: netip.MustParseAddr("127.0.0.1")}
	}
	return all
}

func open(t *testing.T, hosts ...Host) *Run {
	t.Helper()
	r, err := Open(ends(hosts...), Plan{Rate: 100e6, MTU: 1376, Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r
}

func TestEachKindOfTrafficGoesInEachDirectionAndArrivesWhole(t *testing.T) {
	var err error // of three runs, each longer: a busy machine gets less done, and loses datagrams
	for _, length := range []time.Duration{time.Second, 3 * time.Second, 9 * time.Second} {
		if err = allArrives(t, length); err == nil {
			return
		}
		t.Log(err)
	}
	t.Error(err)
}

// allArrives has three ends send to each other, and returns what is missing of it.
func allArrives(t *testing.T, length time.Duration) (missing error) {
	t.Helper()
	r := open(t, machine{}, machine{}, machine{})
	began := time.Now()
	if err := r.Do(t.Context(), length); err != nil {
		t.Fatal(err)
	}
	took := time.Since(began)
	directions := r.Directions()
	if len(directions) != 6 {
		t.Errorf("%d directions between three ends", len(directions))
	}
	for _, d := range directions {
		if d.Transfers == 0 || d.TransferBytes == 0 || d.Requests == 0 || d.RequestBytes == 0 || d.Connections == 0 {
			missing = errors.Join(missing, fmt.Errorf("from %s to %s: %+v", d.From, d.To, d.Totals))
		}
		for _, class := range Classes() {
			if got := d.Classes[class]; got.Received > got.Sent {
				t.Errorf("from %s to %s: more %v datagrams came than were sent: %+v", d.From, d.To, class, got)
			} else if got.Received == 0 || got.Loss() > 0.01 {
				missing = errors.Join(missing, fmt.Errorf("from %s to %s: %v datagrams %+v", d.From, d.To, class, got))
			}
		}
	}
	if rate := float64(r.Totals().Bytes()) * 8 / took.Seconds(); rate > 110e6 { // with the connections' requests
		t.Errorf("%.0f Mbit/s, 100 at most were planned", rate/1e6)
	}
	return missing
}

// corrupter is this machine with a flaw: it changes one byte of the first write to a
// socket of that network that is at least so long, or of the first such read.
type corrupter struct {
	machine
	network  string
	from, to int // bytes of the call, from excluded to included
	reads    bool
	done     *atomic.Bool
}

func (c corrupter) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := c.machine.Dial(ctx, network, address)
	if err == nil && network == c.network {
		conn = corrupted{conn, c}
	}
	return conn, err
}

type corrupted struct {
	net.Conn
	flaw corrupter
}

func (c corrupted) spoil(b []byte) []byte {
	if len(b) <= c.flaw.from || len(b) > c.flaw.to || c.flaw.done.Swap(true) {
		return b
	}
	b = bytes.Clone(b)
	b[len(b)/2] ^= 0x10
	return b
}

func (c corrupted) Write(b []byte) (int, error) {
	if c.flaw.reads {
		return c.Conn.Write(b)
	}
	return c.Conn.Write(c.spoil(b))
}

func (c corrupted) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if c.flaw.reads {
		copy(b, c.spoil(b[:n]))
	}
	return n, err
}

func TestOneWrongByteEndsTheRun(t *testing.T) {
	const fits = 1376 - ipUDPHeader
	for name, c := range map[string]corrupter{
		"of a transfer":           {network: "tcp4", from: 20_000, to: chunk},
		"of a request":            {network: "tcp4", from: 1100, to: 17_000},
		"of an answer":            {network: "tcp4", from: 100, to: 17_000, reads: true},
		"of a transfer's hash":    {network: "tcp4", from: 31, to: 32, reads: true},
		"of a small datagram":     {network: "udp4", from: 0, to: 128},
		"of a medium datagram":    {network: "udp4", from: 1199, to: 1200},
		"of a full-size datagram": {network: "udp4", from: 1200, to: fits},
		"of an oversized one":     {network: "udp4", from: fits, to: mostDatagram},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.done = new(atomic.Bool)
			began := time.Now()
			err := open(t, machine{}, c).Do(t.Context(), time.Minute)
			if !errors.Is(err, ErrCorrupt) || !c.done.Load() {
				t.Fatalf("changed: %t; the run says %v", c.done.Load(), err)
			}
			if took := time.Since(began); took > 50*time.Second {
				t.Errorf("found after %v, as late as the end of the run", took)
			}
			t.Log(err)
		})
	}
}

func TestARunEndsWithItsContext(t *testing.T) {
	why := errors.New("enough")
	ctx, stop := context.WithTimeoutCause(t.Context(), 300*time.Millisecond, why)
	defer stop()
	began := time.Now()
	if err := open(t, machine{}, machine{}).Do(ctx, time.Hour); !errors.Is(err, why) || time.Since(began) > 10*time.Second {
		t.Errorf("%v after %v", err, time.Since(began))
	}
}

func TestAnEndInTheMiddleIsAnError(t *testing.T) {
	for _, c := range []struct {
		what    string
		receive func(io.ReadWriter) error
	}{{"transfer", receiveTransfers}, {"request", answerRequests}} {
		var conn bytes.Buffer
		conn.Write([]byte{0, 0, 0, 0, 0, 0, 0, 9, 'h', 'a', 'l', 'f'})
		if err := c.receive(&conn); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("half a %s: %v", c.what, err)
		}
	}
}

func TestALengthThatNobodySendsIsCorrupt(t *testing.T) {
	if err := receiveTransfers(bytes.NewBuffer([]byte{0, 0, 0, 0, 1, 0, 0, 0})); !errors.Is(err, ErrCorrupt) {
		t.Error(err)
	}
}

func TestAConnectionWithoutProgressIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		here, there := net.Pipe()
		defer here.Close()
		defer there.Close()
		go func() { _, _ = io.CopyN(io.Discard, there, lengthBytes+100) }() // and no answer
		began := time.Now()
		err := transfer(patient{here}, rand.NewChaCha8([32]byte{}), 100, func(int) bool { return true })
		if err == nil || !strings.Contains(err.Error(), "no hash") || time.Since(began) != stalled {
			t.Errorf("%v after %v", err, time.Since(began))
		}
	})
}

func TestThePaceIsKeptAndLostTimeIsNotMadeUpFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := pacer{rate: 8000} // a byte a millisecond
		began := time.Now()
		for range 100 {
			p.wait(t.Context(), 100)
		}
		if took := time.Since(began); took != 99*100*time.Millisecond-slack {
			t.Errorf("100 times 100 bytes took %v", took)
		}
		<-time.After(time.Hour)
		began = time.Now()
		for range 10 {
			p.wait(t.Context(), 100)
		}
		if took := time.Since(began); took != 9*100*time.Millisecond-slack {
			t.Errorf("after an hour of nothing 10 times 100 bytes took %v", took)
		}
	})
}

func TestWhatCannotBePlannedIsRefused(t *testing.T) {
	for _, p := range []Plan{{}, {Rate: 1e6}, {MTU: 1376}, {Rate: 1e6, MTU: 500}, {Rate: 1e6, MTU: 9000}} {
		if r, err := Open(ends(machine{}, machine{}), p); err == nil {
			r.Close()
			t.Errorf("%+v was accepted", p)
		}
	}
	if _, err := Open(ends(machine{}), Plan{Rate: 1e6, MTU: 1376}); err == nil {
		t.Error("one end was accepted")
	}
}
