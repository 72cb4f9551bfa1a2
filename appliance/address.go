package appliance

import (
	"crypto/sha256"
	"net"
	"slices"

	"landbridge/internal/group"
	"landbridge/internal/registry"
)

// gatewayMAC is the hardware address with which a member of a group answers ARP for
// remote addresses: locally administered, the same after each start, another in each group.
func gatewayMAC(g group.ID, m group.MemberID) net.HardwareAddr {
	return derivedMAC("landbridge gateway mac", g, m)
}

// hostMAC is the hardware address of the host's own end of the TAP in interface mode.
func hostMAC(g group.ID, m group.MemberID) net.HardwareAddr {
	return derivedMAC("landbridge host mac", g, m)
}

func derivedMAC(use string, g group.ID, m group.MemberID) net.HardwareAddr {
	sum := sha256.Sum256(slices.Concat([]byte(use), g[:], m[:]))
	return net.HardwareAddr{0x02, sum[0], sum[1], sum[2], sum[3], sum[4]}
}

// segmentID names the one segment to which this appliance is attached.
func segmentID(m group.MemberID) registry.SegmentID {
	sum := sha256.Sum256(append([]byte("landbridge segment"), m[:]...))
	return registry.SegmentID(sum[:16])
}
