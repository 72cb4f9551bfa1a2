// Package hearing finds out who is on a segment by listening alone: nothing is sent, and nobody on it notices.
//
// It is for: hosts, DHCP servers, gateways and other appliances, out of what stations say to all for their own
// reasons. It is not for proof: what is heard may be forged, and who is silent isn't heard. Nor does it read from ports (iface).
//
//   - [Ear]: is handed the frames to broadcast and multicast addresses, and remembers, to a bound, who was heard.
//   - [Report]: what it has heard.
//
// # What tells what
//
//	ARP                          a station has an address (not a probe, RFC 5227)
//	IPv4, to broadcast           the same: no router passes such a packet on
//	DHCP, from a server          its identifier (option 54) and the gateways that it hands out (option 3)
//	DHCP, from a client          the identifier of the server that it has chosen
//	ICMPv6 router advertisement  a gateway
//	beacon                       an appliance of Landbridge (internal/beacon); its signature isn't looked at
package hearing
