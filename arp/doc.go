// Package arp answers a segment's ARP requests for hosts that live elsewhere, and
// probes the segment for addresses that somebody uses without a lease.
//
// An appliance pretends to be every remote host (proxy ARP): it answers with its
// gateway MAC, so that a host sends frames for the remote one to the appliance. It
// must never answer for a host of its own segment, whose frames are none of its
// business (the bypass), nor for an address that nobody holds, which a host may be
// about to take.
//
//	who asks        for what                    answer
//	a host          the service address         gateway MAC
//	a host          leased elsewhere            gateway MAC
//	a host          leased here, or to a host   silence: that host answers
//	                of another router here
//	a host          what another router of the  silence: that router answers
//	                segment answers
//	a host          not leased                  silence
//	a host          not known yet               silence now; asked of the registry, answered when it knows
//	a prober        any of the above            the same: a leased address is thereby defended (RFC 5227)
//	anybody         outside the prefix          silence
//	a stranger      anything                    silence (its own address isn't of the prefix)
//
// [Responder] decides; it does no input or output. The router hands it each ARP
// packet, sends the reply that it allows, starts the lookup that it asks for and
// reports the outcome with [Responder.Resolved].
//
// [Prober] asks the segment whether an address is in use (RFC 5227 section 2.1, with
// shorter waits); dhcp uses it before it offers an address. [Prober.Who] tells which
// stations have it: more than one is a conflict, and one that has an address which nobody
// holds is a gateway that answers for others.
//
// The package is not for keeping a neighbour table: it reports what a packet shows
// ([Decision.Observed]), and the router remembers.
package arp
