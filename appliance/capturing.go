package appliance

import (
	"cmp"
	"context"
	"errors"
	"io"
	"time"

	"landbridge/console"
	"landbridge/console/api"
	"landbridge/internal/capture"
	"landbridge/internal/frame"
	"landbridge/internal/group"
	"landbridge/router"
)

// Bounds of a capture that doesn't say otherwise.
const (
	captureSeconds = 10
	capturePackets = 100_000
	captureBytes   = 64 << 20
	captureSnaplen = 65_535
)

// Capture writes what passes at a group's segment or tunnel as a pcapng file.
func (n *node) Capture(ctx context.Context, req api.CaptureRequest, w io.Writer) error {
	nw, err := n.choose(req.Group)
	if err != nil {
		return err
	}
	if !n.capturing.TryLock() {
		return console.Conflict(errors.New("a capture runs already, and only one runs at a time: wait for its end, or end it"))
	}
	defer n.capturing.Unlock()
	places := map[api.CaptureWhere][]capture.Place{
		"": {capture.Segment}, api.CaptureWhereSegment: {capture.Segment}, api.CaptureWhereTunnel: {capture.Tunnel},
		api.CaptureWhereBoth: {capture.Segment, capture.Tunnel},
	}[req.Where]
	if places == nil {
		return console.Invalid(errors.New("where: want segment, tunnel or both"), api.FieldError{Field: "where", Detail: "want segment, tunnel or both"})
	}
	c := capture.New(capture.Options{
		Places: places, Names: [2]string{nw.segmentName(), "tunnel of " + nw.membership.Descriptor().Name},
		Duration: time.Duration(cmp.Or(req.Seconds, captureSeconds)) * time.Second,
		Packets:  cmp.Or(req.Packets, capturePackets), Bytes: cmp.Or(req.Bytes, captureBytes), Snaplen: cmp.Or(req.Snaplen, captureSnaplen),
		Program: "landbridge " + n.cfg.Version,
	})
	nw.captured.Attach(c)
	defer nw.captured.Detach(c)
	n.log.Info("packets are captured", "group", nw.membership.Descriptor().Name)
	return c.Write(ctx, w)
}

// segmentName names the device at which frames of the segment are seen.
func (n *network) segmentName() string {
	if a := n.attachment.Load(); a != nil {
		return a.tap.Name()
	}
	return "segment"
}

// capturedDevice is a router's device, where frames may be captured.
type capturedDevice struct {
	router.Device
	tap *capture.Tap
}

// ReadBatch reads frames, and shows them to who captures.
func (d capturedDevice) ReadBatch(pkts []frame.Packet) (int, error) {
	n, err := d.Device.ReadBatch(pkts)
	if c := d.tap.Load(); c != nil && n > 0 {
		captureFrames(c, capture.In, pkts[:n])
	}
	return n, err
}

// WriteBatch shows frames to who captures, and writes them.
func (d capturedDevice) WriteBatch(pkts []frame.Packet) error {
	if c := d.tap.Load(); c != nil {
		captureFrames(c, capture.Out, pkts)
	}
	return d.Device.WriteBatch(pkts)
}

func captureFrames(c *capture.Capture, dir capture.Direction, pkts []frame.Packet) {
	now := time.Now()
	for _, p := range pkts {
		if len(p.Buf) >= frame.Headroom {
			c.Put(capture.Segment, dir, now, p.Ethernet(), "")
		}
	}
}

// capturePackets shows packets that go to a member, or come from it, to who captures.
func (n *network) capturePackets(dir capture.Direction, m group.MemberID, pkts []frame.Packet) {
	c := n.captured.Load()
	if c == nil {
		return
	}
	now, member := time.Now(), n.memberName(m)
	for _, p := range pkts {
		if len(p.Buf) >= frame.Headroom {
			c.Put(capture.Tunnel, dir, now, p.IP(), member)
		}
	}
}

// choose returns the running group that ref names; an empty ref stands for the only one.
func (n *node) choose(ref string) (*network, error) {
	m, err := n.state.findGroup(ref)
	if err != nil {
		return nil, err
	}
	nw, ok := n.network(m.Group())
	if ok {
		select {
		case <-nw.ready:
			return nw, nil
		default:
		}
	}
	return nil, console.Unavailable(errors.New("the group " + m.Descriptor().Name + " isn't running here: see the appliance's log"))
}
