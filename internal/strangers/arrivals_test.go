package strangers

import (
	"context"
	"fmt"
	"iter"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"landbridge/internal/frame"
	"landbridge/internal/registry"
)

// arriverFake is a registry in which one address is served at another site.
type arriverFake struct {
	mu    sync.Mutex
	err   error
	after int // attempts, until which err is what comes of one
	asked int
	here  bool
}

func (f *arriverFake) Arrive(_ context.Context, addr netip.Addr, _ [6]byte) (registry.Lease, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.asked++; f.err != nil && (f.after == 0 || f.asked <= f.after) {
		return registry.Lease{}, fmt.Errorf("%v: %w", addr, f.err)
	}
	f.here = true
	return registry.Lease{Addr: addr}, nil
}

func (f *arriverFake) FindMAC(context.Context, [6]byte) []netip.Addr {
	return []netip.Addr{netip.MustParseAddr("10.9.0.9")}
}

func (f *arriverFake) Lookup(netip.Addr) (registry.Location, registry.Status) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return registry.Location{Local: f.here}, registry.Known
}

func (f *arriverFake) attempts() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.asked
}

// Nothing of the other half of the registry is to be asked for who has moved.
func (f *arriverFake) Served(netip.Addr) (registry.Lease, bool) { return registry.Lease{}, false }
func (f *arriverFake) Leases() iter.Seq[registry.Lease]         { return func(func(registry.Lease) bool) {} }
func (f *arriverFake) Blocks() []registry.BlockStatus           { return nil }
func (f *arriverFake) Outlook() registry.Outlook                { return registry.Outlook{} }
func (f *arriverFake) Adopt(context.Context, [6]byte, netip.Addr) (registry.Lease, error) {
	panic("adopted")
}
func (f *arriverFake) Release(context.Context, registry.Client, netip.Addr) error { panic("released") }

// scene has a Strangers run in a bubble; settled is how many hosts have arrived.
type scene struct {
	*Strangers
	settled atomic.Int32
	native  func(netip.Addr) bool
}

// told returns what is told now of the conflict about an address.
func (s *scene) told(addr netip.Addr) string {
	for _, t := range s.Troubles(time.Now()) {
		if t.Key == "conflict "+addr.String() {
			return t.Text
		}
	}
	return ""
}

func onScene(t *testing.T, f *arriverFake, body func(s *scene)) {
	synctest.Test(t, func(t *testing.T) {
		s := &scene{native: func(netip.Addr) bool { return false }}
		s.Strangers = New(Config{
			Registry: f, LAN: lanFake{who: func() ([]frame.MAC, error) { return nil, nil }}, Native: func(addr netip.Addr) bool { return s.native(addr) }, Lease: func() time.Duration { return time.Hour },
			Arrived: func(registry.Lease, frame.MAC, time.Duration) { s.settled.Add(1) },
			Heard:   func() uint64 { return 0 }, Listen: func(bool) {}, Log: slog.New(slog.DiscardHandler),
		})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); s.Run(ctx) }()
		body(s)
		cancel()
		<-done
	})
}

func TestAHostThatIsSeenIsTakenOverOnceItsSiteAgrees(t *testing.T) {
	addr, mac := netip.MustParseAddr("10.9.0.9"), frame.MAC{2, 0, 0, 0, 0, 9}
	for name, seen := range map[string]netip.Addr{"its address": addr, "its MAC alone": {}} {
		t.Run(name, func(t *testing.T) {
			f := &arriverFake{err: registry.ErrUnsure, after: 2}
			onScene(t, f, func(a *scene) {
				a.Stranger(seen, mac)
				time.Sleep(time.Second)
				synctest.Wait()
				if settled, told := a.settled.Load(), a.told(addr); settled != 1 || f.attempts() != 3 || told != "" {
					t.Errorf("settled %d times after %d attempts, told %q", settled, f.attempts(), told)
				}
				a.Stranger(seen, mac)
				synctest.Wait()
				if f.attempts() != 3 {
					t.Error("asked about a host that is served here")
				}
			})
		})
	}
}

// However many frames a host that uses another's address sends, few questions are asked
// about it; the operator is told while it lasts.
func TestAHostThatUsesTheAddressOfAnotherIsReportedAndAskedAboutSeldom(t *testing.T) {
	addr, mac := netip.MustParseAddr("10.9.0.9"), frame.MAC{2, 0, 0, 0, 0, 9}
	for want, err := range map[string]error{"answers for it": registry.ErrStays, "another hardware address": registry.ErrNotOurs} {
		t.Run(want, func(t *testing.T) {
			f := &arriverFake{err: err}
			onScene(t, f, func(a *scene) {
				for range 5 * 60 * 5 { // as often as the router reports
					a.Stranger(addr, mac)
					time.Sleep(200 * time.Millisecond)
				}
				synctest.Wait()
				if n := f.attempts(); n > 100 {
					t.Errorf("asked %d times in 5 minutes", n)
				}
				if text := a.told(addr); !strings.Contains(text, want) || !strings.Contains(text, mac.String()) {
					t.Errorf("told %q", text)
				}
				time.Sleep(2 * conflictMemory)
				synctest.Wait()
				if text := a.told(addr); text != "" {
					t.Errorf("it ended, and still is told: %q", text)
				}
			})
		})
	}
}

// A hybrid member announces its address on the LAN, and sends, before its beacons prove that
// it is there.
func TestAHybridMemberThatComesToTheLANIsNoConflict(t *testing.T) {
	f := &arriverFake{err: registry.ErrNotOurs}
	onScene(t, f, func(a *scene) {
		began := time.Now()
		a.native = func(netip.Addr) bool { return time.Since(began) > 1500*time.Millisecond }
		for range 100 {
			a.Stranger(netip.MustParseAddr("10.9.0.9"), frame.MAC{2, 0, 0, 0, 0, 9})
			time.Sleep(200 * time.Millisecond)
		}
		synctest.Wait()
		if told := a.Troubles(time.Now()); len(told) > 0 || f.attempts() == 0 {
			t.Errorf("told %v after %d attempts", told, f.attempts())
		}
	})
}

func TestAsManyConflictsAreToldAsMayBe(t *testing.T) {
	f := &arriverFake{err: registry.ErrNotOurs}
	onScene(t, f, func(a *scene) {
		for range 50 {
			for i := range 2 * maxConflicts {
				a.Stranger(netip.AddrFrom4([4]byte{10, 9, 0, byte(i)}), frame.MAC{2, 0, 0, 0, 0, 9})
				synctest.Wait()
			}
			time.Sleep(200 * time.Millisecond)
		}
		if told := a.Troubles(time.Now()); len(told) != maxConflicts {
			t.Errorf("%d are told, want %d", len(told), maxConflicts)
		}
	})
}

func TestAnAddressThatNobodyHasIsNoConflict(t *testing.T) {
	f := &arriverFake{err: registry.ErrAbsent}
	onScene(t, f, func(a *scene) {
		addr := netip.MustParseAddr("10.9.0.9")
		a.Stranger(addr, frame.MAC{2, 0, 0, 0, 0, 9})
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if told := a.told(addr); told != "" || f.attempts() != 1 {
			t.Errorf("told %q after %d attempts", told, f.attempts())
		}
	})
}
