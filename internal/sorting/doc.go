// Package sorting sorts short lists with one copy of the algorithm for all types.
//
// [slices.SortFunc] is compiled anew for each type of element: 11 to 21 KB of program, and as
// much again of line tables, all of it resident soon after the start (docs/decisions/0006-memory.md). An appliance sorts some forty
// types: peers, leases on a page, findings, none of them long, and none on the way of a packet. What is
// long or often sorted (the leases of the console's list) uses slices as everybody does.
package sorting
