package appliance

import (
	"crypto/sha256"
	"net"

	"landbridge/internal/group"
	"landbridge/internal/registry"
)

// gatewayMAC is the hardware address with which this appliance answers ARP for
// remote addresses: locally administered, the same after each start.
func gatewayMAC(m group.MemberID) net.HardwareAddr { return derivedMAC("landbridge gateway mac", m) }

// hostMAC is the hardware address of the host's own end of the TAP in interface mode.
func hostMAC(m group.MemberID) net.HardwareAddr { return derivedMAC("landbridge host mac", m) }

func derivedMAC(use string, m group.MemberID) net.HardwareAddr {
	sum := sha256.Sum256(append([]byte(use), m[:]...))
	return net.HardwareAddr{0x02, sum[0], sum[1], sum[2], sum[3], sum[4]}
}

// segmentID names the one segment to which this appliance is attached.
func segmentID(m group.MemberID) registry.SegmentID {
	sum := sha256.Sum256(append([]byte("landbridge segment"), m[:]...))
	return registry.SegmentID(sum[:16])
}
