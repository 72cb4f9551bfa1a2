// Package appliance is the composition root: it puts the rooms of Landbridge together
// into a running appliance, and holds what they share.
//
// # What is where
//
//	state.go                   the state directory: database and node key
//	node.go                    the daemon: start, stop, what all groups share
//	network.go                 one group at work: membership, registry, tunnel, attachment
//	attachment.go              how hosts are attached; may be replaced while the rest stands
//	attach.go                  its devices and forwarder, and the tunnel
//	hybrid.go, wirelink.go     this host on the wire of its own LAN port
//	bypass.go                  its routes to hosts that are on that wire
//	recover.go                 what a killed run left, put right by hand
//	lanport.go                 router mode's LAN port: what is wrong with it, and its return
//	neighbours.go, routers.go  the other members on a router's LAN; what it does as routers come and go
//	standin.go                 who may send, and who serves, for whom
//	modeapi.go, modeverify.go  what the API shows and takes of the mode; whether all works as it is attached
//	segment.go, strangers.go   router mode's LAN: whom DHCP serves; hosts that weren't leased their addresses
//	division.go                whose hosts are whose, where it is in several groups
//	ownaddress.go              this host's own lease
//	gate.go                    who may speak to a group's rooms: hello, certificates
//	roster.go                  descriptor and certificate, kept up to date
//	adapters.go                what one room needs of another, given by small types
//	memberships.go, groups.go  create, invite, join; with a daemon and without (Offline)
//	leave.go                   the way out
//	api.go                     what the console shows
//	events.go                  what its event stream tells
//	diagnosing.go              what the doctor asks of the node and its groups
//	capturing.go, dnsquery.go  packets as a file; our DNS, asked
//	logs.go, bundle.go         the last lines of the log; support bundle, copy of the state
//	leaseops.go                what operators do with leases
//	vitals.go                  the health of the node, and of a group as a look at it shows
//	memory.go                  the collector
//
// # Lifecycle
//
// Run validates everything that can be validated without a change: configuration,
// state, privileges, LAN port, prefix. Below the line in Run the system is changed:
// socket, overlay, then for each group its registry, devices, forwarder and tunnel.
// Whatever ends the run undoes it in reverse; what a killed run left is put right by
// the next (package iface).
//
// # Between members
//
// Overlay calls carry a group's protocols. A request is the group's ID (32 bytes) and
// the room's own bytes; a reply is one byte, then bytes:
//
//	0  the reply          1  say hello first          2  refused; the reason as text
//
// Hello carries certificate, descriptor version, the signed descriptor where the other
// side's is older, and a number that is new each time the group is taken up: a member that
// hears another number makes its sessions with that member anew at once.
package appliance
