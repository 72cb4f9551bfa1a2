// Command soak runs Landbridge for an hour, or as long as wanted, over links that lose and
// reorder, and fails if anything is wrong: make soak, make soak SOAK=2m.
//
//	               c1  DHCP, no software
//	               │ wire
//	a interface    b router          d interface, public, created the group
//	│ NAT          │ NAT             │
//	──── the WAN: each of these links delays, loses 1 % and holds 3 % of its frames back ────
//
// The three members are the built program, in namespaces of this machine. Between a, c1 and
// d, in all directions, goes what package traffic makes and verifies. Meanwhile, and at the
// end, it is judged (judge.go):
//
//   - each byte, by package traffic; loss of datagrams against what the links lost
//   - each daemon's memory, file descriptors and threads: bounded, and flat
//   - counters of what can't happen (forged, bad_header, …), and checksums refused by any
//     kernel: none
//   - each daemon's log: no errors; its health, at the end: nothing
//   - sessions: keys renewed as often as they should be, and direct paths at the end
//
// The first thing that is wrong ends it. The daemons' logs are kept in the directory of -out.
// All else is gone when it ends, however it does: see package netlab.
//
//	scene.go   members and hosts      watch.go    samples, while it runs
//	soak.go    the run                judge.go    what is right, without input or output
//	                                  summary.go  what people read
package main
