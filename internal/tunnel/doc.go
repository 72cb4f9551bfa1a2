// Package tunnel is the data plane between members: it owns the node's one UDP
// socket and carries bare IP packets, sealed, to and from other members of a group;
// large ones whole, as the kernels at both ends have them, in datagrams that fit the path.
//
// It is not for: who is a member (internal/group), finding members and streams to
// them (internal/overlay), whose packet goes where (router), how a packet is cut and
// joined (internal/frame).
//
// # Types
//
//   - Socket: the UDP socket. Its handler, run by a loop.Loop, tells QUIC from tunnel
//     datagrams by the first byte: 0x40 and above is QUIC's (Socket.QUIC), the rest is ours.
//   - Tunnel: one group's sessions over a socket.
//   - peer: a member, with its keys (session), its path machine (pathState,
//     step) and its life machine (lifeState, stepLife).
//   - route: the immutable snapshot from which the frame path sends.
//   - inflow: the data that comes from a peer, and the queue on its way.
//   - links, link: the streams that carry datagrams where UDP doesn't pass.
//   - demux, indexTable: from a receiver index to the keys that open.
//
// # The way of a packet out
//
//  1. Outbox.Add finds the peer in an immutable map (one atomic load) and its route (one
//     more). No route: the packet is copied into the peer's bounded queue, and the
//     machines are told that somebody wants a path.
//  2. Each packet is cut into bodies (frame.Cut), a segment each, which are sealed from
//     where they lie into the arena of a batch, each behind its header; that is the one
//     copy. Over a relay they are sealed twice in place.
//  3. Datagrams of one size for one address are a run, which the kernel takes whole
//     (UDP_SEGMENT). One sendmmsg sends the batch. Where the kernel or a device
//     refuses runs, they go as single datagrams, counted as send_unjoined (degrade.go).
//  4. What the kernel has no room for, and all that comes after it, waits in the backlog
//     (sendQueue). Nobody waits for the kernel.
//
// # The way of a packet in
//
//  1. The handler takes up to 16 messages with one recvmmsg, each a datagram or a run of
//     them that the kernel has joined (UDP_GRO).
//  2. Each datagram is looked up by its receiver index, checked against the replay window
//     (RFC 6479), opened, and noted with the address it came from. A body is opened where
//     the joiner wants it (frame.Joiner): directly behind the segment before, so that the
//     segments of a flow become one packet again without a copy.
//     Where it has stood in a queue for too long it may be dropped here, or marked
//     (inflow, package codel): counted as congestion_dropped and congestion_marked.
//  3. Packets are handed to Deliver, a sender at a time. Control messages and relayed
//     datagrams are opened in place and dealt with on the spot.
//
// Steady traffic allocates nothing and takes no contended lock: peers, routes and
// receiver indexes are read by atomic loads, counters and times are atomics, the
// replay windows belong to the reader, on whose thread what comes by a stream is worked
// through, too. The reader holds demux.mu over a batch, so that Close can wait for the last
// Deliver; Close and Rest alone take it besides.
//
// Locks are taken in this order: a peer's mu, then Tunnel.mu, sendQueue.mu, links.mu or a
// link's mu; never those of two peers. What concerns several peers is left to the goroutine run.
//
// # When the link is slower than the traffic
//
// The kernel's send buffer is full then, and it is one for all: whoever fills it delays
// everybody by what is in it. So it is kept short: while there is more to send than it takes,
// it holds 5 ms of what it was seen to take (sendWindow: SO_SNDBUF, 8 KiB to 4 MiB), and no
// message is longer than a millisecond of that. All else waits in the backlog, copied into
// blocks of 16 KiB, of which there are 128 at most and none when it hasn't been used for 10 s:
//
//	                 +- urgent: control messages, before all others
//	write - EAGAIN - +- fresh:  destinations that had no backlog   - loop: it can be written - kernel
//	                 +- old:    the others, in turn, equal in bytes
//
// A destination is an address: a peer or a relay, whose inner flows can't be told apart. QUIC's
// datagrams are one more for each address. Datagrams for one keep their order. The oldest is
// dropped where large ones have waited longer than 5 ms for more than 100 ms (CoDel, RFC 8289)
// and where any has for 250 ms (send_old), but not from a queue of a few; and where a
// destination has as much memory as is left for others, or 4096 datagrams, half a replay window
// (send_full). What has waited is counted too (send_waited). The kernel's buffer is that of the
// socket, not of a device: while a slow device fills it, what goes out by another waits with it.
//
// # Making a session
//
// An offer and its answer travel over the signal stream (Signal, HandleSignal),
// which authenticates both ends. Nothing that arrives by UDP makes keys or state
// unless it opens under keys that stand: there is no unauthenticated handshake, and
// a datagram for an unknown index is dropped without a word.
//
//	offer  = {body, signature of body in domain "landbridge tunnel offer 1"}
//	answer = {body with SHA-256(offer body), signature in domain "landbridge tunnel answer 1"}
//
// Both are CBOR (RFC 8949, core deterministic; message.go has the fields) and carry
// an ephemeral X25519 key, the sender's receiver index, its certificate, its
// addresses and its relays. Keys:
//
//	salt = SHA-256(SHA-256(offer body) || SHA-256(answer body))
//	ikm  = X25519(ephemeral, ephemeral) || chain       (chain is empty here)
//	okm  = HKDF-SHA-256(ikm, salt, "landbridge tunnel 1 keys", 96)
//	     = key initiator to responder || key responder to initiator || next chain
//
// The cipher is AES-256-GCM if both ends have it in hardware, else
// ChaCha20-Poly1305. The initiator uses the keys at once; the responder sends with
// them once a datagram under them has come, and until then with those it had. If
// offers cross, that of the lower member ID stands: its maker lets the other's wait
// until its own has come through. Where answers overtake each other all the same, and an end
// finds for 1.5 s that the other goes on with keys that it has retired, both come to use those
// that the lower ID asked for (not those from before a restart). An offer may say that its maker has no keys of
// the past; then its peer drops those at once, and packets wait a round trip.
//
// Keys are renewed every 2 minutes, or after 2^27 datagrams, by two control messages
// inside the session. Old keys open for 10 more seconds. A member that asks for more
// than that is heard every 5 s.
//
// # Datagrams
//
// All numbers are big-endian.
//
//	 0      1               4               8                       16
//	+------+---------------+---------------+-----------------------+----- - -
//	| kind | sent          | receiver index| counter               | ciphertext, 16 bytes of tag
//	+------+---------------+---------------+-----------------------+----- - -
//
// The nonce is bytes 4 to 15 of the header; the additional data is the whole header.
// Counters start at 0 for each key. Sent is when, by the sender's monotonic clock in units
// of 64 µs modulo 2^24 (package codel), for data; zeros for control messages. Kind 0x01 holds a body as package frame draws it:
// an IP packet, or a segment of one. Kind 0x02 holds a control message, which its first
// byte tells:
//
//	0x01 probe         id 8, zeros to 27 bytes, or to the MTU and a trailer
//	0x02 pong          id 8, endpoint from which the probe came 18
//	0x03 keepalive     -
//	0x04 close         reason 1 (1 leaving, 2 idle, 3 certificate not accepted)
//	0x05 rekey         ephemeral X25519 key 32, receiver index 4
//	0x06 rekey answer  ephemeral of the rekey 32, own ephemeral 32, receiver index 4
//	0x07 candidates    flags 1 (bit 0: send yours), n 1, m 1, n x {host 1, endpoint 18}, m x member ID 32
//	0x10 forward       hash of the receiver 8, sealed datagram for it
//	0x11 forwarded     hash of the sender 8, sealed datagram for us
//	0x12 refused       hash of the member that can't be reached 8
//
// An endpoint is 16 bytes of address (IPv4 as ::ffff:a.b.c.d) and 2 of port; all
// zeros is none. A member's hash is the first 8 bytes of SHA-256 of its ID. In a
// rekey, salt is SHA-256(SHA-256(rekey message) || SHA-256(answer message)), and
// chain is the former keys' next chain. A pong is as long as the shortest probe, so
// nothing amplifies.
//
// A relay takes a forward only from a member that it hears directly, and sends it
// on, as forwarded, only to one that it reaches directly; a forwarded is never
// forwarded. So an envelope crosses one relay, and loops can't form. Overhead: 33
// bytes with the body's trailer, and 41 more through a relay. What comes for a member of whom
// nothing was heard for 0.6 s and two round trips is sent, and a copy kept, to be sent again when it is heard
// within 5 s (shelf.go): at most 2 s old, 128 KiB for a member and 1 MiB in all.
//
// # Paths
//
// Both ends probe all of each other's addresses at the same time, which opens NATs
// that map a socket to one port for all destinations. An address is used once it has
// answered a probe (whose number can't be guessed) and one of full size has been
// tried; where only small ones pass, a relay is preferred and the status says so.
// Until then packets travel through a relay to which both have sessions, if there
// is one, and later too where nothing else works; then better is tried again after
// 5 s, 10 s, and so on up to 5 min, by both ends together (candidates message).
//
// Where no address has answered for 0.75 s, or packets go by a relay, a stream is asked for
// (link.go): the overlay's, over a TCP connection straight to the peer, with each datagram
// behind its length (2 bytes). It is one more path, worse than an address and better than a
// relay, and is closed a minute after an address has answered.
//
// A path in use is probed when something was sent and nothing came back for 150 ms; after
// two of these the paths to relays are, too, which tells relays where we are if a NAT has
// forgotten us. After 0.9 s of silence it is given up for another; if there is no other,
// after 3 s; after 0.7 s if there is word that the peer has begun anew; where the round trip is
// long, up to 4 s in each case. A probe every 15 s keeps NATs open. A datagram from a new
// address leads to a probe there; its answer moves the path. A relay is believed without
// a pong until it falls silent or refuses, so that a peer that was restarted is soon
// without any path, however many relays forward to it. Without any path a new offer goes
// out, at most a second apart while packets want to be sent, or 5 s where offers lead to
// keys and to no path; the overlay's word that a peer is there (Reachable) or has
// restarted (Restarted) hastens it.
package tunnel
