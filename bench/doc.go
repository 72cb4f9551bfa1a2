// Command bench measures Landbridge beside other tunnels, in turn, in the same namespaces of
// this machine, and writes what it saw into a document. make bench installs and builds
// the others and runs it; docs/performance.md shows the result and says what it means. As
// "bench modes" (make bench-modes) it measures Landbridge's modes, into docs/modes.md; as "bench
// addresses" (make bench-addresses), leases and names beside other servers, into docs/addresses.md.
//
//	bench -peers landbridge,wireguard-go -profile nic -measures tcp,udp -reps 3
//	bench -quick -peers landbridge,wireguard-go,veth     a few minutes
//	bench -add -measures wan                             to the samples of the run before
//	bench -measures '' -peers landbridge -many 1,100     one appliance and a hundred others
//	bench modes -measures hybrid,sites                   Landbridge's modes beside each other
//	bench addresses -measures dhcp,dns                   leases and names beside Kea, CoreDNS and dnsmasq
//	bench -from out/bench/samples.jsonl -docs docs       the report again, of old samples
//
// A repetition measures one peer: a fresh pair of hosts, keys, start, measures, and
// everything is gone again. Repetitions of all peers come in turn, so that what changes on the
// machine changes for all. Each step has a time limit; a step that fails is a sample that
// says so. An interrupt ends the run, removes what runs, and keeps the samples.
//
//	bench/peers      the tunnels               bench/underlay   the network below them
//	bench/measure    ping, TCP, UDP, requests  bench/load       the traffic of the latter two
//	bench/report     samples, tables, bars             bench/crowd     many members in a process
//
// "bench load" is what the program runs of itself on the hosts.
package main
