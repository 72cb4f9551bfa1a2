// Package neighbourhood has what a router concludes about the other members on its LAN, and about
// its own two sides: who is there, who may be silent for a good reason, and whether this router is
// fit to serve.
//
// It is not for proving who is near, which beacons do (package beacon), nor for sharing the work
// out (package share), nor for taking it over, which the appliance does as share orders.
//
//	beacons ──▶ [Doubts] ──▶ the routers that are here, for share
//	        ──▶ [Siblings]: whose frames are a router's of the group, and no strange gateway's
//	        ──▶ [Guests]: hybrid hosts, and whom their farewell concerns
//	calls   ──▶ [WANWatch]: whether members elsewhere are reached from here
//	        ──▶ [Standins]: who may send, and who serves, for whom; what others are told of that
//	port    ──▶ [Carrier]: whether silence on the LAN says anything
//
// None of them sends anything by itself but WANWatch, by its [Elsewhere], and Standins, by its [Peers].
//
// # Between members
//
// Routers of one segment, and members that have to do with their hosts, speak [Protocol]. A request
// is one byte, then bytes (package vouch):
//
//	1  the caller's statement about the called; the reply is the called's about the caller, or empty
//	2  a Tell             3  asks for one             5  asks for the blocks that the called holds
//	4  asks whether the called is well; the reply is 1 or 0, then who relays what it sends
package neighbourhood
