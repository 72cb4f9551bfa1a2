package registry

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/netip"

	"landbridge/internal/group"
)

// BlockID numbers a block inside the group's prefix: block n starts at the
// prefix's address plus n times the block size.
type BlockID uint32

// SegmentID names one layer-2 LAN. The appliance that serves the segment derives it
// from its member ID.
type SegmentID [16]byte

// String returns the ID as 32 hexadecimal digits.
func (s SegmentID) String() string { return hex.EncodeToString(s[:]) }

// geometry cuts a group's IPv4 prefix into blocks. It is a value; two nodes with
// the same descriptor compute the same one.
type geometry struct {
	prefix    netip.Prefix
	base      uint32 // network address
	hostBits  int
	blockBits int
}

// newGeometry takes the descriptor's prefix and block size (a number of bits).
func newGeometry(prefix netip.Prefix, blockBits int) (geometry, error) {
	if !prefix.IsValid() || !prefix.Addr().Is4() {
		return geometry{}, fmt.Errorf("prefix %v: the registry needs an IPv4 prefix", prefix)
	}
	prefix = prefix.Masked()
	hostBits := 32 - prefix.Bits()
	if blockBits < 0 || blockBits > group.MaxBlockBits || hostBits < max(2, blockBits) || 1<<(hostBits-blockBits) > group.MaxBlocks {
		return geometry{}, fmt.Errorf("prefix %v can't be cut into blocks of %d bits", prefix, blockBits)
	}
	a := prefix.Addr().As4()
	return geometry{prefix: prefix, base: binary.BigEndian.Uint32(a[:]), hostBits: hostBits, blockBits: blockBits}, nil
}

func (g geometry) blocks() int { return 1 << (g.hostBits - g.blockBits) }
func (g geometry) size() int   { return 1 << g.blockBits }

// split returns the block of an address and the address's offset in it. It is
// false outside the prefix.
func (g geometry) split(a netip.Addr) (BlockID, int, bool) {
	if !a.Is4() {
		return 0, 0, false
	}
	b := a.As4()
	host := binary.BigEndian.Uint32(b[:]) - g.base
	if uint64(host) >= 1<<g.hostBits {
		return 0, 0, false
	}
	return BlockID(host >> g.blockBits), int(host & (1<<g.blockBits - 1)), true
}

// addr is the inverse of split.
func (g geometry) addr(b BlockID, offset int) netip.Addr {
	var a [4]byte
	binary.BigEndian.PutUint32(a[:], g.base+uint32(b)<<g.blockBits+uint32(offset))
	return netip.AddrFrom4(a)
}

// reserved reports the addresses that are never leased: network, service
// address (the first usable one) and broadcast.
func (g geometry) reserved(b BlockID, offset int) bool {
	host := uint32(b)<<g.blockBits + uint32(offset)
	return host <= 1 || uint64(host) == 1<<g.hostBits-1
}

// outside says why an address is leased to nobody; nil where it may be leased.
func (g geometry) outside(a netip.Addr) error {
	b, offset, ok := g.split(a)
	host := uint32(b)<<g.blockBits + uint32(offset)
	switch {
	case !ok:
		return fmt.Errorf("%w: %v isn't in the group's prefix, %v", ErrOutside, a, g.prefix)
	case !g.reserved(b, offset):
		return nil
	case host == 1:
		return fmt.Errorf("%w: %v is the group's service address, at which hosts find DHCP and DNS", ErrOutside, a)
	case host == 0:
		return fmt.Errorf("%w: %v is the first of the prefix, which stands for all of it", ErrOutside, a)
	}
	return fmt.Errorf("%w: %v is the last of the prefix, its broadcast address", ErrOutside, a)
}

// valid reports whether the block exists.
func (g geometry) valid(b BlockID) bool { return int64(b) < int64(g.blocks()) }

// register reports whether there is such a register: a block's, or that of the aliases.
func (g geometry) register(b BlockID) bool { return g.valid(b) || b == aliasRegister }
