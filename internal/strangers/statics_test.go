package strangers

import (
	"context"
	"errors"
	"iter"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"landbridge/internal/frame"
	"landbridge/internal/group"
	"landbridge/internal/registry"
)

var (
	staticAddr = netip.MustParseAddr("10.77.5.5")
	staticMAC  = frame.MAC{2, 0, 0, 0, 5, 5}
	secondMAC  = frame.MAC{2, 0, 0, 0, 6, 6}
	routerMAC  = frame.MAC{2, 0xaa, 0, 0, 0, 1}
)

// oneAddress is a registry with one address.
type oneAddress struct {
	lease     *registry.Lease // served here
	elsewhere bool
	refusal   error
	released  bool
	blocks    func() []registry.BlockStatus // optional
}

func (o *oneAddress) Lookup(netip.Addr) (registry.Location, registry.Status) {
	switch {
	case o.elsewhere:
		return registry.Location{Member: group.MemberID{9}}, registry.Known
	case o.lease != nil:
		return registry.Location{Local: true}, registry.Known
	}
	return registry.Location{}, registry.Unknown
}

func (o *oneAddress) Adopt(_ context.Context, mac [6]byte, addr netip.Addr) (registry.Lease, error) {
	if o.refusal != nil {
		return registry.Lease{}, o.refusal
	}
	return registry.Lease{Addr: addr, MAC: mac, Client: []byte("\x00found")}, nil
}

func (o *oneAddress) Served(netip.Addr) (registry.Lease, bool) {
	if o.lease == nil {
		return registry.Lease{}, false
	}
	return *o.lease, true
}

func (o *oneAddress) Release(context.Context, registry.Client, netip.Addr) error {
	o.released = true
	return nil
}

func (o *oneAddress) Leases() iter.Seq[registry.Lease] { return func(func(registry.Lease) bool) {} }

func (o *oneAddress) Blocks() []registry.BlockStatus {
	if o.blocks == nil {
		return nil
	}
	return o.blocks()
}

func (o *oneAddress) Outlook() registry.Outlook { return registry.Outlook{Free: 100} }

func (o *oneAddress) Arrive(context.Context, netip.Addr, [6]byte) (registry.Lease, error) {
	return registry.Lease{}, registry.ErrAbsent
}

func (o *oneAddress) FindMAC(context.Context, [6]byte) []netip.Addr { return nil }

// lanFake is a segment whose router of the group is at routerMAC.
type lanFake struct {
	ask     func()
	who     func() ([]frame.MAC, error)
	proxies bool
	denied  frame.MAC
}

func (l lanFake) Ask(netip.Addr) error                                 { l.ask(); return nil }
func (l lanFake) Who(context.Context, netip.Addr) ([]frame.MAC, error) { return l.who() }
func (l lanFake) Proxies(context.Context, frame.MAC) bool              { return l.proxies }
func (l lanFake) Ours(mac frame.MAC) bool                              { return mac == routerMAC }
func (l lanFake) Denied(mac frame.MAC) bool                            { return mac == l.denied }

func TestWhatBecomesOfAHostThatWasSeenWithAnAddress(t *testing.T) {
	byDHCP := &registry.Lease{Addr: staticAddr, MAC: staticMAC, Client: []byte("\x01dhcp")}
	ofSecond := &registry.Lease{Addr: staticAddr, MAC: secondMAC, Client: []byte("\x01dhcp"), Name: "printer"}
	found := &registry.Lease{Addr: staticAddr, MAC: staticMAC, Client: []byte("\x00found")}
	foundSecond := &registry.Lease{Addr: staticAddr, MAC: secondMAC, Client: []byte("\x00found")}
	both := []frame.MAC{staticMAC, secondMAC}
	for name, c := range map[string]struct {
		registry oneAddress
		answers  []frame.MAC
		proxy    bool
		denied   bool
		asked    bool // the LAN
		kind     findingKind
		again    time.Duration
		trouble  string
		released bool
	}{
		"it is there": {answers: both[:1], asked: true, kind: foundKept, again: 15 * time.Minute},
		"it is there, behind a router of the group": {answers: []frame.MAC{staticMAC, routerMAC}, asked: true, kind: foundKept, again: 15 * time.Minute},
		"nobody answers":                          {asked: true},
		"another answers":                         {answers: both[1:], asked: true},
		"two answer":                              {answers: both, asked: true, kind: foundTrouble, trouble: "Two hosts of this LAN use the address 10.77.5.5: 02:00:00:00:05:05 and 02:00:00:00:06:06."},
		"it answers for everything":               {answers: both[:1], proxy: true, asked: true},
		"it has the lease by DHCP":                {registry: oneAddress{lease: byDHCP}},
		"its lease is due":                        {registry: oneAddress{lease: found}, answers: both[:1], proxy: true, asked: true, kind: foundKept, again: 15 * time.Minute},
		"its lease is due, and it doesn't answer": {registry: oneAddress{lease: found}, asked: true, kind: foundMissing, again: 225 * time.Second},
		"the group denies it":                     {registry: oneAddress{lease: found}, answers: both[:1], denied: true},
		"it is leased at another site":            {registry: oneAddress{elsewhere: true}},
		"it is another's here, who answers":       {registry: oneAddress{lease: ofSecond, refusal: registry.ErrTaken}, answers: both, asked: true, kind: foundTrouble, trouble: "Two hosts"},
		"it is another's here, who doesn't":       {registry: oneAddress{lease: ofSecond, refusal: registry.ErrTaken}, answers: both[:1], asked: true, kind: foundTrouble, trouble: "leased to 02:00:00:00:06:06 (printer), which doesn't answer"},
		"it was a static host's that has gone":    {registry: oneAddress{lease: foundSecond}, answers: both[:1], asked: true, kind: foundKept, again: 15 * time.Minute, released: true},
		"it is promised":                          {registry: oneAddress{refusal: registry.ErrTaken}, answers: both[:1], asked: true, kind: foundTrouble, trouble: "promised to another host"},
		"nobody can tell":                         {registry: oneAddress{refusal: registry.ErrNoQuorum}, answers: both[:1], asked: true, kind: foundTrouble, trouble: "can't be leased to it now"},
	} {
		t.Run(name, func(t *testing.T) {
			asked, settled := false, 0
			s := newStatics(Config{
				Registry: &c.registry, Log: slog.New(slog.DiscardHandler),
				LAN: lanFake{
					denied: map[bool]frame.MAC{true: staticMAC}[c.denied],
					who: func() ([]frame.MAC, error) {
						asked = true
						return c.answers, nil
					},
					proxies: c.proxy,
				},
				Found: func(registry.Lease) { settled++ },
				Lease: func() time.Duration { return time.Hour },
			})
			f := s.look(t.Context(), sighting{staticAddr, staticMAC})
			if f.kind != c.kind || f.again != c.again || !strings.Contains(f.trouble.Text, c.trouble) || (f.trouble.Text == "") != (c.trouble == "") || (f.trouble.Remedy == "") != (c.trouble == "") {
				t.Errorf("found %+v", f)
			}
			if asked != c.asked || c.registry.released != c.released || (settled == 1) != (c.kind == foundKept) {
				t.Errorf("asked %t, released %t, settled %d", asked, c.registry.released, settled)
			}
		})
	}
}

func TestALANThatCannotBeAskedLeavesAStaticHostsLeaseAlone(t *testing.T) {
	s := newStatics(Config{
		Registry: &oneAddress{}, Log: slog.New(slog.DiscardHandler),
		LAN: lanFake{who: func() ([]frame.MAC, error) { return nil, errors.New("no port") }},
	})
	if f := s.look(t.Context(), sighting{staticAddr, staticMAC}); f.kind != foundMissing || f.again != troubledAgain {
		t.Errorf("%+v", f)
	}
}

func TestTheSweepWaitsForBlocksAndAsksOnceForEachFreeAddress(t *testing.T) {
	for name, c := range map[string]struct {
		blocks []registry.BlockStatus
		probed int
	}{
		"no blocks":  {},
		"two blocks": {[]registry.BlockStatus{{First: staticAddr, Size: 64}, {First: netip.MustParseAddr("10.77.6.0"), Size: 64}}, 128},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				rounds, probed := 0, 0
				s := newStatics(Config{
					Registry: &oneAddress{blocks: func() []registry.BlockStatus {
						if rounds++; rounds > 1000 {
							t.Fatal("it never waits")
						}
						return c.blocks
					}},
					LAN: lanFake{ask: func() { probed++ }},
					Log: slog.New(slog.DiscardHandler),
				})
				ctx, cancel := context.WithTimeout(t.Context(), sweepEvery)
				defer cancel()
				s.sweep(ctx)
				if probed != c.probed {
					t.Errorf("%d addresses asked for, want %d", probed, c.probed)
				}
			})
		})
	}
}
