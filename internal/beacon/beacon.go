package beacon

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"landbridge/internal/frame"
	"landbridge/internal/group"
)

const (
	// Interval is how often a member speaks to the whole segment.
	Interval = 500 * time.Millisecond
	// RouterInterval is how often a router speaks to another.
	RouterInterval = 50 * time.Millisecond
	// ProofLife is how long after a nonce left its answer is a proof. A member that has
	// gone has answered nonces that left before, so it is no neighbour any more after this.
	ProofLife = 1800 * time.Millisecond
	// SilentAfter is when a router that hasn't been heard is marked so.
	SilentAfter = 200 * time.Millisecond
	// MaxNeighbors bounds the members that are heard at a time; their answers fit a frame.
	MaxNeighbors = 128
)

// Says is what a member says of itself.
type Says struct {
	Router  bool // it serves hosts of the segment; else it is a host
	LANWell bool // its port on the segment works
	WANWell bool // it reaches members elsewhere
	Sharing bool // it takes part in sharing the remote addresses among the segment's routers
}

// Neighbor is a member that is proven to be on this segment.
type Neighbor struct {
	Member group.MemberID
	MAC    frame.MAC // with which it speaks on the segment
	Says   Says
	Since  time.Time // proven without a gap since
	Silent bool      // a router, seen by a router: not heard for SilentAfter, though it speaks every RouterInterval
}

// Counts say what became of frames.
type Counts struct {
	Sent      uint64
	Unsent    uint64 // Send failed
	Verified  uint64
	Malformed uint64 // no beacon, or of another version
	Foreign   uint64 // of another group, or of a node that is no member
	Stale     uint64 // not newer than what its sender has said before
	Limited   uint64 // more than are verified in a second
	Forged    uint64 // the signature is wrong
	Looped    uint64 // our own, come back
}

// Config is what a Beacon needs. All fields are required but Changed and Log.
type Config struct {
	Membership *group.Membership
	MAC        frame.MAC // the source of our frames
	// Send writes a whole Ethernet frame to the segment. It must not keep it, nor block for long.
	Send func(f []byte) error
	// Self says what we say of ourselves. It is called for each beacon.
	Self func() Says
	// Changed is called after Neighbors or Looped has changed, from Run's goroutine or from
	// LinkLost. It must not block.
	Changed func()
	Log     *slog.Logger
}

// Beacon speaks and listens on one segment for one group. All methods are safe for
// concurrent use.
type Beacon struct {
	membership *group.Membership
	send       func([]byte) error
	self       func() Says
	changed    func()
	log        *slog.Logger

	view   atomic.Pointer[view]
	counts [countKinds]atomic.Uint64
	wake   chan struct{}
	inbox  chan *packet

	mu   sync.Mutex
	m    machine
	idle []*packet
	made int // packets that exist
}

// view is what readers see; it isn't changed once it is published.
type view struct {
	neighbors []Neighbor
	members   map[group.MemberID]struct{}
	looped    bool
}

const (
	// maxPackets bounds the frames that wait for a signature check.
	maxPackets = 32
	// expectedPackets of them are kept for frames that answer what nobody else was told.
	expectedPackets = 8
)

// packet is a frame that waits for its signature check.
type packet struct {
	buf [maxLen]byte
	n   int
	at  time.Time // when it came
}

// New returns a Beacon that is silent until Run.
func New(c Config) (*Beacon, error) {
	if c.Membership == nil || c.Send == nil || c.Self == nil {
		return nil, errors.New("beacon: membership, send and self are required")
	}
	if !c.MAC.IsUnicast() {
		return nil, fmt.Errorf("beacon: MAC %v can't be a station's", c.MAC)
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Changed == nil {
		c.Changed = func() {}
	}
	b := &Beacon{
		membership: c.Membership, send: c.Send, self: c.Self, changed: c.Changed, log: c.Log,
		wake: make(chan struct{}, 1), inbox: make(chan *packet, maxPackets),
		m: newMachine(c.Membership.Group(), c.Membership.Self(), c.MAC, time.Now()),
	}
	b.view.Store(&view{})
	return b, nil
}
