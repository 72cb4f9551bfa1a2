// Package ula is the IPv6 addresses of a group: a /64 of a unique local prefix (RFC 4193), in
// which a host's address is its IPv4 address in the low 32 bits, as RFC 6052 embeds one.
//
//	0              8              12            16
//	| fd00::/8 /64 | 0 0 0 0      | IPv4 address |
//
// So each says the other: whoever knows which IPv4 addresses are leased, where and to whom, knows
// it of the IPv6 addresses, too. [Net] does that arithmetic; [Random] makes a prefix.
//
// Not here: who has an address (registry), what hosts are told of it (dhcp/dhcp6, router).
package ula
