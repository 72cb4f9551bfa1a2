package traffic

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
)

// Class is a range of sizes of datagrams.
type Class int

// The classes of datagrams.
const (
	Small     Class = iota // up to 128 bytes
	Medium                 // 1200 bytes, as QUIC's
	Full                   // fill the plan's MTU, to the byte or a few below
	Oversized              // larger than the MTU: cut into fragments by the sender's kernel
	numClasses
)

func (c Class) String() string {
	return [...]string{"small", "1200-byte", "full-size", "oversized"}[c]
}

// Classes returns all classes.
func Classes() []Class { return []Class{Small, Medium, Full, Oversized} }

const (
	datagramHeader = 4 + 4 + 8                    // stream, length, number
	leastDatagram  = datagramHeader + sha256.Size // bytes
	mostDatagram   = 8000                         // bytes
	ipUDPHeader    = 20 + 8
)

// size chooses a datagram's size, in bytes of UDP payload.
func (c Class) size(rng *rand.Rand, mtu int) int {
	fits := mtu - ipUDPHeader
	switch c {
	case Small:
		return leastDatagram + rng.IntN(128-leastDatagram+1)
	case Medium:
		return min(1200, fits)
	case Full:
		return fits - rng.IntN(8)
	}
	return fits + 1 + rng.IntN(mostDatagram-fits)
}

// Fragments returns how many IP packets of this MTU a datagram of this class takes, at most.
func (c Class) Fragments(mtu int) int {
	if c != Oversized {
		return 1
	}
	each := (mtu - 20) &^ 7 // bytes of a fragment, a multiple of 8 (RFC 791 section 3.2)
	return (mostDatagram + 8 + each - 1) / each
}

// putDatagram fills b, whose length is the datagram's, from rng.
func putDatagram(b []byte, stream uint32, number uint64, rng *rand.ChaCha8) {
	binary.BigEndian.PutUint32(b[0:], stream)
	binary.BigEndian.PutUint32(b[4:], uint32(len(b)))
	binary.BigEndian.PutUint64(b[8:], number)
	body := len(b) - sha256.Size
	_, _ = rng.Read(b[datagramHeader:body]) // never fails
	sum := sha256.Sum256(b[:body])
	copy(b[body:], sum[:])
}

// parseDatagram returns a datagram's stream and number, or an ErrCorrupt.
func parseDatagram(b []byte) (stream uint32, number uint64, err error) {
	if len(b) < leastDatagram {
		return 0, 0, fmt.Errorf("%w: a datagram of %d bytes, shorter than any that is sent", ErrCorrupt, len(b))
	}
	stream, number = binary.BigEndian.Uint32(b[0:]), binary.BigEndian.Uint64(b[8:])
	body := len(b) - sha256.Size
	if sum := sha256.Sum256(b[:body]); sum != [sha256.Size]byte(b[body:]) || binary.BigEndian.Uint32(b[4:]) != uint32(len(b)) {
		return 0, 0, fmt.Errorf("%w: a datagram of %d bytes (it says %d, stream %d, number %d) doesn't have the SHA-256 that it carries",
			ErrCorrupt, len(b), binary.BigEndian.Uint32(b[4:]), stream, number)
	}
	return stream, number, nil
}

// remembered is how many of a stream's latest numbers are known one by one.
const remembered = 1 << 16

// order follows the numbers of one stream, from 1 on.
type order struct {
	newest uint64
	seen   [remembered / 64]uint64 // a bit for each number, modulo remembered
}

// note tells whether a number came after a later one, and whether it came twice.
func (o *order) note(number uint64) (late, twice bool) {
	if number > o.newest {
		for n := o.newest + 1; n < number && n-o.newest <= remembered; n++ {
			o.mark(n, false)
		}
		o.newest = number
		o.mark(number, true)
		return false, false
	}
	if o.newest-number >= remembered || o.marked(number) {
		return true, o.newest-number < remembered
	}
	o.mark(number, true)
	return true, false
}

func (o *order) marked(number uint64) bool {
	i := number % remembered
	return o.seen[i/64]&(1<<(i%64)) != 0
}

func (o *order) mark(number uint64, on bool) {
	i := number % remembered
	o.seen[i/64] &^= 1 << (i % 64)
	if on {
		o.seen[i/64] |= 1 << (i % 64)
	}
}
