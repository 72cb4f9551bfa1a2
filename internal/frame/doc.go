// Package frame reads and writes the bytes of Ethernet, ARP, IPv4, IPv6, UDP,
// TCP and ICMPv4.
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
// return it, as append does, and allocate only if its capacity is short. Addresses
// are IPv4; one that isn't (the zero netip.Addr too) is written as 0.0.0.0.
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
//	ICMPv4     0 type 1 | 1 code 1 | 2 checksum 2 | 4 rest of header 4 | 8 payload
//
// What this package is not for: decisions. It does not know which addresses are
// ours or what is to be forwarded; router, arp and dhcp do.
package frame
