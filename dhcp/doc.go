// Package dhcp is the DHCP server of a segment (RFC 2131, RFC 2132): UDP payload in,
// UDP payload out.
//
// The server owns no socket and no address. The router hands [Server.Handle] what a
// host sent to UDP port 67 and writes the reply, if there is one, back to the
// segment, from the service address, port 67, to port 68 (or other [Ports]). Which address a client
// gets is the [Leaser]'s business (the registry's, behind an adapter), and whether
// somebody uses it already is the [Prober]'s (arp's).
//
// A message goes through a chain of small functions, the links in server.go, each of
// which looks at the exchange (the request and what has been decided so far), adds
// to it, or ends it:
//
//	relayed       a relay agent's message: dropped
//	hardware      Ethernet only, and chaddr must be the frame's source
//	addressee     a request for another server: dropped, and remembered
//	left          a host of another group: dropped, unless it renews what was taken from it
//	served        a host that the [Policy] leaves out: dropped
//	discover      OFFER: the client's address, probed before a stranger gets it; or ACK,
//	              to a client that asks for rapid commit (RFC 4039)
//	request       ACK or NAK: SELECTING, INIT-REBOOT, RENEWING, REBINDING
//	deference     a NAK that another server's client might get: dropped
//	inform        ACK without a lease
//	release       no reply
//	decline       no reply; only of an address that the Leaser grants the client
//	known         any other message: dropped
//	leaseTimes    options 51, 58, 59
//	parameters    what option 55 asks for, in its order
//	identifier    option 61 comes back (RFC 6842)
//	fullName      option 81: the name in the zone, to a client that says its own so (RFC 4702)
//	destination   broadcast or unicast (RFC 2131 section 4.1)
//
// When the server says NAK (RFC 2131 section 4.3.2). It is the authority for the
// group's prefix on its segment:
//
//	state                     address                          answer
//	SELECTING, us chosen      the Leaser refuses it, or is     NAK: the client starts again
//	                          unsure
//	INIT-REBOOT               outside the prefix, or refused   NAK: the client came from another network
//	RENEWING, REBINDING       outside the prefix               silence: another server's client
//	RENEWING, REBINDING       refused                          NAK
//	INIT-REBOOT               the Leaser is unsure             silence: the client has no record here; it
//	                                                           asks again, and then starts at DISCOVER
//	RENEWING, REBINDING       the Leaser is unsure             silence: the client keeps its address
//	any                       another fault of the Leaser      silence: the client asks again, or another server
//
// Refused means [ErrTaken], [ErrNotOurs] or [ErrNoAddress]; unsure, [ErrUnsure].
//
// # Other servers on the segment
//
// An open server leaves alone the hosts that another DHCP server of the segment serves,
// and has that one go first with those that nobody knows ([Policy]). Who they are is kept
// by [Others]:
//
//	what is heard                            what is remembered
//	OFFER, ACK, NAK of another server        the server; of the first two, that the host is its
//	  (broadcast ones; unicast ones don't
//	  reach us)
//	OFFER to our own DISCOVER ([Discover])   the server: this finds each for sure
//	REQUEST that names another server        that the host is its; these are always broadcast
//
//	state of the segment    DISCOVER of a new host    of one with a lease here    REQUEST
//	not looked at yet       waits for that            waits                       waits
//	no other server         answered                  answered                    answered
//	another server          from 4 s after its first  answered                    answered; no NAK to who
//	                          one, if still asked                                   comes from another network
//	… which serves it       silence                   silence                     silence, but for renewals
//	                                                                                of its lease here
//
// A client is who it says by option 61, else htype and MAC, which is what option 61
// says for most clients: so a machine that boots with and without it stays one.
//
// What clients are told (Options) may change while the server runs; an exchange has one set of it
// from its beginning to its end.
//
// # Rapid commit
//
// A DISCOVER with option 80 is answered with an ACK that has it, too: two messages in the place of four.
// The address is probed and the lease on disk before, as for any ACK. Where the segment has another
// DHCP server, or the lease can't be made now, there is an OFFER as ever, without option 80.
//
// Not here: relay agents, reservations, DHCPv6 (package dhcp6, which asks by beside.go for addresses). There is no router option: the
// group is one flat network and no way out of it, but by a host of the segment that an operator
// has named as a gateway (option 121).
package dhcp
