// Command scale runs the built program a hundred times on this machine, in namespaces, as one group.
//
//	           d        n10       n20      one of ten is public
//	           │         │         │
//	─────────────────── the WAN ───────────────────
//	     │ NAT             │ NAT            │ NAT
//	  n1 … n9          n11 … n19        n21 … n29
//
// Its two commands:
//
//	scale costs   make bench-scale: what a member costs as the group grows, into docs/scale.md
//	scale kills   make test-restarts: thirty members restart at once, and then a third of them is killed
//	              each ten seconds; fails where living members lose each other, or a lease is lost
//
// All is gone when it ends, however it does (see package netlab); the daemons' logs are in the directory of -out.
//
//	main.go   what the command line says     costs.go    samples as the group grows
//	group.go  the members                    write.go    table and plot of these
//	ping.go   who reaches whom               kills.go    restarts and kills
package main
