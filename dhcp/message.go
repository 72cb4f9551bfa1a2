package dhcp

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"github.com/insomniacslk/dhcp/dhcpv4"

	"landbridge/internal/frame"
)

// Where the fields that this package reads and writes by itself stand (RFC 2131 section 2).
const (
	offsetHlen    = 2
	offsetSname   = 44
	offsetFile    = 108
	offsetCookie  = 236
	offsetOptions = 240
)

const (
	// maxRequest is the longest payload that is looked at: what a frame of 1,500
	// bytes holds.
	maxRequest = 1500 - frame.IPv4HeaderLen - frame.UDPHeaderLen
	// minMaxReply is the length of IP datagram that every client takes (RFC 2132
	// section 9.10).
	minMaxReply = 576
	// minReply is the length that BOOTP clients expect at least (RFC 951).
	minReply = 300
)

const (
	htypeEthernet = 1
	optionPad     = 0
	optionEnd     = 255
)

// parse decodes a request. Options that continue in the file and sname fields
// (option 52) are read from there, in the order of RFC 3396 section 5.
func parse(payload []byte) (*dhcpv4.DHCPv4, error) { return parseAs(dhcpv4.OpcodeBootRequest, payload) }

// parseReply decodes what a server sends.
func parseReply(payload []byte) (*dhcpv4.DHCPv4, error) {
	return parseAs(dhcpv4.OpcodeBootReply, payload)
}

func parseAs(op dhcpv4.OpcodeType, payload []byte) (*dhcpv4.DHCPv4, error) {
	if len(payload) < offsetOptions || len(payload) > maxRequest {
		return nil, fmt.Errorf("%w: %d bytes", ErrMalformed, len(payload))
	}
	// The codec insists on option 255, which some clients leave out; a second is ignored.
	ended := append(payload[:len(payload):len(payload)], optionEnd)
	m, err := dhcpv4.FromBytes(ended)
	if err != nil {
		return nil, fmt.Errorf("%w: %v", ErrMalformed, err)
	}
	if overload := m.Options.Get(dhcpv4.OptionOptionOverload); len(overload) > 0 {
		if err := readOverloaded(m, payload, overload); err != nil {
			return nil, err
		}
	}
	if m.OpCode != op || len(m.Options.Get(dhcpv4.OptionDHCPMessageType)) != 1 {
		return nil, fmt.Errorf("%w: no DHCP message, or one that goes the other way", ErrMalformed)
	}
	return m, nil
}

func readOverloaded(m *dhcpv4.DHCPv4, payload, overload []byte) error {
	if len(overload) != 1 || overload[0] < 1 || overload[0] > 3 {
		return fmt.Errorf("%w: option overload %x", ErrMalformed, overload)
	}
	for _, field := range []struct {
		flag  byte
		bytes []byte
	}{{1, payload[offsetFile:offsetCookie]}, {2, payload[offsetSname:offsetFile]}} {
		if overload[0]&field.flag == 0 {
			continue
		}
		if err := m.Options.FromBytes(field.bytes); err != nil {
			return fmt.Errorf("%w: overloaded options: %v", ErrMalformed, err)
		}
	}
	return nil
}

// addrOption returns an option that holds one IPv4 address; ok is false if the
// option is absent or has another length.
func addrOption(m *dhcpv4.DHCPv4, code dhcpv4.OptionCode) (addr netip.Addr, ok bool) {
	b := m.Options.Get(code)
	if len(b) != 4 {
		return netip.Addr{}, false
	}
	return netip.AddrFrom4([4]byte(b)), true
}

// fieldAddr returns an address field of the fixed part.
func fieldAddr(ip []byte) netip.Addr {
	addr, _ := netip.AddrFromSlice(ip)
	return addr.Unmap()
}

// option is one option of a reply.
type option struct {
	code  dhcpv4.OptionCode
	value []byte
}

func addrValue(a netip.Addr) []byte { b := a.As4(); return b[:] }

func uint16Value(v uint16) []byte { return binary.BigEndian.AppendUint16(nil, v) }

func uint32Value(v uint32) []byte { return binary.BigEndian.AppendUint32(nil, v) }

// encode writes a reply of at most limit bytes: header from the codec, options in
// their order (the codec would sort them, against RFC 2132 section 9.8). An option
// that doesn't fit is left out; the first ones are those that must be there.
func encode(header *dhcpv4.DHCPv4, options []option, limit int) []byte {
	b := header.ToBytes()[:offsetOptions:offsetOptions]
	for _, o := range options {
		length := len(o.value) + 2*max(1, (len(o.value)+254)/255)
		if len(b)+length+1 <= limit {
			b = appendOption(b, o)
		}
	}
	b = append(b, optionEnd)
	for len(b) < minReply {
		b = append(b, optionPad)
	}
	return b
}

// appendOption splits a value of more than 255 bytes (RFC 3396).
func appendOption(b []byte, o option) []byte {
	value := o.value
	for {
		n := min(len(value), 255)
		b = append(b, o.code.Code(), byte(n))
		b = append(b, value[:n]...)
		if value = value[n:]; len(value) == 0 {
			return b
		}
	}
}

// maxReply returns how long a reply's payload may be for this client. Option 57
// counts the IP datagram.
func maxReply(m *dhcpv4.DHCPv4) int {
	datagram := minMaxReply
	if b := m.Options.Get(dhcpv4.OptionMaximumDHCPMessageSize); len(b) == 2 {
		datagram = max(datagram, int(binary.BigEndian.Uint16(b)))
	}
	return min(datagram-frame.IPv4HeaderLen-frame.UDPHeaderLen, maxRequest)
}
