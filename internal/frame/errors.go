package frame

import "errors"

// What a Parse function finds wrong. They are values, not wrapped, so that a
// caller can count by reason without allocating.
var (
	// ErrTruncated: the buffer ends before the header, or before the length that the header states.
	ErrTruncated = errors.New("frame: truncated")
	// ErrVersion: the IP version isn't the one that was asked for.
	ErrVersion = errors.New("frame: wrong IP version")
	// ErrLength: a length field contradicts itself (a header longer than its packet).
	ErrLength = errors.New("frame: contradictory length")
	// ErrProtocol: ARP for another hardware or protocol than Ethernet and IPv4.
	ErrProtocol = errors.New("frame: not ARP for IPv4 over Ethernet")
	// ErrNDP: no neighbour discovery, or what RFC 4861 has a node discard.
	ErrNDP = errors.New("frame: no sound message of neighbour discovery")
)
