// Package dhcp6 is the DHCPv6 server of a segment (RFC 8415), in a group that has an IPv6 prefix: UDP payload in,
// UDP payload out.
//
// It leases nothing by itself. A host's IPv6 address has its IPv4 address in it (package ula), so what a
// host gets is the address that belongs to its IPv4 lease, for as long as that lasts, and asking for it renews that lease. One
// without a lease gets one by the same [Leaser], after a probe, as if it had asked by DHCPv4; but DHCPv4 goes
// first, as it may say another name of the host ([headStart]).
//
//	message              answer
//	SOLICIT              ADVERTISE of the address of its lease, or of one that is offered; with rapid commit REPLY
//	REQUEST              REPLY: the lease is on disk
//	RENEW, REBIND        REPLY: likewise; an address that the host can't have any more is given no lifetime
//	CONFIRM              REPLY: on this link, or not, of addresses of the group's prefixes; nothing of others
//	RELEASE, DECLINE     REPLY; the host hasn't the address any more: see below
//	INFORMATION-REQUEST  REPLY without an address
//	any, to another      nothing
//	  server; relayed
//
// A host is who its frames' MAC says, and has a lease if that names it; a new one is leased to the
// identifier that RFC 4361 gives it, under which most clients ask by DHCPv4, too:
//
//	0 type 255 | 1 IAID 4 | 5 DUID
//
// The lease is the IPv4 address's, too, so what is given back by DHCPv6 ends it only where DHCPv4 has never asked for it. Else
// it goes on, and is noted to be without IPv6. An address that was declined rests for 10 minutes: its host is told that there
// is none for it ([restTime]), as any other would be another host's.
//
// One identity association has an address; others, temporary addresses and prefixes get none. All
// appliances of a group are one server with one DUID, so that one can go on where another has left off.
package dhcp6
