package capture

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/gopacket/pcapgo"

	"landbridge/internal/frame"
)

func options() Options {
	return Options{Places: []Place{Segment, Tunnel}, Names: [numPlaces]string{"segment lb0", "tunnel"}, Duration: time.Minute,
		Packets: 1000, Bytes: 1 << 20, Snaplen: 65535, Program: "landbridge test"}
}

// run has f put packets, and returns the file that comes of it.
func run(t *testing.T, o Options, f func(c *Capture)) []byte {
	t.Helper()
	c := New(o)
	var b bytes.Buffer
	ctx, cancel := context.WithCancel(t.Context())
	f(c)
	cancel()
	if err := c.Write(ctx, &b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// arp is a frame that programs know.
func arp() []byte {
	return frame.AppendARP(nil, frame.Broadcast(), frame.MAC{2, 0, 0, 0, 0, 1}, frame.ARPFields{Op: frame.ARPRequest, SenderMAC: frame.MAC{2, 0, 0, 0, 0, 1}})
}

func TestAnotherImplementationReadsTheFile(t *testing.T) {
	at := time.Unix(1_700_000_000, 123_456_789)
	ip := bytes.Repeat([]byte{0x45}, 61)
	file := run(t, options(), func(c *Capture) {
		c.Put(Segment, In, at, arp(), "")
		c.Put(Tunnel, Out, at.Add(time.Second), ip, "to site-b")
		c.Put(Segment, Out, at, arp()[:41], "")
	})
	r, err := pcapgo.NewNgReader(bytes.NewReader(file), pcapgo.NgReaderOptions{WantMixedLinkType: true})
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []struct {
		data  []byte
		iface int
		at    time.Time
	}{{arp(), 0, at}, {ip, 1, at.Add(time.Second)}, {arp()[:41], 0, at}} {
		data, info, err := r.ReadPacketData()
		if err != nil {
			t.Fatalf("packet %d: %v", i, err)
		}
		if !bytes.Equal(data, want.data) || info.InterfaceIndex != want.iface || !info.Timestamp.Equal(want.at) || info.Length != len(want.data) {
			t.Errorf("packet %d: %d bytes on %d at %v, want %d on %d at %v", i, len(data), info.InterfaceIndex, info.Timestamp, len(want.data), want.iface, want.at)
		}
	}
	if _, _, err := r.ReadPacketData(); !errors.Is(err, io.EOF) {
		t.Errorf("after the last packet: %v, want the end", err)
	}
	for i, want := range []struct {
		link int
		name string
		seen uint64
	}{{linkEthernet, "segment lb0", 2}, {linkRaw, "tunnel", 1}} {
		iface, err := r.Interface(i)
		if err != nil || int(iface.LinkType) != want.link && want.link != linkRaw || iface.Name != want.name || iface.Statistics.PacketsReceived != want.seen || iface.Statistics.PacketsDropped != 0 {
			t.Errorf("interface %d: %+v, %v; want %+v", i, iface, err, want)
		}
	}
}

func TestTcpdumpReadsTheFile(t *testing.T) {
	tcpdump, err := exec.LookPath("tcpdump")
	if err != nil {
		t.Skip("tcpdump isn't installed")
	}
	o := options()
	o.Places = []Place{Segment}
	path := filepath.Join(t.TempDir(), "a.pcapng")
	if err := os.WriteFile(path, run(t, o, func(c *Capture) { c.Put(Segment, In, time.Now(), arp(), "hello") }), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), tcpdump, "-r", path, "-n").CombinedOutput()
	if err != nil || !strings.Contains(string(out), "ARP, Request who-has") {
		t.Errorf("tcpdump: %v\n%s", err, out)
	}
}

// counts walks the blocks of a file and returns how many packets there are, and how many are said to be left out.
func counts(t *testing.T, file []byte) (packets int, dropped uint64) {
	t.Helper()
	for len(file) > 0 {
		kind, n := binary.LittleEndian.Uint32(file), binary.LittleEndian.Uint32(file[4:])
		if int(n) > len(file) || n%4 != 0 || binary.LittleEndian.Uint32(file[n-4:]) != n {
			t.Fatalf("a block of kind %#x says that it has %d bytes", kind, n)
		}
		switch kind {
		case blockPacket:
			packets++
		case blockStatistics:
			dropped += binary.LittleEndian.Uint64(file[n-16:])
		}
		file = file[n:]
	}
	return packets, dropped
}

func TestACaptureKeepsToItsBounds(t *testing.T) {
	packet := make([]byte, 1000)
	for _, c := range []struct {
		name   string
		change func(*Options)
		want   int
	}{
		{"packets", func(o *Options) { o.Packets = 7 }, 7},
		{"bytes", func(o *Options) { o.Bytes = 8 << 10 }, 7},
		{"places", func(o *Options) { o.Places = []Place{Tunnel} }, 0},
	} {
		o := options()
		c.change(&o)
		file := run(t, o, func(c *Capture) {
			for range 100 {
				c.Put(Segment, In, time.Now(), packet, "")
			}
		})
		if got, _ := counts(t, file); got != c.want || int64(len(file)) > o.Bytes {
			t.Errorf("%s: %d packets in %d bytes, want %d in at most %d", c.name, got, len(file), c.want, o.Bytes)
		}
	}
	o := options()
	o.Snaplen = 60
	r, err := pcapgo.NewNgReader(bytes.NewReader(run(t, o, func(c *Capture) { c.Put(Segment, In, time.Now(), packet, "") })), pcapgo.DefaultNgReaderOptions)
	if err != nil {
		t.Fatal(err)
	}
	if data, info, err := r.ReadPacketData(); err != nil || len(data) != 60 || info.Length != 1000 {
		t.Errorf("of 1000 bytes %d are kept (%v), and %d said to have been there; want 60 of 1000", len(data), err, info.Length)
	}
}

func TestACaptureEndsByItselfWhenItIsFullOrItsTimeIsOver(t *testing.T) {
	o := options()
	o.Packets = 1
	c := New(o)
	c.Put(Segment, In, time.Now(), arp(), "")
	if err := c.Write(t.Context(), io.Discard); err != nil {
		t.Error(err)
	}
	o.Duration = time.Millisecond
	if err := New(o).Write(t.Context(), io.Discard); err != nil {
		t.Error(err)
	}
	failed := errors.New("the disk is full")
	if err := New(o).Write(t.Context(), failing{failed}); !errors.Is(err, failed) {
		t.Errorf("a writer that fails: %v", err)
	}
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }

func TestAReaderThatDoesNotReadDelaysNobody(t *testing.T) {
	o := options()
	o.Bytes, o.Packets = 256<<20, 1_000_000
	c := New(o)
	unread, stop := io.Pipe()
	done := make(chan error, 1)
	go func() { done <- c.Write(t.Context(), stop) }()
	packet := make([]byte, 1400)
	for range 10_000 { // 14 MB, where two buffers hold 4
		c.Put(Tunnel, In, time.Now(), packet, "from site-b")
	}
	if lost := c.lost[Tunnel].Load(); lost < 5000 {
		t.Errorf("%d packets were left out of 10000 that nobody wrote", lost)
	}
	_ = unread.CloseWithError(io.ErrClosedPipe)
	if err := <-done; err == nil {
		t.Error("a reader that went away is no error")
	}
}

func TestWhatIsLeftOutIsCountedInTheFile(t *testing.T) {
	o := options()
	o.Bytes, o.Packets = 256<<20, 1_000_000
	packet := make([]byte, 60_000)
	file := run(t, o, func(c *Capture) {
		for range 100 {
			c.Put(Tunnel, In, time.Now(), packet, "")
		}
	})
	packets, dropped := counts(t, file)
	if packets == 0 || dropped == 0 || packets+int(dropped) != 100 {
		t.Errorf("%d packets in the file and %d left out, of 100", packets, dropped)
	}
}

func TestPuttingAPacketAllocatesNothing(t *testing.T) {
	o := options()
	o.Bytes, o.Packets = 256<<20, 1_000_000
	c, packet, now := New(o), make([]byte, 1400), time.Now()
	if n := testing.AllocsPerRun(100, func() { c.Put(Tunnel, In, now, packet, "from site-b") }); n != 0 {
		t.Errorf("%v allocations a packet", n)
	}
	var tap Tap
	if tap.Load() != nil || !tap.Attach(c) || tap.Attach(New(o)) || tap.Load() != c {
		t.Error("a tap has one capture")
	}
	tap.Detach(c)
	if tap.Load() != nil {
		t.Error("still attached")
	}
}
