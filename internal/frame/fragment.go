package frame

import (
	"encoding/binary"
	"errors"
)

// ErrCannotFragment: the packet has DF set, mtu leaves no room for eight bytes of
// payload behind the header, or the packet is a fragment that would end past the
// largest packet.
var ErrCannotFragment = errors.New("frame: packet cannot be fragmented")

// maxPayload is the most that fragments may add up to, in bytes.
const maxPayload = 0xffff - IPv4HeaderLen

// copiedOption marks IPv4 options that every fragment carries (RFC 791 section 3.1).
const copiedOption = 0x80

// Fragment cuts p into packets of at most mtu bytes (RFC 791 section 2.3) and hands
// each to emit in order. All are built in scratch, which must hold mtu bytes or is
// replaced; a fragment is valid until emit returns. p itself may be a fragment. A
// packet that fits is emitted as it is.
func Fragment(p IPv4, mtu int, scratch []byte, emit func([]byte)) error {
	if len(p) <= mtu {
		emit(p)
		return nil
	}
	header := p.HeaderLen()
	field := binary.BigEndian.Uint16(p[6:8])
	first, last := field&maskFragOffset, field&flagMF == 0
	payload := p.Payload()
	if p.DontFragment() || mtu < header+8 || int(first)*8+len(payload) > maxPayload {
		return ErrCannotFragment
	}
	if cap(scratch) < mtu {
		scratch = make([]byte, 0, mtu)
	}
	out := append(scratch[:0], p[:header]...)
	for offset := 0; offset < len(payload); {
		size := len(payload) - offset
		if room := mtu - len(out); size > room {
			size = room &^ 7 // offsets count eight bytes
		}
		field := first + uint16(offset/8)
		if offset+size < len(payload) || !last {
			field |= flagMF
		}
		sealFragment(out, size, field)
		emit(append(out, payload[offset:offset+size]...))
		if offset == 0 {
			out = appendLaterHeader(scratch[:0], p)
		}
		offset += size
	}
	return nil
}

// sealFragment writes length, flags and offset, and checksum of one fragment.
func sealFragment(header []byte, payloadLen int, field uint16) {
	binary.BigEndian.PutUint16(header[2:4], uint16(len(header)+payloadLen))
	binary.BigEndian.PutUint16(header[6:8], field)
	IPv4(header).SetChecksum()
}

// appendLaterHeader appends the header that all fragments but the first have: only
// options with the copied flag, padded to a multiple of four bytes.
func appendLaterHeader(b []byte, p IPv4) []byte {
	start := len(b)
	b = append(b, p[:IPv4HeaderLen]...)
	options := p[IPv4HeaderLen:p.HeaderLen()]
	for len(options) > 0 && options[0] != 0 {
		length := 1
		if options[0] != 1 { // not a NOP: a length follows
			if len(options) < 2 || options[1] < 2 || int(options[1]) > len(options) {
				break
			}
			length = int(options[1])
		}
		if options[0]&copiedOption != 0 {
			b = append(b, options[:length]...)
		}
		options = options[length:]
	}
	for (len(b)-start)%4 != 0 {
		b = append(b, 0)
	}
	b[start] = 0x40 | byte((len(b)-start)/4)
	return b
}
