package appliance

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"time"

	"landbridge/internal/frame"
	"landbridge/internal/health"
	"landbridge/internal/registry"
	"landbridge/internal/sorting"
	"landbridge/router"
)

const (
	maxGateways   = 16               // other gateways remembered
	gatewayMemory = 10 * time.Minute // …, after they were last noticed
	// proxied is for how many addresses that it doesn't have a station must answer to be a
	// gateway: one may be a host that has moved here.
	proxied = 2
	// gatewayGrace is how long a gateway isn't told of: it may be a router of the group, which is
	// proven within that.
	gatewayGrace = 3 * time.Second
)

// otherGateway is a station of the LAN that gives itself out as a gateway of the group.
type otherGateway struct {
	mac         frame.MAC
	addr        netip.Addr // of which it was noticed
	sign        router.GatewaySign
	first, last time.Time
}

// gatewayWatch remembers other gateways, to a bound. Safe for concurrent use; the zero
// value is empty.
type gatewayWatch struct {
	isOurs func(frame.MAC) bool // recognises those that are of the group after all; nil: none is

	mu   sync.Mutex
	seen map[frame.MAC]*otherGateway
}

// note notes a sign of a gateway.
func (w *gatewayWatch) note(addr netip.Addr, mac frame.MAC, sign router.GatewaySign, now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.forget(now)
	g := w.seen[mac]
	if g == nil {
		if len(w.seen) >= maxGateways {
			return
		}
		if w.seen == nil {
			w.seen = make(map[frame.MAC]*otherGateway)
		}
		g = &otherGateway{mac: mac, addr: addr, sign: sign, first: now}
		w.seen[mac] = g
	}
	g.last = now
	if sign < g.sign { // the plainest
		g.addr, g.sign = addr, sign
	}
}

// list returns the gateways that are there, and to be told of, by MAC.
func (w *gatewayWatch) list(now time.Time) (all []otherGateway) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.forget(now)
	for _, g := range w.seen {
		if now.Sub(g.first) >= gatewayGrace {
			all = append(all, *g)
		}
	}
	sorting.By(all, func(a, b otherGateway) int { return slices.Compare(a.mac[:], b.mac[:]) })
	return all
}

// has reports whether a station is a gateway.
func (w *gatewayWatch) has(mac frame.MAC) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.seen[mac] != nil
}

// forget drops those that weren't noticed for long, or are no strangers. Called with mu held.
func (w *gatewayWatch) forget(now time.Time) {
	for mac, g := range w.seen {
		if now.Sub(g.last) >= gatewayMemory || w.isOurs != nil && w.isOurs(mac) {
			delete(w.seen, mac)
		}
	}
}

// Gateway takes a sign of another gateway. It is called on the frame path.
func (s *segment) Gateway(addr netip.Addr, mac frame.MAC, sign router.GatewaySign) {
	if !s.isOurs(mac) {
		s.rivals.note(addr, mac, sign, time.Now())
	}
}

// watchGateways looks for other gateways until ctx ends.
func (s *segment) watchGateways(ctx context.Context) {
	wait := time.NewTimer(2 * settleAfter)
	defer wait.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-wait.C:
		}
		if err := s.lookForGateways(ctx); err != nil && ctx.Err() == nil {
			s.log.Debug("other gateways not looked for", "port", s.port, "err", err)
		}
		wait.Reset(probeInterval)
	}
}

// lookForGateways asks the LAN who else has the service address, and who answers for
// addresses that nobody has. The first answer comes by the router, as any ARP packet does.
func (s *segment) lookForGateways(ctx context.Context) error {
	d := s.group.Descriptor()
	if err := s.prober.Ask(d.ServiceAddr()); err != nil {
		return err
	}
	answered := make(map[frame.MAC]int)
	for range proxied {
		macs, err := s.prober.Who(ctx, s.nobodys(d.Prefix), d.ServiceAddr())
		if err != nil {
			return err
		}
		for _, mac := range macs {
			if answered[mac]++; answered[mac] == proxied {
				s.proxy(mac)
			}
		}
	}
	return nil
}

// proxy notes a station that answers for addresses that nobody has.
func (s *segment) proxy(mac frame.MAC) {
	if !s.isOurs(mac) {
		s.rivals.note(s.group.Descriptor().Prefix.Masked().Addr(), mac, router.SignProxy, time.Now())
	}
}

// proxies reports whether a station, which has answered for one address, answers for one
// that nobody has: then it is no host with an address of its own.
func (s *segment) proxies(ctx context.Context, mac frame.MAC) bool {
	if s.rivals.has(mac) {
		return true
	}
	d := s.group.Descriptor()
	macs, err := s.prober.Who(ctx, s.nobodys(d.Prefix), d.ServiceAddr())
	if err != nil || !slices.Contains(macs, mac) {
		return false
	}
	s.proxy(mac)
	return true
}

// nobodys returns an address of the prefix that nobody is known to have.
func (s *segment) nobodys(prefix netip.Prefix) (addr netip.Addr) {
	first := prefix.Masked().Addr().As4()
	base, size := binary.BigEndian.Uint32(first[:]), uint32(1)<<(32-prefix.Bits())
	for range 64 {
		var b [4]byte
		binary.BigEndian.PutUint32(b[:], base+2+rand.Uint32N(size-3)) // neither network, service nor broadcast address
		addr = netip.AddrFrom4(b)
		if _, status := s.registry.Lookup(addr); status != registry.Known {
			break
		}
	}
	return addr
}

// aboutGateway says what another gateway does and what to do.
func (s *segment) aboutGateway(g otherGateway) health.Trouble {
	d := s.group.Descriptor()
	who := fmt.Sprintf("Another gateway is on this LAN (port %s): the station at %v ", s.port, g.mac)
	var text, remedy string
	switch g.sign {
	case router.SignService:
		text = fmt.Sprintf("says by ARP that it has %v, the service address of the group %s. Hosts that believe it get no names and addresses from this appliance.", g.addr, d.Name)
		remedy = "Give that station another address."
	case router.SignProxy:
		text = fmt.Sprintf("answers ARP for addresses of the group %s that nobody has (proxy ARP), so hosts may send it what is for other sites, where it is lost.", d.Name)
		remedy = fmt.Sprintf("Turn proxy ARP off there (Linux: sysctl net.ipv4.conf.all.proxy_arp=0; Cisco: no ip proxy-arp), or have it not answer for %v.", d.Prefix)
	default:
		how := "advertises"
		if g.sign == router.SignRedirect {
			how = "redirects hosts to"
		}
		text = fmt.Sprintf("%s %v, an address of the group %s, as a router (ICMP), so hosts may send it what is for other sites, where it is lost.", how, g.addr, d.Name)
		remedy = "Turn that off there."
	}
	return health.Trouble{Component: "arp", Key: "gateway " + g.mac.String(), Finding: health.Finding{Text: who + text, Remedy: remedy}}
}
