package tunnel

import (
	"bytes"
	"encoding/binary"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"testing"
	"time"
)

// pipeStream is one end of a connection in memory.
type pipeStream struct{ net.Conn }

func (pipeStream) RemoteAddr() netip.AddrPort { return netip.MustParseAddrPort("192.0.2.1:4860") }

// newLinkPair returns a link, what its reader hands on, and the other end of its stream.
func newLinkPair(t *testing.T) (k *links, l *link, arrived chan []byte, far net.Conn) {
	t.Helper()
	near, far := net.Pipe()
	arrived = make(chan []byte, 1000)
	k = newLinks(func(list []datagram) {
		for _, d := range list {
			arrived <- bytes.Clone(d.data)
		}
	}, new(counters))
	l = k.add(pipeStream{near}, true, time.Second)
	t.Cleanup(func() { k.remove(l); _ = far.Close() })
	return k, l, arrived, far
}

func TestDatagramsCrossAStreamWholeInWhateverPieces(t *testing.T) {
	k, l, arrived, far := newLinkPair(t)
	go k.read(l)
	var want [][]byte
	var sent []byte
	random := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		d := make([]byte, sealOverhead+random.IntN(maxDatagram-sealOverhead+1))
		for i := range d {
			d[i] = byte(random.Uint32())
		}
		want = append(want, d)
		sent = append(binary.BigEndian.AppendUint16(sent, uint16(len(d))), d...)
	}
	go func() {
		for len(sent) > 0 {
			n := min(len(sent), 1+random.IntN(40_000))
			if _, err := far.Write(sent[:n]); err != nil {
				return
			}
			sent = sent[n:]
		}
	}()
	for i, d := range want {
		if got := <-arrived; !bytes.Equal(got, d) {
			t.Fatalf("datagram %d of %d bytes is another, of %d", i, len(d), len(got))
		}
	}
}

func TestWhatGoesByAStreamIsFramedAndTheRestOfTheBatchIsLeft(t *testing.T) {
	k, l, _, far := newLinkPair(t)
	b := newBatch()
	add := func(to netip.AddrPort, d []byte) { b.add(to, copy(b.slot(len(d)), d)) }
	one, two := bytes.Repeat([]byte{1}, 100), bytes.Repeat([]byte{2}, 60)
	add(l.addr, one)
	add(directAddr, two)
	add(l.addr, two)
	add(netip.MustParseAddrPort("[100::77]:1"), one) // a stream that has ended
	k.take(b)
	if b.n != 1 || b.runs[0].addr != directAddr || b.nfailed != 1 {
		t.Fatalf("%d runs are left, to %v; %d failed", b.n, b.runs[0].addr, b.nfailed)
	}
	go l.write()
	got := make([]byte, 2+100+2+60)
	if _, err := io.ReadFull(far, got); err != nil {
		t.Fatal(err)
	}
	want := append(append(append([]byte{0, 100}, one...), 0, 60), two...)
	if !bytes.Equal(got, want) {
		t.Errorf("% x", got)
	}
}

func TestAStreamThatStandsStillKeepsABoundedQueue(t *testing.T) {
	k, l, _, _ := newLinkPair(t)
	go l.write() // nobody reads at the far end
	d := make([]byte, 1400)
	for range 1000 {
		b := newBatch()
		b.add(l.addr, copy(b.slot(len(d)), d))
		k.take(b)
	}
	l.mu.Lock()
	waiting := len(l.out)
	l.mu.Unlock()
	if waiting > linkQueue || waiting < linkQueue/2 || k.counts.list(0, firstOfTunnel)["send_full"] == 0 {
		t.Errorf("%d bytes wait, %v", waiting, k.counts.list(0, firstOfTunnel))
	}
	l.close()
}

func FuzzFramesOfAStream(f *testing.F) {
	f.Add([]byte{0, 40}, 7)
	f.Add(append([]byte{0, 32}, make([]byte, 32)...), 1)
	f.Add(bytes.Repeat([]byte{255}, 300), 50)
	f.Fuzz(func(t *testing.T, sent []byte, piece int) {
		near, far := net.Pipe()
		var got []byte
		k := newLinks(func(list []datagram) {
			for _, d := range list {
				if len(d.data) < sealOverhead || len(d.data) > maxDatagram {
					t.Fatalf("a datagram of %d bytes", len(d.data))
				}
				got = append(binary.BigEndian.AppendUint16(got, uint16(len(d.data))), d.data...)
			}
		}, new(counters))
		l := k.add(pipeStream{near}, false, time.Second)
		defer k.remove(l)
		go func() {
			defer func() { _ = far.Close() }()
			for rest := sent; len(rest) > 0; {
				n := min(len(rest), max(piece, 1))
				if _, err := far.Write(rest[:n]); err != nil {
					return
				}
				rest = rest[n:]
			}
		}()
		k.read(l)
		_ = near.Close()
		whole := sent
		for {
			datagram, rest, ok := cutFrame(whole)
			if !ok || datagram == nil {
				break
			}
			whole = rest
		}
		if !bytes.Equal(sent[:len(sent)-len(whole)], got) {
			t.Fatalf("% x out of % x", got, sent)
		}
	})
}

func TestAddressesOfStreamsComeFromNobodyElse(t *testing.T) {
	tn := &Tunnel{under: newMemNet(t).host(public)}
	if tn.acceptable(endpointCandidate{addr: linkAddr}, localView{}) {
		t.Error("a peer may offer a stream's address")
	}
}
