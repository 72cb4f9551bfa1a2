package dhcp

import (
	"crypto/sha256"
	"encoding/hex"

	"github.com/insomniacslk/dhcp/dhcpv4"

	"landbridge/internal/frame"
)

// ProbeClass returns the vendor class of the DISCOVERs by which a group's appliances look
// for other DHCP servers. Appliances of the same group know it, and stay silent.
func ProbeClass(group []byte) string {
	sum := sha256.Sum256(append([]byte("landbridge probe "), group...))
	return "landbridge-probe-" + hex.EncodeToString(sum[:8])
}

// Discover returns a DISCOVER from mac, to be broadcast, that every DHCP server of the
// segment answers with an OFFER. It isn't to be taken up. The client identifier is no
// host's, and the same each time, so that a server reserves one address for it at most.
func Discover(mac frame.MAC, class string, xid [4]byte) []byte {
	id := append([]byte{0}, class...) // RFC 2132 section 9.14: type 0 is no hardware address
	m := &dhcpv4.DHCPv4{
		OpCode: dhcpv4.OpcodeBootRequest, HWType: htypeEthernet, TransactionID: xid, ClientHWAddr: mac.HardwareAddr(),
		Options: dhcpv4.OptionsFromList(
			dhcpv4.OptMessageType(dhcpv4.MessageTypeDiscover),
			dhcpv4.OptClassIdentifier(class),
			dhcpv4.OptGeneric(dhcpv4.OptionClientIdentifier, append(id, mac[:]...)),
			dhcpv4.OptParameterRequestList(dhcpv4.OptionSubnetMask, dhcpv4.OptionRouter),
		),
	}
	m.SetBroadcast() // servers that unicast reach us too: mac is ours
	return m.ToBytes()
}
