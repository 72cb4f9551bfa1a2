// Package load makes traffic and measures what becomes of it: rates of UDP datagrams,
// round trips of one byte over TCP, and the first echo of a host that comes up.
//
//	[Sink]       counts datagrams, trial by trial       [Search]  floods, then searches the
//	             and tells the counts                             highest rate that arrives
//	[Listener]   answers requests of one byte           [RoundTrips], [Connects]
//	[FirstEcho]  ICMP, until somebody answers           [Summarize]  percentiles
//
// Both ends of a measurement are processes of their own (bench load …), so that neither
// the other's scheduler nor this program's collector is measured; sockets are blocking
// and threads are locked, for the same reason. A sender and its sink share a stream
// between the namespaces, on which the sender asks, 8 bytes each, little-endian:
//
//	sender -> sink   | trial |
//	sink -> sender   | datagrams of it | first, Unix ns | last, Unix ns |
//
// A datagram begins with its trial's number, which grows from trial to trial: late ones
// of an earlier trial aren't counted.
//
// It is not a traffic model: one flow, one size, as fast as it goes.
package load
