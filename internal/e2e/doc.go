// Package e2e tests the whole program: the built landbridge, run as a black box on the
// hosts of a [landbridge/internal/netlab] lab, with the DHCP clients that people use. It is
// the third ring of the tests, and has tests only.
//
// What a test sees is what an operator or a host on a LAN sees: exit codes and
// sentences, the API's objects (by --json), addresses, frames on the wire, replies
// to ping. What the demo proves already (cmd/demo: leases, pings by address and name, a copy
// that arrives, neighbours, bypass, leases that outlive kill -9) isn't repeated here.
//
//	machine   a host on which landbridge runs; cli, run, kill, refuses
//	scene     a WAN with a public member d and sites behind NATs, each with an
//	          appliance in router mode and a wire for its hosts
//	client    a host on a wire that has nothing but a DHCP client
//	listener  a raw socket on a wire: who answers ARP, and with which MAC
//
// TestMain builds the program once. LANDBRIDGE_BINARY names one that is built already,
// say, that of a release. The tests need root, and are skipped without.
package e2e
