// Command landbridge is the appliance's daemon and its command line.
//
// It holds flags, signals and the form of what people read; everything else is in
// package appliance. "landbridge run" is the daemon. The other commands ask the daemon
// over the Unix socket in its state directory, with the API of console/api. Where no
// daemon runs, those that work on groups alone (all of group, and join) open the state
// themselves.
//
//	main.go      signals and exit code
//	root.go      the command tree and what all commands share
//	connect.go   the daemon, or the state without one
//	group.go     group create, invite and show
//	remove.go    group remove
//	leave.go     group leave, and its question
//	join.go      join
//	run.go       the daemon; flags over file over defaults
//	status.go    status
//	lists.go     peers, leases, blocks and counters
//	table.go     aligned tables
//	flags.go     flags, and what is wrong with them
//	words.go     durations, sizes and times as people read them
//
// What a program might read goes to standard output: a listing, a token, or with --json
// the API's own objects. Remarks and errors go to standard error. The exit code is 0, 1
// for what failed, and 2 for a command line or configuration that is wrong.
package main
