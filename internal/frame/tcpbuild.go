package frame

import (
	"encoding/binary"
	"net/netip"
)

// TCPFields are what a segment says besides its ports and its payload.
type TCPFields struct {
	Seq, Ack uint32
	Flags    uint8
	Window   uint16
	MSS      uint16 // 0: no such option
}

// Seq returns the sequence number.
func (t TCP) Seq() uint32 { return binary.BigEndian.Uint32(t[4:8]) }

// Ack returns the acknowledgment number, which counts with TCPAck.
func (t TCP) Ack() uint32 { return binary.BigEndian.Uint32(t[8:12]) }

// Window returns the window as it is in the header, unscaled.
func (t TCP) Window() uint16 { return binary.BigEndian.Uint16(t[14:16]) }

// ChecksumOK reports whether the checksum is right for a segment between two addresses.
func (t TCP) ChecksumOK(src, dst netip.Addr) bool {
	return Checksum(t, PseudoSum(src, dst, ProtocolTCP, len(t))) == 0
}

// AppendTCP appends an IP packet with one TCP segment to b. Both addresses must be of one version, and
// payload short enough for one packet.
func AppendTCP(b []byte, src, dst netip.AddrPort, f TCPFields, payload []byte) []byte {
	header := TCPHeaderLen
	if f.MSS > 0 {
		header += 4
	}
	length := header + len(payload)
	b = appendIP(b, src.Addr(), dst.Addr(), ProtocolTCP, length)
	start := len(b)
	b = binary.BigEndian.AppendUint16(b, src.Port())
	b = binary.BigEndian.AppendUint16(b, dst.Port())
	b = binary.BigEndian.AppendUint32(b, f.Seq)
	b = binary.BigEndian.AppendUint32(b, f.Ack)
	b = append(b, byte(header/4)<<4, f.Flags)
	b = binary.BigEndian.AppendUint16(b, f.Window)
	b = append(b, 0, 0, 0, 0) // checksum, urgent pointer
	if f.MSS > 0 {
		b = append(b, tcpOptionMSS, 4)
		b = binary.BigEndian.AppendUint16(b, f.MSS)
	}
	b = append(b, payload...)
	binary.BigEndian.PutUint16(b[start+16:], Checksum(b[start:], PseudoSum(src.Addr(), dst.Addr(), ProtocolTCP, length)))
	return b
}
