package appliance

import (
	"bytes"
	"context"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/gopacket/pcapgo"

	"landbridge/console/api"
	"landbridge/internal/capture"
	"landbridge/internal/frame"
	"landbridge/internal/group"
)

// echoDevice gives the frames that it has, and takes any.
type echoDevice struct{ frames []frame.Packet }

func (d *echoDevice) ReadBatch(pkts []frame.Packet) (int, error) { return copy(pkts, d.frames), nil }
func (d *echoDevice) WriteBatch([]frame.Packet) error            { return nil }

func packetOf(ethernet []byte) frame.Packet {
	return frame.Packet{Buf: append(make([]byte, frame.VirtioHeaderLen), ethernet...)}
}

func TestFramesAreCapturedBothWaysAndOtherwiseCostNothing(t *testing.T) {
	in := append([]byte("\x02\x00\x00\x00\x00\x01\x02\x00\x00\x00\x00\x02\x08\x00"), bytes.Repeat([]byte{7}, 46)...)
	out := append([]byte("\x02\x00\x00\x00\x00\x02\x02\x00\x00\x00\x00\x01\x08\x00"), bytes.Repeat([]byte{8}, 46)...)
	var tap capture.Tap
	d := capturedDevice{&echoDevice{[]frame.Packet{packetOf(in)}}, &tap}
	read, written := make([]frame.Packet, 4), []frame.Packet{packetOf(out)}
	pass := func() {
		if n, err := d.ReadBatch(read); n != 1 || err != nil {
			t.Errorf("%d frames, %v", n, err)
		}
		if err := d.WriteBatch(written); err != nil {
			t.Error(err)
		}
	}
	if n := testing.AllocsPerRun(100, pass); n != 0 {
		t.Errorf("%v allocations while nothing is captured", n)
	}
	c := capture.New(capture.Options{Places: []capture.Place{capture.Segment}, Duration: time.Minute, Packets: 1_000_000, Bytes: 1 << 28, Snaplen: 65535})
	tap.Attach(c)
	pass()
	if n := testing.AllocsPerRun(100, pass); n != 0 {
		t.Errorf("%v allocations while frames are captured", n)
	}
	tap.Detach(c)
	var file bytes.Buffer
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := c.Write(ctx, &file); err != nil {
		t.Fatal(err)
	}
	r, err := pcapgo.NewNgReader(&file, pcapgo.DefaultNgReaderOptions)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range [][]byte{in, out} {
		if got, _, err := r.ReadPacketData(); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%x, %v; want %x", got, err, want)
		}
	}
}

func TestOnlyOneCaptureRunsAtATime(t *testing.T) {
	g := &testGroup{t: t}
	m := newMember(t, g.create)
	m.node.networks = map[group.ID]*network{m.id: m.network}
	r, w := io.Pipe()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- m.node.Capture(ctx, api.CaptureRequest{Where: api.CaptureWhereTunnel}, w) }()
	if _, err := io.ReadFull(r, make([]byte, 4)); err != nil { // it has begun
		t.Fatal(err)
	}
	if err := m.node.Capture(t.Context(), api.CaptureRequest{}, io.Discard); err == nil || !strings.Contains(err.Error(), "runs already") {
		t.Errorf("a second capture: %v", err)
	}
	if m.captured.Load() == nil {
		t.Error("nothing is captured")
	}
	go func() { _, _ = io.Copy(io.Discard, r) }()
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if m.captured.Load() != nil {
		t.Error("it goes on after its end")
	}
}
