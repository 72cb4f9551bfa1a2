// Package strangers looks after hosts that use an address of the group on this segment which
// wasn't leased to them here: one that has moved here with its lease from another site, as a
// virtual machine does, and one that was given its address by hand, a static one.
//
// It is not for noticing them on the wire (package router does, and says so by Stranger), nor for
// leases that hosts ask for (package dhcp), nor for deciding which router of the segment looks
// after whom (package share).
//
// # The way of a sighting
//
//	router ── Stranger(addr, MAC) ─▶ queue ─▶ Run: what does memory say of addr?
//	                                            │
//	            leased elsewhere, or a MAC alone│known to be free, or leased here
//	                     ┌──────────────────────┤──────────────────────┐
//	                     ▼     not known: both  ▼                      ▼
//	               arrivals (manners)                           statics (census)
//	               the member that serves it gives it up,       it answers ARP, and is leased the
//	               or a conflict is told                        address, or it is told why it can't be
//
// Nothing that a host sends may make the appliance do much: both kinds have a [limiter], with
// limits of their own, as one costs questions to other members and the other questions to the LAN.
// Whom nobody sees any more isn't forgotten at once: census has statics asked again while
// they have their lease.
//
// # Files
//
//   - strangers.go: [Strangers], what it needs, its queue
//   - arrivals.go, manners.go: hosts that have moved here; when one is worth an attempt
//   - statics.go, sweep.go, census.go: hosts with an address by hand; when one is looked into
//   - limiter.go: what both limits are made of
//   - troubles.go: what an operator should know
//   - ear.go: hosts that move here and announce nothing are noticed by their traffic
//
// manners, census, limiter and ear are pure: no clock, no input or output.
package strangers
