package registry

import (
	"encoding/binary"
	"net/netip"
	"time"

	"landbridge/internal/group"
	"landbridge/internal/store"
)

// tables are the registry's buckets of one group in the node's state file.
type tables struct {
	sealed    store.Bucket[uint64]        // keys "sealed", "age" and "forgetful"
	acceptors store.Bucket[acceptorState] // by block
	records   store.Bucket[[]byte]        // signed records kept as a replica, by block
	holds     store.Bucket[hold]          // by block
	leases    store.Bucket[leaseRow]      // by address
	seen      store.Bucket[seen]          // of other members' memories, by member
	tags      store.Bucket[tagRow]        // what operators have said of addresses, by address
	history   store.Bucket[historyRow]    // by time and address
	aliases   store.Bucket[Grant]         // the group's, as last read from a quorum
}

func newTables(id group.ID) tables {
	g := id.String()
	return tables{
		sealed:    store.NewBucket[uint64]("registry", g, "replica"),
		acceptors: store.NewBucket[acceptorState]("registry", g, "acceptors"),
		records:   store.NewBucket[[]byte]("registry", g, "records"),
		holds:     store.NewBucket[hold]("registry", g, "holds"),
		leases:    store.NewBucket[leaseRow]("registry", g, "leases"),
		seen:      store.NewBucket[seen]("registry", g, "seen"),
		tags:      store.NewBucket[tagRow]("registry", g, "tags"),
		history:   store.NewBucket[historyRow]("registry", g, "history"),
		aliases:   store.NewBucket[Grant]("registry", g, "aliases"),
	}
}

func sealedKey() []byte { return []byte("sealed") }

func rowKey(b BlockID) []byte { return binary.BigEndian.AppendUint32(nil, uint32(b)) }

func rowBlock(key []byte) BlockID {
	if len(key) != 4 {
		return ^BlockID(0)
	}
	return BlockID(binary.BigEndian.Uint32(key))
}

func addrKey(a netip.Addr) []byte { b := a.As4(); return b[:] }

// leaseState is what an address in a row is.
type leaseState uint8

const (
	leaseLive     leaseState = 1 + iota // served here
	leaseKept                           // over; remembered for the client's return
	leaseDeclined                       // some stranger answers there: in quarantine
	leaseAway                           // in our block, served by To
)

// leaseRow is an address on disk.
type leaseRow struct {
	State   leaseState     `cbor:"1,keyasint"`
	Client  []byte         `cbor:"2,keyasint,omitempty"` // absent where only the hash is known: taken over with the block
	Hash    clientHash     `cbor:"3,keyasint"`
	MAC     [6]byte        `cbor:"4,keyasint"`
	Name    string         `cbor:"5,keyasint,omitempty"`
	Start   int64          `cbor:"6,keyasint"` // Unix nanoseconds, for people
	End     int64          `cbor:"7,keyasint"` // likewise
	Boot    string         `cbor:"8,keyasint"` // with Mono: when it was last committed
	Mono    time.Duration  `cbor:"9,keyasint"`
	Holder  group.MemberID `cbor:"10,keyasint,omitzero"`  // of the block, if not we
	To      group.MemberID `cbor:"11,keyasint,omitzero"`  // leaseAway: who serves it
	Segment SegmentID      `cbor:"12,keyasint,omitzero"`  // leaseAway: where
	Epoch   uint64         `cbor:"13,keyasint,omitempty"` // of our hold on the block
	Life    time.Duration  `cbor:"14,keyasint"`           // from Mono on
	// Confirmed is when the holder of a block that isn't ours last agreed.
	Confirmed stamp `cbor:"15,keyasint,omitzero"`
	// Evicted, of a lease that is kept: its client must ask anew, and isn't given the address by
	// renewing.
	Evicted bool `cbor:"16,keyasint,omitempty"`
	// Family is what has been asked for of it: ipv6.go. SixAt is when DHCPv6 did so last, on the clock of Mono.
	Family family        `cbor:"17,keyasint,omitempty"`
	SixAt  time.Duration `cbor:"18,keyasint,omitempty"`
}

// stamp is an Instant on disk.
type stamp struct {
	Boot string        `cbor:"1,keyasint"`
	Mono time.Duration `cbor:"2,keyasint"`
	Wall int64         `cbor:"3,keyasint"` // Unix nanoseconds
}

func (s stamp) instant() Instant {
	return Instant{Boot: s.Boot, Mono: s.Mono, Wall: time.Unix(0, s.Wall)}
}

func stampOf(i Instant) stamp { return stamp{Boot: i.Boot, Mono: i.Mono, Wall: i.Wall.UnixNano()} }
