package tunnel

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
	"time"

	"landbridge/internal/group"
	"landbridge/internal/sorting"
)

const (
	maxReporters = 64              // members whose word on our address is kept
	maxSeen      = 8               // of such addresses that are offered
	seenLast     = 5 * time.Minute // how long one is believed
)

// seenBy names who saw us, and over which family: a member has one word for each.
type seenBy struct {
	member group.MemberID
	is4    bool
}

// sighting is an address of ours that a member has seen.
type sighting struct {
	addr netip.AddrPort
	at   time.Duration
}

// localView is what this node knows of its own addresses; immutable.
type localView struct {
	interfaces []netip.Addr
	observed   []netip.AddrPort // what Config.Observed said
	loopback   bool             // offers of loopback addresses are taken: we have nothing better ourselves, or it is a test
}

// refreshLocal asks for our addresses and reports whether those of our interfaces
// changed. No lock is held while it asks.
func (t *Tunnel) refreshLocal(now time.Duration) bool {
	var addrs []netip.Addr
	if t.cfg.Interfaces != nil {
		for _, a := range t.cfg.Interfaces() {
			addrs = append(addrs, a.Unmap())
		}
	}
	sorting.By(addrs, netip.Addr.Compare)
	addrs = slices.Compact(addrs)
	t.refreshObserved()
	t.mu.Lock()
	defer t.mu.Unlock()
	maps.DeleteFunc(t.seen, func(_ seenBy, s sighting) bool { return now-s.at > seenLast })
	changed := !slices.Equal(addrs, t.local.interfaces)
	t.local.interfaces, t.local.loopback = addrs, slices.ContainsFunc(addrs, netip.Addr.IsLoopback)
	return changed
}

// refreshObserved asks how others see us; it is called before each offer.
func (t *Tunnel) refreshObserved() {
	if t.cfg.Observed == nil {
		return
	}
	observed := t.cfg.Observed()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.local.observed = observed
}

func (t *Tunnel) localNow() localView {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.local
}

// candidates is the list of our own addresses and relays that an offer carries.
func (t *Tunnel) candidates() candidateList {
	var list candidateList
	add := func(a netip.AddrPort, host bool) {
		a = netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
		known := slices.ContainsFunc(list.endpoints, func(e endpointCandidate) bool { return e.addr == a })
		if !known && len(list.endpoints) < maxOffered && a.IsValid() && a.Port() != 0 {
			list.endpoints = append(list.endpoints, endpointCandidate{addr: a, host: host})
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, a := range t.local.interfaces[:min(len(t.local.interfaces), maxOffered/2)] {
		add(netip.AddrPortFrom(a, t.under.port()), true)
	}
	for _, a := range t.seenAddrs() {
		add(a, false)
	}
	for _, a := range t.local.observed {
		add(a, false)
	}
	list.relays = slices.Clone(t.relays[:min(len(t.relays), maxRelays)])
	return list
}

// seenAddrs lists the addresses that members have seen: first those that several
// agree on, then the newest.
func (t *Tunnel) seenAddrs() []netip.AddrPort {
	votes := make(map[netip.AddrPort]int)
	newest := make(map[netip.AddrPort]time.Duration)
	for _, s := range t.seen {
		votes[s.addr]++
		newest[s.addr] = max(newest[s.addr], s.at)
	}
	list := sorting.Sorted(maps.Keys(votes), func(a, b netip.AddrPort) int {
		return cmp.Or(cmp.Compare(votes[b], votes[a]), cmp.Compare(newest[b], newest[a]), a.Compare(b))
	})
	return list[:min(len(list), maxSeen)]
}

// noteSeen remembers at which address a member has seen us.
func (t *Tunnel) noteSeen(by group.MemberID, a netip.AddrPort, now time.Duration) {
	if !a.IsValid() || a.Port() == 0 {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	key := seenBy{by, a.Addr().Is4()}
	if _, known := t.seen[key]; slices.Contains(t.local.interfaces, a.Addr()) || !known && len(t.seen) >= maxReporters {
		return
	}
	news := true
	for _, s := range t.seen {
		news = news && s.addr != a
	}
	t.seen[key] = sighting{a, now}
	if news {
		t.learned = true
		t.kick(0)
	}
}

// kindOf judges what kind of path an address makes: the local network's if the peer
// has it on its own interface and we are on the same /24 or /64.
func (t *Tunnel) kindOf(e endpointCandidate) PathKind {
	if !e.host {
		return PathDirect
	}
	bits := 64
	if e.addr.Addr().Is4() {
		bits = 24
	}
	prefix, err := e.addr.Addr().Prefix(bits)
	if err != nil {
		return PathDirect
	}
	if slices.ContainsFunc(t.localNow().interfaces, prefix.Contains) {
		return PathLAN
	}
	return PathDirect
}

// acceptable reports whether an address that a peer offers may be probed at all.
func (t *Tunnel) acceptable(e endpointCandidate, local localView) bool {
	a := e.addr.Addr()
	switch {
	case !e.addr.IsValid() || e.addr.Port() == 0 || a.IsUnspecified() || a.Zone() != "":
		return false
	case a.IsMulticast() || a.IsLinkLocalUnicast() || a == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		return false
	case isLink(e.addr):
		return false // no address of anybody's
	case a.IsLoopback() && !local.loopback:
		return false
	case slices.Contains(local.interfaces, a) && e.addr.Port() == t.under.port():
		return false // ourselves
	}
	return t.cfg.Exclude == nil || !t.cfg.Exclude(a)
}

// offered takes what the peer says of where it can be reached; p.mu is held.
func (p *peer) offered(list candidateList) {
	t := p.tunnel
	local := t.localNow()
	var event candidatesFrom
	p.homes = p.homes[:0]
	for _, e := range list.endpoints {
		if !t.acceptable(e, local) {
			continue
		}
		if e.host {
			p.homes = append(p.homes, e.addr)
		}
		event.endpoints = append(event.endpoints, ratedEndpoint{addr: e.addr, kind: t.kindOf(e)})
	}
	for _, r := range list.relays {
		if r != t.self && r != p.id {
			event.relays = append(event.relays, r)
		}
	}
	t.wantRelays(event.relays)
	p.dispatch(event)
	t.relaysMoved(p)
}

// wantRelays asks for sessions with a peer's relays if we share none with it.
func (t *Tunnel) wantRelays(offered []group.MemberID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, r := range offered {
		if slices.Contains(t.relays, r) {
			return
		}
	}
	for _, r := range offered[:min(len(offered), 2)] {
		t.wants[r] = struct{}{}
		t.kick(0)
	}
}

// relaysMoved has run look again at which members can relay for us.
func (t *Tunnel) relaysMoved(p *peer) {
	if !p.relays {
		return
	}
	t.mu.Lock()
	t.dirty = true
	t.mu.Unlock()
	t.kick(0)
}

// sendCandidates tells the peer our candidates, through the path in use.
func (p *peer) sendCandidates(flags byte) {
	p.sendControl(p.paths.chosen, p.tunnel.candidates().bytes(flags))
}
