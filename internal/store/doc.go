// Package store keeps a node's state in one bbolt file: typed buckets, durable
// writes, a schema version, and backups taken while it is in use.
//
// It is for what must outlive a crash: keys, memberships, granted blocks, leases.
// It is not a cache, not a queue, and nothing on the way of a frame calls it.
//
// The types:
//
//   - DB is the open file. One process has it at a time (ErrInUse).
//   - Tx is one transaction: a consistent view, and for Update and Batch the one
//     writer.
//   - Bucket[V] names a bucket whose values are V, kept as CBOR. It is a value
//     without state; packages declare theirs where they use them.
//
// # Durability
//
// Update and Batch return nil after the transaction is on disk: bbolt writes the
// changed pages, waits for the disk (fdatasync), writes the page that makes them
// valid, and waits again. A crash at any moment leaves the state before or after a
// transaction, never between. A transaction that wrote nothing costs no disk access.
//
// # Group commit
//
// Batch is for many goroutines that each need one small durable write. The first
// caller commits at once. Those who come while a commit runs wait together, and one
// of them commits for all as soon as it ends:
//
//	caller A   |== commit A ==|
//	caller B        . . . . . |== commit B, C, D ==|
//	caller C           . . . .|                    |
//	caller D             . . .|                    |
//
// So there is no timer: alone, a caller pays one commit; with n others, it pays at
// most the rest of the running commit and its own. A function that fails takes
// nothing away from the others (see Batch).
//
// # The file
//
// The bucket "store" is this package's own; its key "schema" holds the schema
// version, a CBOR unsigned integer. Every other top-level bucket belongs to the
// package it is named after. The file's mode is 0600: it holds private keys.
package store
