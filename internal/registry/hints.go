package registry

import (
	"context"
	"crypto/sha256"
	"net/netip"
	"slices"
	"sync"
	"time"

	"landbridge/internal/group"
)

// maxHintKeys bounds what others can make this node remember.
const maxHintKeys = 1 << 16

// candidate is an address that a hint names.
type candidate struct {
	addr  [4]byte
	until time.Duration
}

// hints is what this node keeps, in memory, as a replica of clients' and names'
// keys. They are never believed, so they need no disk and no signature.
type hints struct {
	mu   sync.Mutex
	keys map[[32]byte][]candidate
}

func newHints() hints { return hints{keys: make(map[[32]byte][]candidate)} }

func clientKey(id group.ID, h clientHash) [32]byte {
	return sha256.Sum256(append(append(id[:], "client"...), h[:]...))
}

func nameKey(id group.ID, name string) [32]byte {
	return sha256.Sum256(append(append(id[:], "name"...), name...))
}

// put notes one hint: the newest maxCandidates addresses of a key count.
func (h *hints) put(q hint, until time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	list := slices.DeleteFunc(h.keys[q.Key], func(c candidate) bool { return c.addr == q.Addr })
	if !q.Gone {
		if len(list) >= maxCandidates {
			list = list[1:]
		}
		if len(h.keys) >= maxHintKeys && h.keys[q.Key] == nil {
			for k := range h.keys { // any
				delete(h.keys, k)
				break
			}
		}
		list = append(list, candidate{addr: q.Addr, until: until})
	}
	if len(list) == 0 {
		delete(h.keys, q.Key)
		return
	}
	h.keys[q.Key] = list
}

func (h *hints) get(key [32]byte, now time.Duration) (addrs [][4]byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, c := range h.keys[key] {
		if now < c.until {
			addrs = append(addrs, c.addr)
		}
	}
	return addrs
}

func (h *hints) expire(now time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for k, list := range h.keys {
		if list = slices.DeleteFunc(list, func(c candidate) bool { return now >= c.until }); len(list) == 0 {
			delete(h.keys, k)
		} else {
			h.keys[k] = list
		}
	}
}

// sendHints sends what waits, one message a replica.
func (r *Registry) sendHints() {
	p := &r.publisher
	p.mu.Lock()
	hs := p.hints[:min(len(p.hints), maxHints)]
	p.hints = p.hints[len(hs):]
	more := len(p.hints) > 0
	p.mu.Unlock()
	t, err := r.terms()
	if err != nil || len(hs) == 0 {
		return
	}
	to := make(map[group.MemberID][]hint)
	for _, h := range hs {
		for _, m := range t.nearest(h.Key) {
			to[m] = append(to[m], h)
		}
	}
	for m, list := range to {
		r.ask(t, []group.MemberID{m}, r.pace.phase, request{Kind: kindHint, Hints: list})
	}
	if more {
		p.kick()
	}
}

// candidates asks the replicas of a key which addresses they know for it. It
// returns when a majority has answered and somebody knew one, or all have.
func (r *Registry) candidates(ctx context.Context, key [32]byte) []netip.Addr {
	t, err := r.terms()
	if err != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, r.pace.phase)
	defer cancel()
	members := t.nearest(key)
	var addrs []netip.Addr
	n := 0
	answers := r.ask(t, members, r.pace.phase, request{Kind: kindAsk, Key: key[:]})
	_ = collect(ctx, len(members), answers, func(a answer) bool { // what came in time counts
		if a.err != nil {
			return true
		}
		n++
		for _, x := range a.reply.Addrs {
			if addr := netip.AddrFrom4(x); !slices.Contains(addrs, addr) {
				addrs = append(addrs, addr)
			}
		}
		return len(addrs) == 0 || n <= len(members)/2
	})
	return addrs
}

// lookForClient finds out, behind the client's back, whether a client that is new
// here has a live lease at another site.
func (r *Registry) lookForClient(c Client) {
	key := clientKey(r.group, hashClient(r.group, c.ID))
	r.spawn(func() {
		for _, addr := range r.candidates(r.ctx, key) {
			if !r.holds(addr) && r.lesseeOf(r.ctx, c, addr) {
				r.remember(c, addr)
				return
			}
		}
	})
}

// lesseeOf reports whether the record of another member's block says that the
// client is addr's lessee.
func (r *Registry) lesseeOf(ctx context.Context, c Client, addr netip.Addr) bool {
	b, off, ok := r.geo.split(addr)
	if !ok || r.holds(addr) || r.geo.reserved(b, off) {
		return false
	}
	rec := r.consult(ctx, b)
	if rec == nil {
		return false
	}
	e, ok := rec.entry(off)
	return ok && e.Client == hashClient(r.group, c.ID)
}

// nameAnswer is a remembered answer to LookupName.
type nameAnswer struct {
	addr  netip.Addr // invalid: nobody
	until time.Duration
}

// maxNames bounds the answers remembered.
const maxNames = 4096

// LookupName returns the address of the host that calls itself name (one label).
// Where several do, the one whose lease is oldest has the name; the others are
// found by address only, until it is free.
func (r *Registry) LookupName(ctx context.Context, name string) (netip.Addr, error) {
	if name = cleanName(name); name == "" {
		return netip.Addr{}, ErrAbsent
	}
	d := &r.directory
	d.mu.Lock()
	a, ok := d.names[name]
	d.mu.Unlock()
	if !ok || r.clock.Mono() >= a.until {
		a = nameAnswer{addr: r.findName(ctx, name), until: r.clock.Mono() + r.pace.negative}
		if ctx.Err() != nil && !a.addr.IsValid() {
			return netip.Addr{}, ctx.Err()
		}
		d.mu.Lock()
		if len(d.names) >= maxNames {
			clear(d.names)
		}
		d.names[name] = a
		d.mu.Unlock()
	}
	if !a.addr.IsValid() {
		return netip.Addr{}, ErrAbsent
	}
	return a.addr, nil
}

func (r *Registry) findName(ctx context.Context, name string) netip.Addr {
	var best netip.Addr
	var since int64
	better := func(a netip.Addr, at int64) {
		if !best.IsValid() || at < since || at == since && a.Less(best) {
			best, since = a, at
		}
	}
	for l := range r.Leases() {
		if l.Name == name {
			better(l.Addr, l.Start.Unix())
		}
	}
	for _, a := range r.candidates(ctx, nameKey(r.group, name)) {
		b, off, ok := r.geo.split(a)
		if !ok {
			continue
		}
		if rec := r.consult(ctx, b); rec != nil {
			if e, ok := rec.entry(off); ok && e.Name == name {
				better(a, e.Since)
			}
		}
	}
	return best
}

// ReverseName returns the name of the host at an address; empty for a host
// without one. ErrAbsent: no such host.
func (r *Registry) ReverseName(ctx context.Context, addr netip.Addr) (string, error) {
	if _, err := r.Resolve(ctx, addr); err != nil {
		return "", err
	}
	b, off, _ := r.geo.split(addr)
	r.mu.Lock()
	defer r.mu.Unlock()
	if l := r.leaseAt(addr); l != nil {
		return l.Name, nil
	}
	if rem := r.directory.remotes[b]; rem != nil {
		if e, ok := rem.rec.entry(off); ok {
			return e.Name, nil
		}
	}
	return "", ErrAbsent
}
