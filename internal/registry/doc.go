// Package registry keeps who holds which block of the group's prefix, and who has
// which address in it: claims by consensus, leases by the holder, lookups by
// everybody. It knows nothing of DHCP, DNS or ARP, and carries its messages over a
// Transport that the caller gives.
//
// # Words
//
// A block is a run of the prefix. Its register holds a Grant: holder and epoch. The
// register is kept by its replicas, the five members nearest to the block's key. A
// hold is the holder's side of a grant, good for the group's hold time. The record
// of a block is what its holder signs about the addresses in it.
//
// # Claims
//
// A register is CASPaxos (Rystsov 2018): the proposer prepares a ballot at a quorum,
// applies a change function from a closed set (op) to the value with the highest
// ballot, and has the result accepted by a quorum. acceptor.go, proposer.go and
// transfer.go are pure machines; replica.go and claims.go drive them. An acceptor's
// state is on disk before its answer leaves.
//
// A quorum is a majority of votes: one a member, and in a set of even size two for
// the member who joined first. Any two quorums of one set share a member.
//
// # Changing replica sets
//
// The group's descriptor is numbered; every message carries its version. A run of
// versions with one replica set is a configuration of the block, named by its first
// version. Three rules keep two configurations from granting twice:
//
//  1. Seal. A replica that has taken part in version w, or told its state to a
//     reader at w, never again takes part in an older one (tables.sealed, written in
//     the same transaction).
//  2. Transfer. A replica takes part in a configuration only when it is in charge
//     under it: it has read the register from a quorum of the configuration before,
//     each of which had sealed the new version, and adopted the highest ballot
//     (transfer.go; where nobody there was ever in charge, one configuration
//     further down).
//  3. Order. Ballots are ordered by configuration first.
//
// Why that suffices. Let g be chosen in configuration c, by a quorum Q, at ballot b.
// Let a replica come to be in charge under the next configuration c', by reading a
// quorum Q' of c. Some member is in both. It accepted g's ballot before it sealed,
// since afterwards it refuses c; so the reader saw b or a higher ballot of c, and by
// the argument of Paxos inside c every such ballot carries g or a value changed from
// g. So every replica in charge under c' begins with g or what became of it. A
// proposer in c' needs promises from a quorum in charge, takes the highest, and its
// ballot in c' outranks by rule 3 whatever other replicas carried over, chosen or
// not. By induction over configurations, the chosen values of a register are one
// chain of changes; a claim raises the epoch, so no epoch is granted twice.
// A carried-over ballot that a quorum agrees on does not prove that its value is
// chosen (another replica may have carried over a higher one), so a read confirms
// it with a ballot of c'.
//
// A node whose state file is lost must not come back with the same key; it joins anew.
// One that comes back with an older copy of it is found out by the others, as far as they
// have seen more of it, and stops (witness.go): each transaction counts, and every message
// says how many are on disk at its sender, and how many its sender has seen of the receiver.
//
// # Time
//
// A hold lasts the hold time, on the holder's CLOCK_BOOTTIME, from before its last
// successful round was sent. A replica allows another member to inherit when by its
// own clock it has not accepted from the holder for hold time + lease time + 2 %.
// Every quorum that allows it shares a replica with the quorum that renewed last, so
// the hold has lapsed, and so has every lease made in it, whatever wall clocks say.
// New leases need a valid hold; renewals go on while the holder is cut off, until it
// is fenced: until it sees a later epoch.
//
// # Leases
//
// Inside its blocks a member leases alone (leases.go, commit.go); a row is on disk
// before Commit returns, and only if the hold stands on disk in the same
// transaction. The holder may sign an address over to the member at whose segment
// the lessee shows up (foreign.go), by DHCP, or by no more than its traffic: then the member
// that serves it looks whether the host has left its own segment (arrive.go). A spare block is claimed in advance (grow.go). A host that
// has an address without having asked for it is leased that, if it is free: out of a block
// of ours, of one claimed for it, or by the holder's signature (adopt.go).
//
// # Operators
//
// An address in a block of ours may be reserved (operate.go): its slot has a tag (tag.go),
// and is leased to nobody but that client. The record of the block lists its reservations, so
// that an heir keeps them; a block with one is not given back. A tag also has the name and the note that an
// operator gave; one that reserves nothing goes with its client. A lease that an operator evicts is kept as one that is over, marked: its client isn't
// given the address before it has asked anew. What becomes of each lease is written into the
// history (history.go) by the transaction that writes the lease, and told to followers (happening.go).
//
// # Aliases
//
// The group's aliases are the value of one more register (aliases.go, aliastable.go): a table
// as text, whose epoch counts its changes, and which nobody holds. A member changes it by a ballot that
// edits the table it finds, so that of two at once none is lost. Every member goes by the newest table that it
// has read from a quorum, kept over restarts; one that hears of a newer one, which every message tells, and each now and
// then, asks the register's keepers, as kindGrants, which writes nothing.
//
// # Lookups
//
// The holder publishes its record, the first change at once and those that follow
// every 30 ms, to the replicas and to whoever watches. Lookup reads immutable views by
// one atomic load. Resolve asks replicas and holder at once; only the holder's own
// word makes an address absent while the holder can be reached (consult.go). Whoever
// was asked so pushes its changes for a while: for a second after its word, what it
// hasn't said to be leased is absent without another question. Names are found by
// hints, which are never believed, and the records of the blocks that they point to.
//
// A refusal may be older than a lease: it is forgotten as soon as anything is heard of
// the block or the name, and before a host asks again in any case. An answer that comes
// after the asker gave up is learnt all the same.
//
// # Wire
//
// One request, one reply, each a CBOR map with integer keys, deterministic (RFC 8949
// section 4.2.1); see request and reply in wire.go for the keys and limits.
// A block record is a CBOR map {1: body, 2: Ed25519 signature over the body under
// recordDomain, 3: certificate}; the body is the map of Record.
package registry
