// Package traffic makes mixed traffic between hosts, for as long as wanted, and verifies every
// byte of it: a corrupted one, one that is missing from a stream, a datagram that comes twice
// is an error and ends the run; datagrams lost or overtaken are counted.
//
//	[Open]   listens on each [End]            [Run.Do]      sends until a time, verifies, waits
//	[Plan]   how much, how large              [Run.Totals]  what has been verified so far, at any time
//
// From each end to each other end there go, each at its share of the plan's rate:
//
//	transfers     pseudo-random bytes on one TCP connection that lasts as long as the run;
//	              both ends hash each transfer (SHA-256) and the sender compares
//	requests      bytes there, their hash and the same bytes back, on one TCP connection
//	connections   a TCP connection for each request
//	datagrams     UDP, of each [Class] of sizes
//
// On a TCP connection, numbers big-endian:
//
//	transfer   | length 8 | bytes |             answer   | SHA-256 of the bytes 32 |
//	request    | length 8 | bytes |             answer   | SHA-256 of the bytes 32 | bytes |
//
// A datagram is numbered within its stream (one class, one direction), and carries its own hash:
//
//	| stream 4 | length 4 | number 8 | bytes | SHA-256 of all before 32 |
//
// Package load measures how fast; this one doesn't: it is paced, and its ends share one
// process. What a kernel's checksum refuses never gets here: who wants to know looks at the
// hosts' counters (InCsumErrors in /proc/net/snmp).
package traffic
