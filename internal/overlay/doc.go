// Package overlay joins all nodes that can find each other into one: any node can call
// any other by its member ID, whatever NATs stand between them.
//
// It is for control: requests and replies of the registry, the set-up of sessions,
// group descriptors. It is not for data; packets of hosts travel in the tunnel, over
// the same UDP port.
//
// The types:
//
//   - Overlay is a libp2p host with its node key: QUIC over the data socket, TCP beside
//     it, Kademlia (a server, but where a node is a guest) under the protocol /landbridge/kad/1.0.0, a relay
//     for members (circuit v2), multicast DNS on the LAN.
//   - Handler answers calls of one protocol; Call makes one.
//   - PeerInfo tells about one peer.
//
// # How a member is found
//
// A call to a member that isn't connected dials it, once for all who wait:
//
//	  0 ms  its addresses, remembered or announced: QUIC, and TCP 150 ms later
//	150 ms  the circuits that it has announced are dialled
//	150 ms  connected members are asked where it is ("where" below). Where one of them
//	        relays for it, the dial goes on through a circuit. They are asked again a
//	        few times, as it may be about to come back
//	150 ms  Kademlia looks it up, and what it finds is dialled
//
// The first that succeeds ends it, the member's own dial to us included; 10 s end it
// in any case, and the caller's context ends his own wait. A circuit works for calls as any connection does, and is replaced
// when a direct connection can be had.
//
// # What is kept
//
// A keeper (keeper.go, pure) keeps connections to the members of this node's groups,
// to all in a group of up to 16, in a larger one to the 1st, 2nd, 4th, 8th, … before and after
// this node in the ring of IDs, and to those that it was told of at the start; it
// backs off from those that it can't reach, and asks each that it reaches directly for
// a relay reservation, so that others reach this node through it. Where peers were
// last is in the store: after a restart they are dialled at once. Beyond 48 connections
// those that nobody keeps end, two minutes after they began.
//
// # What is never contacted
//
// Only peers that the configuration, an invitation, the LAN or another peer of the
// overlay has named. There is no list of public bootstrap nodes, no AutoNAT, no UPnP,
// no hole punching by libp2p, and a host name is looked up only if it came from the
// operator or an invitation. Addresses inside the groups' own prefixes are never used
// (Config.Exclude): such a connection would run through the tunnel that it serves.
//
// # A call on the wire
//
// Each call has its own libp2p stream; the protocol is chosen by multistream-select,
// sent in one packet with the request. Integers are big-endian.
//
//	request                                  reply
//	 0  4  how long the caller waits, ms,     0  1  status: 0 done, 1 error,
//	       0: no limit                              2 busy, 3 not handled here
//	 4  4  n, at most 1 MiB                   1  4  n, at most 1 MiB
//	 8  n  the handler's request              5  n  the handler's reply; for an
//	                                                error, its text
//
// Calls that the overlay answers by itself:
//
//	/landbridge/ping/1   empty, both ways
//	/landbridge/where/1  request: a member ID, 32 bytes
//	                     reply: CBOR map {1: whether it relays for that member, 2: [multiaddr, …]}
//
// Of the places for calls that run at once, peers that are in none of our groups share
// a few (rpc.go); beyond them the reply is 2.
//
// # Descriptors
//
// A group's descriptor is a DHT value under the key "/landbridge/" and the 32 bytes of
// the group ID. Nodes store only what Config.Validator accepts, and of two versions the
// higher. Who publishes one publishes it again each hour, and soon after a peer has
// come.
package overlay
