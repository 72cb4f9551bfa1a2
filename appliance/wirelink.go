package appliance

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"landbridge/iface"
	"landbridge/internal/beacon"
	"landbridge/internal/frame"
	"landbridge/internal/loop"
)

const (
	// framesAtOnce bounds what is read of a wire before others have their turn.
	framesAtOnce = 16
	longestWire  = 2048 // bytes of frame: more than a beacon has
)

// wireLink is a LAN port while it carries frames: beacons go and come by it.
type wireLink struct {
	state  iface.PortState
	wire   *iface.Wire
	beacon *beacon.Beacon
	source *loop.Source
	broken atomic.Bool // it can't be read any more

	cancel  context.CancelFunc
	running sync.WaitGroup
}

// openLink begins to speak and to hear beacons on the port, until ctx ends or close.
func (h *hybrid) openLink(ctx context.Context) (*wireLink, error) {
	n := h.network
	wire, err := iface.OpenWire(h.port, frame.EtherTypeBeacon)
	if err != nil {
		return nil, err
	}
	l := &wireLink{state: h.state, wire: wire}
	l.beacon, err = beacon.New(beacon.Config{
		Membership: n.membership, MAC: wire.MAC(), Send: wire.Write, Changed: h.poke, Log: n.log,
		Self: func() beacon.Says {
			return beacon.Says{LANWell: true, WANWell: len(n.node.overlay.Links()) > 0}
		},
	})
	if err != nil {
		return nil, errors.Join(err, wire.Close())
	}
	l.source, err = n.node.loop.Add(wire.FD(), l.reader(), func(err error) {
		n.log.Warn("the LAN port's wire can't be read", "port", h.port, "err", err)
		l.broken.Store(true)
		h.poke()
	})
	if err != nil {
		return nil, errors.Join(err, wire.Close())
	}
	ctx, l.cancel = context.WithCancel(ctx)
	l.running.Go(func() { l.beacon.Run(ctx) })
	return l, nil
}

// reader hands what comes to the beacon, on the thread of the data plane.
func (l *wireLink) reader() loop.Handler {
	buf := make([]byte, longestWire)
	return func() (n int, err error) {
		for n < framesAtOnce {
			size, err := l.wire.Read(buf)
			if size == 0 || err != nil {
				return n, err
			}
			n++
			l.beacon.Receive(buf[:size], time.Now())
		}
		return n, nil
	}
}

// on reports whether the port, as it is now, is still the same and carries frames.
func (l *wireLink) on(s iface.PortState) bool {
	return !l.broken.Load() && s.Running && s.Index == l.state.Index && bytes.Equal(s.MAC, l.state.MAC)
}

func (l *wireLink) close() {
	l.cancel()
	l.running.Wait()
	l.source.Remove()
	_ = l.wire.Close() // a socket: there is nothing to lose
}

// counters tells what was counted.
func (l *wireLink) counters(add func(c count, value uint64)) { beaconCounters(l.beacon.Counts(), add) }

// beaconCounters names what a beacon counts.
func beaconCounters(c beacon.Counts, add func(c count, value uint64)) {
	for name, value := range map[string]uint64{
		"sent": c.Sent, "unsent": c.Unsent, "verified": c.Verified, "malformed": c.Malformed, "foreign": c.Foreign,
		"stale": c.Stale, "limited": c.Limited, "forged": c.Forged, "looped": c.Looped,
	} {
		add(count{"beacon", name}, value)
	}
}
