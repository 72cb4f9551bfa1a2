package portmap

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
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
	lookEvery = 15 * time.Second // at the default route, and at our address there
	askAgain  = 15 * time.Minute // a gateway that says nothing, or no
	notBefore = 4 * time.Second  // since the last renewal (RFC 6887 section 11.2.1)
	leaveTime = time.Second      // for UPnP to take a mapping back: somebody waits for this program's end
)

// tries are the waits for an answer, each after a request (RFC 6886 section 3.1).
var tries = [...]time.Duration{250 * time.Millisecond, 500 * time.Millisecond, time.Second, 2 * time.Second}

// Mapped is where others reach this host, as its router has it; what isn't mapped is invalid.
type Mapped struct {
	UDP, TCP netip.AddrPort
	Fault    string // what the router has said last that can't be, in words; empty: nothing
}

// nonsenseError says that a router claims what can't be.
type nonsenseError string

func (e nonsenseError) Error() string { return string(e) }

// Config is what Keep needs.
type Config struct {
	Gateway  func() (netip.Addr, error) // of the default route over IPv4; the zero Addr: there is none
	UDP, TCP uint16                     // our ports; 0: none to be mapped
	Secret   []byte                     // of this host, the same after each start: by it the gateway knows its mappings again
	Changed  func(Mapped)
	Log      *slog.Logger
}

// place is where mappings are good: at one gateway, and for one address of ours. The zero place is nowhere.
type place struct{ gateway, own netip.Addr }

// keeper is what Keep does at one place.
type keeper struct {
	Config
	nonce  nonce
	at     place
	plain  bool // its gateway speaks NAT-PMP alone
	igd    *igd // it speaks UPnP alone; nil: it isn't known to
	held   map[transport]holding
	again  time.Time // when to ask
	fault  string    // of the last answer
	mapped Mapped    // what Changed was told
}

// holding is a mapping until its gateway's word ends.
type holding struct {
	external netip.AddrPort
	until    time.Time
}

func newKeeper(c Config) *keeper {
	return &keeper{Config: c, nonce: nonceOf(c.Secret), held: make(map[transport]holding)}
}

// nonceOf is what marks the mappings of a host: with another one it couldn't renew what it mapped before it was
// killed (RFC 6887 section 11.3), and nobody else knows it (section 18.1).
func nonceOf(secret []byte) (n nonce) {
	h := hmac.New(sha256.New, secret)
	_, _ = h.Write([]byte("landbridge port mapping nonce")) // never fails
	copy(n[:], h.Sum(nil))
	return n
}

// Keep has the gateway map the ports until ctx ends, and takes the mappings back then. Changed is called from
// the same goroutine.
func Keep(ctx context.Context, c Config) {
	k := newKeeper(c)
	defer k.leave()
	for {
		look := time.NewTimer(k.step(ctx))
		select {
		case <-ctx.Done():
			look.Stop()
			return
		case <-look.C:
		}
	}
}

// step asks for what is due where this host is, and returns after how long to do so again.
func (k *keeper) step(ctx context.Context) time.Duration {
	if at, err := k.look(); err != nil {
		k.Log.Debug("the default route can't be read", "err", err)
	} else if at != k.at {
		k.meet(at)
	}
	if k.at == (place{}) {
		return lookEvery
	}
	if !time.Now().Before(k.again) {
		wait := k.ask(ctx)
		k.again = time.Now().Add(wait)
	}
	return max(time.Second, min(lookEvery, time.Until(k.again)))
}

// look returns where this host is.
func (k *keeper) look() (place, error) {
	gateway, err := k.Gateway()
	if err != nil || !gateway.IsValid() {
		return place{}, err
	}
	conn, err := dial(place{gateway: gateway})
	if err != nil {
		k.Log.Debug("the router before this host can't be asked to map ports", "addr", gateway, "err", err)
		return place{}, nil
	}
	defer conn.Close()
	return place{gateway, conn.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Unmap()}, nil
}

// dial opens a socket from our address at a place to its gateway.
func dial(at place) (*net.UDPConn, error) {
	var own *net.UDPAddr
	if at.own.IsValid() {
		own = net.UDPAddrFromAddrPort(netip.AddrPortFrom(at.own, 0))
	}
	return net.DialUDP("udp4", own, net.UDPAddrFromAddrPort(netip.AddrPortFrom(at.gateway, serverPort)))
}

// meet turns to another place, or to none.
func (k *keeper) meet(at place) {
	k.leave()
	k.at, k.plain, k.igd, k.again = at, false, nil, time.Time{}
}

// leave takes back what the gateway has mapped, if it hears that.
func (k *keeper) leave() {
	for t, port := range k.ports() {
		h, held := k.held[t]
		if !held {
			continue
		}
		if k.igd != nil {
			ctx, cancel := context.WithTimeout(context.Background(), leaveTime)
			k.igd.remove(ctx, t, h.external.Port())
			cancel()
			continue
		}
		if conn, err := dial(k.at); err == nil {
			_, _ = conn.Write(k.request(t, port, 0)) // else it ends by itself
			_ = conn.Close()
		}
	}
	clear(k.held)
	k.fault = ""
	k.show()
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

// show tells what is mapped, where that isn't what was told last.
func (k *keeper) show() {
	m := Mapped{Fault: k.fault}
	for t, h := range k.held {
		switch {
		case !time.Now().Before(h.until):
			delete(k.held, t)
		case t == udp:
			m.UDP = h.external
		default:
			m.TCP = h.external
		}
	}
	if m != k.mapped {
		k.mapped = m
		k.Changed(m)
	}
}

// ask asks for the mappings, or renews them, and returns after how long to do it again. What was granted holds until its
// end, whatever becomes of a renewal: that is tried again at half of what is left.
func (k *keeper) ask(ctx context.Context) time.Duration {
	for t, port := range k.ports() {
		asked := time.Now()
		m, err := k.obtain(ctx, t, port)
		var nonsense nonsenseError
		k.fault = ""
		if errors.As(err, &nonsense) {
			k.fault = nonsense.Error()
		}
		if err != nil {
			k.Log.Debug(fmt.Sprintf("the router before this host maps no %v port", t), "addr", k.at.gateway, "err", err)
			break // nor would it the other
		}
		if k.held[t].external != m.external {
			k.Log.Info(fmt.Sprintf("the router before this host has mapped a %v port to it", t), "addr", m.external)
		}
		k.held[t] = holding{m.external, asked.Add(m.lifetime)}
	}
	k.show()
	again := askAgain
	for _, h := range k.held {
		again = min(again, max(notBefore, time.Until(h.until)/2))
	}
	return again
}

// obtain asks for one mapping: by PCP, by NAT-PMP where that isn't spoken, and by UPnP where neither is.
func (k *keeper) obtain(ctx context.Context, t transport, port uint16) (m mapping, err error) {
	if k.igd == nil {
		m, err = k.obtainPlainly(ctx, t, port)
		if err != nil && !refused(err) && ctx.Err() == nil {
			var none error
			if k.igd, none = findIGD(ctx, k.at); none != nil {
				return m, errors.Join(err, none)
			}
		}
	}
	if k.igd != nil {
		if m, err = k.igd.obtain(ctx, k.at.own, t, port, lifetime); err != nil && !refused(err) {
			k.igd = nil // it may have moved: it is looked for anew
		}
	}
	if err != nil {
		return m, err
	}
	return m, k.check(m)
}

// refused reports whether a gateway has said no, so that asking it in another way is no use.
func refused(err error) bool {
	var plainly *refusedError
	var byUPnP *igdError
	return errors.As(err, &plainly) || errors.As(err, &byUPnP)
}

// obtainPlainly asks by PCP, and by NAT-PMP where that isn't spoken.
func (k *keeper) obtainPlainly(ctx context.Context, t transport, port uint16) (m mapping, err error) {
	if !k.plain {
		m, err = k.exchange(ctx, k.request(t, port, lifetime), func(b []byte) (mapping, error) { return parsePCP(b, k.nonce, t, port) })
		k.plain = errors.Is(err, errOldVersion)
	}
	if !k.plain {
		return m, err
	}
	own, err := k.exchange(ctx, pmpAddressRequest(), func(b []byte) (m mapping, err error) {
		addr, err := parsePMPAddress(b)
		return mapping{external: netip.AddrPortFrom(addr, 0)}, err
	})
	if err != nil {
		return m, err
	}
	if m, err = k.exchange(ctx, k.request(t, port, lifetime), func(b []byte) (mapping, error) { return parsePMP(b, t, port) }); err == nil {
		m.external = netip.AddrPortFrom(own.external.Addr(), m.external.Port())
	}
	return m, err
}

// check refuses what can't be where others reach us.
func (k *keeper) check(m mapping) error {
	a := m.external.Addr()
	switch {
	case !a.IsGlobalUnicast() || m.external.Port() == 0 || a == k.at.gateway || a == k.at.own:
		return nonsenseError(fmt.Sprintf("the router at %v says that %v is mapped, which can't be an address outside", k.at.gateway, m.external))
	case m.lifetime < shortest:
		return nonsenseError(fmt.Sprintf("the router at %v maps the port for %v alone", k.at.gateway, m.lifetime))
	}
	return nil
}

func (k *keeper) request(t transport, port uint16, life time.Duration) []byte {
	if k.plain {
		return pmpRequest(t, port, life)
	}
	return pcpRequest(k.nonce, k.at.own, t, port, life)
}

// errSilent: the gateway doesn't answer.
var errSilent = errors.New("the gateway doesn't answer")

// exchange sends a request until an answer comes that parse takes. What parse takes for no answer is left alone: others may
// have asked from this port before. Each exchange has a port of its own: nothing in an answer says whether it is to
// this request or to the one before.
func (k *keeper) exchange(ctx context.Context, request []byte, parse func([]byte) (mapping, error)) (mapping, error) {
	conn, err := dial(k.at)
	if err != nil {
		return mapping{}, err
	}
	defer conn.Close()
	ended := context.AfterFunc(ctx, func() { _ = conn.SetReadDeadline(time.Unix(1, 0)) })
	defer ended()
	var b [1100]byte // the most that PCP sends (RFC 6887 section 7)
	for _, wait := range tries {
		if _, err := conn.Write(request); err != nil {
			return mapping{}, err
		}
		_ = conn.SetReadDeadline(time.Now().Add(wait))
		if ctx.Err() != nil {
			return mapping{}, ctx.Err()
		}
		for {
			n, err := conn.Read(b[:])
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
