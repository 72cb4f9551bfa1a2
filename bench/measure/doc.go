// Package measure measures a path between two hosts: round trips by ping(8), TCP by
// iperf3(1), datagrams and requests by the program's own [load] processes, one on each host.
//
//	ping    iputils ping, rounds of echoes 5 ms apart
//	TCP     iperf3, cubic; what the receiver got
//	UDP     a flood, then a search of paced trials (package load)
//	RR      one byte there and one back, on one connection; client on core 0, server on 1
//	CRR     connect, one byte, one byte back, close; likewise
//
// [Noise] tells how much of the machine others use meanwhile. What is measured of a
// peer, in which order, and what is made of it, is the command's.
package measure
