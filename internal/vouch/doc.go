// Package vouch keeps which members stand on one segment, as they themselves have signed it,
// and which of them serves the hosts of another now.
//
// Hosts of one LAN may send by either of its routers, and when one fails the other stands in
// for it. Members elsewhere know each lease's owner, the member that made it, and
// take packets from its owner only. They make an exception where the owner has said so
// beforehand: by a [Statement] that names the other router.
//
//	R1 ── statement "R2 is on my segment", signed by R1 ──▶ R2
//	R2 ── Tell{that statement; serving: none} ────────────▶ M   M takes packets of R1's hosts from R2
//	R1 fails
//	R2 ── Tell{that statement; serving: R1} ──────────────▶ M   M sends packets for R1's hosts to R2
//	R1 is back
//	R2 ── Tell{that statement; serving: none} ────────────▶ M
//
// So nobody can speak for a member, or be sent its packets, whom it hasn't named, and
// not for longer than the statement holds. A member that claims itself
// (serving: R1, told by R1) ends what others have claimed of it.
//
// It is for: the statements, what is told, and the [Book] of both at a member. It is not for
// carrying them (appliance), nor for finding out who fails (internal/share).
//
// # Wire
//
// Numbers are big-endian; times are Unix seconds.
//
//	Statement, 145 bytes
//	 0 version, 1    1
//	 1 owner        32   who says it
//	33 neighbour    32   who is on the owner's segment
//	65 made          8
//	73 until         8
//	81 signature    64   Ed25519 by the owner's node key over bytes 0 to 80, as
//	                     group.Membership.Sign makes it under the domain "same segment"
//
//	Tell
//	 0 version, 1    1
//	 1 number        8   a higher one replaces a lower one of the same sender
//	 9 how many      1   statements, at most 32, each naming the sender
//	10 statements    145 each
//	   how many      1   owners, at most 32
//	   owners        32 each, whose hosts the sender serves now
//
// A Tell isn't signed: it comes over a connection that has authenticated its sender.
package vouch
