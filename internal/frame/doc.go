// Package frame reads and writes the bytes of Ethernet, ARP, IPv4, IPv6, UDP,
// TCP, ICMPv4, ICMPv6 and neighbour discovery, and what Linux leaves to be done on them (struct virtio_net_hdr).
//
// A view ([Ethernet], [ARP], [IPv4], …) is a byte slice with a type. It is made by
// a Parse function that checks every bound its methods rely on, so that after a
// nil error no method panics, whatever the bytes say. A view is no copy: it lives
// as long as the buffer under it, and its setters write into that buffer. Parsing,
// reading and setting allocate nothing.
//
// A slice that did not come from its Parse function must not be converted to a
// view: the checks are there and nowhere else.
//
// The Append functions build: they append to the slice that the caller gives and
// return it, as append does, and allocate only if its capacity is short. An address
// that isn't of the version asked for (the zero netip.Addr too) is written as zeros.
//
// The layouts, byte by byte:
//
//	Ethernet   0 destination 6 | 6 source 6 | 12 EtherType 2 | 14 payload
//	ARP        0 htype 2 | 2 ptype 2 | 4 hlen 1 | 5 plen 1 | 6 op 2 |
//	           8 sender MAC 6 | 14 sender IP 4 | 18 target MAC 6 | 24 target IP 4
//	IPv4       0 version, IHL 1 | 1 TOS 1 | 2 total length 2 | 4 ID 2 | 6 flags, offset 2 |
//	           8 TTL 1 | 9 protocol 1 | 10 checksum 2 | 12 source 4 | 16 destination 4 | 20 options
//	IPv6       0 version, class, flow 4 | 4 payload length 2 | 6 next header 1 | 7 hop limit 1 |
//	           8 source 16 | 24 destination 16 | 40 payload
//	UDP        0 source port 2 | 2 destination port 2 | 4 length 2 | 6 checksum 2 | 8 payload
//	TCP        0 source port 2 | 2 destination port 2 | 4 sequence 4 | 8 acknowledgement 4 |
//	           12 data offset 1 | 13 flags 1 | 14 window 2 | 16 checksum 2 | 18 urgent 2 | 20 options
//	ICMPv6     0 type 1 | 1 code 1 | 2 checksum 2 | 4 flags, MTU or reserved 4 | 8 payload
//	NS, NA     8 target 16 | 24 options, of 8 bytes and multiples: 0 type 1 | 1 length/8 1 | 2 MAC 6
//	RA         4 hop limit 1 | 5 flags 1 | 6 router lifetime 2 | 8 timers 8 | 16 options: MAC, prefix, MTU, RDNSS, DNSSL
//	virtio     0 flags 1 | 1 GSO type 1 | 2 header length 2 | 4 GSO size 2 |
//	           6 checksum start 2 | 8 checksum offset 2 | 10 Ethernet (as the host orders bytes)
//	ICMPv4     0 type 1 | 1 code 1 | 2 checksum 2 | 4 rest of header 4 | 8 payload
//
// # Offload
//
// A [Packet] is an IP packet with room around it and what the kernel has left to be
// done on it ([Offload]): up to 64 KiB that become segments later (GSO), a checksum
// of which only the pseudo header is summed. On its way from one member's kernel to
// another's nobody does that work:
//
//	device -> ParseVirtio -> Packet -> Cut -> bodies -> sealed, sent, opened
//	                                                         |
//	device <- PutVirtio   <- Packet <- Packets  <- Take <- Room
//
// [Cut] and [Cuts.Body] make bodies, one for each segment, without copying payload;
// a [Joiner] makes packets of them. [Finish] and [Packet.Complete] do the work where
// the device at the end doesn't take it.
//
// A body, the plaintext of one datagram, is told by its last byte, the trailer: two
// bits of kind, six bits of the headers' length in units of four bytes.
//
//	kind 0  none: zeros are no body
//	kind 1  IP packet | 0x40
//	kind 2  payload | IP header 20 to 60 | TCP header 20 to 60 or UDP header 8 | 0x80 + length/4
//	kind 3  likewise                                                           | 0xc0 + length/4
//
// Kinds 2 and 3 are whole, plain TCP or UDP packets: no fragments, no IPv6 extension
// headers but hop-by-hop and destination options (which count to the IP header), at most
// 120 bytes of headers, UDP as long as its IP packet says. The payload comes first, so that the
// receiver opens each directly behind the one before. A segment's headers are its
// own (sequence number, ID, flags), so losing one costs that one only. Zero in them,
// whatever the packet had, and not read by the receiver but set:
//
//	IPv4  2 total length 2 | 10 checksum 2      IPv6  4 payload length 2
//	UDP   4 length 2                            kind 3  TCP 16, UDP 6: checksum 2
//
// In kind 2 the transport checksum is as it was, right or wrong, and travels on.
// In kind 3 the sender's kernel vouched for the bytes and the datagram's seal has
// kept them: the receiver writes the pseudo header's sum and leaves the rest to its
// own kernel, which mostly need not do it either. Only kind 3 is joined.
//
// [Bulk] and [MarkCE] read and write the headers in a body, for active queue management
// where it arrives.
//
// What this package is not for: decisions. It does not know which addresses are
// ours or what is to be forwarded; router, arp and dhcp do.
package frame
