package group

import (
	"encoding/binary"
	"net/netip"
)

// Blocks returns how many blocks the prefix has.
func (p Params) Blocks() int { return 1 << (32 - p.Prefix.Bits() - p.BlockBits) }

// BlockSize returns how many addresses a block has, reserved ones included.
func (p Params) BlockSize() int { return 1 << p.BlockBits }

// BlockOf returns the number of the block that addr is in, from 0, and false for an
// address outside the prefix.
func (p Params) BlockOf(addr netip.Addr) (index uint32, ok bool) {
	if !p.Prefix.Contains(addr) {
		return 0, false
	}
	return (number(addr) - number(p.Prefix.Addr())) >> p.BlockBits, true
}

// BlockPrefix returns the addresses of a block; the zero Prefix for an index that the
// group doesn't have.
func (p Params) BlockPrefix(index uint32) netip.Prefix {
	if int64(index) >= int64(p.Blocks()) {
		return netip.Prefix{}
	}
	return netip.PrefixFrom(address(number(p.Prefix.Addr())+index<<p.BlockBits), 32-p.BlockBits)
}

// ServiceAddr returns the first usable address of the prefix, for which every
// appliance answers on its own segment: DHCP server, DNS server, ICMP source.
func (p Params) ServiceAddr() netip.Addr { return p.Prefix.Addr().Next() }

// Broadcast returns the last address of the prefix.
func (p Params) Broadcast() netip.Addr {
	return address(number(p.Prefix.Addr()) | (1<<(32-p.Prefix.Bits()) - 1))
}

// Reserved reports whether addr is never leased: the network's own address, the
// broadcast address, the service address. Addresses outside the prefix are not
// reserved; they aren't the group's at all.
func (p Params) Reserved(addr netip.Addr) bool {
	return addr == p.Prefix.Addr() || addr == p.ServiceAddr() || addr == p.Broadcast()
}

func number(a netip.Addr) uint32 {
	b := a.As4()
	return binary.BigEndian.Uint32(b[:])
}

func address(n uint32) netip.Addr {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], n)
	return netip.AddrFrom4(b)
}
