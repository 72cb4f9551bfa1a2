// Package capture copies packets that pass into a pcapng file, at no cost to them.
//
// It is not for deciding what is captured, nor for reading such files.
//
//	Tap      a place where packets pass; while nothing is captured it costs one atomic load
//	Capture  one capture: bounds, the packets that wait to be written, the writer
//
// Whoever forwards packets calls Tap.Load and, where it isn't nil, Put for each. Put copies the packet as a block of the file
// into one of two buffers, and never waits: where the buffer is full, or somebody else is at it for longer than a moment, the packet is left out
// and counted. Write takes the buffers in turn, from a goroutine of its own.
//
// # The file
//
// pcapng (draft-ietf-opsawg-pcapng), little-endian, times in nanoseconds. An interface for each place:
//
//	section header      byte order, the program
//	interface           0: the segment, Ethernet frames    1: the tunnel, IP packets (LINKTYPE_RAW)
//	enhanced packet     interface, time, length, data; options: the direction, a comment (the member)
//	…
//	interface statistics  of each: packets seen, and left out
package capture
