// Command modes measures Landbridge's modes beside each other and beside the bare network, on
// this machine, and writes what it saw into docs/modes.md. make bench-modes builds and runs it.
//
//   - Native traffic: two hosts of a LAN in hybrid mode, and two hosts of a LAN in router mode,
//     against the same hosts on the same wire without Landbridge, in turn; and that no packet
//     has gone by the tunnel meanwhile.
//   - CPU against bandwidth: what the appliances of two sites use at several rates of TCP, in
//     interface mode and in router mode.
//
// It is not for comparing Landbridge with others: that is bench.
package main
