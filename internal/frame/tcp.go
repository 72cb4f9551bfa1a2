package frame

import (
	"encoding/binary"
	"math/bits"
)

// TCPHeaderLen is the length of a TCP header without options in bytes.
const TCPHeaderLen = 20

// TCP flags (RFC 9293 section 3.1).
const (
	TCPFin uint8 = 0x01
	TCPSyn uint8 = 0x02
	TCPRst uint8 = 0x04
	TCPAck uint8 = 0x10
)

// The flags that only segmentation looks at.
const (
	tcpPsh uint8 = 0x08
	tcpUrg uint8 = 0x20
	tcpCwr uint8 = 0x80
)

const (
	tcpOptionEnd = 0
	tcpOptionNop = 1
	tcpOptionMSS = 2
)

// TCP is a view of one TCP segment (RFC 9293).
type TCP []byte

// ParseTCP checks that b holds the whole header, options included. b must be the
// payload of a packet that is no fragment, or the first one.
func ParseTCP(b []byte) (TCP, error) {
	if len(b) < TCPHeaderLen {
		return nil, ErrTruncated
	}
	header := int(b[12]>>4) * 4
	if header < TCPHeaderLen {
		return nil, ErrLength
	}
	if header > len(b) {
		return nil, ErrTruncated
	}
	return TCP(b), nil
}

// SrcPort returns the source port.
func (t TCP) SrcPort() uint16 { return binary.BigEndian.Uint16(t[0:2]) }

// DstPort returns the destination port.
func (t TCP) DstPort() uint16 { return binary.BigEndian.Uint16(t[2:4]) }

// Flags returns the flags FIN to CWR.
func (t TCP) Flags() uint8 { return t[13] }

// HeaderLen returns the header's length in bytes, 20 to 60.
func (t TCP) HeaderLen() int { return int(t[12]>>4) * 4 }

// Options returns the options with their padding.
func (t TCP) Options() []byte { return t[TCPHeaderLen:t.HeaderLen()] }

// Payload returns what follows the header.
func (t TCP) Payload() []byte { return t[t.HeaderLen():] }

// MSS returns the maximum segment size option of a SYN, if it has one.
func (t TCP) MSS() (mss uint16, ok bool) {
	if at := t.nextMSS(TCPHeaderLen); at > 0 {
		return binary.BigEndian.Uint16(t[at:]), true
	}
	return 0, false
}

// nextMSS returns where the value of the first MSS option at or behind from stands
// in t, 0 if there is none. from is the start of an option.
func (t TCP) nextMSS(from int) int {
	end := t.HeaderLen()
	for from < end {
		switch t[from] {
		case tcpOptionEnd:
			return 0
		case tcpOptionNop:
			from++
			continue
		}
		if from+1 >= end {
			return 0
		}
		length := int(t[from+1])
		if length < 2 || from+length > end {
			return 0
		}
		if t[from] == tcpOptionMSS && length == 4 {
			return from + 2
		}
		from += length
	}
	return 0
}

// ClampMSS lowers the MSS that a SYN announces to most, in place, and reports whether
// it changed anything. A checksum that is there is kept right by RFC 1624, so that one
// which was wrong stays wrong; where it is yet to be computed (p.Partial) the field holds
// the pseudo header's sum, in which the MSS has no part, and stays. p may be any
// packet: what isn't TCP over IPv4, isn't the first fragment or has no SYN is left alone.
func ClampMSS(p Packet, most uint16) bool {
	if len(p.Buf) < Headroom {
		return false
	}
	ip, err := ParseIPv4(p.IP())
	if err != nil || ip.Protocol() != ProtocolTCP || ip.FragmentOffset() != 0 {
		return false
	}
	return clampMSS(ip.Payload(), most, p.Partial)
}

// ClampMSS6 is ClampMSS for TCP over IPv6.
func ClampMSS6(p Packet, most uint16) bool {
	if len(p.Buf) < Headroom {
		return false
	}
	ip, err := ParseIPv6(p.IP())
	if err != nil {
		return false
	}
	at, protocol := ip.Upper()
	if protocol != ProtocolTCP || at > len(ip) {
		return false
	}
	return clampMSS(ip[at:], most, p.Partial)
}

func clampMSS(segment []byte, most uint16, partial bool) (changed bool) {
	t, err := ParseTCP(segment)
	if err != nil || t.Flags()&TCPSyn == 0 {
		return false
	}
	for at := t.nextMSS(TCPHeaderLen); at > 0; at = t.nextMSS(at + 2) {
		before := binary.BigEndian.Uint16(t[at:])
		if before <= most {
			continue
		}
		binary.BigEndian.PutUint16(t[at:], most)
		if !partial {
			t.updateChecksum(at, before, most)
		}
		changed = true
	}
	return changed
}

// updateChecksum accounts for a 16-bit value at offset that changed. At an odd
// offset (after a single NOP) the value straddles two words of the checksum; the
// sum is byte-order independent, so swapped bytes add up to the same.
func (t TCP) updateChecksum(offset int, before, after uint16) {
	if offset%2 != 0 {
		before, after = bits.ReverseBytes16(before), bits.ReverseBytes16(after)
	}
	sum := UpdateChecksum(binary.BigEndian.Uint16(t[16:18]), before, after)
	binary.BigEndian.PutUint16(t[16:18], sum)
}
