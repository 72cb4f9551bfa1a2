package dhcp

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
)

const (
	// maxTries bounds the addresses that are probed for one DISCOVER.
	maxTries = 4
	// maxRapid bounds the addresses that are tried to be leased for one DISCOVER.
	maxRapid = 2
	// maxOffers bounds the DISCOVERs answered at a time, and the offers whose probe
	// is remembered.
	maxOffers = 1024
	// probeValid is how long an offered address needs no second probe for the same
	// client, whose OFFER may have been lost.
	probeValid = 30 * time.Second
	// conflictLogInterval keeps a host that answers every probe from filling the log.
	conflictLogInterval = time.Minute
)

// discover answers a DISCOVER with an OFFER of an address that nobody uses, or with an ACK of it where the client
// can do without the OFFER.
func (s *Server) discover(ctx context.Context, x *exchange) error {
	if x.kind != dhcpv4.MessageTypeDiscover {
		return nil
	}
	key := string(x.client.MAC) + string(x.client.ID)
	if !s.offers.begin(key, x.req) {
		return ErrBusy
	}
	want, _ := addrOption(x.req, dhcpv4.OptionRequestedIPAddress)
	if !s.leasable(want) {
		want = netip.Addr{}
	}
	lease, err := s.offer(ctx, x.client, want, key)
	committed := false
	if err == nil && s.rapid(x) {
		lease, committed, err = s.commit(ctx, x.client, lease, key)
	}
	// The client may have asked again meanwhile, and waits for an answer to that.
	x.req = s.offers.end(key)
	if err != nil {
		return err
	}
	if !committed || !x.req.Options.Has(dhcpv4.OptionRapidCommit) {
		x.grant(dhcpv4.MessageTypeOffer, lease)
		return nil
	}
	x.grant(dhcpv4.MessageTypeAck, lease)
	x.options = append(x.options, option{dhcpv4.OptionRapidCommit, nil})
	return nil
}

// rapid reports whether a DISCOVER may be answered with an ACK (RFC 4039): its client says so, and the segment has
// no other server whose OFFER it might take up instead, which must have been looked for.
func (s *Server) rapid(x *exchange) bool {
	o := s.config.Policy.Others
	return x.req.Options.Has(dhcpv4.OptionRapidCommit) && !x.deferential && (o == nil || o.looked() && !o.Present(x.received))
}

// commit leases what would be offered. Where that is refused, as the Leaser has learnt meanwhile that the client has
// another address, it leases that. What can't be leased now is offered: the client's REQUEST decides.
func (s *Server) commit(ctx context.Context, c Client, offered Lease, key string) (lease Lease, ok bool, err error) {
	for range maxRapid {
		lease, err := s.config.Leaser.Commit(ctx, c, offered.Addr)
		if err == nil && lease.Addr == offered.Addr {
			return lease, true, nil
		}
		if !isRefusal(err) {
			break
		}
		again, err := s.offer(ctx, c, netip.Addr{}, key)
		if err != nil {
			return Lease{}, false, err
		}
		if again.Addr == offered.Addr {
			break
		}
		offered = again
	}
	return offered, false, nil
}

// offer asks the Leaser for addresses until one is free on the segment.
func (s *Server) offer(ctx context.Context, c Client, want netip.Addr, key string) (Lease, error) {
	for range maxTries {
		lease, err := s.config.Leaser.Offer(ctx, c, want)
		if err != nil {
			return Lease{}, fmt.Errorf("offer: %w", err)
		}
		now := s.config.Now()
		if lease.Held || s.config.Prober == nil || s.offers.probed(lease.Addr, key, now) {
			return lease, nil
		}
		used, err := s.config.Prober.InUse(ctx, lease.Addr, c.MAC)
		if err != nil {
			return Lease{}, fmt.Errorf("offer: %w", err)
		}
		if !used {
			s.offers.remember(lease.Addr, key, now)
			// The probe took a while, in which the Leaser may have learnt that this
			// client, new here, has an address elsewhere.
			again, err := s.config.Leaser.Offer(ctx, c, want)
			if err != nil || again.Addr == lease.Addr {
				return lease, nil
			}
			continue
		}
		s.logConflict(lease.Addr, now)
		if err := s.config.Leaser.Decline(ctx, c, lease.Addr); err != nil {
			return Lease{}, fmt.Errorf("offer: decline %v: %w", lease.Addr, err)
		}
		want = netip.Addr{}
	}
	return Lease{}, ErrConflict
}

func (s *Server) logConflict(addr netip.Addr, now time.Time) {
	if s.offers.mayLog(now) {
		s.config.Log.Warn("address is in use by a host without a lease; it is not offered for a while",
			slog.String("addr", addr.String()))
	}
}

// offers remembers the DISCOVERs that are being answered and the probes of late.
type offers struct {
	mu      sync.Mutex
	running map[string]*dhcpv4.DHCPv4 // client -> its latest DISCOVER
	probes  map[netip.Addr]probed
	logged  time.Time
}

// probed is a probe that found an address free.
type probed struct {
	client string
	at     time.Time
}

func newOffers() offers {
	return offers{running: make(map[string]*dhcpv4.DHCPv4), probes: make(map[netip.Addr]probed)}
}

// begin reports whether the caller is to answer req. If a DISCOVER of the client is
// being answered already, that answer will be one to req.
func (o *offers) begin(client string, req *dhcpv4.DHCPv4) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	_, running := o.running[client]
	if !running && len(o.running) >= maxOffers {
		return false
	}
	o.running[client] = req
	return !running
}

// end returns the client's latest DISCOVER.
func (o *offers) end(client string) *dhcpv4.DHCPv4 {
	o.mu.Lock()
	defer o.mu.Unlock()
	req := o.running[client]
	delete(o.running, client)
	return req
}

func (o *offers) probed(addr netip.Addr, client string, now time.Time) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	p, ok := o.probes[addr]
	return ok && p.client == client && now.Sub(p.at) < probeValid
}

func (o *offers) remember(addr netip.Addr, client string, now time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.probes) >= maxOffers {
		for a, p := range o.probes {
			if now.Sub(p.at) >= probeValid {
				delete(o.probes, a)
			}
		}
	}
	if len(o.probes) < maxOffers {
		o.probes[addr] = probed{client, now}
	}
}

// forget drops the probe of an address that was declined.
func (o *offers) forget(addr netip.Addr) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.probes, addr)
}

func (o *offers) mayLog(now time.Time) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if now.Sub(o.logged) < conflictLogInterval {
		return false
	}
	o.logged = now
	return true
}
