package strangers

import (
	"net/netip"
	"testing"
	"time"

	"landbridge/internal/frame"
)

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
	if most := m.burst + int(time.Minute/m.every); begun > most || begun < most-1 {
		t.Errorf("%d attended to in a minute, want %d", begun, most)
	}
}

func TestWhatIsKnownOfSightingsIsBounded(t *testing.T) {
	m, now := newManners(), time.Now()
	for i := range 4 * m.known {
		s := sighting{netip.AddrFrom4([4]byte{10, 9, byte(i >> 8), byte(i)}), frame.MAC{2}}
		if m.begin(s, now) {
			m.end(s, false, now)
		}
	}
	if len(m.sightings) > m.known {
		t.Errorf("%d known", len(m.sightings))
	}
	if s := (sighting{mac: frame.MAC{3}}); m.begin(s, now) || !m.begin(s, now.Add(time.Minute)) {
		t.Error("a new one is known at once, or never again")
	}
	busy := newManners()
	for i := range 2 * busy.atOnce {
		if begun := busy.begin(sighting{mac: frame.MAC{2, byte(i)}}, now); begun != (i < busy.atOnce) {
			t.Errorf("number %d at a time: %t", i, begun)
		}
	}
}
