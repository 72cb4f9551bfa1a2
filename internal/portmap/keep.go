package portmap

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"net"
	"net/netip"
	"time"
)

const (
	lifetime  = 20 * time.Minute // asked for; a router that was restarted has forgotten it for at most half of that
	shortest  = time.Minute      // of what a router grants that is believed
	lookEvery = 15 * time.Second // at the default route
	askAgain  = 15 * time.Minute // a gateway that says nothing, or no
)

// tries are the waits for an answer, each after a request (RFC 6886 section 3.1).
var tries = [...]time.Duration{250 * time.Millisecond, 500 * time.Millisecond, time.Second, 2 * time.Second}

// Mapped is where others reach this host, as its router has it; what isn't mapped is invalid.
type Mapped struct{ UDP, TCP netip.AddrPort }

// Config is what Keep needs.
type Config struct {
	Gateway  func() (netip.Addr, error) // of the default route over IPv4; the zero Addr: there is none
	UDP, TCP uint16                     // our ports; 0: none to be mapped
	Changed  func(Mapped)
	Log      *slog.Logger
}

// keeper is what Keep does at one gateway.
type keeper struct {
	Config
	nonce   nonce
	gateway netip.Addr
	conn    *net.UDPConn
	plain   bool // it speaks NAT-PMP alone
	mapped  Mapped
}

// Keep has the gateway map the ports until ctx ends, and takes the mappings back then. Changed is called from
// the same goroutine.
func Keep(ctx context.Context, c Config) {
	var n nonce
	_, _ = rand.Read(n[:]) // never fails
	k := &keeper{Config: c, nonce: n}
	defer k.leave()
	var again time.Time
	for {
		if gateway, err := k.Gateway(); err != nil {
			k.Log.Debug("the default route can't be read", "err", err)
		} else if gateway != k.gateway {
			k.meet(gateway)
			again = time.Time{}
		}
		if k.conn != nil && !time.Now().Before(again) {
			again = time.Now().Add(k.ask(ctx))
		}
		look := time.NewTimer(max(time.Second, min(lookEvery, time.Until(again))))
		select {
		case <-ctx.Done():
			look.Stop()
			return
		case <-look.C:
		}
	}
}

// meet turns to another gateway, or to none.
func (k *keeper) meet(gateway netip.Addr) {
	k.leave()
	k.gateway, k.plain = gateway, false
	if !gateway.IsValid() {
		return
	}
	conn, err := net.DialUDP("udp4", nil, net.UDPAddrFromAddrPort(netip.AddrPortFrom(gateway, serverPort)))
	if err != nil {
		k.Log.Debug("the router before this host can't be asked to map ports", "addr", gateway, "err", err)
		return
	}
	k.conn = conn
}

// leave takes back what the gateway has mapped, if it hears that.
func (k *keeper) leave() {
	if k.conn == nil {
		return
	}
	for t, port := range k.ports() {
		if k.mapped != (Mapped{}) {
			_, _ = k.conn.Write(k.request(t, port, 0)) // else it ends by itself
		}
	}
	_ = k.conn.Close()
	k.conn = nil
	k.set(Mapped{})
}

// ports yields what is to be mapped.
func (k *keeper) ports() iter.Seq2[transport, uint16] {
	return func(yield func(transport, uint16) bool) {
		if k.UDP != 0 && !yield(udp, k.UDP) {
			return
		}
		if k.TCP != 0 {
			yield(tcp, k.TCP)
		}
	}
}

func (k *keeper) set(m Mapped) {
	if m != k.mapped {
		k.mapped = m
		k.Changed(m)
	}
}

// ask asks for the mappings, or renews them, and returns after how long to do it again.
func (k *keeper) ask(ctx context.Context) time.Duration {
	var got Mapped
	granted := time.Duration(1<<63 - 1)
	for t, port := range k.ports() {
		m, err := k.obtain(ctx, t, port)
		if err != nil {
			k.Log.Debug(fmt.Sprintf("the router before this host maps no %v port", t), "addr", k.gateway, "err", err)
			break // nor would it the other
		}
		granted = min(granted, m.lifetime)
		if t == udp {
			got.UDP = m.external
		} else {
			got.TCP = m.external
		}
	}
	if got != k.mapped && got != (Mapped{}) {
		k.Log.Info("the router before this host has mapped a port to it", "addr", got.UDP)
	}
	k.set(got)
	if got == (Mapped{}) {
		return askAgain
	}
	return granted / 2
}

// obtain asks for one mapping, by PCP, and by NAT-PMP where that isn't spoken.
func (k *keeper) obtain(ctx context.Context, t transport, port uint16) (m mapping, err error) {
	if !k.plain {
		m, err = k.exchange(ctx, k.request(t, port, lifetime), func(b []byte) (mapping, error) { return parsePCP(b, k.nonce, t, port) })
		k.plain = errors.Is(err, errOldVersion)
	}
	if k.plain {
		var own mapping
		own, err = k.exchange(ctx, pmpAddressRequest(), func(b []byte) (m mapping, err error) {
			addr, err := parsePMPAddress(b)
			return mapping{external: netip.AddrPortFrom(addr, 0)}, err
		})
		if err != nil {
			return m, err
		}
		if m, err = k.exchange(ctx, k.request(t, port, lifetime), func(b []byte) (mapping, error) { return parsePMP(b, t, port) }); err == nil {
			m.external = netip.AddrPortFrom(own.external.Addr(), m.external.Port())
		}
	}
	if err != nil {
		return m, err
	}
	return m, k.check(m)
}

// check refuses what can't be where others reach us.
func (k *keeper) check(m mapping) error {
	a := m.external.Addr()
	switch {
	case !a.IsGlobalUnicast() || m.external.Port() == 0 || a == k.gateway || a == k.client():
		return fmt.Errorf("the gateway says that %v is mapped, which can't be", m.external)
	case m.lifetime < shortest:
		return fmt.Errorf("the gateway maps the port for %v alone", m.lifetime)
	}
	return nil
}

// client is our address, as the gateway is to see it.
func (k *keeper) client() netip.Addr {
	return k.conn.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Unmap()
}

func (k *keeper) request(t transport, port uint16, life time.Duration) []byte {
	if k.plain {
		return pmpRequest(t, port, life)
	}
	return pcpRequest(k.nonce, k.client(), t, port, life)
}

// errSilent: the gateway doesn't answer.
var errSilent = errors.New("the gateway doesn't answer")

// exchange sends a request until an answer comes that parse takes. What parse takes for no answer
// is left alone: others may have asked from this port before.
func (k *keeper) exchange(ctx context.Context, request []byte, parse func([]byte) (mapping, error)) (mapping, error) {
	ended := context.AfterFunc(ctx, func() { _ = k.conn.SetReadDeadline(time.Unix(1, 0)) })
	defer ended()
	var b [1100]byte // the most that PCP sends (RFC 6887 section 7)
	for _, wait := range tries {
		if _, err := k.conn.Write(request); err != nil {
			return mapping{}, err
		}
		_ = k.conn.SetReadDeadline(time.Now().Add(wait))
		if ctx.Err() != nil {
			return mapping{}, ctx.Err()
		}
		for {
			n, err := k.conn.Read(b[:])
			if err != nil {
				var timeout net.Error
				if errors.As(err, &timeout) && timeout.Timeout() {
					break
				}
				return mapping{}, err // the gateway says that nobody listens
			}
			if m, err := parse(b[:n]); !errors.Is(err, errNotAReply) {
				return m, err
			}
		}
	}
	return mapping{}, errSilent
}
