// Package share says which of the routers on one segment does what: which answers an ARP
// request for a remote address, and which a new DHCP client. Each router decides alone, by
// arithmetic, and all come to the same.
//
// It is for: rendezvous hashing (Thaler and Ravishankar 1998) over the routers that take
// part, the patience of a router with a client that isn't its own, and when a router stands in for
// another. It is not for finding out who is there (internal/beacon), nor for answering (arp, dhcp).
//
//   - [Circle]: the routers that share, as one of them sees it. A key (an address, a MAC)
//     belongs to one of them; when one leaves, only what was its goes to others.
//   - [Clients]: DHCP clients that another router should have answered, and hasn't.
//   - [Duty]: what a router does as others come, fall ill and go: whether it takes part, and for whom
//     it stands in.
//
// All are pure: no clock, no input or output.
//
// # Words
//
// A router is well if its LAN side and its WAN side work. It takes part, and says so, once it is well; where
// another does already, only after it has been well for 10 s, so that one that comes and goes
// doesn't take hosts along each time. One that can't be sure whom it hears listens for longer, [Duty.Unsure]. One that takes part and falls ill, silent or away is
// stood in for by the router to which its member ID belongs in what is left of the circle: it takes the packets
// for the other's hosts and, where nothing is heard of the other, the frames for its MAC.
// The stand-in ends when the other takes part again.
package share
