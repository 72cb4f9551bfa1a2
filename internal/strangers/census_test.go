package strangers

import (
	"encoding/binary"
	"net/netip"
	"testing"
	"time"

	"landbridge/internal/frame"
	"landbridge/internal/health"
)

func staticOf(i int) sighting {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], uint32(10<<24+i))
	return sighting{netip.AddrFrom4(b), frame.MAC{2, 0, 0, byte(i >> 16), byte(i >> 8), byte(i)}}
}

func TestAStaticHostIsLookedIntoOnceAtATimeAndLessOftenInVain(t *testing.T) {
	c, now, s := newCensus(), time.Now(), staticOf(1)
	for _, wait := range []time.Duration{5 * time.Second, 10 * time.Second, 20 * time.Second} {
		if !c.sees(s, now) {
			t.Fatal("it isn't looked into")
		}
		if c.sees(s, now) {
			t.Fatal("it is looked into twice at a time")
		}
		c.ends(s, finding{kind: foundNothing}, now)
		if now = now.Add(wait - time.Millisecond); c.sees(s, now) {
			t.Fatalf("it is looked into again within %v", wait)
		}
		now = now.Add(time.Millisecond)
	}
	if _, due := c.due(now.Add(time.Hour)); due {
		t.Error("one that wasn't there is looked for")
	}
}

func TestAStaticHostWithALeaseIsAskedAgainInTime(t *testing.T) {
	c, now, s := newCensus(), time.Now(), staticOf(1)
	c.sees(s, now)
	c.ends(s, finding{kind: foundKept, again: time.Minute}, now)
	if _, due := c.due(now.Add(time.Minute - 1)); due {
		t.Error("asked too soon")
	}
	if got, due := c.due(now.Add(time.Minute)); !due || got != s {
		t.Error("not asked in time")
	}
	c.ends(s, finding{kind: foundMissing, again: time.Second}, now.Add(time.Minute))
	if got, due := c.due(now.Add(time.Minute + time.Second)); !due || got != s {
		t.Error("not asked again while its lease lasts")
	}
}

// A host goes elsewhere with its lease, is found to be there, and comes back.
func TestAStaticHostThatComesBackWithItsLeaseIsAskedAgain(t *testing.T) {
	c, now, s := newCensus(), time.Now(), staticOf(1)
	c.sees(s, now)
	c.ends(s, finding{kind: foundKept, again: time.Minute}, now)
	now = now.Add(time.Minute)
	c.due(now)
	c.keeps(s, now) // while it is being looked into
	c.ends(s, finding{}, now)
	if c.kept != 0 {
		t.Fatalf("%d are kept", c.kept)
	}
	for range 2 {
		c.keeps(s, now)
	}
	if got, due := c.due(now); !due || got != s || c.kept != 1 || c.stations[s.mac] != 1 {
		t.Errorf("asked: %t; %d are kept, the station has %d", due, c.kept, c.stations[s.mac])
	}
}

func TestATroubleIsToldWhenItIsFoundTwiceAndUntilItEnds(t *testing.T) {
	c, now, s := newCensus(), time.Now(), staticOf(1)
	c.sees(s, now)
	for i, want := range []int{0, 1, 1} {
		c.ends(s, finding{kind: foundTrouble, trouble: health.Finding{Text: "leased"}}, now)
		if hosts, _, _ := c.troubles(now); len(hosts) != want {
			t.Errorf("found %d times: %v are told", i+1, hosts)
		}
		now = now.Add(troubledAgain)
		if got, due := c.due(now); !due || got != s {
			t.Fatal("a troubled host isn't looked into again")
		}
	}
	c.ends(s, finding{kind: foundNothing}, now)
	if hosts, _, _ := c.troubles(now); len(hosts) != 0 {
		t.Errorf("it has left, and %v are told", hosts)
	}
}

// A hostile host takes thousands of addresses, with its own MAC or with made-up ones.
func TestHostsThatTakeManyAddressesAreBounded(t *testing.T) {
	c, now := newCensus(), time.Now()
	begun := 0
	for i := range 10000 {
		s := staticOf(i)
		s.mac = frame.MAC{2, 6, 6, 6, 6, 6}
		if c.sees(s, now) {
			begun++
			c.ends(s, finding{kind: foundKept, again: time.Hour}, now)
		}
		now = now.Add(time.Second)
	}
	if _, crowds, _ := c.troubles(now); begun != maxPerStation || len(crowds) != 1 || len(c.stations) != 1 {
		t.Errorf("one MAC: %d addresses, crowds %v", begun, crowds)
	}
	if _, crowds, _ := c.troubles(now.Add(crowdMemory)); len(crowds) != 0 {
		t.Errorf("told long after: %v", crowds)
	}

	c, begun = newCensus(), 0
	start := now
	for i := range 30000 { // 1,000 a second
		if s := staticOf(i); c.sees(s, now) {
			begun++
			c.ends(s, finding{kind: foundKept, again: time.Hour}, now)
		}
		now = now.Add(time.Millisecond)
	}
	if most := c.burst + int(now.Sub(start)/c.every); begun > most || begun < most-1 {
		t.Errorf("%d looked into in %v, want %d", begun, now.Sub(start), most)
	}
	for i := range 10 * staticLimits().known {
		c.keeps(staticOf(100000+i), now)
	}
	if len(c.sightings) > staticLimits().known || len(c.stations) > staticLimits().known || len(c.crowds) > maxCrowds {
		t.Errorf("%d hosts, %d stations, %d crowds", len(c.sightings), len(c.stations), len(c.crowds))
	}
}

func TestThoseThatCameToNothingMakeRoom(t *testing.T) {
	c, now := newCensus(), time.Now()
	for i := range 2 * staticLimits().known {
		s := staticOf(i)
		if !c.sees(s, now) {
			t.Fatalf("the %dth isn't looked into", i+1)
		}
		c.ends(s, finding{kind: foundNothing}, now)
		now = now.Add(c.patience)
	}
	if len(c.sightings) > staticLimits().known || len(c.sightings) != len(c.stations) {
		t.Errorf("%d hosts of %d stations", len(c.sightings), len(c.stations))
	}
}

// Hosts that were made up, and answer ARP, take all leases that found hosts may have.
func TestWhereTooManyStaticHostsHaveALeaseTheYoungestDoesWithout(t *testing.T) {
	c, now := newCensus(), time.Now()
	keep := func(i int) (sighting, bool) {
		now = now.Add(time.Second)
		if !c.sees(staticOf(i), now) {
			t.Fatalf("the %dth isn't looked into", i+1)
		}
		return c.ends(staticOf(i), finding{kind: foundKept, again: 24 * time.Hour}, now)
	}
	for i := range maxKept {
		if without, full := keep(i); full {
			t.Fatalf("the %dth pushes out %v", i+1, without)
		}
	}
	for i := maxKept; i < 2*maxKept; i++ { // each takes the place of the one before
		if without, full := keep(i); !full || without != staticOf(i-1) || c.kept != maxKept {
			t.Fatalf("the %dth pushes out %v, %t; %d are kept", i+1, without, full, c.kept)
		}
		if c.sees(staticOf(i-1), now.Add(c.patienceMost-time.Second)) {
			t.Fatal("one that was pushed out pushes in again")
		}
	}
	if r := c.sightings[staticOf(0)]; r == nil || !r.more.kept {
		t.Error("who was first has lost its lease")
	}
}

func TestFoundHostsHaveHalfOfWhatWouldBeFreeWithoutThemAndThatItIsAllIsTold(t *testing.T) {
	c, now := newCensus(), time.Now()
	const addresses = 100
	for i := range 80 {
		now = now.Add(time.Second)
		c.leaves(addresses - c.kept)
		if !c.sees(staticOf(i), now) {
			t.Fatalf("the %dth isn't looked into", i+1)
		}
		_, full := c.ends(staticOf(i), finding{kind: foundKept, again: 24 * time.Hour}, now)
		if want := i >= addresses/2; full != want {
			t.Fatalf("the %dth: full %t", i+1, full)
		}
		if _, _, told := c.troubles(now); told != full {
			t.Fatalf("the %dth: told %t", i+1, told)
		}
	}
	if c.kept != addresses/2 {
		t.Errorf("%d of %d addresses are found hosts'", c.kept, addresses)
	}
	c.leaves(addresses/2 - 30) // hosts that ask have come
	for s, r := range c.sightings {
		if r.more.kept && c.begin(s, now.Add(24*time.Hour)) {
			c.ends(s, finding{kind: foundKept, again: time.Hour}, now)
		}
	}
	if c.kept != (addresses-30)/2 {
		t.Errorf("%d of %d addresses are found hosts'", c.kept, addresses-30)
	}
	if _, _, told := c.troubles(now.Add(fullMemory)); told {
		t.Error("told long after")
	}
	if c.leaves(0); c.most < minKept {
		t.Errorf("%d may have a lease where nothing is free", c.most)
	}
}
