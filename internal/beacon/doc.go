// Package beacon finds out which members of the group are on this segment, and keeps the
// proof of it: only on that may frames go natively, past the tunnel.
//
// It is for: saying on the segment who we are, hearing who else is there, believing it only
// on evidence that can't be forged or kept for later, and noticing within moments that it
// holds no more. It is not for deciding what follows (appliance, router), nor for reading
// and writing frames: [Beacon.Receive] is handed them, and Config.Send takes them.
//
// # Words
//
// A beacon is one frame. A member's nonces are the numbers that it makes up, one for each
// beacon. An answer is a nonce of another member, repeated. A proof that a member is here is
// a beacon, signed by it, that answers a nonce of ours; it is as old as that nonce, and lasts
// [ProofLife]. A neighbour is a member of whom there is a proof.
//
// # How it goes
//
//	A                                           B
//	broadcast, nonce a1 ──────────────────────▶  a newcomer: answer at once
//	B is here: it answers a1  ◀────────────────  nonce b1, answers a1
//	nonce a2, answers b1 ─────────────────────▶  A is here
//
// Each member speaks every [Interval], to all. Routers that have found each other speak
// also every [RouterInterval], to each other alone, so that the end of one is noticed in time for another to
// take over: one that hasn't been heard for [SilentAfter] is marked [Neighbor.Silent]. A newcomer is answered at once,
// and what changes in [Says] is said at once.
//
// # What proofs are worth
//
// A beacon that was recorded proves nothing later, since it answers no nonce of today; one
// that is held back proves no more than that its sender was here when the nonce was new. So
// a member that leaves is a neighbour for less than 2 s, and for no moment after
// [Beacon.LinkLost]. Whoever passes frames on as they come, in both directions and within
// that time, has bridged two segments: then they are one.
//
// A host of the segment can flood it with forged frames, and use up the budgets of those that it names.
// It costs us a bounded number of signatures a second, and no memory: verified members only have a place
// in it, at most [MaxNeighbors]. Hosts may lose sight of each other; they use the tunnel then, and
// nothing is lost but speed. Routers must not: each would take itself for the only one, and both would
// answer. So there is a budget that forgers can't reach, for frames that answer a nonce which a router
// was told alone, in a frame to it; nobody repeats such a nonce to all. On a switched LAN others don't hear it.
//
// Somebody may hear it none the less, or keep it from its addressee: on a hub, at a switch whose table
// he has filled, by taking a router's MAC. That leaves traces, in [Beacon.Doubted]: frames that are forged
// or not looked at, frames in our own name, a silence that ends. A router that is doubted must be asked
// over another way before its silence is believed; there it is told a nonce ([Beacon.Appoint]) that it
// answers on the segment ([Beacon.Answer]), which makes members known to each other whatever is forged.
// Before there is a trace, routers can be kept from each other for one moment of 0.3 s, in which both answer.
//
// An own beacon that comes back shows that the segment has a loop ([Beacon.Looped]); its nonce tells it
// from a forged one.
//
// # Main types
//
//   - [Beacon]: the driver. Run sends and verifies; Receive, on the thread of the data
//     plane, looks at a frame and puts aside what is worth a signature check.
//   - machine: all that is decided, without clock, locks or input and output.
//   - [Says], [Neighbor]: what a member says of itself, and what is known of a neighbour.
//
// # Wire
//
// An Ethernet frame with EtherType 0x88B5 (IEEE 802 local experimental 1), to broadcast or
// to one station: a router, or whom we have an appointment with. Numbers are big-endian. Of a frame that is beyond
// the other budgets the first 32 answers are looked at: those of routers come first.
//
//	 0                14        16     17          18
//	+----------------+---------+------+-----------+----------------------------+
//	| Ethernet header| "LB"  2 | 1  1 | says    1 | group ID 32                |
//	+----------------+---------+------+-----------+----------------------------+
//	| 50 member ID 32                 | 82 MAC, the frame's source too 6       |
//	+---------------------------------+------------------+---------------------+
//	| 88 how many answers 2           | 90 sequence 8    | 98 nonce 8          |
//	+---------------------------------+------------------+---------------------+
//	| 106 answers, 8 each                                                      |
//	+--------------------------------------------------------------------------+
//	| signature 64, Ed25519 by the node key                                    |
//	+--------------------------------------------------------------------------+
//	| padding, ignored
//
// Byte 16 is the version. says, from the lowest bit: router, LAN side well, WAN side well,
// shares addresses; the other bits are sent as 0 and ignored. The sequence number grows
// from beacon to beacon, also over restarts: it is the sender's clock in nanoseconds or the
// number before plus one. The signature is over bytes 14 to its
// beginning, as group.Membership.Sign makes it under the domain "beacon": it holds for no
// other use of the key and no other group.
package beacon
