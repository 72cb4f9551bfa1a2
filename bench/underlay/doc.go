// Package underlay makes the network that peers are measured on: two hosts on one
// Ethernet, in namespaces of [landbridge/internal/netlab], with nothing else.
//
//	a [eth0] --veth-- [bridge] --veth-- [eth0] b        192.0.2.0/24, MTU 1500
//	                     |
//	                     w   for what a peer needs besides: its server, its controller
//
// A [Profile] says what the cable does with super-frames. [Side.Spawn] starts a peer's
// programs; what they and whatever they start use of the machine is in [Used].
// [Foreign] tells what everybody else on the machine uses, the noise of a measurement.
//
// It measures nothing itself, and knows no peer.
package underlay
