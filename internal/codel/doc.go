// Package codel finds out how long datagrams wait on their way, and what to do about it.
//
// It is pure: it reads no clock and does no I/O. A datagram carries a [Stamp], when it
// was sent by its sender's clock.
package codel
