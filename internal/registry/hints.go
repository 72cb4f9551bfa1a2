package registry

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
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
		r.ask(t, []group.MemberID{m}, r.pace.late, request{Kind: kindHint, Hints: list})
	}
	if more {
		p.kick()
	}
}

// candidates asks the replicas of a key which addresses they know for it. It
// returns when a majority has answered and somebody knew one, or all have. Without
// answers of a majority what it returns may lack some, and the error is ErrNoQuorum.
func (r *Registry) candidates(ctx context.Context, key [32]byte) ([]netip.Addr, error) {
	t, err := r.terms()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, r.pace.silence)
	defer cancel()
	members := t.nearest(key)
	var addrs []netip.Addr
	n := 0
	answers := r.ask(t, members, r.pace.silence, request{Kind: kindAsk, Key: key[:]})
	_ = collect(ctx, len(members), answers, func(a answer) bool { // what came in time counts
		if a.err != nil || a.reply.Status != statusOK {
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
	if n <= len(members)/2 {
		return addrs, fmt.Errorf("%d of %d keepers of hints answered: %w", n, len(members), ErrNoQuorum)
	}
	return addrs, nil
}

// lookForClient finds out, behind the client's back, whether a client that is new
// here has a live lease at another site.
func (r *Registry) lookForClient(c Client) {
	key := clientKey(r.group, hashClient(r.group, c.ID))
	r.spawn(func() {
		addrs, _ := r.candidates(r.ctx, key) // some are better than none
		for _, addr := range addrs {
			if !r.holds(addr) && r.lesseeOf(r.ctx, c, addr) {
				r.remember(c, addr)
				return
			}
		}
	})
}

// lesseeOf reports whether the record of another member's block says that the
// client is addr's lessee, and may stay so; not where the client has asked for one in vain of late, as its
// holder didn't answer, and this one's doesn't either.
func (r *Registry) lesseeOf(ctx context.Context, c Client, addr netip.Addr) bool {
	b, off, ok := r.geo.split(addr)
	if !ok || r.holds(addr) || r.geo.reserved(b, off) {
		return false
	}
	rec, said := r.consultFor(ctx, b, -1, r.pace.phase)
	if rec == nil {
		return false
	}
	r.mu.Lock()
	until, silent := r.book.silent[string(c.ID)]
	r.mu.Unlock()
	if silent && said != holdersWord && r.clock.Mono() < until {
		return false
	}
	t, err := r.terms()
	if e, ok := rec.entry(off); err != nil || !ok || e.Client != hashClient(r.group, c.ID) {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return !r.barred(t, c, addr)
}

// errAsking stands in the memory of names for an answer that is being looked for.
var errAsking = errors.New("being looked up")

// nameAnswer is an answer to LookupName.
type nameAnswer struct {
	addr  netip.Addr
	err   error // ErrAbsent: nobody; ErrNoQuorum: too few members answered to tell
	until time.Duration
}

const (
	// maxNames bounds the answers remembered.
	maxNames = 4096
	// maxConsults bounds the blocks that are asked about at once for one name.
	maxConsults = 8
)

// LookupName returns the address of the host that calls itself name (one label).
// Where several do, the one whose lease is oldest has the name; the others are
// found by address only, until it is free. However many ask, each name is looked up
// once at a time. A refusal is remembered for less than a second, and only until
// something is heard of the name: ErrAbsent, or ErrNoQuorum where too few members
// answered to tell.
func (r *Registry) LookupName(ctx context.Context, name string) (netip.Addr, error) {
	if name = cleanName(name); name == "" {
		return netip.Addr{}, ErrAbsent
	}
	d := &r.directory
	key := nameKey(r.group, name)
	d.mu.Lock()
	a, ok := d.names[key]
	d.mu.Unlock()
	if ok && r.clock.Mono() < a.until {
		return a.addr, a.err
	}
	a, err := d.asked.do(ctx, r, name, func() (nameAnswer, error) {
		d.mu.Lock()
		if len(d.names) >= maxNames {
			clear(d.names)
		}
		d.names[key] = nameAnswer{err: errAsking}
		d.mu.Unlock()
		var a nameAnswer
		a.addr, a.err = r.findName(r.ctx, name, key)
		a.until = r.clock.Mono() + r.pace.negative
		if errors.Is(a.err, ErrNoQuorum) {
			a.until = r.clock.Mono() + r.pace.unsure
		}
		d.mu.Lock()
		defer d.mu.Unlock()
		if _, ok := d.names[key]; ok || a.err == nil { // else something was heard of it meanwhile
			d.names[key] = a
		}
		return a, nil
	})
	if err != nil {
		return netip.Addr{}, err
	}
	return a.addr, a.err
}

// heardOf forgets that nobody had the names of these keys.
func (d *directory) heardOf(keys ...[32]byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, key := range keys {
		if a, ok := d.names[key]; ok && a.err != nil {
			delete(d.names, key)
		}
	}
}

// nameClaim is a host that calls itself by the name looked up.
type nameClaim struct {
	addr  netip.Addr
	since int64 // Unix seconds
}

// older reports whether c has the better right to the name.
func (c nameClaim) older(o nameClaim) bool {
	return !o.addr.IsValid() || c.since < o.since || c.since == o.since && c.addr.Less(o.addr)
}

func (r *Registry) findName(ctx context.Context, name string, key [32]byte) (netip.Addr, error) {
	var best nameClaim
	for l := range r.Leases() {
		if c := (nameClaim{l.Addr, l.Start.Unix()}); l.Name == name && c.older(best) {
			best = c
		}
	}
	addrs, unsure := r.candidates(ctx, key)
	byBlock := make(map[BlockID][]netip.Addr)
	for _, a := range addrs {
		if b, _, ok := r.geo.split(a); ok {
			byBlock[b] = append(byBlock[b], a)
		}
	}
	var mu sync.Mutex // guards best and unsure
	var asking sync.WaitGroup
	slots := make(chan struct{}, maxConsults)
	for b, addrs := range byBlock {
		slots <- struct{}{}
		asking.Go(func() {
			defer func() { <-slots }()
			rec, said := r.consultFor(ctx, b, -1, r.pace.silence)
			mu.Lock()
			defer mu.Unlock()
			if said == noWord {
				unsure = fmt.Errorf("block %d: %w", b, ErrNoQuorum)
			}
			for _, a := range addrs {
				if c, ok := r.claimTo(name, rec, a); ok && c.older(best) {
					best = c
				}
			}
		})
	}
	asking.Wait()
	switch {
	case best.addr.IsValid():
		return best.addr, nil
	case unsure != nil:
		return netip.Addr{}, fmt.Errorf("look up %q: %w", name, unsure)
	}
	return netip.Addr{}, ErrAbsent
}

// claimTo returns what a block's record, nil for none, says of a host's right to a name.
func (r *Registry) claimTo(name string, rec *Record, a netip.Addr) (nameClaim, bool) {
	if rec == nil {
		return nameClaim{}, false
	}
	_, off, _ := r.geo.split(a)
	e, ok := rec.entry(off)
	return nameClaim{a, e.Since}, ok && e.Name == name
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
		return l.name(), nil
	}
	if rem := r.directory.remotes[b]; rem != nil {
		if e, ok := rem.rec.entry(off); ok {
			return e.Name, nil
		}
	}
	return "", ErrAbsent
}
