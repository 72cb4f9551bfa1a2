package codel

import "time"

const (
	// Tick is the unit of a Stamp.
	Tick = 64 * time.Microsecond

	stampBits = 24
	stampMask = 1<<stampBits - 1
)

// A Stamp is a moment of somebody's monotonic clock, in ticks modulo 2^24, which is
// 18 minutes. Clocks begin anywhere, so only differences between stamps of one clock mean
// something.
type Stamp uint32

// At returns the stamp of a moment, by a clock whose zero is anywhere.
func At(t time.Duration) Stamp { return Stamp(uint64(t)/uint64(Tick)) & stampMask }

// less returns by how many ticks s is past t, on the shorter way round: -2^23 to 2^23-1.
func (s Stamp) less(t Stamp) int32 { return int32(s-t) << (32 - stampBits) >> (32 - stampBits) }
