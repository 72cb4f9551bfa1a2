// Package share says which of the routers on one segment does what: which answers an ARP
// request for a remote address, and which a new DHCP client. Each router decides alone, by
// arithmetic, and all come to the same.
//
// It is for: rendezvous hashing (Thaler and Ravishankar 1998) over the routers that take
// part, and the patience of a router with a client that isn't its own. It is not for finding out
// who takes part (internal/beacon), nor for answering (arp, dhcp).
//
//   - [Circle]: the routers that share, as one of them sees it. A key (an address, a MAC)
//     belongs to one of them; when one leaves, only what was its goes to others.
//   - [Clients]: DHCP clients that another router should have answered, and hasn't.
//
// Both are pure: no clock, no input or output.
package share
