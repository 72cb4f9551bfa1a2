package arp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"landbridge/internal/frame"
)

// RFC 5227 waits one to two seconds between three probes, for links slower than
// today's and because the prober may still be joining the network. An appliance has
// joined long ago: two probes are enough against a lost frame.
const (
	probes        = 2
	probeInterval = 150 * time.Millisecond // between probes, and after the last
)

// A host that has been there answers at once, or has left: it is asked often and briefly, as
// its connections wait.
const (
	presentProbes   = 4
	presentInterval = 50 * time.Millisecond
)

// maxProbes bounds the addresses probed at a time; a client that finds no room asks
// again by itself.
const maxProbes = 256

// ErrTooManyProbes is returned while as many probes run as may.
var ErrTooManyProbes = errors.New("arp: too many address probes run already; the client will ask again")

// Prober finds out whether an address is in use on the segment, without a lease or
// in spite of one. It is safe for concurrent use.
type Prober struct {
	mac    frame.MAC
	send   func([]byte) error
	active atomic.Int32 // len(probing) + len(asking), so that Observe is free while nothing is probed

	mu      sync.Mutex
	probing map[*probe]struct{}
	asking  map[*inquiry]struct{}
}

// probe is one question that is open.
type probe struct {
	addr   netip.Addr
	except frame.MAC // zero: nobody
	found  chan struct{}
	once   sync.Once
}

// NewProber returns a Prober that sends from mac (the gateway MAC) by send, which
// takes a whole Ethernet frame, does not keep it, and must not block for long.
func NewProber(mac frame.MAC, send func([]byte) error) *Prober {
	return &Prober{mac: mac, send: send, probing: make(map[*probe]struct{}), asking: make(map[*inquiry]struct{})}
}

// InUse probes addr and reports whether a host other than the one at except answers,
// or probes the same address itself. A free address takes 300 ms, a used one as long
// as its host takes to answer. except may be nil: then any answer counts; it is the
// client for which the address is meant, who may still use it from an older lease.
// The error is ctx's, ErrTooManyProbes, or what sending returned.
func (p *Prober) InUse(ctx context.Context, addr netip.Addr, except net.HardwareAddr) (bool, error) {
	mac, _ := frame.MACFrom(except)
	return p.ask(ctx, addr, mac, netip.IPv4Unspecified(), probes, probeInterval)
}

// Present asks whether a host that uses addr is still there, and takes 200 ms to find that it
// isn't. Any answer counts. The question comes from sender, the service address, as a router's does: a
// probe, from 0.0.0.0, is somebody who is about to take the address, and a host that meets two of
// those gives it up (dhcpcd does). The errors are those of InUse.
func (p *Prober) Present(ctx context.Context, addr, sender netip.Addr) (bool, error) {
	return p.ask(ctx, addr, frame.MAC{}, sender, presentProbes, presentInterval)
}

// ask sends so many questions, each after the interval.
func (p *Prober) ask(ctx context.Context, addr netip.Addr, except frame.MAC, sender netip.Addr, times int, interval time.Duration) (bool, error) {
	q, err := p.start(addr, except)
	if err != nil {
		return false, err
	}
	defer p.stop(q)

	packet := frame.AppendARP(nil, frame.Broadcast(), p.mac, frame.ARPFields{
		Op: frame.ARPRequest, SenderMAC: p.mac, SenderIP: sender, TargetIP: addr,
	})
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for range times {
		if err := p.send(packet); err != nil {
			return false, fmt.Errorf("probe %v: %w", addr, err)
		}
		select {
		case <-q.found:
			return true, nil
		case <-ctx.Done():
			return false, ctx.Err()
		case <-ticker.C:
		}
	}
	select {
	case <-q.found: // together with the last tick
		return true, nil
	default:
		return false, nil
	}
}

// Observe takes an ARP packet that was seen on the segment. It allocates nothing and
// costs next to nothing while no probe runs.
func (p *Prober) Observe(a frame.ARP) {
	if p.active.Load() == 0 {
		return
	}
	addr, mac := a.SenderIP(), a.SenderMAC()
	if a.IsProbe() {
		addr = a.TargetIP() // somebody else is about to take it: RFC 5227 section 2.1.1
	}
	if mac == p.mac || !mac.IsUnicast() {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if !a.IsProbe() {
		p.heard(addr, mac)
	}
	for q := range p.probing {
		if q.addr == addr && q.except != mac {
			q.once.Do(func() { close(q.found) })
		}
	}
}

func (p *Prober) start(addr netip.Addr, except frame.MAC) (*probe, error) {
	q := &probe{addr: addr, except: except, found: make(chan struct{})}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.probing)+len(p.asking) >= maxProbes {
		return nil, ErrTooManyProbes
	}
	p.probing[q] = struct{}{}
	p.counted()
	return q, nil
}

func (p *Prober) stop(q *probe) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.probing, q)
	p.counted()
}
