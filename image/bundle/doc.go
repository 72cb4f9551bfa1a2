// Package bundle is the file by which an appliance of the image is updated: what goes into a slot,
// and what is said about it, signed.
//
// It is for writing a bundle, and for reading one as it comes, of which nothing is believed that
// isn't signed. It is not for where its files go: that is package slots.
//
//	Manifest  what a bundle is: version, time, architecture, state schemas, files
//	Key       a public key that an appliance takes bundles by (Ed25519)
//	Write     makes a bundle
//	Reader    reads one: its manifest once the signature is good, then its files
//
// # Format
//
// Numbers are big-endian; there is nothing between the parts, or behind the last.
//
//	 0                   8  9           12                 12+n        76+n
//	+-------------------+--+-----------+------------------+-----------+------------- - -
//	| "LBUPDATE"        | 1| length n  | manifest (JSON)  | signature | files
//	+-------------------+--+-----------+------------------+-----------+------------- - -
//
// The signature is Ed25519's (RFC 8032) over all that is before it. The files come in the manifest's
// order, each as long as that says; their SHA-256 stand there. An appliance takes the file "slot", the
// contents of a slot's partition; it checks others, and leaves them.
//
// # The way of a bundle
//
//	Write -> landbridge.update -> Open (signature, manifest) -> Fits, Older -> Copy (sizes, hashes)
package bundle
