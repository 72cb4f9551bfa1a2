package codel

import "time"

const (
	buckets      = 3
	bucketLength = 10 * time.Second

	// implausible is more than any queue holds: a clock has jumped, or a machine stood still.
	implausible = int32(2 * time.Second / Tick)
)

// base is the sliding minimum of what datagrams took on their way, that is, of transits:
// differences of two clocks that began at different times. It is taken over 20 to 30 s,
// so that it follows clocks that drift apart and routes that become longer.
type base struct {
	set    bool
	since  time.Duration // when the newest bucket began
	lowest Stamp         // of all buckets
	least  [buckets]Stamp
}

// over notes a transit, and returns by how many ticks it is over the base.
func (b *base) over(transit Stamp, now time.Duration) int32 {
	if !b.set || now-b.since >= bucketLength {
		b.turn(transit, now)
	}
	d := transit.less(b.lowest)
	switch {
	case d < 0:
		b.lowest, b.least[0], d = transit, transit, 0
	case d > implausible:
		b.restart(transit, now)
		d = 0
	case transit.less(b.least[0]) < 0:
		b.least[0] = transit
	}
	return d
}

// turn begins a bucket, and forgets those that are too old.
func (b *base) turn(transit Stamp, now time.Duration) {
	n := int((now - b.since) / bucketLength)
	if !b.set || n >= buckets {
		b.restart(transit, now)
		return
	}
	for range n {
		copy(b.least[1:], b.least[:])
		b.least[0] = transit
	}
	b.since = now - (now-b.since)%bucketLength
	b.lowest = transit
	for _, l := range b.least {
		if l.less(b.lowest) < 0 {
			b.lowest = l
		}
	}
}

// restart makes a transit the base, whatever was before.
func (b *base) restart(transit Stamp, now time.Duration) {
	b.set, b.since, b.lowest = true, now, transit
	for i := range b.least {
		b.least[i] = transit
	}
}
