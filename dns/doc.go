// Package dns answers the names of one group: a DNS message in, a DNS message out.
//
// The handler owns no socket. The router hands [Handler.Handle] what a host sent to
// the service address, port 53, and sends the reply back. It is authoritative for
// these things, and refuses everything else at once, so that a host's resolver asks
// its next server:
//
//	name                              type   answer
//	C005032155.                       A      10.5.32.155, if that is in the prefix
//	C005032155.ZONE                   A      the same
//	HOST.ZONE                         A      the lease of that host name
//	ALIAS.ZONE                        CNAME  what an operator has it stand for, and on from there
//	ALIAS.ZONE                        A AAAA … where that is an address
//	ns.ZONE                           A      the service address
//	ZONE                              SOA NS
//	155.32.5.10.in-addr.arpa          PTR    HOST.ZONE, else C005032155.ZONE
//	the reverse zone of the prefix    SOA NS
//	HOST.ZONE, ns.ZONE                AAAA   its IPv6 address, in a group that has a prefix of it, if it has taken that
//	….ip6.arpa                        PTR    as of the IPv4 address that it has within
//	the reverse zone of that /64      SOA NS
//
// The static name of an address is the letter C and three decimal digits for each of
// its last three octets. The first octet is the prefix's, so the name says all there
// is to say in a /8, and more than that in a longer prefix, where only the names of
// addresses inside it are ours. The rule and the form are those of the papers on
// IPOP. Neither has anything to do with leases: it is arithmetic.
//
// Reverse zones start where octets do: 10.9.0.0/16 has one, 9.10.in-addr.arpa;
// 10.9.16.0/20 has sixteen, 16.9.10.in-addr.arpa and on; in a prefix longer than /24
// each address is a zone to itself, as the rest of its /24 belongs to others.
//
// A name exists or it doesn't (RFC 2308): NXDOMAIN, or an empty answer where there is
// nothing of the type asked for, both with the SOA of the zone. Host names come from
// the [Directory]; when it can't tell in time the answer is SERVFAIL, and a reverse
// lookup falls back to the static name.
//
// A reply is never longer than 1,232 bytes over UDP, and ANY gets one small record
// (RFC 8482), so that little can be amplified.
//
// Over TCP a reply is as long as it is; the router takes queries so, too.
//
// Aliases are followed inside the zone, at most eight in a row, and are CNAMEs in the answer; a
// name that is both an alias and a host's is the alias.
//
// What isn't ours may be forwarded (package [landbridge/dns/forward]): for hosts of the group's prefix
// alone, that ask for recursion, and neither ANY nor a whole zone.
//
// Not here: TXT and SRV, DNSSEC.
package dns
