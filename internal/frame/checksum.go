package frame

import (
	"encoding/binary"
	"math/bits"
	"net/netip"
)

// Checksum returns the Internet checksum (RFC 1071) of b on top of sum, the
// unfolded sum of what goes before it (0, or a [PseudoSum]). An odd last byte is
// padded with zero, so only the last piece may have an odd length.
func Checksum(b []byte, sum uint64) uint16 { return ^fold(add(b, sum)) }

// add adds b to sum in one's complement arithmetic, eight bytes at a time, four times in a row: 2^64-1
// is a multiple of 2^16-1, so folding at the end gives what 16-bit words would.
func add(b []byte, sum uint64) uint64 {
	var carry uint64
	for len(b) >= 32 {
		sum, carry = bits.Add64(sum, binary.BigEndian.Uint64(b), carry)
		sum, carry = bits.Add64(sum, binary.BigEndian.Uint64(b[8:]), carry)
		sum, carry = bits.Add64(sum, binary.BigEndian.Uint64(b[16:]), carry)
		sum, carry = bits.Add64(sum, binary.BigEndian.Uint64(b[24:]), carry)
		b = b[32:]
	}
	for len(b) >= 8 {
		sum, carry = bits.Add64(sum, binary.BigEndian.Uint64(b), carry)
		b = b[8:]
	}
	var tail uint64
	for i, c := range b {
		tail |= uint64(c) << (56 - 8*i)
	}
	sum, carry = bits.Add64(sum, tail, carry)
	sum, carry = bits.Add64(sum, 0, carry)
	return sum + carry
}

func fold(sum uint64) uint16 {
	sum = sum>>32 + sum&0xffff_ffff
	sum = sum>>32 + sum&0xffff_ffff
	sum = sum>>16 + sum&0xffff
	sum = sum>>16 + sum&0xffff
	return uint16(sum>>16 + sum&0xffff)
}

// PseudoSum returns the unfolded sum of the pseudo header of IPv4 (RFC 768, RFC 9293
// section 3.1), or of IPv6 where dst is of that (RFC 8200 section 8.1), for a segment of length bytes.
func PseudoSum(src, dst netip.Addr, protocol uint8, length int) uint64 {
	if dst.Is6() {
		s, d := src.As16(), dst.As16()
		return add(d[:], add(s[:], uint64(protocol)+uint64(length)))
	}
	s, d := as4(src), as4(dst)
	return uint64(binary.BigEndian.Uint32(s[:])) + uint64(binary.BigEndian.Uint32(d[:])) +
		uint64(protocol) + uint64(uint16(length))
}

// UpdateChecksum returns checksum after one of the 16-bit words that it covers
// changed (RFC 1624, equation 3).
func UpdateChecksum(checksum, before, after uint16) uint16 {
	sum := uint32(^checksum) + uint32(^before) + uint32(after)
	sum = sum>>16 + sum&0xffff
	return ^uint16(sum>>16 + sum&0xffff)
}
