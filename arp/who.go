package arp

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"landbridge/internal/frame"
)

// maxAnswers bounds the stations that one inquiry tells apart.
const maxAnswers = 4

// inquiry is one call of Who. Guarded by Prober.mu.
type inquiry struct {
	addr netip.Addr
	macs []frame.MAC
}

// Who asks the segment for addr and returns the stations that say they have it, at most
// four, after 300 ms. sender is the address that the question comes from: 0.0.0.0 where the
// prober claims none (RFC 5227), which a router that answers for others (proxy ARP) may ignore;
// the service address where such routers are to answer. The error is ctx's,
// ErrTooManyProbes, or what sending returned.
func (p *Prober) Who(ctx context.Context, addr, sender netip.Addr) ([]frame.MAC, error) {
	q := &inquiry{addr: addr}
	p.mu.Lock()
	if len(p.probing)+len(p.asking) >= maxProbes {
		p.mu.Unlock()
		return nil, ErrTooManyProbes
	}
	p.asking[q] = struct{}{}
	p.counted()
	p.mu.Unlock()
	defer p.end(q)

	packet := frame.AppendARP(nil, frame.Broadcast(), p.mac, frame.ARPFields{
		Op: frame.ARPRequest, SenderMAC: p.mac, SenderIP: sender, TargetIP: addr,
	})
	ticker := time.NewTicker(probeInterval)
	defer ticker.Stop()
	for range probes {
		if err := p.send(packet); err != nil {
			return nil, fmt.Errorf("ask who has %v: %w", addr, err)
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-ticker.C:
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(q.macs), nil
}

// Ask sends one probe for addr and waits for nothing: whoever answers is seen by the router.
func (p *Prober) Ask(addr netip.Addr) error {
	return p.send(frame.AppendARP(nil, frame.Broadcast(), p.mac, frame.ARPFields{
		Op: frame.ARPRequest, SenderMAC: p.mac, TargetIP: addr,
	}))
}

func (p *Prober) end(q *inquiry) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.asking, q)
	p.counted()
}

// heard notes that mac says that it has addr. Called with mu held.
func (p *Prober) heard(addr netip.Addr, mac frame.MAC) {
	for q := range p.asking {
		if q.addr == addr && len(q.macs) < maxAnswers && !slices.Contains(q.macs, mac) {
			q.macs = append(q.macs, mac)
		}
	}
}

// counted keeps active in step. Called with mu held.
func (p *Prober) counted() { p.active.Store(int32(len(p.probing) + len(p.asking))) }
