// Package router is the forwarder of one segment in one group: it stands between
// the segment (an Ethernet device) and the tunnel, decides about every frame and every
// packet, and answers locally what needs no other site.
//
// It is for: classifying frames, forwarding IPv4, and IPv6 where the group has a prefix, between hosts of the segment and
// members, checking sources, TTL and MTU, keeping the hosts' MACs, holding packets
// while an address is being resolved, and handing ARP, DHCP and DNS to their handlers. It is not for
// owning addresses (registry), keys and paths (tunnel), devices (iface), or the contents of
// DHCP and DNS messages.
//
// # Main types
//
//   - [Router]: Run takes frames from the device, Deliver takes packets from the tunnel.
//   - [Hosts]: virtual address to MAC, of the hosts on this segment.
//   - [Directory], [Sender], [Device], [ARP], [DHCP], [DNS]: what it needs of others,
//     each declared here.
//   - [Watch]: hears of what else the segment has: other DHCP servers, hosts without a lease.
//   - [Count]: a counter with its name. They say what became of frames and packets;
//     nothing is dropped without being counted.
//
// # What crosses and what doesn't
//
//	from the segment                              becomes
//	IPv4 unicast to the gateway MAC, from a host   a bare IP packet to the member that
//	  of this segment, to an address elsewhere       serves the destination
//	… to an address of a host on this segment      back to the segment, to the host's MAC
//	  (a stale neighbour entry after it moved here)
//	… to the service address: echo, DHCP, DNS      answered here; anything else: ICMP port unreachable
//	ARP                                            answered here or left to the segment
//	DHCP to 255.255.255.255                        answered here
//	DHCP of another server to a host               shown to [Watch]
//	beacons of members                             to [Beacons]
//	DHCP of a host that was moved to another       DHCP, which says that it is over
//	  group, which renews an address of ours; and
//	  its ARP for the service address
//	anything else from a host of another group     nothing; counted (see [Stations])
//	unicast to another MAC                         nothing: two hosts talk natively (bypass)
//	multicast, broadcast, spanning tree,           nothing; counted. They never cross
//	  router advertisements, VLAN tags, the rest
//	IPv6                                           nothing, unless SetIPv6 says otherwise: see ipv6.go
//
//	from a member                                 becomes
//	IPv4 from an address leased to that member,    an Ethernet frame from the gateway MAC
//	  to an address leased here                      to the host's MAC
//	an ICMP error from the service address about   likewise: its appliance speaks for its hosts
//	  a packet to an address leased to that member
//	everything else                                nothing; counted
//
// Nothing is ever flooded: a packet whose destination is not known waits for the
// registry, or is refused with ICMP host unreachable.
//
// # Offload
//
// A packet keeps the work that the kernel has left on it ([frame.Offload]) from one
// segment to the other: up to 64 KiB that are yet to be cut, a checksum yet to be computed. It lies
// in one buffer all the way, with room for the headers that are put before it, and is
// not copied here. Only what is fragmented, or answered by us, is finished first.
//
// # MTU
//
// Hosts of a segment may send packets of the link's MTU among themselves. What leaves by
// the tunnel must fit the group's MTU: the MSS of a TCP SYN is clamped in both directions, a
// larger packet with DF set is refused with ICMP fragmentation needed, one without is fragmented. The
// same holds towards the segment for a link smaller than the group's MTU. Of a packet that is yet to be
// cut into segments it is these that must fit.
package router
