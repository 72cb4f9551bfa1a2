package router

import (
	"hash/maphash"
	"net/netip"
	"sync"
	"time"

	"landbridge/internal/frame"
	"landbridge/internal/group"
)

// complaint is an ICMP error that the router sends, always from the service address.
type complaint uint8

const (
	hostUnreachable complaint = iota
	portUnreachable
	timeExceeded
	fragNeeded
)

// maxICMPError is the longest error packet that frame builds, in bytes (RFC 1812
// section 4.3.2.3).
const maxICMPError = 576

// tellHost sends an ICMP error about a packet to the host of the segment that sent it.
// mtu matters for fragNeeded only.
func (r *Router) tellHost(b *batch, mac frame.MAC, about frame.IPv4, c complaint, mtu int) {
	if !r.mayComplain(b, about) {
		return
	}
	b.writeBuilt(r.appendComplaint(b.roomTo(mac, maxICMPError), about, c, mtu))
}

// tellMember sends an ICMP error about a packet to the member that it came from.
func (r *Router) tellMember(b *batch, from group.MemberID, about frame.IPv4, c complaint, mtu int) {
	if !r.mayComplain(b, about) {
		return
	}
	p := r.appendComplaint(b.room(maxICMPError)[:frame.Headroom], about, c, mtu)
	b.sendUncounted(from, frame.Packet{Buf: p})
}

func (r *Router) mayComplain(b *batch, about frame.IPv4) bool {
	if !frame.MayError(about) || !r.errors.allow(about.Src(), b.now) {
		r.counters.add(icmpSuppressed, 1)
		return false
	}
	r.counters.add(icmpSent, 1)
	return true
}

func (r *Router) appendComplaint(p []byte, about frame.IPv4, c complaint, mtu int) []byte {
	switch c {
	case timeExceeded:
		return frame.AppendTimeExceeded(p, r.service, about)
	case fragNeeded:
		return frame.AppendFragNeeded(p, r.service, about, uint16(mtu))
	case portUnreachable:
		return frame.AppendUnreachable(p, r.service, about, frame.CodePortUnreachable)
	}
	return frame.AppendUnreachable(p, r.service, about, frame.CodeHostUnreachable)
}

// claimedSource returns the address whose lease entitles a member to send this packet. It
// is the source, but for an ICMP error that the member's appliance sends in the name of a host
// of its segment: there it is the host that the error is about. The zero Addr says that
// no lease could.
func (r *Router) claimedSource(ip frame.IPv4) netip.Addr {
	src := ip.Src()
	if src != r.service {
		if r.classifier.isHost(src) {
			return src
		}
		return netip.Addr{}
	}
	if ip.Protocol() != frame.ProtocolICMP || ip.FragmentOffset() != 0 {
		return netip.Addr{}
	}
	m, err := frame.ParseICMPv4(ip.Payload())
	if err != nil || (m.Type() != frame.ICMPv4Unreachable && m.Type() != frame.ICMPv4TimeExceeded) {
		return netip.Addr{}
	}
	original := m.Payload() // cut short, so that ParseIPv4 would refuse it
	if len(original) < frame.IPv4HeaderLen || original[0]>>4 != 4 {
		return netip.Addr{}
	}
	from, to := netip.AddrFrom4([4]byte(original[12:16])), netip.AddrFrom4([4]byte(original[16:20]))
	if from != ip.Dst() || !r.classifier.isHost(to) {
		return netip.Addr{}
	}
	return to
}

// icmpLimiter bounds the ICMP errors sent (RFC 1812 section 4.3.2.8): in all, and to
// one host, so that a host that sweeps the prefix can't take the errors that
// another's path MTU discovery waits for. Hosts are told apart by a hash.
type icmpLimiter struct {
	mu    sync.Mutex
	seed  maphash.Seed
	all   bucket
	hosts [icmpHosts]bucket
}

func newICMPLimiter() icmpLimiter { return icmpLimiter{seed: maphash.MakeSeed()} }

func (l *icmpLimiter) allow(to netip.Addr, now time.Time) bool {
	a := to.As4()
	l.mu.Lock()
	defer l.mu.Unlock()
	slot := maphash.Bytes(l.seed, a[:]) % icmpHosts
	return l.hosts[slot].take(now, icmpHostRate, icmpHostBurst) && l.all.take(now, icmpRate, icmpBurst)
}

// bucket is a token bucket; the zero value is full.
type bucket struct {
	spent float64
	last  time.Time
}

func (b *bucket) take(now time.Time, rate, burst float64) bool {
	if elapsed := now.Sub(b.last).Seconds(); elapsed > 0 {
		b.spent = max(0, b.spent-elapsed*rate)
		b.last = now
	}
	if b.spent+1 > burst {
		return false
	}
	b.spent++
	return true
}
