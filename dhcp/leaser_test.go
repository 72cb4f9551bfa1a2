package dhcp

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"time"
)

// fakeLeaser leases addresses of a prefix in order, from memory.
type fakeLeaser struct {
	mu       sync.Mutex
	next     netip.Addr
	by       map[string]netip.Addr // client ID -> address offered or leased
	leased   map[netip.Addr]string // address -> client ID
	declined map[netip.Addr]bool
	names    map[netip.Addr]string
	end      func() time.Time // nil: zero End
	fail     error            // from every method
	calls    []string
}

func newFakeLeaser(first string) *fakeLeaser {
	return &fakeLeaser{
		next: netip.MustParseAddr(first), by: make(map[string]netip.Addr), leased: make(map[netip.Addr]string),
		declined: make(map[netip.Addr]bool), names: make(map[netip.Addr]string),
	}
}

func (f *fakeLeaser) lock(call string) func() {
	f.mu.Lock()
	f.calls = append(f.calls, call)
	return f.mu.Unlock
}

func (f *fakeLeaser) lease(addr netip.Addr, held bool) Lease {
	l := Lease{Addr: addr, Held: held}
	if f.end != nil {
		l.End = f.end()
	}
	return l
}

func (f *fakeLeaser) Offer(ctx context.Context, c Client, want netip.Addr) (Lease, error) {
	defer f.lock("offer")()
	if f.fail != nil {
		return Lease{}, f.fail
	}
	addr, known := f.by[string(c.ID)]
	if !known {
		addr = want
		if _, taken := f.leased[want]; !want.IsValid() || taken || f.declined[want] {
			addr, f.next = f.next, f.next.Next()
		}
		f.by[string(c.ID)] = addr
	}
	return f.lease(addr, f.leased[addr] == string(c.ID)), nil
}

func (f *fakeLeaser) Commit(ctx context.Context, c Client, addr netip.Addr) (Lease, error) {
	defer f.lock("commit")()
	if f.fail != nil {
		return Lease{}, f.fail
	}
	if by, taken := f.leased[addr]; taken && by != string(c.ID) {
		return Lease{}, ErrTaken
	}
	if f.declined[addr] {
		return Lease{}, ErrNotOurs
	}
	f.by[string(c.ID)], f.leased[addr], f.names[addr] = addr, string(c.ID), c.Name
	l := f.lease(addr, true)
	l.Name = c.Name
	return l, nil
}

func (f *fakeLeaser) Release(ctx context.Context, c Client, addr netip.Addr) error {
	defer f.lock("release " + addr.String())()
	if f.leased[addr] == string(c.ID) {
		delete(f.leased, addr)
	}
	return f.fail
}

func (f *fakeLeaser) Decline(ctx context.Context, c Client, addr netip.Addr) error {
	defer f.lock("decline " + addr.String())()
	delete(f.by, string(c.ID))
	delete(f.leased, addr)
	f.declined[addr] = true
	return f.fail
}

func (f *fakeLeaser) seen(call string) (n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range f.calls {
		if c == call {
			n++
		}
	}
	return n
}

// fakeProber finds the addresses in used; hook, if set, runs in each probe.
type fakeProber struct {
	mu     sync.Mutex
	used   map[netip.Addr]bool
	probed []netip.Addr
	hook   func(ctx context.Context) error
}

func (f *fakeProber) InUse(ctx context.Context, addr netip.Addr, except net.HardwareAddr) (bool, error) {
	f.mu.Lock()
	f.probed = append(f.probed, addr)
	used, hook := f.used[addr], f.hook
	f.mu.Unlock()
	if hook != nil {
		if err := hook(ctx); err != nil {
			return false, err
		}
	}
	return used, nil
}
