package appliance

import (
	"time"

	"landbridge/internal/frame"
)

// Bounds of what hosts with addresses of their own can make the appliance do.
const (
	maxStatics    = 2048 // known at a time
	maxKept       = 1024 // of those, with a lease
	maxPerStation = 8    // addresses of one MAC
	staticsAtOnce = 8
	// So many that are new are looked into in a row, and then one a while.
	staticsBurst = 32
	staticEvery  = 500 * time.Millisecond
	// maxCrowds bounds the stations with too many addresses that are told.
	maxCrowds   = 8
	crowdMemory = 10 * time.Minute
)

const (
	vainFirst = 5 * time.Second // after an attempt in vain; doubled with each
	vainMost  = 5 * time.Minute
	// troubledAgain is when a host that can't have its address is looked into again, and
	// told of if nothing has changed.
	troubledAgain = 10 * time.Second
)

// finding is what came of looking into a static.
type finding struct {
	kind    findingKind
	again   time.Duration // foundKept: until it is to be asked again
	trouble string        // foundTrouble: in words
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
	hosts    map[sighting]*record
	stations map[frame.MAC]int // how many of hosts are its
	crowds   map[frame.MAC]time.Time
	running  int
	kept     int // of hosts
	fresh    bucket
	dropped  uint64
}

// record is what is known of one static.
type record struct {
	running bool
	kept    bool
	since   time.Time // kept
	next    time.Time
	wait    time.Duration // after the last attempt in vain
	trouble string        // as it was found last
	told    bool          // it was found twice
}

func newCensus() *census {
	return &census{
		hosts: make(map[sighting]*record), stations: make(map[frame.MAC]int), crowds: make(map[frame.MAC]time.Time),
		fresh: bucket{burst: staticsBurst, every: staticEvery},
	}
}

// sees takes a sighting and reports whether to look into it now; then ends must follow.
func (c *census) sees(s sighting, now time.Time) bool {
	r := c.hosts[s]
	if r == nil {
		if !c.admits(s, now) {
			c.dropped++
			return false
		}
		r = c.add(s)
	}
	return c.begins(r, now)
}

// keeps takes up a static that has a lease already.
func (c *census) keeps(s sighting, now time.Time) {
	if c.hosts[s] == nil && len(c.hosts) < maxStatics && c.kept < maxKept {
		c.add(s)
		*c.hosts[s] = record{kept: true, since: now, next: now}
		c.kept++
	}
}

func (c *census) add(s sighting) *record {
	r := &record{}
	c.hosts[s] = r
	c.stations[s.mac]++
	return r
}

// admits decides about one that is new.
func (c *census) admits(s sighting, now time.Time) bool {
	if c.stations[s.mac] >= maxPerStation {
		if _, known := c.crowds[s.mac]; known || len(c.crowds) < maxCrowds {
			c.crowds[s.mac] = now
		}
		return false
	}
	if c.running >= staticsAtOnce || len(c.hosts) >= maxStatics && !c.forget(now) {
		return false
	}
	return c.fresh.take(now)
}

func (c *census) begins(r *record, now time.Time) bool {
	if r.running || c.running >= staticsAtOnce || now.Before(r.next) {
		return false
	}
	r.running = true
	c.running++
	return true
}

// due returns a static that is to be looked into though it wasn't seen; then ends must follow.
func (c *census) due(now time.Time) (sighting, bool) {
	for s, r := range c.hosts {
		if (r.kept || r.trouble != "") && c.begins(r, now) {
			return s, true
		}
	}
	return sighting{}, false
}

// ends takes what was found. Where more would have a lease than may, it returns the one that
// has to do without: the youngest of the others, so that a flood pushes out its own and not those
// who have long been here.
func (c *census) ends(s sighting, f finding, now time.Time) (without sighting, full bool) {
	r := c.hosts[s]
	r.running = false
	c.running--
	was := r.kept
	c.settle(r, f, now)
	switch {
	case was && !r.kept:
		c.kept--
	case !was && r.kept:
		if c.kept++; c.kept > maxKept {
			return c.dropYoungest(s, now)
		}
	}
	return sighting{}, false
}

// dropYoungest has the one but s that got its lease last do without for a while.
func (c *census) dropYoungest(s sighting, now time.Time) (youngest sighting, found bool) {
	for other, r := range c.hosts {
		if other != s && r.kept && !r.running && (!found || r.since.After(c.hosts[youngest].since)) {
			youngest, found = other, true
		}
	}
	if found {
		*c.hosts[youngest] = record{wait: vainMost, next: now.Add(vainMost)}
		c.kept--
	}
	return youngest, found
}

// settle takes what was found into the record.
func (c *census) settle(r *record, f finding, now time.Time) {
	switch f.kind {
	case foundKept:
		since := now
		if r.kept {
			since = r.since
		}
		*r = record{kept: true, since: since, next: now.Add(f.again)}
	case foundMissing:
		r.next = now.Add(f.again) // its lease ends by itself
	case foundTrouble:
		r.kept, r.wait, r.next = false, 0, now.Add(troubledAgain)
		r.trouble, r.told = f.trouble, r.told || r.trouble != ""
	default:
		wait := min(max(vainFirst, 2*r.wait), vainMost)
		*r = record{wait: wait, next: now.Add(wait)}
	}
}

// forget makes room: those that nothing has come of, and that may be looked into again.
func (c *census) forget(now time.Time) bool {
	before := len(c.hosts)
	for s, r := range c.hosts {
		if !r.running && !r.kept && r.trouble == "" && now.After(r.next) {
			delete(c.hosts, s)
			if c.stations[s.mac]--; c.stations[s.mac] == 0 {
				delete(c.stations, s.mac)
			}
		}
	}
	return len(c.hosts) < before
}

// troubles returns what is to be told: of hosts that can't have their address, and of
// stations that have too many.
func (c *census) troubles(now time.Time) (hosts map[sighting]string, crowds []frame.MAC) {
	hosts = make(map[sighting]string)
	for s, r := range c.hosts {
		if r.told {
			hosts[s] = r.trouble
		}
	}
	for mac, seen := range c.crowds {
		if now.Sub(seen) >= crowdMemory {
			delete(c.crowds, mac)
			continue
		}
		crowds = append(crowds, mac)
	}
	return hosts, crowds
}
