package appliance

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"sync"
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

// arrivalsTest has arrivals run in a bubble; settled and told are what it did.
type arrivalsTest struct {
	*arrivals
	guard   sync.Mutex
	settled int
	told    map[string]string
}

// did returns how often a host was settled, and what is told now of an address.
func (a *arrivalsTest) did(addr netip.Addr) (settled int, told string) {
	a.guard.Lock()
	defer a.guard.Unlock()
	return a.settled, a.told[addr.String()]
}

func withArrivals(t *testing.T, f *arriverFake, body func(a *arrivalsTest)) {
	synctest.Test(t, func(t *testing.T) {
		a := &arrivalsTest{arrivals: newArrivals(f), told: make(map[string]string)}
		a.native = func(netip.Addr) bool { return false }
		a.settle = func(registry.Lease, frame.MAC, time.Duration) {
			a.guard.Lock()
			defer a.guard.Unlock()
			a.settled++
		}
		a.report = func(key, text string) {
			a.guard.Lock()
			defer a.guard.Unlock()
			a.told[key] = text
		}
		a.ear = &ear{heard: func() uint64 { return 0 }, listen: func(bool) {}}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); a.run(ctx) }()
		body(a)
		cancel()
		<-done
	})
}

func TestAHostThatIsSeenIsTakenOverOnceItsSiteAgrees(t *testing.T) {
	addr, mac := netip.MustParseAddr("10.9.0.9"), frame.MAC{2, 0, 0, 0, 0, 9}
	for name, seen := range map[string]netip.Addr{"its address": addr, "its MAC alone": {}} {
		t.Run(name, func(t *testing.T) {
			f := &arriverFake{err: registry.ErrUnsure, after: 2}
			withArrivals(t, f, func(a *arrivalsTest) {
				a.Stranger(seen, mac)
				time.Sleep(time.Second)
				synctest.Wait()
				if settled, told := a.did(addr); settled != 1 || f.attempts() != 3 || told != "" {
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
			withArrivals(t, f, func(a *arrivalsTest) {
				for range 5 * 60 * 5 { // as often as the router reports
					a.Stranger(addr, mac)
					time.Sleep(200 * time.Millisecond)
				}
				synctest.Wait()
				if n := f.attempts(); n > 100 {
					t.Errorf("asked %d times in 5 minutes", n)
				}
				if _, text := a.did(addr); !strings.Contains(text, want) || !strings.Contains(text, mac.String()) {
					t.Errorf("told %q", text)
				}
				time.Sleep(2 * conflictMemory)
				synctest.Wait()
				if _, text := a.did(addr); text != "" {
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
	withArrivals(t, f, func(a *arrivalsTest) {
		began := time.Now()
		a.native = func(netip.Addr) bool { return time.Since(began) > 1500*time.Millisecond }
		for range 100 {
			a.Stranger(netip.MustParseAddr("10.9.0.9"), frame.MAC{2, 0, 0, 0, 0, 9})
			time.Sleep(200 * time.Millisecond)
		}
		synctest.Wait()
		a.guard.Lock()
		defer a.guard.Unlock()
		if len(a.told) > 0 || f.attempts() == 0 {
			t.Errorf("told %v after %d attempts", a.told, f.attempts())
		}
	})
}

func TestAsManyConflictsAreToldAsMayBe(t *testing.T) {
	f := &arriverFake{err: registry.ErrNotOurs}
	withArrivals(t, f, func(a *arrivalsTest) {
		for range 50 {
			for i := range 2 * maxConflicts {
				a.Stranger(netip.AddrFrom4([4]byte{10, 9, 0, byte(i)}), frame.MAC{2, 0, 0, 0, 0, 9})
				synctest.Wait()
			}
			time.Sleep(200 * time.Millisecond)
		}
		a.guard.Lock()
		defer a.guard.Unlock()
		if len(a.told) != maxConflicts {
			t.Errorf("%d are told, want %d", len(a.told), maxConflicts)
		}
	})
}

func TestAnAddressThatNobodyHasIsNoConflict(t *testing.T) {
	f := &arriverFake{err: registry.ErrAbsent}
	withArrivals(t, f, func(a *arrivalsTest) {
		addr := netip.MustParseAddr("10.9.0.9")
		a.Stranger(addr, frame.MAC{2, 0, 0, 0, 0, 9})
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if _, told := a.did(addr); told != "" || f.attempts() != 1 {
			t.Errorf("told %q after %d attempts", told, f.attempts())
		}
	})
}

// A machine and its copy, neither of which answers ARP, would draw the address to and fro.
func TestAHostComesSoOftenInARowAndThenOnceAWhile(t *testing.T) {
	m, now := newManners(), time.Now()
	s := sighting{netip.MustParseAddr("10.9.0.9"), frame.MAC{2}}
	came := 0
	for range 600 { // a minute
		now = now.Add(100 * time.Millisecond)
		if m.begin(s, now) {
			m.end(s, true, now)
			came++
		}
	}
	if most := movesInARow + int(time.Minute/moveEvery); came < movesInARow || came > most {
		t.Errorf("came %d times in a minute, want at most %d", came, most)
	}
}

// A hostile host announces made-up MACs, each of which would be looked for at other members.
func TestNewSightingsAreAttendedToAtABoundedRate(t *testing.T) {
	m, now := newManners(), time.Now()
	begun := 0
	for i := range 60_000 { // 1,000 a second
		now = now.Add(time.Millisecond)
		if s := (sighting{mac: frame.MAC{2, 0, byte(i >> 16), byte(i >> 8), byte(i)}}); m.begin(s, now) {
			m.end(s, false, now)
			begun++
		}
	}
	if most := arrivalsBurst + int(time.Minute/arrivalEvery); begun > most || begun < most-1 {
		t.Errorf("%d attended to in a minute, want %d", begun, most)
	}
}

func TestWhatIsKnownOfSightingsIsBounded(t *testing.T) {
	m, now := newManners(), time.Now()
	for i := range 4 * maxSightings {
		s := sighting{netip.AddrFrom4([4]byte{10, 9, byte(i >> 8), byte(i)}), frame.MAC{2}}
		if m.begin(s, now) {
			m.end(s, false, now)
		}
	}
	if len(m.known) > maxSightings {
		t.Errorf("%d known", len(m.known))
	}
	if s := (sighting{mac: frame.MAC{3}}); m.begin(s, now) || !m.begin(s, now.Add(time.Minute)) {
		t.Error("a new one is known at once, or never again")
	}
	busy := newManners()
	for i := range 2 * arrivalsAtOnce {
		if begun := busy.begin(sighting{mac: frame.MAC{2, byte(i)}}, now); begun != (i < arrivalsAtOnce) {
			t.Errorf("number %d at a time: %t", i, begun)
		}
	}
}

// Listening to frames to unknown stations must not cost more than it tells.
func TestTheEarPausesWhereMuchIsSentToUnknownStations(t *testing.T) {
	heard, on := uint64(0), false
	e := &ear{heard: func() uint64 { return heard }, listen: func(to bool) { on = to }}
	now := time.Now()
	turn := func(frames uint64) bool {
		heard += frames
		now = now.Add(earInterval)
		e.turn(now)
		return on
	}
	if !turn(0) || !turn(earMost) || turn(earMost+1) || turn(0) {
		t.Fatal("it listens at first and with few frames, and pauses after many")
	}
	for range int(earPause / earInterval) {
		turn(0)
	}
	if !on || !turn(0) {
		t.Error("it doesn't listen again")
	}
}
