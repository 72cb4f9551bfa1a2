// Package group says who belongs to a group: its CA, member certificates,
// invitations, and the signed descriptor with the numbered roster.
//
// It is for deciding, on any node, whether a key is a member's, and who the members
// were at a version. It does no network input or output: bytes come in and go out. It
// doesn't find peers (overlay), and doesn't say who holds which address (registry).
//
// The types:
//
//   - ID and MemberID name a group and a node: hash of the CA's key, and node key.
//   - Params are what the creator chose; with them goes the arithmetic of blocks.
//   - Descriptor is the CA's word about the group: Params and roster, at a version.
//     SignedDescriptor is how it travels; ParseDescriptor verifies it.
//   - Authority is the creator at work: Invite, Admit, Renew, Remove.
//   - Invitation is what a newcomer is given: a token of one line. Issued is what the
//     authority remembers of it: its limit, who used it, its end.
//   - Membership is a node's standing: its certificate, the newest descriptor and settings it
//     knows, the certificates others have shown, signatures.
//   - Settings are what the authority may change while the group runs (Configure), at a version
//     of their own. SignedSettings is how they travel; ParseSettings verifies them.
//
// # The way in
//
//	authority                                    newcomer
//	Invite ──── token, by any safe way ────────▶ ParseInvitation, Check
//	         ◀── overlay stream, both keys proved ── NewJoinRequest.Marshal
//	Serve: secret right? uses left? in time?
//	  one transaction: use counted,
//	  roster one version on, signed
//	  ──── certificate, descriptor ────────────▶ ParseJoinReply, SaveJoin
//	Subscribe ──▶ DHT, gossip ─────────────────▶ all: Membership.Update
//
// An invitation may demand approval. Serve then remembers who asked, and refuses (10) until
// somebody has compared the node's fingerprint and says Approve, which makes it a member, or
// Deny; the newcomer asks again and again, and is given its certificate or the reason.
//
// Renewal is the same with NewRenewRequest and Membership.Renewed, at two thirds of a
// certificate's life (RenewalDue). The way out is Forget, and, so that the others hear of
// it, NewLeaveRequest: the authority takes the node out of the roster, as Remove does.
//
// # Trust
//
// The group's ID is the SHA-256 of the CA's Ed25519 key, so whoever knows the ID can
// verify the CA's certificate, the descriptor, and every member's certificate. A
// member takes part (Authorized) while it is in the newest roster known and has shown
// a certificate that is good now; removal works as soon as the new roster arrives,
// and the certificate's end bounds how long a node that hears nothing goes on.
// Descriptors form one history: a member takes only versions that continue the one it
// knows (ErrForked), and never goes back.
//
// # Certificates
//
// X.509, Ed25519. The CA's is self-signed, pathlen 0, URI SAN landbridge://GROUP. A
// member's names its node by the URI SAN landbridge://GROUP/MEMBER (64 hexadecimal
// digits, libp2p peer ID), client and server authentication, 90 days.
//
// # Signatures
//
// Each begins with words of its own, so that none can be taken for another:
//
//	descriptor (CA key)  "landbridge descriptor 1" 00, body
//	settings (CA key)    "landbridge settings 1" 00, body
//	member (node key)    "landbridge signature 1" 00, length of domain (uvarint), domain, group ID (32), message
//
// # Descriptor
//
// CBOR (RFC 8949), deterministic; at most 640 KiB. Times are seconds.
//
//	{1: body (byte string), 2: signature (64 bytes)}
//
//	body: { 0: format = 1       5: zone           10: authority (32 bytes)
//	        1: group (32 bytes) 6: lease time     11: CA certificate (DER)
//	        2: version          7: hold time      12: [[member (32 bytes), name, added, removed], …]
//	        3: name             8: MTU
//	        4: prefix (4 bytes of address, 1 of length)
//	        9: block bits }  13: [[place in 12, removed at (Unix seconds), reason], …], at most 256
//
// # Settings
//
// CBOR, as a descriptor; at most 16 KiB. What is absent is as the descriptor has it. Who knows a
// later version takes no earlier one. Keys behind 16 are a newer program's: they are passed on, and
// an older authority's next version keeps them.
//
//	body: { 0: format = 1   5: T1, percent of a lease   10: NTP servers (4 bytes each)
//	        1: group        6: T2, percent              11: routes (4 bytes of address, 1 of length, 4 of gateway)
//	        2: version      7: domain                   12: excluded addresses (4 bytes of the first, 4 of the last)
//	        3: made         8: [domain to search, …]    13: allowed hosts (6 bytes each)
//	        4: lease time   9: DNS servers (4 bytes each)
//	        14: denied hosts (6 bytes each)   15: only allowed hosts are served
//	        16: IPv6 prefix, the /64 of it (8 bytes) }
//
// # Invitation
//
// "lb1" and, in base32 (RFC 4648, lower case, no padding):
//
//	 0                                32                               64
//	+--------------------------------+--------------------------------+----------------+
//	| group ID                       | authority's member ID          | secret (16)    |
//	+--------------------------------+--------------------------------+----------------+
//	| end, Unix seconds (4, big-endian) | 255, prefix (4 of address, 1 of length)       |
//	+-----------------------------------+-----------------------------------------------+
//	| addresses: length (1), multiaddr …                                                |
//	+-----------------------------------------------------------------------------------+
//	| first 4 bytes of SHA-256("landbridge invitation 1" 00, all before)                |
//	+-----------------------------------------------------------------------------------+
//
// The 255 and the prefix may be missing, as in older tokens: a newcomer checks its own routes by the prefix
// before it asks anybody. An address that doesn't end in /p2p/ID is the authority's. With one IPv4 address a
// token has 173 characters.
//
// # Join messages
//
// CBOR maps; request at most 1 KiB, reply at most MaxReplySize.
//
//	request  {1: kind (1 join, 2 renew, 3 leave), 2: group, 3: secret (16 bytes, join), 4: name (join)}
//	reply    {0: refusal (0 or absent: yes), 1: signed descriptor, 2: certificate (DER), 3: reason (of 11)}
//
// Refusals: 1 used, 2 expired, 3 unknown invitation, 4 other group, 5 removed, 6 not a
// member, 7 group full, 8 not the authority, 9 revoked,
// 10 waits for approval, 11 denied, 12 too many wait.
package group
