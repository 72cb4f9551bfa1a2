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
//	port    ──▶ [Carrier]: whether silence on the LAN says anything
//
// None of them sends anything by itself but WANWatch, which asks by its [Elsewhere].
package neighbourhood
