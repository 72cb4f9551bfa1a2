package crowd

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"

	"landbridge/bench/load"
	"landbridge/internal/group"
	"landbridge/internal/loop"
)

// Config is what a crowd is made of.
type Config struct {
	Dir     string         // where Admit has put the members' states
	Hub     netip.AddrPort // on the underlay; members use the same port
	Members []netip.Addr   // their addresses on the underlay, in the order of Admit
	Port    uint16         // UDP port whose datagrams are counted, and are sent to
	Log     *slog.Logger
}

// Crowd is members of one group in this process. It is one goroutine's.
type Crowd struct {
	dir     string
	hub     netip.AddrPort
	port    uint16
	log     *slog.Logger
	loop    *loop.Loop
	members []*member
	known   atomic.Pointer[map[group.MemberID]*member] // once all of them stand
}

// Open starts the members, lets them meet the hub and gets each its address; ctx bounds that.
func Open(ctx context.Context, cfg Config) (*Crowd, error) {
	l, err := loop.Open(true)
	if err != nil {
		return nil, err
	}
	c := &Crowd{dir: cfg.Dir, hub: cfg.Hub, port: cfg.Port, log: cfg.Log, loop: l}
	known := make(map[group.MemberID]*member)
	for i, at := range cfg.Members {
		m, err := c.openMember(i+1, at)
		if err != nil {
			return nil, errors.Join(err, c.Close())
		}
		c.members = append(c.members, m)
		known[m.membership.Self()] = m
	}
	c.known.Store(&known)
	if err := c.settle(ctx); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

// settle lets all meet the hub, and then leases their addresses: the members that keep the
// registers of the blocks have to read them from the hub first.
func (c *Crowd) settle(ctx context.Context) error {
	if err := c.each(func(m *member) error { return m.meetHub(ctx) }); err != nil {
		return err
	}
	return c.each(func(m *member) error { return m.lease(ctx) })
}

// each has all members do something, a few at a time, and returns the first error.
func (c *Crowd) each(do func(*member) error) error {
	const atOnce = 8
	places := make(chan struct{}, atOnce)
	errs := make([]error, len(c.members))
	var all sync.WaitGroup
	for i, m := range c.members {
		places <- struct{}{}
		all.Go(func() {
			defer func() { <-places }()
			errs[i] = do(m)
		})
	}
	all.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// stands reports whether all members do: before, their registries aren't there to be asked.
func (c *Crowd) stands() bool { return c.known.Load() != nil }

// byID returns a member of the crowd, nil for others and while not all stand.
func (c *Crowd) byID(id group.MemberID) *member {
	if known := c.known.Load(); known != nil {
		return (*known)[id]
	}
	return nil
}

// Addrs returns the members' leased addresses.
func (c *Crowd) Addrs() []netip.Addr {
	var all []netip.Addr
	for _, m := range c.members {
		all = append(all, m.addr)
	}
	return all
}

// Count answers a sender's questions about what has arrived at all members, until control
// ends.
func (c *Crowd) Count(control io.ReadWriter) error {
	var all []*load.Tally
	for _, m := range c.members {
		all = append(all, &m.tally)
	}
	return load.Answer(control, all...)
}

// Close ends the members.
func (c *Crowd) Close() error {
	var errs []error
	for _, m := range c.members {
		errs = append(errs, m.close())
	}
	return errors.Join(append(errs, c.loop.Close())...)
}
