package strangers

import (
	"time"

	"landbridge/internal/frame"
	"landbridge/internal/health"
)

const (
	maxKept       = 1024 // statics with a lease, at most
	minKept       = 8    // so many may have one, however few addresses there are
	maxPerStation = 8    // addresses of one MAC
	// maxCrowds bounds the stations with too many addresses that are told.
	maxCrowds   = 8
	crowdMemory = 10 * time.Minute
	// fullMemory is how long it is told that one has to do without.
	fullMemory = 10 * time.Minute
	// troubledAgain is when a host that can't have its address is looked into again, and
	// told of if nothing has changed.
	troubledAgain = 10 * time.Second
)

// staticLimits bound the looks into hosts with addresses of their own: each asks the LAN, and may
// claim a block.
func staticLimits() limits {
	return limits{
		known: 2048, atOnce: 8, burst: 32, every: 500 * time.Millisecond,
		patience: 5 * time.Second, patienceMost: 5 * time.Minute,
	}
}

// finding is what came of looking into a static.
type finding struct {
	kind    findingKind
	again   time.Duration  // foundKept: until it is to be asked again
	trouble health.Finding // foundTrouble
}

type findingKind uint8

const (
	foundNothing findingKind = iota // it isn't there (any more), or none of our business
	foundKept                       // its lease was made or renewed
	foundMissing                    // it has a lease, and doesn't answer now
	foundTrouble                    // it is there, and can't have the address
)

// census decides which statics are looked into, and when those that have a lease, or can't
// have one, are looked into again. It is pure, and not safe for concurrent use.
type census struct {
	limiter[tenure]
	stations map[frame.MAC]int // how many of the sightings are its
	crowds   map[frame.MAC]time.Time
	kept     int       // of the sightings
	most     int       // that may be kept
	full     time.Time // when one had to do without last
}

// tenure is what one static has.
type tenure struct {
	kept    bool
	since   time.Time      // kept
	trouble health.Finding // as it was found last
	told    bool           // it was found twice
}

func newCensus() *census {
	c := &census{
		limiter: newLimiter(staticLimits(), func(r *conduct[tenure], _ time.Time) bool {
			return !r.more.kept && r.more.trouble == (health.Finding{})
		}),
		stations: make(map[frame.MAC]int), crowds: make(map[frame.MAC]time.Time), most: maxKept,
	}
	c.forgot = c.leavesStation
	return c
}

func (c *census) leavesStation(s sighting) {
	if c.stations[s.mac]--; c.stations[s.mac] == 0 {
		delete(c.stations, s.mac)
	}
}

// sees takes a sighting and reports whether to look into it now; then ends must follow.
func (c *census) sees(s sighting, now time.Time) bool {
	if c.sightings[s] != nil {
		return c.begin(s, now)
	}
	if c.stations[s.mac] >= maxPerStation {
		if _, known := c.crowds[s.mac]; known || len(c.crowds) < maxCrowds {
			c.crowds[s.mac] = now
		}
		c.dropped++
		return false
	}
	begun := c.begin(s, now)
	if begun {
		c.stations[s.mac]++
	}
	return begun
}

// keeps takes up a static that has a lease already. It may be known from before it went elsewhere with its lease.
func (c *census) keeps(s sighting, now time.Time) {
	r := c.sightings[s]
	if c.kept == maxKept || r == nil && len(c.sightings) >= c.known || r != nil && (r.running || r.more != tenure{}) {
		return
	}
	if r == nil {
		c.stations[s.mac]++
	}
	c.sightings[s] = &conduct[tenure]{next: now, more: tenure{kept: true, since: now}}
	c.kept++
}

// due returns a static that is to be looked into though it wasn't seen; then ends must follow.
func (c *census) due(now time.Time) (sighting, bool) {
	for s, r := range c.sightings {
		if (r.more.kept || r.more.trouble != (health.Finding{})) && c.again(r, now) {
			return s, true
		}
	}
	return sighting{}, false
}

// leaves takes how many addresses are free. Found hosts may have half of what would be free without
// them: the others are for hosts that ask.
func (c *census) leaves(free int) { c.most = min(max(minKept, (free+c.kept)/2), maxKept) }

// ends takes what was found. Where more would have a lease than may, it returns the one that
// has to do without: the youngest of the others, so that a flood pushes out its own and not those
// who have long been here.
func (c *census) ends(s sighting, f finding, now time.Time) (without sighting, full bool) {
	r := c.end(s)
	was := r.more.kept
	c.settle(r, f, now)
	switch {
	case was && !r.more.kept:
		c.kept--
	case !was && r.more.kept:
		c.kept++
	}
	if r.more.kept && c.kept > c.most {
		c.full = now
		return c.dropYoungest(s, now)
	}
	return sighting{}, false
}

// dropYoungest has the one but s that got its lease last do without for a while.
func (c *census) dropYoungest(s sighting, now time.Time) (youngest sighting, found bool) {
	for other, r := range c.sightings {
		if other != s && r.more.kept && !r.running && (!found || r.more.since.After(c.sightings[youngest].more.since)) {
			youngest, found = other, true
		}
	}
	if found {
		*c.sightings[youngest] = conduct[tenure]{wait: c.patienceMost, next: now.Add(c.patienceMost)}
		c.kept--
	}
	return youngest, found
}

// settle takes what was found into the record.
func (c *census) settle(r *conduct[tenure], f finding, now time.Time) {
	switch f.kind {
	case foundKept:
		since := now
		if r.more.kept {
			since = r.more.since
		}
		*r = conduct[tenure]{next: now.Add(f.again), more: tenure{kept: true, since: since}}
	case foundMissing:
		r.next = now.Add(f.again) // its lease ends by itself
	case foundTrouble:
		r.wait, r.next = 0, now.Add(troubledAgain)
		r.more = tenure{trouble: f.trouble, told: r.more.told || r.more.trouble != (health.Finding{})}
	default:
		r.more = tenure{}
		c.vain(r, now)
	}
}

// troubles returns what is to be told: of hosts that can't have their address, and of
// stations that have too many; and whether some had to do without of late as too many have a lease.
func (c *census) troubles(now time.Time) (hosts map[sighting]health.Finding, crowds []frame.MAC, full bool) {
	hosts = make(map[sighting]health.Finding)
	for s, r := range c.sightings {
		if r.more.told {
			hosts[s] = r.more.trouble
		}
	}
	for mac, seen := range c.crowds {
		if now.Sub(seen) >= crowdMemory {
			delete(c.crowds, mac)
			continue
		}
		crowds = append(crowds, mac)
	}
	return hosts, crowds, !c.full.IsZero() && now.Sub(c.full) < fullMemory
}
